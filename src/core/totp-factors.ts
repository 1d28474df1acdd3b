import { randomUUID } from 'node:crypto';
import { accountKey, type Account } from './account.js';
import { addFactor, type AddingFactor, type FactorAddition } from './factor-changes.js';
import type { FactorBook } from './factor-book.js';
import type { Factor, Factors, TotpFactor } from './factor-record.js';
import type { ChallengeStore } from './factor-store.js';
import type { FactorJudgement } from './factor-verdict.js';
import { keyHash } from './key-hash.js';
import type { KeyRing } from './key-ring.js';
import { qrCode } from './qr-code.js';
import { parseRecord } from './record.js';
import { ask, isNothing, isTextOrNull, own } from './store-call.js';
import { canonicalTotpSecret, isTotpCode, matchTotpStep, newTotpSecret, totpStep, totpUri } from './totp.js';

/** How long a shown secret waits for its first code, in milliseconds. */
const enrolmentMs = 600_000;

/** Wrong codes in a row, over whatever time, after which codes are refused until another factor is used (NIST SP 800-63B-4 section 3.2.2). */
export const mostWrongCodes = 100;

/** An authenticator that may be shown to its owner, once. */
export interface TotpEnrolment {
  /** Base32, for typing in. */
  readonly secret: string;
  /** `otpauth://` URI, for a QR code. */
  readonly uri: string;
  /** The QR code, as an SVG data URL for an `<img>`. */
  readonly qr: string;
}

/** What is begun: kept sealed until a first code confirms it. */
interface Begun {
  readonly id: string;
  readonly name: string;
  readonly secret: string;
  readonly replaces?: string;
}

/** Authenticator apps of accounts: sealed at rest, confirmed before they count, each code good once. */
export class TotpFactors {
  constructor(
    readonly book: FactorBook,
    readonly challenges: ChallengeStore,
    readonly keys: KeyRing,
    readonly issuer: string,
    readonly now: () => number,
  ) {}

  async begin(account: Account, name: string, label: string, replaces?: string): Promise<TotpEnrolment> {
    const secret = newTotpSecret();
    const begun = { ...this.#sealed(account, name, secret), ...(replaces !== undefined && { replaces }) };
    const key = enrolmentKey(account);
    await ask(() => this.challenges.saveChallenge(key, JSON.stringify(begun), enrolmentMs), isNothing);
    const uri = totpUri(this.issuer, label, secret);
    return { secret, uri, qr: qrCode(uri) };
  }

  /** `wrong` also when none was begun, and for the second of two that confirm one enrolment. */
  async confirm(account: Account, code: string, adding: AddingFactor): Promise<FactorAddition> {
    const key = enrolmentKey(account);
    const record = await ask(() => this.challenges.readChallenge(key), isTextOrNull);
    const begun = record === null ? null : readBegun(record);
    const secret = begun === null ? null : this.#open(account, begun);
    const now = this.now();
    const step = secret === null || !isTotpCode(code) ? null : matchTotpStep(secret, code, now);
    if (begun === null || step === null) return { outcome: 'wrong' };
    await adding.before?.();
    // Read before the enrolment is taken: of a reset in between, one or the other tells.
    const { resets } = await this.book.read(account);
    const taken = await ask(() => this.challenges.takeChallenge(key), isTextOrNull);
    if (taken !== record) return { outcome: 'wrong' };
    const { replaces } = begun;
    // The code that confirms is used up by it.
    return addFactor(this.book, account, newTotp(begun, step, now), {
      ...adding,
      resets,
      ...(replaces !== undefined && { replaces }),
    });
  }

  /** What is begun can be confirmed no more. */
  async endEnrolment(account: Account): Promise<void> {
    await ask(() => this.challenges.takeChallenge(enrolmentKey(account)), isTextOrNull);
  }

  /**
   * Adds an authenticator that its owner has already, from an app's former system.
   *
   * @throws {TypeError} for what is no secret; it is never quoted.
   */
  async import(account: Account, name: string, given: string): Promise<FactorAddition> {
    const secret = canonicalTotpSecret(given);
    if (secret === null) throw new TypeError('importTotp: secret must be base32 of 80 to 512 bits');
    const factor = newTotp(this.#sealed(account, name, secret), null, this.now());
    // A migration may run twice: with the secret in two factors, each code would work twice.
    const isSame = (one: Factor): boolean => one.type === 'totp' && this.#open(account, one) === secret;
    return addFactor(this.book, account, factor, {}, isSame);
  }

  /** Offers a code to each authenticator. Found and used up in one compare-and-set. */
  async accept(account: Account, code: string): Promise<FactorJudgement> {
    const now = this.now();
    return this.book.change<FactorJudgement>(account, (factors) => {
      if (factors.wrongCodes >= mostWrongCodes) return { factors: null, answer: 'suspended' };
      const judged = this.#judge(account, factors, code, now);
      if (typeof judged === 'object') {
        const used = { ...judged, lastUsedAt: now };
        const list = factors.list.map((one) => (one.id === judged.id ? used : one));
        return { factors: { ...factors, list, wrongCodes: 0 }, answer: { codesLeft: null } };
      }
      // Without an authenticator there is nothing to guess.
      const isGuess = judged === 'wrong' && factors.list.some(({ type }) => type === 'totp');
      if (!isGuess) return { factors: null, answer: judged };
      const wrongCodes = factors.wrongCodes + 1;
      return {
        factors: { ...factors, wrongCodes },
        answer: wrongCodes >= mostWrongCodes ? 'suspended' : 'wrong',
      };
    });
  }

  /** The authenticator that the code is of, with the step that it uses up. */
  #judge(
    account: Account,
    { list }: Factors,
    code: string,
    now: number,
  ): TotpFactor | 'wrong' | 'replayed' | 'clock' | 'unreadable' {
    const totps = list.filter((factor) => factor.type === 'totp');
    let found: 'wrong' | 'replayed' | 'clock' | 'unreadable' = totps.length === 0 ? 'wrong' : 'unreadable';
    for (const factor of totps) {
      const secret = this.#open(account, factor);
      if (secret === null) continue;
      const step = matchTotpStep(secret, code, now);
      const last = factor.lastStep ?? -1;
      if (step !== null && step > last) return { ...factor, lastStep: step };
      if (step !== null) found = last > totpStep(now) ? 'clock' : 'replayed';
      else if (found === 'unreadable') found = 'wrong';
    }
    return found;
  }

  /** Null where no key of the ring opens it. */
  #open(account: Account, { id, secret }: Begun): string | null {
    return this.keys.open(secret, contextOf(account, id));
  }

  #sealed(account: Account, name: string, secret: string): Begun {
    const id = randomUUID();
    return { id, name, secret: this.keys.seal(secret, contextOf(account, id)) };
  }
}

function readBegun(record: string): Begun | null {
  const read = parseRecord(record);
  const [id, name, secret, replaces] = ['id', 'name', 'secret', 'replaces'].map((field) => own(read, field));
  if (typeof id !== 'string' || typeof name !== 'string' || typeof secret !== 'string') return null;
  return { id, name, secret, ...(typeof replaces === 'string' && { replaces }) };
}

function newTotp({ id, name, secret }: Begun, lastStep: number | null, now: number): TotpFactor {
  return { type: 'totp', id, name, createdAt: now, lastUsedAt: null, secret, lastStep };
}

function enrolmentKey(account: Account): string {
  return keyHash('totp enrolment', accountKey(account.id));
}

/** A sealed secret opens only for the account and the factor that it was sealed for. */
function contextOf(account: Account, factor: string): string {
  return JSON.stringify(['totp', account.id, factor]);
}
