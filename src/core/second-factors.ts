import { checkedAccount, type Account } from './account.js';
import { acceptBackupCode, regenerateBackupCodes } from './backup-codes.js';
import { FactorAttempts } from './factor-attempts.js';
import { beginTotpRules, confirmKeyRules, importTotpRules } from './enrolment-rules.js';
import { FactorBook } from './factor-book.js';
import {
  addingRules,
  removeFactor,
  removeFactors,
  renameFactor,
  type Adding,
  type FactorAddition,
} from './factor-changes.js';
import {
  enrolledOf,
  factsOf,
  statusOf,
  type EnrolledFactors,
  type FactorFacts,
  type FactorStatus,
} from './factor-facts.js';
import { factorName } from './factor-name.js';
import { standingOf, type FactorStanding } from './factor-standing.js';
import type { FactorJudgement, FactorVerdict, OfferedFactor } from './factor-verdict.js';
import { KeyRing } from './key-ring.js';
import { Lockout } from './lockout.js';
import { flag, readOptions, required, text } from './options.js';
import { PendingLogins } from './pending-logins.js';
import { factorSettings, type FactorSettings } from './factor-settings.js';
import { readSecondFactorsOptions, type SecondFactorsOptions } from './second-factor-options.js';
import { SecurityKeys } from './security-keys.js';
import { TotpFactors, type TotpEnrolment } from './totp-factors.js';

/**
 * The second factors of accounts: authenticator apps, security keys, and emergency codes that come with the first of
 * them. Each code, challenge and counter is good once; wrong ones are counted per account, before they are looked at.
 *
 * @see RFC 6238; W3C Web Authentication Level 3; NIST SP 800-63B-4 section 3.1
 */
export class SecondFactors {
  /** What it was made with. No key is among it. */
  readonly settings: FactorSettings;
  readonly pending: PendingLogins;
  readonly #attempts: FactorAttempts;
  readonly #book: FactorBook;
  readonly #totp: TotpFactors;
  readonly #keys: SecurityKeys | undefined;
  readonly now: () => number;

  /** @throws {TypeError} on an unknown option, a wrong value, a missing key or a weak one. */
  constructor(options: SecondFactorsOptions) {
    const read = readSecondFactorsOptions(options);
    const { store, factorStore, issuer, keys, limits, party, now } = read;
    this.pending = new PendingLogins(store);
    this.now = now;
    const lockout = new Lockout({ store, addressLimits: false, ...(limits !== undefined && { limits }) });
    this.settings = factorSettings(read, lockout.settings.limits);
    this.#attempts = new FactorAttempts(lockout, this.pending);
    this.#book = new FactorBook(factorStore);
    this.#totp = new TotpFactors(this.#book, store, new KeyRing('SecondFactors', keys), issuer, now);
    if (party !== undefined) this.#keys = new SecurityKeys(this.#book, factorStore, store, party, now);
  }

