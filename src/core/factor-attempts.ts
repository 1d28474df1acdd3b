import type { Account } from './account.js';
import { Busy } from './errors.js';
import type { FactorJudgement, FactorVerdict, OfferedFactor } from './factor-verdict.js';
import type { LockoutStanding } from './attempt.js';
import type { Lockout } from './lockout.js';
import type { PendingLogins } from './pending-logins.js';

/** Counts each try at a factor, and each start of an enrolment, before anything is looked at. */
export class FactorAttempts {
  constructor(
    readonly attempts: Lockout,
    readonly pending: PendingLogins,
  ) {}

  /**
   * Has a factor judged. The try is counted before that, and again for the pending login that it belongs to; it is
   * given back when it succeeds or cannot be decided.
   */
  async judge(
    account: Account,
    kind: OfferedFactor['kind'],
    handle: string | undefined,
    judge: () => Promise<FactorJudgement>,
  ): Promise<FactorVerdict> {
    const attempt = await this.attempts.reserve(namesOf(account), 'second factor');
    if (!attempt.granted) {
      return { outcome: 'locked', busy: attempt.busy, retryAfterSeconds: attempt.retryAfterSeconds };
    }
    try {
      const tried = handle === undefined ? { last: false } : await this.pending.try(handle);
      if (tried === null) {
        await attempt.giveBack();
        return { outcome: 'dead' };
      }
      const found = await judge();
      if (found === 'unreadable') {
        await attempt.giveBack();
        return { outcome: 'unreadable' };
      }
      if (typeof found === 'object') {
        await attempt.giveBack();
        const alive = handle === undefined || (await this.pending.close(handle));
        const method = kind === 'webauthn' ? 'hwk' : 'otp';
        return alive ? { outcome: 'verified', factor: kind, method, ...found } : { outcome: 'dead' };
      }
      const { account: lockedSeconds } = await attempt.fail();
      return { outcome: 'refused', factor: kind, reason: found, last: tried.last, lockedSeconds };
    } catch (error) {
      // Undecided, so not a failure. If the store is gone this fails too, and the attempt ages out.
      // Not waited for: the refusal must go out in time.
      void attempt.giveBack().catch(() => {});
      throw error;
    }
  }

  /**
   * Counts the start of an enrolment, within the same limits as wrong factors and apart from them.
   *
   * @throws {Busy} beyond them.
   */
  async start(account: Account): Promise<void> {
    const attempt = await this.attempts.reserve(namesOf(account), 'enrolment');
    if (!attempt.granted) throw new Busy(attempt.retryAfterSeconds);
    await attempt.fail();
  }

  /** How the account's windows of wrong factors stand. */
  async status({ id }: Account): Promise<LockoutStanding> {
    return this.attempts.status([id], 'second factor');
  }

  /** Forgets the account's wrong factors and begun enrolments. Answers whether there were any. */
  async unlock({ id }: Account): Promise<boolean> {
    const kinds = ['second factor', 'enrolment'] as const;
    const cleared = await Promise.all(kinds.map((kind) => this.attempts.unlock([id], kind)));
    return cleared.includes(true);
  }
}

function namesOf({ id }: Account): { identifier: string; account: string; address: undefined } {
  return { identifier: '', account: id, address: undefined };
}
