import type { AuthContext } from './auth-state.js';

/**
 * True for a request that a browser sent from a page of another site, or of another host of the same: by `Origin` where the app's own is known,
 * else by `Sec-Fetch-Site`. Clients that are no browsers send neither.
 *
 * @see OWASP Cross-Site Request Forgery Prevention Cheat Sheet, "Fetch Metadata" and "Verifying Origin"
 */
export function isFromAnotherSite(ctx: AuthContext, ownOrigin: string | undefined): boolean {
  const origin = ctx.get('Origin');
  const site = ctx.get('Sec-Fetch-Site');
  // A form on the app's own page says so where that page sends no referrer. From a sandboxed frame it is cross-site.
  const isOwnWithoutReferrer = origin === 'null' && site === 'same-origin';
  if (origin !== '' && ownOrigin !== undefined && !isOwnWithoutReferrer) return origin !== ownOrigin;
  return ['cross-site', 'same-site'].includes(site);
}
