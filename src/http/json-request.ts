import type { SecondFactors } from '../core/second-factors.js';
import type { AuthContext } from './auth-state.js';
import { verifiedTokenOf } from './bearer.js';
import { refuse } from './refuse.js';
import { isFromAnotherSite } from './site.js';

/** True unless the request has been refused: sent by a page of another site, or by a form. */
export function demandJson(ctx: AuthContext, { settings }: SecondFactors): boolean {
  if (!hasSentToken(ctx) && isFromAnotherSite(ctx, settings.origin)) refuse(ctx, 'csrf_rejected');
  else if (!isJson(ctx)) refuse(ctx, 'unsupported_media_type');
  else return true;
  return false;
}

/**
 * Whether the client itself sent the token in its Authorization header, which no other site can make a browser do. That
 * of a session came in a cookie. An app with a cookie of its own writes the token into the headers, and not into those
 * that came over the wire.
 */
function hasSentToken({ req: { headers, rawHeaders } }: AuthContext): boolean {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && /^authorization$/i.test(name));
  return at !== -1 && rawHeaders[at + 1] === headers.authorization;
}

/** No page of another site can send JSON unasked; what has neither body nor type, it can. */
function isJson(ctx: AuthContext): boolean {
  if (typeof ctx.is('json') === 'string') return true;
  const isEmpty = ctx.get('Transfer-Encoding') === '' && (ctx.request.length ?? 0) === 0;
  if (!isEmpty) return false;
  if (ctx.request.type !== '') return ctx.request.type === 'application/json';
  return hasSentToken(ctx) || verifiedTokenOf(ctx) === undefined;
}
