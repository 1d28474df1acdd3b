import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { endOtherTokens } from '../http/other-tokens.js';
import { decided } from '../http/refuse.js';
import { demandLoginToken } from '../http/token-requests.js';

/**
 * Ends, after a change such as that of a password, what an earlier thief of it holds: all tokens of the account but the
 * one presented, and its logins under way. Mount it after `requireToken` and before the handler of the change. It acts
 * where the handler answered with success or a redirect, before that answer goes out; where it cannot, the answer is
 * 503 `store_unavailable`, and the change stands.
 *
 * @see OWASP ASVS 5.0 requirement 7.4.3
 */
export function revokeOtherTokens(tokens: AccessTokens): AuthMiddleware {
  demandInstance('revokeOtherTokens', AccessTokens, tokens);

  return async function revokeOtherTokens(ctx, next) {
    const found = demandLoginToken(ctx, 'revokeOtherTokens');
    if (found === undefined) return;
    await next();
    // Pages answer a change with a redirect. A redirect for a failure ends too much, which harms less than too little.
    if (ctx.status < 400) await decided(ctx, endOtherTokens(ctx, tokens, found));
  };
}
