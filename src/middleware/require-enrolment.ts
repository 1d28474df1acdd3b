import { demandInstance } from '../core/instance.js';
import { SecondFactors } from '../core/second-factors.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { isHeldBy, readEnrolmentPolicy, type EnrolmentPolicy } from '../http/enrolment-policy.js';
import { demandToken } from '../http/bearer.js';
import { decided, refuse } from '../http/refuse.js';

/**
 * Holds back, from a deadline on, accounts without a second factor: 403 `enrolment_required` on every route that it
 * is mounted on, after `requireToken`. Mount it on all but those where a factor is enrolled; a new login, a new token
 * or a restart changes nothing.
 */
export function requireEnrolment(factors: SecondFactors, policy: EnrolmentPolicy): AuthMiddleware {
  demandInstance('requireEnrolment', SecondFactors, factors);
  const rule = readEnrolmentPolicy('requireEnrolment', policy);

  return async function requireEnrolment(ctx, next) {
    const found = demandToken(ctx, 'requireEnrolment');
    if (found === undefined) return;
    if (factors.now() < rule.since) return next();
    const enrolled = await decided(ctx, factors.enrolled(found.account));
    if (enrolled === undefined) return;
    if (enrolled.methods.length > 0) return next();
    const isHeld = await isHeldBy(ctx, rule, found.account);
    if (isHeld === undefined) return;
    return isHeld ? refuse(ctx, 'enrolment_required') : next();
  };
}
