import { randomBytes } from 'node:crypto';
import { pendingSeconds } from '../core/pending-store.js';
import type { AuthContext } from './auth-state.js';

// `__Host-`: no other host of the domain, and no page over plain http, can plant one.
const nameOf = (isSecure: boolean): string => `${isSecure ? '__Host-' : ''}portcullis_pending`;

/** The secret that binds this browser's pending logins to it; undefined where it has none. */
export function readBinding(ctx: AuthContext, origin: string | undefined): string | undefined {
  const value = ctx.cookies.get(nameOf(isHttps(origin)), { signed: false });
  return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : undefined;
}

/** The same, made where there is none. One serves all pending logins of a browser, so tabs do not disturb each other. */
export function giveBinding(ctx: AuthContext, origin: string | undefined): string {
  const isSecure = isHttps(origin);
  const value = readBinding(ctx, origin) ?? randomBytes(32).toString('base64url');
  const attributes = `Path=/; Max-Age=${pendingSeconds}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  // Written by hand: behind a proxy that ends TLS, Koa's cookies refuse to send a secure one.
  ctx.append('Set-Cookie', `${nameOf(isSecure)}=${value}; ${attributes}`);
  return value;
}

function isHttps(origin: string | undefined): boolean {
  return origin?.startsWith('https:') === true;
}
