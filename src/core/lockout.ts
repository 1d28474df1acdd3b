import { attemptStoreMethods, isCounts, isDecisionFor, isStatusFor } from './attempt-store.js';
import type { AttemptStatus, AttemptStore, AttemptSubject } from './attempt-store.js';
import type { AttemptNames, Locked, LockoutStatus, ReservedAttempt } from './attempt.js';
import { writtenLimits, limitList, readLimits, type LockoutLimit } from './attempt-limits.js';
import type { AttemptLimit } from './attempt-window.js';
import { canonicalIdentifier } from './identifier.js';
import { keyHash } from './key-hash.js';
import { offering, readOptions, required } from './options.js';
import { ask, isBoolean, isNothing } from './store-call.js';

export interface LockoutOptions {
  /** Where attempts are counted: `memoryStore()` for one process, `redisStore(redis)` for several. */
  readonly store: AttemptStore;
  /**
   * Failed attempts allowed for one account, shortest window first.
   *
   * @default 10 in 1 minute, 20 in 1 hour, 40 in 1 day; each locks for as long as its window
   */
  readonly limits?: readonly LockoutLimit[];
  /**
   * Failed attempts allowed from one client address (IPv6: one /64) over all accounts, or false for none.
   *
   * @default 100 in 1 minute, 300 in 1 hour, 1,000 in 1 day
   */
  readonly addressLimits?: readonly LockoutLimit[] | false;
}

/** What a Lockout was made with. */
export interface LockoutSettings {
  readonly store: AttemptStore;
  readonly limits: readonly Required<LockoutLimit>[];
  readonly addressLimits: readonly Required<LockoutLimit>[] | null;
}

const seconds = (ms: number): number => Math.ceil(ms / 1000);

/** What is tried: passwords, second factors and starts of an enrolment of one account are counted apart. */
type Guessed = 'password' | 'second factor' | 'enrolment';

/**
 * Account lockout that holds under parallel guessing: an attempt is reserved, in one atomic step of the store,
 * before the secret is looked at, so no interleaving evaluates more than the limits allow.
 *
 * One Lockout serves all doors of one password: what it counts is filed under its limits, so two with different
 * limits count apart, and their allowances add up.
 *
 * @see OWASP Authentication Cheat Sheet, "Account Lockout"; NIST SP 800-63B-4 section 3.2.2
 */
export class Lockout {
  readonly #store: AttemptStore;
  readonly #limits: readonly AttemptLimit[];
  readonly #addressLimits: readonly AttemptLimit[] | undefined;

  /** @throws {TypeError} on an unknown option, a wrong value, or limits out of order. */
  constructor(options: LockoutOptions) {
    const {
      store,
      limits = [
        { failures: 10, withwrittenLimits: 60 },
        { failures: 20, withwrittenLimits: 3600 },
        { failures: 40, withwrittenLimits: 86_400 },
      ],
      addressLimits = [
        { failures: 100, withwrittenLimits: 60 },
        { failures: 300, withwrittenLimits: 3600 },
        { failures: 1000, withwrittenLimits: 86_400 },
      ],
    } = readOptions<LockoutOptions>('Lockout', options, {
      store: required(
        offering('an attempt store such as memoryStore() or redisStore(redis)', ...attemptStoreMethods),
      ),
      limits: limitList,
      addressLimits: {
        demand: 'a list of limits, or false',
        accepts: (v) => v === false || Array.isArray(v),
      },
    });
    this.#store = store;
    this.#limits = readLimits('Lockout', limits);
    this.#addressLimits = addressLimits === false ? undefined : readLimits('Lockout address', addressLimits);
  }

