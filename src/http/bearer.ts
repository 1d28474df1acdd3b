import type { VerifiedToken } from '../core/token-record.js';
import type { AuthContext } from './auth-state.js';
import { tellMisordered, type Misordered } from './misordered.js';
import { refuse } from './refuse.js';

/** What the Authorization header holds, as RFC 6750 section 2.1 reads it. */
export type Bearer =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' };

/**
 * The bearer token of a request. Only the header is read; a token in the query beside it is the two methods at
 * once that RFC 6750 section 2 forbids, as are two Authorization headers, of which Node shows only the first.
 */
export function readBearer(ctx: AuthContext): Bearer {
  const { headers, url = '' } = ctx.req;
  const { authorization } = headers;
  if (authorization === undefined) return none;
  if (hasSecondAuthorization(ctx.req)) return malformed;
  if (/^bearer [A-Za-z0-9._~+/=-]+$/i.test(authorization)) {
    // Most requests have no such word at all: only then is the query parsed.
    const isTwice = url.includes('access_token=') && /(?:^|&)access_token=/.test(ctx.querystring);
    return isTwice ? malformed : { kind: 'bearer', token: authorization.slice(7) };
  }
  return /^bearer(?:$|[\s,])/i.test(authorization) ? malformed : none;
}

const none: Bearer = { kind: 'none' };
const malformed: Bearer = { kind: 'malformed' };

/** As they came over the wire: of several, Node shows only the first. */
export function hasSecondAuthorization({ rawHeaders }: { readonly rawHeaders: readonly string[] }): boolean {
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

/** Lets a class put private fields onto an object that is there already. */
// oxlint-disable-next-line typescript/no-extraneous-class -- it is there to be extended
class Onto {
  constructor(target: object) {
    // oxlint-disable-next-line no-constructor-return -- it is all that this class is for
    return target;
  }
}

/**
 * What `requireToken` verified, on the context itself but out of reach of whoever can write to it: nothing but this class
 * can read or make a private field. A WeakMap says the same, for half of all that a cached check costs.
 */
class Verified extends Onto {
  #token: VerifiedToken;

  constructor(ctx: AuthContext, token: VerifiedToken) {
    super(ctx);
    this.#token = token;
  }

  static keep(ctx: AuthContext, token: VerifiedToken): void {
    const target: object = ctx;
    const kept = #token in target ? target : new Verified(ctx, token);
    kept.#token = token;
  }

  static of(ctx: AuthContext): VerifiedToken | undefined {
    const target: object = ctx;
    return #token in target ? target.#token : undefined;
  }
}

export function keepVerified(ctx: AuthContext, token: VerifiedToken): void {
  Verified.keep(ctx, token);
}

export function verifiedTokenOf(ctx: AuthContext): VerifiedToken | undefined {
  return Verified.of(ctx);
}

/** What `requireToken` verified for this request; undefined when the request has been refused. */
export function demandToken(ctx: AuthContext, middleware: Misordered): VerifiedToken | undefined {
  const found = verifiedTokenOf(ctx);
  if (found !== undefined) return found;
  tellMisordered(ctx, middleware);
  refuseBearer(ctx, 'none');
  return undefined;
}
