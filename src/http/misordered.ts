import type { AuthContext } from './auth-state.js';
import { emitWeakness } from './events.js';
import { refuse } from './refuse.js';

const demands = {
  lockout: 'mount it before the password step, or directly after resumeLogin',
  verifyPassword: 'mount it once, before requireSecondFactor and not after resumeLogin',
  requireSecondFactor: 'mount it once, after the password step or after resumeLogin',
  resumeLogin: 'mount it first on the route of the second step',
  revokeToken: 'mount it after requireToken',
  requireFreshLogin: 'mount it after requireToken',
  requireEnrolment: 'mount it after requireToken',
  resetSecondFactors: 'mount it after requireToken',
  auditSecondFactors: 'mount it after requireToken',
  secondFactorRoutes: 'mount them behind requireToken',
  tokenRoutes: 'mount them behind requireToken',
  deviceRoutes: 'mount them behind requireToken',
  loginLogRoutes: 'mount them behind requireToken',
  robotTokenRoutes: 'mount them behind requireToken',
  revokeOtherTokens: 'mount it after requireToken and before the handler',
  oauthRoutes:
    'its option login must hold lockout, the password step and requireSecondFactor, in this order, and none of them may stand before it',
  issueToken: 'mount it last, after lockout, the password step and requireSecondFactor',
} as const;

/** Middleware that proves nothing in the wrong place. */
export type Misordered = keyof typeof demands;

/** Tells the developer, once, that middleware ran in an order that proves nothing. */
export function tellMisordered(ctx: AuthContext, middleware: Misordered): void {
  const reason = `${middleware} is out of order: ${demands[middleware]}`;
  if (emitWeakness(ctx, reason)) process.emitWarning(reason, { code: 'PORTCULLIS_ORDER' });
}

/** The same for a login, which it refuses. */
export function refuseMisordered(ctx: AuthContext, middleware: Misordered): void {
  tellMisordered(ctx, middleware);
  refuse(ctx, 'invalid_credentials');
}
