import type { Account } from './account.js';

/** How long a request may take from its proof to its token, in milliseconds. */
const proofLifetimeMs = 300_000;

/** A pending login as its handle proved it: whose it is, and since when. */
export interface ResumedLogin {
  readonly account: Account;
  /** Where the password step was counted, as the lockout wrote it. */
  readonly subject: string | undefined;
  /** Store time in microseconds at which the login began. */
  readonly startedAt: number;
  readonly methods: readonly string[];
  /** When the password was proven, in milliseconds since the epoch. */
  readonly provenAt: number;
  readonly handle: string;
  /** Fingerprint of the account's factors when the password was proven. */
  readonly factors: string;
}

/** What the lockout knows of the attempt that it reserved. */
export interface CountedLogin {
  readonly identifier: string;
  /** The account that the app says the identifier belongs to, null for none; undefined where it was not asked. */
  readonly account: string | null | undefined;
  /** Where it is counted, as the lockout writes it. */
  readonly subject: string;
  /** What events call it. */
  readonly told: string;
  readonly startedAt: number;
  readonly giveBack: () => Promise<void>;
}

/** Whether a login comes from a device that completed one of the same name before. */
export type LoginDevice = 'known' | 'new';

/** Everything that a token says of the login that it was issued for. */
export interface ProvenLogin {
  readonly account: Account;
  readonly methods: readonly string[];
  readonly provenAt: number;
  readonly startedAt: number | undefined;
}

/**
 * How far one login has come. The only thing that a token is issued on: made by middleware, kept out of
 * `ctx.state`, good for one token. Its fields are private to the language, so no look-alike passes.
 */
export class Login {
  /** What events call the name that was tried: a word, that nothing is decided by. */
  told: string | undefined;
  #counted: CountedLogin | undefined;
  #resumed: ResumedLogin | undefined;
  #account: Account | undefined;
  #provenAt = 0;
  #freshSince = 0;
  #startedAt: number | undefined;
  #methods: readonly string[] = [];
  #password: 'open' | 'failed' | 'verified' = 'open';
  #lockoutPassed = false;
  #factorPassed = false;
  #spent = false;
  #device: LoginDevice | undefined;
  #hasCookies = true;
  #returned: Promise<void> = Promise.resolve();

  /** Undefined until the password or a pending login proved it. */
  get account(): Account | undefined {
    return this.#account;
  }

  get counted(): CountedLogin | undefined {
    return this.#counted;
  }

  get resumed(): ResumedLogin | undefined {
    return this.#resumed;
  }

  get password(): 'open' | 'failed' | 'verified' {
    return this.#password;
  }

  get lockoutPassed(): boolean {
    return this.#lockoutPassed;
  }

  get factorPassed(): boolean {
    return this.#factorPassed;
  }

  get methods(): readonly string[] {
    return this.#methods;
  }

  get provenAt(): number {
    return this.#provenAt;
  }

  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  /** A token was issued on it. */
  get spent(): boolean {
    return this.#spent;
  }

  /** Undefined where no devices are known. */
  get device(): LoginDevice | undefined {
    return this.#device;
  }

  /** False for a client that is no browser, or asks from another site: it is no device. */
  get hasCookies(): boolean {
    return this.#hasCookies;
  }

  /** Settles once the reserved attempt has been given back; rejects if that failed. */
  get returned(): Promise<void> {
    return this.#returned;
  }

  /** The lockout let this attempt pass, before anything was verified. */
  count(counted: CountedLogin): void {
    this.told = counted.told;
    this.#counted = counted;
    this.#startedAt = counted.startedAt;
    this.#lockoutPassed = true;
  }

  /** The lockout found the account of a resumed login open. */
  passLockout(told: string): void {
    this.told = told;
    this.#lockoutPassed = true;
  }

  /** Whether a device asks that logged in before; it proves nothing. */
  meetDevice(device: LoginDevice): void {
    this.#device = device;
  }

  /** The client is a program, or a page of another site: no cookie of it is read, and none is given to it. */
  ignoreCookies(): void {
    this.#hasCookies = false;
  }

  failPassword(): void {
    if (this.#password === 'open') this.#password = 'failed';
  }

  /** The password was right. Its reserved attempt goes back at once, while the login goes on. */
  verifyPassword(account: Account, now: number): void {
    this.#password = 'verified';
    this.#account = account;
    this.#provenAt = now;
    this.#freshSince = now;
    this.#methods = ['pwd'];
    if (this.#counted === undefined) return;
    this.#returned = this.#counted.giveBack();
    // Awaited before the answer; a handler now keeps an early failure from counting as unhandled.
    this.#returned.catch(() => {});
  }

  /** The store has ended pending logins by its own clock; `provenAt` may be of another process's, and decides nothing. */
  resume(resumed: ResumedLogin, now: number): void {
    this.#resumed = resumed;
    this.#password = 'verified';
    this.#account = resumed.account;
    this.#provenAt = resumed.provenAt;
    this.#freshSince = now;
    this.#startedAt = resumed.startedAt;
    this.#methods = resumed.methods;
  }

  /** A factor was verified, or, without a method, the account has none. */
  passFactor(method?: string): void {
    this.#factorPassed = true;
    if (method !== undefined) this.#methods = [...this.#methods, method];
  }

  /**
   * Takes the proof, once.
   *
   * @throws {TypeError} when it is no proof, is incomplete, was taken before, or is over 5 minutes old.
   */
  static take(login: Login, now: number): ProvenLogin {
    if (typeof login !== 'object' || login === null || !(#spent in login)) {
      throw new TypeError('A token is issued only on a proven login');
    }
    const account = login.#account;
    if (login.#spent || login.#password !== 'verified' || !login.#factorPassed || account === undefined) {
      throw new TypeError('This login is not proven, or a token was issued on it before');
    }
    if (!(now - login.#freshSince <= proofLifetimeMs))
      throw new TypeError('This login was proven too long ago');
    login.#spent = true;
    return { account, methods: login.#methods, provenAt: login.#provenAt, startedAt: login.#startedAt };
  }
}
