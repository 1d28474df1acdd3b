import type { Account } from '../core/account.js';
import { Busy, StoreUnavailable } from '../core/errors.js';
import type { FoundDevice, KnownDevices, RememberedDevice } from '../core/known-devices.js';
import type { Login } from '../core/login.js';
import type { AuthContext } from './auth-state.js';
import { clientAddress } from './client-address.js';
import { emitEvent, emitStoreFailure } from './events.js';
import { readHostCookie, setHostCookie } from './host-cookie.js';
import { decided } from './refuse.js';
import { requestFacts } from './request-facts.js';
import { isFromAnotherSite } from './site.js';

// The cookie is strict: no link from elsewhere leads to a login that has been filled in.
const cookieName = 'portcullis_device';

/**
 * Whether a known device asks, for a name that is counted. One whose secret was used up by a later login is a stranger: it
 * was copied, or restored from a backup. The device that has the newer secret stays known, or whoever holds an old copy
 * could make its owner a stranger again.
 *
 * @param name - Undefined where it is not known: then nobody is.
 * @returns undefined when the request has been refused: a store that cannot tell decides nothing.
 */
export async function meetDevice(
  ctx: AuthContext,
  login: Login,
  devices: KnownDevices | undefined,
  name: string | undefined,
): Promise<boolean | undefined> {
  if (devices === undefined || !login.hasCookies) return false;
  // Or a page elsewhere could log its visitor in to an account of its own, whose cookie would take the place of hers
  // (login CSRF), and one on another host of the site, to which even a strict cookie is sent, could spend her attempts.
  if (isFromAnotherSite(ctx, devices.origin)) login.ignoreCookies();
  const isRead = login.hasCookies && name !== undefined;
  const cookie = readDeviceCookie(ctx, devices);
  const found = await decided(ctx, isRead ? devices.recognise(cookie, name) : nobody);
  if (found === undefined) return undefined;
  const isKnown = found !== null && !found.isReplayed;
  if (found?.isReplayed === true)
    emitEvent(ctx, { name: 'device.replayed', account: found.account, device: found.id });
  login.meetDevice(isKnown ? 'known' : 'new');
  return isKnown;
}

const nobody: Promise<FoundDevice | null> = Promise.resolve(null);

/**
 * After the answer was made: where that is a token, the browser gets a cookie with a new secret. Where the store fails it
 * gets none: the login stands all the same, as nothing depends on the device.
 */
export async function rememberDevice(
  ctx: AuthContext,
  { spent, account, hasCookies }: Login,
  devices: KnownDevices | undefined,
  name: string | undefined,
): Promise<void> {
  const isToBeKept = spent && hasCookies && ctx.status < 400;
  if (devices === undefined || name === undefined || account === undefined || !isToBeKept) return;
  const remembered = await remember(ctx, devices, account, name);
  if (remembered === undefined) return;
  const { id, isNew, cookie } = remembered;
  setHostCookie(ctx, devices.origin, {
    name: cookieName,
    value: cookie,
    maxAgeSeconds: devices.lifetimeSeconds,
  });
  if (isNew) emitEvent(ctx, { name: 'device.added', account: account.id, device: id });
}

async function remember(
  ctx: AuthContext,
  devices: KnownDevices,
  account: Account,
  name: string,
): Promise<RememberedDevice | undefined> {
  const about = { userAgent: requestFacts(ctx).userAgent, address: clientAddress(ctx) };
  try {
    return await devices.remember(account, name, readDeviceCookie(ctx, devices), about);
  } catch (error) {
    if (error instanceof StoreUnavailable) emitStoreFailure(ctx, error.reason);
    else if (!(error instanceof Busy)) throw error;
    return undefined;
  }
}

/** Ids of the account's devices that this request is signed for. */
export function markedDevices(ctx: AuthContext, devices: KnownDevices, account: Account): readonly string[] {
  return devices.marked(account, readDeviceCookie(ctx, devices));
}

/** Empty where there is none. */
function readDeviceCookie(ctx: AuthContext, devices: KnownDevices): string {
  return readHostCookie(ctx, devices.origin, cookieName) ?? '';
}
