import { createHash } from 'node:crypto';
import { isAccount, type Account } from './account.js';
import { canonicalBackupCode, newBackupCodes, useBackupCode } from './backup-codes.js';
import { FactorBook } from './factor-book.js';
import { removeFactor, renameFactor, type AddedFactor } from './factor-changes.js';
import { noFactors, type Factor, type Factors } from './factor-record.js';
import type { FactorStore } from './factor-store.js';
import type { FactorMethod, FactorVerdict, OfferedFactor } from './factor-verdict.js';
import { KeyRing } from './key-ring.js';
import { Lockout } from './lockout.js';
import { describe } from './options.js';
import { PendingLogins } from './pending-logins.js';
import { readSecondFactorsOptions, type SecondFactorsOptions } from './second-factor-options.js';
import { SecurityKeys } from './security-keys.js';
import { TotpFactors, type TotpEnrolment } from './totp-factors.js';
import { relyingParty } from './webauthn.js';

/** What an account has enrolled at this moment. */
export interface EnrolledFactors {
  /** For the client to choose from; empty when the account has no factor. */
  readonly methods: readonly FactorMethod[];
  /** Changes whenever a factor comes or goes: a login begun before such a change is void. */
  readonly fingerprint: string;
  readonly factors: Factors;
}

/** What may be known of a factor: no secret, no key. Times in milliseconds since the epoch. */
export interface FactorFacts {
  readonly id: string;
  readonly type: 'totp' | 'webauthn';
  readonly name: string;
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
}

/**
 * The second factors of accounts: authenticator apps, security keys, and emergency codes that come with the first of
 * them. Each code, challenge and counter is good once; wrong ones are counted per account, before they are looked at.
 *
 * @see RFC 6238; W3C Web Authentication Level 2; NIST SP 800-63B-4 section 3.1
 */
export class SecondFactors {
  readonly origin: string | undefined;
  readonly pending: PendingLogins;
  readonly #attempts: Lockout;
  readonly #book: FactorBook;
  readonly #totp: TotpFactors;
  readonly #keys: SecurityKeys | undefined;
  readonly #now: () => number;

  /** @throws {TypeError} on an unknown option, a wrong value, a missing key or a weak one. */
  constructor(options: SecondFactorsOptions) {
    const read = readSecondFactorsOptions(options);
    const { store, factorStore = store as FactorStore, issuer, keys, origin, limits, now = Date.now } = read;
    const { rpId, userVerification = 'discouraged' } = read;
    this.origin = origin;
    this.pending = new PendingLogins(store);
    this.#now = now;
    this.#attempts = new Lockout({ store, addressLimits: false, ...(limits !== undefined && { limits }) });
    this.#book = new FactorBook(factorStore);
    this.#totp = new TotpFactors(this.#book, store, new KeyRing('SecondFactors', keys), issuer, now);
    if (origin === undefined) return;
    const party = relyingParty({
      ...(rpId !== undefined && { id: rpId }),
      name: issuer,
      origins: [origin],
      userVerification,
    });
    this.#keys = new SecurityKeys(this.#book, factorStore, store, party, now);
  }

  /** @throws {StoreUnavailable} when the store cannot tell: the login must then be refused. */
  async enrolled(account: Account): Promise<EnrolledFactors> {
    const factors = await this.#book.read(account);
    const ids = factors.list.map(({ id }) => id).toSorted((a, b) => (a < b ? -1 : 1));
    const hasCodes = factors.codes !== null && factors.codes.hashes.length > 0;
    return {
      methods: [
        ...new Set<FactorMethod>([
          ...factors.list.map(({ type }) => type),
          ...(hasCodes ? ['backup_code' as const] : []),
        ]),
      ],
      fingerprint: createHash('sha256').update(JSON.stringify(ids)).digest('base64url'),
      factors,
    };
  }

  /** Request options for the account's security keys in one pending login; null when it has none. */
  async challenge(account: Account, { factors }: EnrolledFactors, handle: string): Promise<object | null> {
    return this.#keys === undefined ? null : this.#keys.challenge(account, handle, factors);
  }

  /**
   * Tries a factor of an account. The try is counted before it is looked at, and again for the pending login that it
   * belongs to; it is given back when it succeeds or cannot be decided.
   */
  async verify(account: Account, offered: OfferedFactor, handle?: string): Promise<FactorVerdict> {
    const names = { identifier: '', account: account.id, address: undefined };
    const attempt = await this.#attempts.reserve(names, 'second factor');
    if (!attempt.granted) {
      return { outcome: 'locked', busy: attempt.busy, retryAfterSeconds: attempt.retryAfterSeconds };
    }
    try {
      const tried = handle === undefined ? { last: false } : await this.pending.try(handle);
      const found = tried === null ? 'unreadable' : await this.#try(account, offered, handle ?? '');
      if (tried === null || found === 'unreadable') {
        await attempt.giveBack();
        return { outcome: tried === null ? 'dead' : 'unreadable' };
      }
      if (typeof found === 'object') {
        await attempt.giveBack();
        const alive = handle === undefined || (await this.pending.close(handle));
        const method = offered.kind === 'webauthn' ? 'hwk' : 'otp';
        return alive ? { outcome: 'verified', factor: offered.kind, method, ...found } : { outcome: 'dead' };
      }
      const { account: lockedSeconds } = await attempt.fail();
      return { outcome: 'refused', factor: offered.kind, reason: found, last: tried.last, lockedSeconds };
    } catch (error) {
      // Undecided, so not a failure. If the store is gone this fails too, and the attempt ages out.
      await attempt.giveBack().catch(() => {});
      throw error;
    }
  }

