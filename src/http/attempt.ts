import type { Locked, ReservedAttempt } from '../core/attempt.js';
import type { Tried } from '../core/auth-event.js';
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
  const about = triedBy(login);
  const { account, address, devices = 0 } = await attempt.fail();
  emitEvent(ctx, { name: 'login.failed', reason: 'wrong password', ...about });
  const { told: subject } = attempt;
  if (account > 0) emitEvent(ctx, { name: 'account.locked', retryAfterSeconds: account, ...about, subject });
  if (devices > 0) emitEvent(ctx, { name: 'devices.locked', retryAfterSeconds: devices, ...about, subject });
  if (address > 0) emitEvent(ctx, { name: 'address.locked', retryAfterSeconds: address });
}

/** 429, with the seconds after which another try makes sense. */
export function refuseLocked(ctx: AuthContext, locked: Locked, account: Tried['account']): void {
  const { busy, retryAfterSeconds, told, whose } = locked;
  const reason = whose === 'account' ? 'locked out' : 'address locked out';
  const tried = { subject: told, ...(account !== undefined && { account }) };
  emitEvent(ctx, { name: 'login.refused', reason: busy ? 'busy' : reason, ...tried });
  refuse(ctx, busy ? 'busy' : 'locked_out', { retryAfterSeconds });
}

/** What a login handler throws for a wrong password: `ctx.throw(401)`. */
export function isUnauthorized(error: unknown): boolean {
  return statusOf(error) === 401;
}

/** Whose password this login has tried, for events. */
function triedBy({ counted }: Login): Tried {
  if (counted === undefined) return {};
  const { told, account } = counted;
  return { subject: told, ...(account !== undefined && { account }) };
}
