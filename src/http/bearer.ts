import type { VerifiedToken } from '../core/token-record.js';
import type { AuthContext } from './auth-state.js';
import { tellMisordered, type Misordered } from './misordered.js';
import { refuse } from './refuse.js';

/** What the Authorization header holds, as RFC 6750 section 2.1 reads it. */
export type Bearer =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' };

/**
 * The bearer token of a request. Only the header is read; a token in the query beside it is the two methods at
 * once that RFC 6750 section 2 forbids, as are two Authorization headers, of which Node shows only the first.
 */
export function readBearer(ctx: AuthContext): Bearer {
  const { headers, rawHeaders } = ctx.req;
  const { authorization } = headers;
  if (authorization === undefined) return { kind: 'none' };
  if (hasSecondAuthorization(rawHeaders)) return { kind: 'malformed' };
  if (!/^bearer(?:$|[\s,])/i.test(authorization)) return { kind: 'none' };
  const token = /^bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(authorization)?.[1];
  const isTwice = /(?:^|&)access_token=/.test(ctx.querystring);
  return token === undefined || isTwice ? { kind: 'malformed' } : { kind: 'token', token };
}

function hasSecondAuthorization(rawHeaders: readonly string[]): boolean {
  let seen = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 13 && name.toLowerCase() === 'authorization') seen += 1;
  }
  return seen > 1;
}

/** RFC 6750 section 3: the reason is in the header too, in words that hold nothing of the request. */
export function refuseBearer(
  ctx: AuthContext,
  reason: 'none' | 'invalid_request' | 'invalid_token' | 'insufficient_scope',
  scope = '',
): void {
  const detail = reason === 'none' ? '' : ` error="${reason}"`;
  ctx.set('WWW-Authenticate', `Bearer${detail}${scope === '' ? '' : `, scope="${scope}"`}`);
  refuse(ctx, reason === 'none' ? 'invalid_token' : reason);
}

// What requireToken verified for this request, out of reach of whoever can write ctx.state.
const verified = new WeakMap<object, VerifiedToken>();

export function keepVerified(ctx: AuthContext, token: VerifiedToken): void {
  verified.set(ctx, token);
}

export function verifiedTokenOf(ctx: AuthContext): VerifiedToken | undefined {
  return verified.get(ctx);
}

/** What `requireToken` verified for this request; undefined when the request has been refused. */
export function demandToken(ctx: AuthContext, middleware: Misordered): VerifiedToken | undefined {
  const found = verifiedTokenOf(ctx);
  if (found !== undefined) return found;
  tellMisordered(ctx, middleware);
  refuseBearer(ctx, 'none');
  return undefined;
}
