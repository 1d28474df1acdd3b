import type { AuthContext } from './auth-state.js';

/** A cookie that the pages of one origin alone get and set: no script reads it, no other site sends it. */
export interface HostCookie {
  readonly name: string;
  readonly value: string;
  readonly maxAgeSeconds: number;
}

/** @param origin - Of the pages; plain http, which has no secure cookies, for this machine only. */
export function readHostCookie(
  ctx: AuthContext,
  origin: string | undefined,
  name: string,
): string | undefined {
  return ctx.cookies.get(keyOf(origin, name), { signed: false });
}

export function setHostCookie(
  ctx: AuthContext,
  origin: string | undefined,
  { name, value, maxAgeSeconds }: HostCookie,
): void {
  const attributes = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${isHttps(origin) ? '; Secure' : ''}`;
  // Written by hand: behind a proxy that ends TLS, Koa's cookies refuse to send a secure one.
  ctx.append('Set-Cookie', `${keyOf(origin, name)}=${value}; ${attributes}`);
}

/** `__Host-`: no other host of the domain, and no page over plain http, can plant one (RFC 6265bis section 4.1.3.2). */
function keyOf(origin: string | undefined, name: string): string {
  return isHttps(origin) ? `__Host-${name}` : name;
}

function isHttps(origin: string | undefined): boolean {
  return origin?.startsWith('https:') === true;
}
