import type { FactorVerdict } from '../core/factor-verdict.js';
import type { AuthContext } from './auth-state.js';
import { emitEvent } from './events.js';
import { refuse } from './refuse.js';

/** What a try at a factor came to when it did not succeed, with a new challenge where the client may answer again. */
export type Refusable = Exclude<FactorVerdict, VerifiedFactor> & { readonly challenge?: object | null };

export type VerifiedFactor = Extract<FactorVerdict, { outcome: 'verified' }>;

/** From this many emergency codes on, their owner should make new ones. */
const fewCodes = 2;

/** Answers a try at a factor that did not succeed, and tells what an operator must know of it. */
export function refuseFactor(ctx: AuthContext, account: string, verdict: Refusable): void {
  if (verdict.outcome === 'dead') return refuse(ctx, 'pending_login_invalid');
  if (verdict.outcome === 'unreadable') {
    emitEvent(ctx, {
      name: 'second_factor.unreadable',
      account,
      reason: 'sealed under a key that is not in the ring',
    });
    return refuse(ctx, 'invalid_second_factor');
  }
  if (verdict.outcome === 'locked') {
    const { busy, retryAfterSeconds } = verdict;
    emitEvent(ctx, {
      name: 'login.refused',
      account,
      reason: busy ? 'second factor busy' : 'second factor locked out',
    });
    return refuse(ctx, busy ? 'busy' : 'locked_out', { retryAfterSeconds });
  }
  const { reason, last, lockedSeconds } = verdict;
  emitEvent(ctx, { name: 'second_factor.failed', account, reason });
  if (reason === 'replayed') emitEvent(ctx, { name: 'totp.replayed', account });
  if (reason === 'cloned') emitEvent(ctx, { name: 'security_key.cloned', account });
  if (reason === 'suspended') emitEvent(ctx, { name: 'totp.suspended', account });
  if (reason === 'clock') emitEvent(ctx, { name: 'clock.turned_back', account });
  if (last) emitEvent(ctx, { name: 'pending_login.exhausted', account });
  if (lockedSeconds > 0)
    emitEvent(ctx, { name: 'second_factor.locked', account, retryAfterSeconds: lockedSeconds });
  const { challenge } = verdict;
  return refuse(ctx, 'invalid_second_factor', challenge ? { body: { webauthn: challenge } } : {});
}

/** An emergency code is used when something is lost, or by whoever found the list: its owner must hear of it. */
export function tellFactorUsed(
  ctx: AuthContext,
  account: string,
  { factor, codesLeft }: VerifiedFactor,
): void {
  if (factor !== 'backup_code' || codesLeft === null) return;
  emitEvent(ctx, { name: 'backup_code.used', account, left: codesLeft });
  if (codesLeft <= fewCodes) emitEvent(ctx, { name: 'backup_codes.depleted', account, left: codesLeft });
}
