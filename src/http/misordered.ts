import type { AuthContext } from './auth-state.js';
import { emitWeakness } from './events.js';
import { refuse } from './refuse.js';

const demands = {
  lockout: 'mount it before the password step, or directly after resumeLogin',
  verifyPassword: 'mount it once, before requireSecondFactor and not after resumeLogin',
  requireSecondFactor: 'mount it once, after the password step or after resumeLogin',
  resumeLogin: 'mount it first on the route of the second step',
  issueToken: 'mount it last, after lockout, the password step and requireSecondFactor',
} as const;

/** Refuses a request whose middleware ran in an order that proves nothing, and tells the developer, once. */
export function refuseMisordered(ctx: AuthContext, middleware: keyof typeof demands): void {
  const reason = `${middleware} is out of order: ${demands[middleware]}`;
  if (emitWeakness(ctx, reason)) process.emitWarning(reason, { code: 'PORTCULLIS_ORDER' });
  refuse(ctx, 'invalid_credentials');
}
