import { addressSource } from '../core/address-source.js';
import type { AuthContext } from './auth-state.js';
import { clientAddress, isAddressSpoofable } from './client-address.js';
import { emitWeakness } from './events.js';

/** What the `subject` option may answer: an account's id or its parts, or null for nobody's name. */
export type Subject = string | readonly string[] | null;

export function isSubject(answer: unknown): boolean {
  if (answer === null || (typeof answer === 'string' && answer !== '')) return true;
  return Array.isArray(answer) && answer.length > 0 && answer.every((part) => typeof part === 'string');
}

/** The source that an address belongs to; undefined for what is no address. */
export function sourceOf(address: unknown): string | undefined {
  return typeof address === 'string' ? (addressSource(address) ?? undefined) : undefined;
}

/** The client's address, or null, told once, while anyone could forge it. */
export function trustedAddress(ctx: AuthContext): string | null {
  if (!isAddressSpoofable(ctx)) return clientAddress(ctx);
  emitWeakness(ctx, 'app.proxy is set without app.maxIpsCount: addresses can be forged and are not counted');
  return null;
}
