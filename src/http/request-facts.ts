import { randomUUID } from 'node:crypto';
import { printable } from '../core/printable.js';
import type { AuthContext } from './auth-state.js';

/** What an operator needs to find a request again. */
export interface RequestFacts {
  readonly requestId: string;
  readonly userAgent: string;
}

const longestUserAgent = 256;

const known = new WeakMap<object, RequestFacts>();

/** The same for all that is told of one request. Whatever a client wrote is cut and escaped. */
export function requestFacts(ctx: AuthContext): RequestFacts {
  const found = known.get(ctx);
  if (found !== undefined) return found;
  const id = ctx.get('X-Request-Id');
  const facts = {
    requestId: /^[A-Za-z0-9._-]{1,64}$/.test(id) ? id : randomUUID(),
    userAgent: printable(ctx.get('User-Agent'), longestUserAgent),
  };
  known.set(ctx, facts);
  return facts;
}
