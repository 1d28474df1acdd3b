import { randomUUID } from 'node:crypto';
import { accountKey } from './access-tokens.js';
import type { Account } from './account.js';
import { addFactor, type AddedFactor } from './factor-changes.js';
import type { FactorBook } from './factor-book.js';
import type { TotpFactor } from './factor-record.js';
import { isTextOrNull, type ChallengeStore } from './factor-store.js';
import { keyHash } from './key-hash.js';
import type { KeyRing } from './key-ring.js';
import { parseRecord } from './record.js';
import { ask, isNothing, own } from './store-call.js';
import { isTotpCode, matchTotpStep, newTotpSecret, totpUri } from './totp.js';

/** How long a shown secret waits for its first code, in milliseconds. */
const enrolmentMs = 600_000;

/** An authenticator that may be shown to its owner, once. */
export interface TotpEnrolment {
  /** Base32, for typing in. */
  readonly secret: string;
  /** `otpauth://` URI, for a QR code. */
  readonly uri: string;
}

/** What became of a code: `unreadable` when no secret could be opened. */
export type TotpOutcome = 'accepted' | 'wrong' | 'replayed' | 'unreadable';

/** Authenticator apps of accounts: sealed at rest, confirmed before they count, each code good once. */
export class TotpFactors {
  constructor(
    readonly book: FactorBook,
    readonly challenges: ChallengeStore,
    readonly keys: KeyRing,
    readonly issuer: string,
    readonly now: () => number,
  ) {}

  async begin(account: Account, name: string, label: string): Promise<TotpEnrolment> {
    const id = randomUUID();
    const secret = newTotpSecret();
    const record = JSON.stringify({ id, name, secret: this.keys.seal(secret, contextOf(account, id)) });
    await ask(() => this.challenges.saveChallenge(enrolmentKey(account), record, enrolmentMs), isNothing);
    return { secret, uri: totpUri(this.issuer, label, secret) };
  }

  /** Null for a wrong code, when none was started, and for the second of two that confirm one enrolment. */
  async confirm(account: Account, code: string): Promise<AddedFactor | null> {
    const key = enrolmentKey(account);
    const started = await ask(() => this.challenges.readChallenge(key), isTextOrNull);
    const factor = started === null ? null : this.#confirmed(account, started, code);
    if (factor === null) return null;
    const taken = await ask(() => this.challenges.takeChallenge(key), isTextOrNull);
    return taken === started ? addFactor(this.book, account, factor, this.now()) : null;
  }

  /** Adds an authenticator that its owner has already, from an app's former system. Null when there are too many. */
  async import(account: Account, name: string, secret: string): Promise<AddedFactor | null> {
    const id = randomUUID();
    const sealed = this.keys.seal(secret, contextOf(account, id));
    return addFactor(this.book, account, newTotp(id, name, sealed, null, this.now()), this.now());
  }

  /** Offers a code to each authenticator. Found and used up in one compare-and-set. */
  async accept(account: Account, code: string): Promise<TotpOutcome> {
    const now = this.now();
    return this.book.change<TotpOutcome>(account, (factors) => {
      let answer: TotpOutcome = 'unreadable';
      for (const factor of factors.list) {
        if (factor.type !== 'totp') continue;
        const secret = this.keys.open(factor.secret, contextOf(account, factor.id));
        if (secret === null) continue;
        const step = matchTotpStep(secret, code, now);
        if (step !== null && step > (factor.lastStep ?? -1)) {
          const used = { ...factor, lastStep: step, lastUsedAt: now };
          const list = factors.list.map((one) => (one === factor ? used : one));
          return { factors: { ...factors, list }, answer: 'accepted' };
        }
        if (step !== null) answer = 'replayed';
        else if (answer === 'unreadable') answer = 'wrong';
      }
      return { factors: null, answer };
    });
  }

  #confirmed(account: Account, started: string, code: string): TotpFactor | null {
    const read = parseRecord(started);
    const [id, name, sealed] = ['id', 'name', 'secret'].map((field) => own(read, field));
    if (typeof id !== 'string' || typeof name !== 'string' || typeof sealed !== 'string') return null;
    const secret = isTotpCode(code) ? this.keys.open(sealed, contextOf(account, id)) : null;
    const step = secret === null ? null : matchTotpStep(secret, code, this.now());
    // The code that confirms is used up by it.
    return step === null ? null : newTotp(id, name, sealed, step, this.now());
  }
}

function newTotp(id: string, name: string, secret: string, lastStep: number | null, now: number): TotpFactor {
  return { type: 'totp', id, name, createdAt: now, lastUsedAt: null, secret, lastStep };
}

function enrolmentKey(account: Account): string {
  return keyHash('totp enrolment', accountKey(account.id));
}

/** A sealed secret opens only for the account and the factor that it was sealed for. */
function contextOf(account: Account, factor: string): string {
  return JSON.stringify(['totp', account.id, factor]);
}
