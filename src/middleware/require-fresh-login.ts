import { readFreshLoginRule, type FreshLoginOptions } from '../core/fresh-login.js';
import { demandInstance } from '../core/instance.js';
import { SecondFactors } from '../core/second-factors.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { demandFreshLogin } from '../http/fresh-login.js';

/**
 * Protects what a stolen token must not do: lets through, after `requireToken`, only tokens of a recent login, made
 * with a second factor where the account has one. The answer is else 401 `insufficient_user_authentication`, with
 * the age that is allowed as `max_age`: the client logs in again and repeats the request with the new token.
 *
 * @see RFC 9470, OAuth 2.0 Step Up Authentication Challenge Protocol; OWASP ASVS 5.0 requirement 7.5.1
 */
export function requireFreshLogin(factors: SecondFactors, options: FreshLoginOptions = {}): AuthMiddleware {
  demandInstance('requireFreshLogin', SecondFactors, factors);
  const rule = readFreshLoginRule('requireFreshLogin', options);

  return async function requireFreshLogin(ctx, next) {
    if (await demandFreshLogin(ctx, factors, rule, 'requireFreshLogin')) return next();
  };
}
