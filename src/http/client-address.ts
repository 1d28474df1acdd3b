import { canonicalAddress } from '../core/address-source.js';
import type { AuthContext } from './auth-state.js';

/**
 * With `app.proxy` and no `maxIpsCount`, Koa takes the left-most entry of `X-Forwarded-For` as the client:
 * whatever the client wrote there.
 */
export function isAddressSpoofable(ctx: AuthContext): boolean {
  return ctx.app.proxy && !(ctx.app.maxIpsCount > 0);
}

/** The client's address as Koa knows it, or the socket's where Koa's could be forged. */
export function clientAddress(ctx: AuthContext): string {
  return canonicalAddress(givenAddress(ctx)) ?? '';
}

/**
 * Whether the client hung up before anybody asked where it was: a reset connection does not say any more. Whoever
 * sends a guess and resets would lock accounts from nowhere, out of reach of the limits of an address. A Unix
 * socket, which has no addresses, is something else. Once asked, the address is kept for as long as the request.
 */
export function isGone(ctx: AuthContext): boolean {
  const { destroyed, localAddress } = ctx.req.socket;
  return givenAddress(ctx) === '' && (destroyed || localAddress !== undefined);
}

function givenAddress(ctx: AuthContext): string {
  return (isAddressSpoofable(ctx) ? ctx.req.socket.remoteAddress : ctx.ip) ?? '';
}
