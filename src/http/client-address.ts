import { isIPv4, isIPv6, SocketAddress } from 'node:net';
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

function canonicalAddress(given: string): string | null {
  // Some proxies write the port too: 192.0.2.1:4711, [2001:db8::1]:4711.
  const [, v4, v6] = /^(?:([\d.]+):\d{1,5}|\[([^\]]+)\](?::\d{1,5})?)$/.exec(given) ?? [];
  const address = v4 ?? v6 ?? given;
  if (isIPv4(address)) return v6 === undefined ? address : null;
  const [bare = ''] = address.split('%');
  const family = isIPv6(bare) ? 'ipv6' : 'ipv4';
  try {
    const canonical = new SocketAddress({ address: bare, family }).address;
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1];
    return mapped ?? canonical;
  } catch {
    return null;
  }
}
