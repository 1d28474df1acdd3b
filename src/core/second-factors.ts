import { createHash } from 'node:crypto';
import { accountKey } from './access-tokens.js';
import type { Account } from './account.js';
import { limitList, type LockoutLimit } from './attempt-limits.js';
import { attemptStoreMethods, type AttemptStore } from './attempt-store.js';
import { factorStoreMethods, isFactors, type FactorStore, type StoredFactor } from './factor-store.js';
import { KeyRing, type FactorKey } from './key-ring.js';
import { Lockout } from './lockout.js';
import { callback, offering, readOptions, required, text } from './options.js';
import { PendingLogins } from './pending-logins.js';
import { pendingStoreMethods, type PendingLoginStore } from './pending-store.js';
import { ask, isCount } from './store-call.js';
import { TotpFactors, type TotpEnrolment } from './totp-factors.js';

export interface SecondFactorsOptions {
  /** Where factors, pending logins and failures are kept. */
  readonly store: FactorStore & PendingLoginStore & AttemptStore;
  /** The service's name, shown by authenticator apps. */
  readonly issuer: string;
  /** Keys that seal TOTP secrets at rest: 32 random bytes each; the first seals, every one opens. */
  readonly keys: readonly FactorKey[];
  /** Origin of the app's pages, such as `https://acme.example`: a second step sent from another one is refused. */
  readonly origin?: string;
  /**
   * Wrong factors allowed for one account, whatever the pending login.
   *
   * @default 10 in 1 minute, 20 in 1 hour, 40 in 1 day; each locks for as long as its window
   */
  readonly limits?: readonly LockoutLimit[];
  /**
   * Clock of the process in milliseconds since the epoch: TOTP codes are compared with it.
   *
   * @default Date.now
   */
  readonly now?: () => number;
}

/** What an account has enrolled at this moment. */
export interface EnrolledFactors {
  /** For the client to choose from; empty when the account has no factor. */
  readonly methods: readonly 'totp'[];
  /** Changes whenever a factor comes or goes: a login begun before such a change is void. */
  readonly fingerprint: string;
  readonly factors: readonly StoredFactor[];
}

/** Outcome of one try at a factor. */
export type FactorVerdict =
  | { readonly outcome: 'verified'; readonly method: 'otp' }
  | { readonly outcome: 'locked'; readonly busy: boolean; readonly retryAfterSeconds: number }
  /** The pending login has ended. */
  | { readonly outcome: 'dead' }
  /** No key opens the secret: it was sealed under one that this process does not have. */
  | { readonly outcome: 'unreadable' }
  | {
      readonly outcome: 'refused';
      readonly reason: 'wrong' | 'replayed';
      /** Seconds for which this failure locked the account's second factor; 0 where it did not. */
      readonly lockedSeconds: number;
      /** It was the pending login's last try. */
      readonly last: boolean;
    };

/**
 * The second factor of logins. Enrolment is confirmed with a code before it counts; each code works once; wrong
 * ones are counted per account, reserved before they are looked at.
 *
 * @see RFC 6238; NIST SP 800-63B-4 section 3.1.4
 */
export class SecondFactors {
  readonly origin: string | undefined;
  readonly pending: PendingLogins;
  readonly #store: FactorStore;
  readonly #attempts: Lockout;
  readonly #totp: TotpFactors;

  /** @throws {TypeError} on an unknown option, a wrong value, a missing key or a weak one. */
  constructor(options: SecondFactorsOptions) {
    const methods = [...factorStoreMethods, ...pendingStoreMethods, ...attemptStoreMethods];
    const {
      store,
      issuer,
      keys,
      origin,
      limits,
      now = Date.now,
    } = readOptions<SecondFactorsOptions>('SecondFactors', options, {
      store: required(offering('a store such as memoryStore() or redisStore(redis)', ...methods)),
      issuer: required(text),
      keys: required({ demand: 'a list of 32-byte keys', accepts: Array.isArray, secret: true }),
      origin: { demand: 'an origin such as https://acme.example', accepts: isOrigin },
      limits: limitList,
      now: callback,
    });
    this.origin = origin;
    this.pending = new PendingLogins(store);
    this.#store = store;
    this.#attempts = new Lockout({ store, addressLimits: false, ...(limits !== undefined && { limits }) });
    this.#totp = new TotpFactors(store, new KeyRing('SecondFactors', keys), issuer, now);
  }

