import type { DeviceFacts, KnownDevices } from '../core/known-devices.js';
import type { VerifiedToken } from '../core/token-record.js';
import { answer, isoTime } from './answer.js';
import type { AuthContext } from './auth-state.js';
import { markedDevices } from './device-cookie.js';
import { emitEvent } from './events.js';
import { pathField } from './fields.js';
import { decided, refuse } from './refuse.js';

/** A request about known devices, and whose it is. */
export interface DeviceRequest {
  readonly ctx: AuthContext;
  readonly devices: KnownDevices;
  readonly found: VerifiedToken;
}

export async function showDevices({ ctx, devices, found: { account } }: DeviceRequest): Promise<void> {
  const listed = await decided(ctx, devices.list(account));
  if (listed === undefined) return;
  const current = markedDevices(ctx, devices, account);
  answer(ctx, 200, { devices: listed.map((one) => written(one, current)) });
}

export async function forgetOne({ ctx, devices, found: { account } }: DeviceRequest): Promise<void> {
  const id = pathField(ctx, 'id');
  const wasKnown = await decided(ctx, devices.revoke(account, id));
  if (wasKnown === undefined) return;
  if (!wasKnown) return refuse(ctx, 'not_found');
  emitEvent(ctx, { name: 'device.revoked', account: account.id, device: id });
  answer(ctx, 204);
}

export async function forgetAll({ ctx, devices, found: { account } }: DeviceRequest): Promise<void> {
  const count = await decided(ctx, devices.revokeAll(account));
  if (count === undefined) return;
  if (count > 0) emitEvent(ctx, { name: 'devices.revoked', account: account.id, count });
  answer(ctx, 204);
}

/**
 * Forgets the devices of an account but the one that acts.
 *
 * @throws {StoreUnavailable} when the store cannot tell whether it did.
 */
export async function forgetOtherDevices({ ctx, devices, found: { account } }: DeviceRequest): Promise<void> {
  const [except] = markedDevices(ctx, devices, account);
  const count = await devices.revokeAll(account, except === undefined ? {} : { except });
  if (count > 0) emitEvent(ctx, { name: 'devices.revoked', account: account.id, count });
}

function written(device: DeviceFacts, current: readonly string[]): object {
  return {
    id: device.id,
    user_agent: device.userAgent,
    address: device.address,
    created_at: isoTime(device.createdAt),
    last_used_at: isoTime(device.lastUsedAt),
    current: current.includes(device.id),
  };
}
