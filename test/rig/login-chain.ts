import type { Router } from '@koa/router';
import {
  issueToken,
  lockout,
  requireSecondFactor,
  resumeLogin,
  verifyPassword,
  type AccessTokens,
  type AuthState,
  type Lockout,
  type SecondFactors,
} from '../../src/index.js';

/** The password of everybody. */
export const password = 'Correct horse 1';

interface LoginParts {
  readonly attempts: Lockout;
  readonly factors: SecondFactors;
  readonly tokens: AccessTokens;
}

/** Mounts both steps of the README's login, in which everybody's name is their account id. */
export function mountLogin(router: Router<AuthState>, { attempts, factors, tokens }: LoginParts): void {
  const ends = [requireSecondFactor(factors), issueToken(tokens)] as const;
  const verify = verifyPassword((claim) => (claim.password === password ? { id: claim.identifier } : null));
  router.post('/tokens', lockout(attempts), verify, ...ends);
  router.post('/tokens/second-factor', resumeLogin(factors), lockout(attempts), ...ends);
}
