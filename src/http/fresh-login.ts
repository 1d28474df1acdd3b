import { isRecentLogin, provedFactor, type FreshLoginRule } from '../core/fresh-login.js';
import type { SecondFactors } from '../core/second-factors.js';
import type { VerifiedToken } from '../core/token-record.js';
import type { AuthContext } from './auth-state.js';
import { demandToken } from './bearer.js';
import type { Misordered } from './misordered.js';
import { decided, refuse } from './refuse.js';

/**
 * The token of this request, where the login behind it is recent and, as the rule demands, proved a factor.
 *
 * @returns undefined when the request has been refused.
 */
export async function demandFreshLogin(
  ctx: AuthContext,
  factors: SecondFactors,
  rule: FreshLoginRule,
  middleware: Misordered,
): Promise<VerifiedToken | undefined> {
  const found = demandToken(ctx, middleware);
  if (found === undefined) return undefined;
  if (!isRecentLogin(found, rule, factors.now())) return refuseStale(ctx, rule);
  if (rule.factor === 'never' || provedFactor(found)) return found;
  if (rule.factor === 'always') return refuseStale(ctx, rule);
  const enrolled = await decided(ctx, factors.enrolled(found.account));
  if (enrolled === undefined) return undefined;
  return enrolled.methods.length === 0 ? found : refuseStale(ctx, rule);
}

/** RFC 9470 section 3: the client logs in again and comes back with the new token. */
export function refuseStale(ctx: AuthContext, { withinSeconds }: FreshLoginRule): undefined {
  const error = 'insufficient_user_authentication';
  const description = 'A more recent login is needed';
  ctx.set(
    'WWW-Authenticate',
    `Bearer error="${error}", error_description="${description}", max_age="${withinSeconds}"`,
  );
  refuse(ctx, error, { body: { max_age: withinSeconds } });
  return undefined;
}
