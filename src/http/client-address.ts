import { isIPv6, SocketAddress } from 'node:net';
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

/**
 * One spelling per source: IPv4-mapped IPv6 is IPv4, other IPv6 is cut to its /64, the least that one
 * customer holds. Null for what is no address.
 */
export function addressSource(address: string): string | null {
  const canonical = canonicalAddress(address);
  if (canonical === null || !isIPv6(canonical)) return canonical;
  const [head = '', tail] = canonical.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...right];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

function canonicalAddress(address: string): string | null {
  const [bare = ''] = address.split('%');
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(bare)?.[1];
  try {
    const family = isIPv6(bare) && mapped === undefined ? 'ipv6' : 'ipv4';
    const canonical = new SocketAddress({ address: mapped ?? bare, family }).address;
    // ::ffff:c000:201 is written out as its IPv4 form only once it has been parsed.
    return canonical.startsWith('::ffff:') ? canonical.slice('::ffff:'.length) : canonical;
  } catch {
    return null;
  }
}
