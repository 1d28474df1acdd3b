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
  const address = isAddressSpoofable(ctx) ? ctx.req.socket.remoteAddress : ctx.ip;
  return canonicalAddress(address ?? '') ?? '';
}