  /** An object when it was accepted, else why not. */
  async #try(
    account: Account,
    offered: OfferedFactor,
    handle: string,
  ): Promise<{ codesLeft: number | null } | 'wrong' | 'replayed' | 'cloned' | 'unreadable'> {
    if (offered.kind === 'webauthn') {
      const outcome = (await this.#keys?.accept(account, handle, offered.response)) ?? 'wrong';
      return outcome === 'accepted' ? { codesLeft: null } : outcome;
    }
    if (offered.kind === 'totp') {
      const outcome = await this.#totp.accept(account, offered.code);
      return outcome === 'accepted' ? { codesLeft: null } : outcome;
    }
    const code = canonicalBackupCode(offered.code);
    if (code === null) return 'wrong';
    return this.#book.change<{ codesLeft: number } | 'wrong'>(account, (factors) => {
      const codes = factors.codes === null ? null : useBackupCode(factors.codes, account, code, this.#now());
      if (codes === null) return { factors: null, answer: 'wrong' };
      return { factors: { ...factors, codes }, answer: { codesLeft: codes.hashes.length } };
    });
  }

  /** The account's factors, and how many emergency codes are left. */
  async status(account: Account): Promise<{ factors: readonly FactorFacts[]; backupCodesLeft: number }> {
    const { list, codes } = await this.#book.read(checked(account));
    return { factors: list.map(factsOf), backupCodesLeft: codes?.hashes.length ?? 0 };
  }

  /** Starts to enrol an authenticator app. Nothing is asked for at logins until `confirmTotp`. */
  async beginTotp(
    account: Account,
    options: { readonly label: string; readonly name?: string },
  ): Promise<TotpEnrolment> {
    const { label, name = 'Authenticator app' } = options;
    return this.#totp.begin(checked(account), name, label);
  }

  /** Switches the authenticator on with a code of it. Null for a wrong code and when none was started. */
  async confirmTotp(account: Account, code: string): Promise<AddedFactor | null> {
    return typeof code === 'string' ? this.#totp.confirm(checked(account), code) : null;
  }

  /** Creation options for the browser; null where no `origin` is set. */
  async beginSecurityKey(account: Account, options: { readonly userName: string }): Promise<object | null> {
    return this.#keys === undefined ? null : this.#keys.beginRegistration(checked(account), options.userName);
  }

  /** Registers the key that answered. Null for an answer that proves nothing, `taken` for a key in use already. */
  async confirmSecurityKey(
    account: Account,
    response: unknown,
    name: string,
  ): Promise<AddedFactor | 'taken' | null> {
    return this.#keys === undefined ? null : this.#keys.confirmRegistration(checked(account), response, name);
  }

  /** Renames a factor. Answers whether the account has it. */
  async rename(account: Account, id: string, name: string): Promise<boolean> {
    return renameFactor(this.#book, checked(account), id, name);
  }

  /** Removes a factor; with the last one the emergency codes go. */
  async remove(account: Account, id: string, leastLeft = 0): Promise<'removed' | 'not_found' | 'last_one'> {
    const outcome = await removeFactor(this.#book, checked(account), id, leastLeft);
    if (outcome === 'removed') await this.#keys?.release(account, id);
    return outcome;
  }

  /** New emergency codes in place of all old ones; null when the account has no factor. Shown once. */
  async regenerateBackupCodes(account: Account): Promise<readonly string[] | null> {
    const { codes, set } = newBackupCodes(checked(account), this.#now());
    return this.#book.change<readonly string[] | null>(account, ({ list }) =>
      list.length === 0 ? { factors: null, answer: null } : { factors: { list, codes: set }, answer: codes },
    );
  }

  /** Forgets the account's wrong factors. Answers whether there were any. */
  async unlock(account: Account): Promise<boolean> {
    return this.#attempts.unlock([checked(account).id], 'second factor');
  }

  /** Removes every factor, for an account that lost them. Answers what there was. */
  async removeAll(account: Account): Promise<readonly FactorFacts[]> {
    const list = await this.#book.change<readonly Factor[]>(checked(account), (factors) => ({
      factors: factors.list.length === 0 ? null : noFactors,
      answer: factors.list,
    }));
    for (const { id, type } of list) if (type === 'webauthn') await this.#keys?.release(account, id);
    return list.map(factsOf);
  }
}

function checked(account: Account): Account {
  if (!isAccount(account))
    throw new TypeError(`SecondFactors: account must have an id, not ${describe(account)}`);
  return account;
}

function factsOf({ id, type, name, createdAt, lastUsedAt }: Factor): FactorFacts {
  return { id, type, name, createdAt, lastUsedAt };
}