  /** The limits, with their defaults; null for no limit by address. */
  get settings(): LockoutSettings {
    const addressLimits = this.#addressLimits === undefined ? null : writtenLimits(this.#addressLimits);
    return { store: this.#store, limits: writtenLimits(this.#limits), addressLimits };
  }

  /**
   * Counts one attempt before its secret is looked at.
   *
   * @throws {StoreUnavailable} when the store cannot decide: the attempt must then be refused.
   */
  async reserve(names: AttemptNames, guessed: Guessed = 'password'): Promise<ReservedAttempt | Locked> {
    const subjects = this.#subjects(names, guessed);
    const [account] = subjects;
    const decision = await ask(() => this.#store.reserveAttempt(subjects), isDecisionFor(subjects.length));
    if (!decision.granted) {
      const { busy, closedForMs } = decision;
      return {
        granted: false,
        busy,
        retryAfterSeconds: busy ? 1 : seconds(closedForMs),
        subject: account.key,
        whose: decision.subject === 0 ? 'account' : 'address',
      };
    }
    const { stamps, time, full } = decision;
    // An attempt ends once: a second end would take a stamp of another attempt of the same millisecond.
    let ended = false;
    const end = (): boolean => !ended && (ended = true);
    return {
      granted: true,
      subject: account.key,
      time,
      giveBack: async () => {
        if (end()) await ask(() => this.#store.releaseAttempt(subjects, stamps), isNothing);
      },
      fail: async () => {
        if (!end() || !full) return { account: 0, address: 0 };
        const [accountMs = 0, addressMs = 0] = await ask(
          () => this.#store.lockAttempts(subjects, stamps),
          isCounts(subjects.length),
        );
        return { account: seconds(accountMs), address: seconds(addressMs) };
      },
    };
  }

  /**
   * Whether the account behind `subject` is closed now, or has been locked since `since` (store time in
   * microseconds): a login begun before a lock does not outlive it.
   */
  async check(subject: string, since: number): Promise<Locked | { granted: true; lockedSince: boolean }> {
    const { busy, closedForMs, lockedAt } = await this.#read({ key: subject, limits: this.#limits });
    if (closedForMs > 0 && !busy) {
      return { granted: false, busy, retryAfterSeconds: seconds(closedForMs), subject, whose: 'account' };
    }
    return { granted: true, lockedSince: lockedAt >= Math.floor(since / 1000) };
  }

  /** How an account stands, by its identifier or by the id that the `subject` option resolves it to. */
  async status(account: string | readonly string[], guessed: Guessed = 'password'): Promise<LockoutStatus> {
    const states = await Promise.all(
      this.#keysOf(account, guessed).map((key) => this.#read({ key, limits: this.#limits })),
    );
    const closedForMs = Math.max(...states.map((state) => state.closedForMs));
    const failures = this.#limits.map((_, index) =>
      Math.max(...states.map(({ counts }) => counts[index] ?? 0)),
    );
    return { locked: closedForMs > 0, retryAfterSeconds: seconds(closedForMs), failures };
  }

  /** Forgets the account's failures, and nobody else's. Answers whether there were any. */
  async unlock(account: string | readonly string[], guessed: Guessed = 'password'): Promise<boolean> {
    const keys = this.#keysOf(account, guessed);
    const cleared = await Promise.all(
      keys.map((key) => ask(() => this.#store.clearAttempts({ key, limits: this.#limits }), isBoolean)),
    );
    return cleared.includes(true);
  }

  /** Why the store keeps less than it promises, as far as it knows by now. */
  weaknesses(): readonly string[] {
    return this.#store.weaknesses?.() ?? [];
  }

  #subjects(names: AttemptNames, guessed: Guessed): [AttemptSubject, ...AttemptSubject[]] {
    const { identifier, account, address } = names;
    const kept = account === undefined ? ['identifier', identifier] : ['account', ...[account].flat()];
    const subject = { key: keyOf(guessed, this.#limits, kept), limits: this.#limits };
    if (address === undefined || this.#addressLimits === undefined) return [subject];
    const key = keyOf(guessed, this.#addressLimits, ['address', address]);
    return [subject, { key, limits: this.#addressLimits }];
  }

  #keysOf(account: string | readonly string[], guessed: Guessed): string[] {
    const identifier = canonicalIdentifier(account);
    const names = [
      ['account', ...[account].flat()],
      ...(identifier === null ? [] : [['identifier', identifier]]),
    ];
    return names.map((name) => keyOf(guessed, this.#limits, name));
  }

  #read(subject: AttemptSubject): Promise<AttemptStatus> {
    return ask(() => this.#store.readAttempts(subject), isStatusFor(subject.limits.length));
  }
}

/** Under other limits a record would be cut to the wrong length: each set of limits keeps records of its own. */
function keyOf(guessed: Guessed, limits: readonly AttemptLimit[], name: readonly string[]): string {
  const policy = limits
    .map(({ failures, withinMs, lockMs }) => `${failures}/${withinMs}/${lockMs}`)
    .join(',');
  return keyHash(guessed, policy, ...name);
}