  /** @throws {StoreUnavailable} when the store cannot tell: the login must then be refused. */
  async enrolled(account: Account): Promise<EnrolledFactors> {
    const factors = await ask(() => this.#store.readFactors(accountKey(account.id)), isFactors);
    const ids = factors.map(({ id }) => id).toSorted((a, b) => (a < b ? -1 : 1));
    return {
      methods: [...new Set(factors.map(({ type }) => type))],
      fingerprint: createHash('sha256').update(JSON.stringify(ids)).digest('base64url'),
      factors,
    };
  }

  /**
   * Tries a code at the factors of an account. The try is counted before the code is looked at, and again for
   * the pending login that it belongs to; it is given back when it succeeds or cannot be decided.
   */
  async verify(
    account: Account,
    { factors }: EnrolledFactors,
    code: string,
    handle?: string,
  ): Promise<FactorVerdict> {
    const names = { identifier: '', account: account.id, address: undefined };
    const attempt = await this.#attempts.reserve(names, 'second factor');
    if (!attempt.granted) {
      return { outcome: 'locked', busy: attempt.busy, retryAfterSeconds: attempt.retryAfterSeconds };
    }
    try {
      const tried = handle === undefined ? { last: false } : await this.pending.try(handle);
      const matched = tried === null ? 'dead' : await this.#totp.accept(account, factors, code);
      if (tried === null || matched === 'dead' || matched === 'unreadable') {
        await attempt.giveBack();
        return { outcome: matched === 'unreadable' ? matched : 'dead' };
      }
      if (matched === 'accepted') {
        await attempt.giveBack();
        const alive = handle === undefined || (await this.pending.close(handle));
        return alive ? { outcome: 'verified', method: 'otp' } : { outcome: 'dead' };
      }
      const { account: lockedSeconds } = await attempt.fail();
      const { last } = tried;
      return {
        outcome: 'refused',
        reason: matched,
        last,
        lockedSeconds,
      };
    } catch (error) {
      // Undecided, so not a failure. If the store is gone this fails too, and the attempt ages out.
      // Not waited for: the refusal must go out in time.
      void attempt.giveBack().catch(() => {});
      throw error;
    }
  }

  /**
   * Starts to enrol an authenticator app. Nothing is asked for at logins until `confirmTotp`. Null when the
   * account has a factor already. Replaces an enrolment that was started before.
   *
   * @param options - `label`: what the app shows beside the issuer, usually the user name.
   */
  async beginTotp(account: Account, options: { readonly label: string }): Promise<TotpEnrolment | null> {
    const { label } = readOptions<{ readonly label: string }>('beginTotp', options, {
      label: required(text),
    });
    return (await this.enrolled(account)).factors.length > 0 ? null : this.#totp.begin(account, label);
  }

  /** Switches the authenticator on with a code of it. False for a wrong code and when none was started. */
  async confirmTotp(account: Account, code: string): Promise<boolean> {
    return this.#totp.confirm(account, code);
  }

  /** Forgets the account's wrong factors. Answers whether there were any. */
  async unlock(account: Account): Promise<boolean> {
    return this.#attempts.unlock([account.id], 'second factor');
  }

  /** Removes every factor, for an account that lost them. Answers how many there were. */
  async removeAll(account: Account): Promise<number> {
    return ask(() => this.#store.removeFactors(accountKey(account.id)), isCount);
  }
}

function isOrigin(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value;
}
