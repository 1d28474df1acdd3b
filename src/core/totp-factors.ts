import { randomUUID } from 'node:crypto';
import { accountKey } from './access-tokens.js';
import { isAccount, type Account } from './account.js';
import { isEnrolmentOrNull, type FactorStore, type StoredFactor } from './factor-store.js';
import type { KeyRing } from './key-ring.js';
import { describe } from './options.js';
import { ask, isBoolean, isNothing } from './store-call.js';
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

/** Authenticator apps of accounts: sealed at rest, confirmed before they count, each code good once. */
export class TotpFactors {
  constructor(
    readonly store: FactorStore,
    readonly keys: KeyRing,
    readonly issuer: string,
    readonly now: () => number,
  ) {}

  async begin(account: Account, label: string): Promise<TotpEnrolment> {
    const key = keyOf(account);
    const id = randomUUID();
    const secret = newTotpSecret();
    const enrolment = { id, label, secret: this.keys.seal(secret, contextOf(account, id)) };
    await ask(() => this.store.saveEnrolment(key, enrolment, enrolmentMs), isNothing);
    return { secret, uri: totpUri(this.issuer, label, secret) };
  }

  async confirm(account: Account, code: string): Promise<boolean> {
    const key = keyOf(account);
    const enrolment = await ask(() => this.store.readEnrolment(key), isEnrolmentOrNull);
    if (enrolment === null || typeof code !== 'string' || !isTotpCode(code)) return false;
    const { id, label, secret: sealed } = enrolment;
    const secret = this.keys.open(sealed, contextOf(account, id));
    const step = secret === null ? null : matchTotpStep(secret, code, this.now());
    if (step === null) return false;
    // The code that confirms is used up by it.
    const factor = {
      id,
      type: 'totp',
      label,
      createdAt: this.now(),
      secret: sealed,
      lastStep: step,
    } as const;
    return ask(() => this.store.confirmEnrolment(key, factor), isBoolean);
  }

  /** Offers a code to each authenticator. The store decides, by compare-and-set, whether its step is still unused. */
  async accept(
    account: Account,
    factors: readonly StoredFactor[],
    code: string,
  ): Promise<'accepted' | 'wrong' | 'replayed' | 'unreadable'> {
    const key = keyOf(account);
    const now = this.now();
    let outcome: 'wrong' | 'replayed' | 'unreadable' = 'unreadable';
    for (const { id, secret: sealed, lastStep } of factors) {
      const secret = this.keys.open(sealed, contextOf(account, id));
      if (secret !== null && outcome === 'unreadable') outcome = 'wrong';
      const step = secret === null ? null : matchTotpStep(secret, code, now);
      if (step === null) continue;
      outcome = 'replayed';
      if (lastStep !== null && step <= lastStep) continue;
      // oxlint-disable-next-line no-await-in-loop -- a code is offered to one factor after the other
      if (await ask(() => this.store.acceptStep(key, id, step), isBoolean)) return 'accepted';
    }
    return outcome;
  }
}

function keyOf(account: Account): string {
  if (!isAccount(account)) throw new TypeError(`account must have an id, not ${describe(account)}`);
  return accountKey(account.id);
}

/** A sealed secret opens only for the account and the factor that it was sealed for. */
function contextOf(account: Account, factor: string): string {
  return JSON.stringify(['totp', account.id, factor]);
}