  /** @throws {StoreUnavailable} when the store cannot tell: the login must then be refused. */
  async enrolled(account: Account): Promise<EnrolledFactors> {
    return enrolledOf(await this.#book.read(account));
  }

  /** Request options for the account's security keys in one pending login; null when it has none. */
  async challenge(account: Account, { factors }: EnrolledFactors, handle: string): Promise<object | null> {
    return this.#keys === undefined ? null : this.#keys.challenge(account, handle, factors);
  }

  /** Tries a factor of an account, for the pending login that `handle` names. */
  async verify(account: Account, offered: OfferedFactor, handle?: string): Promise<FactorVerdict> {
    return this.#attempts.judge(account, offered.kind, handle, () => this.#judge(account, offered, handle));
  }

  async #judge(account: Account, offered: OfferedFactor, handle?: string): Promise<FactorJudgement> {
    if (offered.kind === 'totp') return this.#totp.accept(account, offered.code);
    if (offered.kind === 'backup_code')
      return acceptBackupCode(this.#book, account, offered.code, this.now());
    // A challenge belongs to a pending login: without one there is none to answer.
    if (this.#keys === undefined || handle === undefined) return 'wrong';
    return this.#keys.accept(account, handle, offered.response);
  }

  /** What keeps the account from using its factors now, if anything does. */
  async standing(account: Account): Promise<FactorStanding> {
    const windows = this.#attempts.status(checked(account));
    return standingOf(await this.#book.read(account), await windows);
  }

  /** The account's factors, and how many emergency codes are left. */
  async status(account: Account): Promise<FactorStatus> {
    return statusOf(await this.#book.read(checked(account)));
  }

  /**
   * Starts to enrol an authenticator app, in place of one begun before. Nothing is asked for at logins until
   * `confirmTotp`.
   *
   * @param options - `label`: shown by the app beside the issuer, usually the user name. `name`: shown in lists.
   * `replaces`: id of a factor that goes in the moment that this one is confirmed.
   * @throws {Busy} on more starts than the limits allow.
   */
  async beginTotp(
    account: Account,
    options: { readonly label: string; readonly name?: string; readonly replaces?: string },
  ): Promise<TotpEnrolment> {
    const { label, name = 'Authenticator app', replaces } = readOptions('beginTotp', options, beginTotpRules);
    await this.#attempts.start(checked(account));
    return this.#totp.begin(account, name, label, replaces);
  }

  /** Switches the begun authenticator on with a code of it, which is used up. */
  async confirmTotp(account: Account, code: string, options: Adding = {}): Promise<FactorAddition> {
    const adding = readOptions('confirmTotp', options, addingRules);
    return this.#totp.confirm(checked(account), code, adding);
  }

  /**
   * Takes over an authenticator that its owner has enrolled elsewhere, for apps that migrate.
   *
   * @param options - `secret`: base32, 80 bits or more, of SHA-1, 6 digits and 30 seconds.
   * @throws {TypeError} for another secret; it is never quoted.
   */
  async importTotp(
    account: Account,
    options: { readonly secret: string; readonly name?: string },
  ): Promise<FactorAddition> {
    const { secret, name = 'Authenticator app' } = readOptions('importTotp', options, importTotpRules);
    return this.#totp.import(checked(account), name, secret);
  }

  /**
   * Creation options for the browser; null where no `origin` is set.
   *
   * @throws {Busy} on more starts than the limits allow.
   */
  async beginSecurityKey(account: Account, options: { readonly userName: string }): Promise<object | null> {
    const { userName } = readOptions('beginSecurityKey', options, { userName: required(text) });
    if (this.#keys === undefined) return null;
    await this.#attempts.start(checked(account));
    return this.#keys.beginRegistration(account, userName);
  }

  /** Registers the key that answered (a RegistrationResponseJSON); the challenge is used up. */
  async confirmSecurityKey(
    account: Account,
    response: unknown,
    options: Adding & { readonly name?: string } = {},
  ): Promise<FactorAddition> {
    const { name = 'Security key', ...adding } = readOptions('confirmSecurityKey', options, confirmKeyRules);
    if (this.#keys === undefined) return { outcome: 'wrong' };
    return this.#keys.confirmRegistration(checked(account), response, name, adding);
  }

  /** Renames a factor; null when the account has it not. */
  async rename(account: Account, id: string, name: string): Promise<FactorFacts | null> {
    readOptions('rename', { name }, { name: required(factorName) });
    return renameFactor(this.#book, checked(account), id, name);
  }

  /**
   * Removes a factor; with the last one the emergency codes go. With `keepLast` the last one is `kept`.
   */
  async remove(
    account: Account,
    id: string,
    options: { readonly keepLast?: boolean } = {},
  ): Promise<FactorFacts | 'not_found' | 'kept'> {
    const { keepLast = false } = readOptions<{ keepLast?: boolean }>('remove', options, { keepLast: flag });
    const removed = await removeFactor(this.#book, checked(account), id, keepLast ? 1 : 0);
    if (typeof removed === 'string') return removed;
    await this.#keys?.releaseAll(account, [removed]);
    return factsOf(removed);
  }

  /** Removes every factor and code, for an account that lost them. Answers what there was. */
  async removeAll(account: Account): Promise<readonly FactorFacts[]> {
    await Promise.all([this.#totp.endEnrolment(checked(account)), this.#keys?.endRegistration(account)]);
    const removed = await removeFactors(this.#book, account);
    // What was guessed at them must not keep the owner from enrolling anew.
    await Promise.all([this.#keys?.releaseAll(account, removed), this.unlock(account)]);
    return removed.map(factsOf);
  }

  /** New emergency codes in place of all old ones, to be shown once; null when the account has no factor. */
  async regenerateBackupCodes(account: Account): Promise<readonly string[] | null> {
    return regenerateBackupCodes(this.#book, checked(account), this.now());
  }

  /** Forgets the account's wrong factors and starts of enrolments. Answers whether there were any. */
  async unlock(account: Account): Promise<boolean> {
    return this.#attempts.unlock(checked(account));
  }
}

const checked = (account: Account): Account => checkedAccount('SecondFactors', account);
