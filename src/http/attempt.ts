import type { Locked, ReservedAttempt } from '../core/attempt.js';
import type { Login } from '../core/login.js';
import type { AuthContext } from './auth-state.js';
import { statusOf } from './error-status.js';
import { emitEvent } from './events.js';
import { refuse } from './refuse.js';

/** Ends the reserved attempt as the password step decided, or, where it did not say, as its answer did. */
export async function settleAttempt(
  ctx: AuthContext,
  login: Login,
  attempt: ReservedAttempt,
  answered401: boolean,
): Promise<void> {
  if (login.password === 'verified') return login.returned;
  if (login.password === 'open' && !answered401) return attempt.giveBack();
  const whose = login.counted?.account;
  const about = { subject: attempt.subject, ...(whose !== undefined && { account: whose }) };
  const { account, address } = await attempt.fail();
  emitEvent(ctx, { name: 'login.failed', reason: 'wrong password', ...about });
  if (account > 0) emitEvent(ctx, { name: 'account.locked', retryAfterSeconds: account, ...about });
  if (address > 0) emitEvent(ctx, { name: 'address.locked', retryAfterSeconds: address });
}

/** 429, with the seconds after which another try makes sense. */
export function refuseLocked(ctx: AuthContext, { busy, retryAfterSeconds }: Locked): void {
  emitEvent(ctx, { name: 'login.refused', reason: busy ? 'busy' : 'locked out' });
  refuse(ctx, busy ? 'busy' : 'locked_out', { retryAfterSeconds });
}

/** What a login handler throws for a wrong password: `ctx.throw(401)`. */
export function isUnauthorized(error: unknown): boolean {
  return statusOf(error) === 401;
}
