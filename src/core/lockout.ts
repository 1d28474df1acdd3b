import { addressSource } from './address-source.js';
import { isCounts, isDecisionFor, isStatusFor } from './attempt-store.js';
import type { AttemptStatus } from './attempt-store.js';
import type {
  AttemptNames,
  Locked,
  LockoutStanding,
  LockoutStatus,
  OpenLogin,
  ReservedAttempt,
} from './attempt.js';
import type { KnownDevices } from './known-devices.js';
import { LockoutLanes, type Guessed, type LaneAttempt, type LaneSubject } from './lockout-lanes.js';
import { factsOfLockout, type LockoutFacts } from './lockout-facts.js';
import { readLockoutOptions, type LockoutOptions, type LockoutSettings } from './lockout-options.js';
import { describe } from './options.js';
import { ask, isBoolean, isNothing } from './store-call.js';

export type { LockoutOptions };

const seconds = (ms: number): number => Math.ceil(ms / 1000);

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
  readonly #settings: LockoutSettings;
  readonly #lanes: LockoutLanes;

  /** @throws {TypeError} on an unknown option, a wrong value, or limits out of order. */
  constructor(options: LockoutOptions) {
    this.#settings = readLockoutOptions(options);
    this.#lanes = new LockoutLanes(this.#settings);
  }

  /** The devices whose attempts are counted apart. */
  get devices(): KnownDevices | undefined {
    return this.#settings.devices;
  }

  /** What is enforced. */
  get settings(): LockoutFacts {
    return factsOfLockout(this.#settings);
  }

  /**
   * Counts one attempt before its secret is looked at: that of a known device in its own lane, or, when that is closed,
   * among those of strangers.
   *
   * @throws {StoreUnavailable} when the store cannot decide: the attempt must then be refused.
   */
  async reserve(names: AttemptNames, guessed: Guessed = 'password'): Promise<ReservedAttempt | Locked> {
    const [first, second] = this.#lanes.ofAttempt(names, guessed);
    const attempt = await this.#reserveIn(first);
    if (attempt.granted || second === undefined) return attempt;
    const other = await this.#reserveIn(second);
    if (other.granted) return other;
    return attempt.retryAfterSeconds < other.retryAfterSeconds ? attempt : other;
  }

  async #reserveIn({ lane, subjects, subject }: LaneAttempt): Promise<ReservedAttempt | Locked> {
    const { store } = this.#settings;
    const decision = await ask(() => store.reserveAttempt(subjects), isDecisionFor(subjects.length));
    if (!decision.granted) {
      const { busy, closedForMs } = decision;
      return {
        granted: false,
        busy,
        retryAfterSeconds: busy ? 1 : seconds(closedForMs),
        told: this.#lanes.told(subject),
        whose: decision.subject === 0 ? 'account' : 'address',
      };
    }
    const { stamps, time, full } = decision;
    // An attempt ends once: a second end would take a stamp of another attempt of the same millisecond.
    let ended = false;
    const end = (): boolean => !ended && (ended = true);
    return {
      granted: true,
      subject,
      told: this.#lanes.told(subject),
      time,
      giveBack: async () => {
        if (end()) await ask(() => store.releaseAttempt(subjects, stamps), isNothing);
      },
      fail: async () => {
        if (!end() || !full) return { account: 0, address: 0 };
        const [first = 0, addressMs = 0] = await ask(
          () => store.lockAttempts(subjects, stamps),
          isCounts(subjects.length),
        );
        if (lane === 'devices') return { account: 0, address: 0, devices: seconds(first) };
        return { account: seconds(first), address: seconds(addressMs) };
      },
    };
  }

  /**
   * Whether the account behind `subject` is closed now, or has been locked since `since` (store time in
   * microseconds): a login begun before a lock does not outlive it. It is asked of the lane that the login was counted
   * in, so strangers who lock theirs end no login of a known device.
   */
  async check(subject: string, since: number): Promise<Locked | OpenLogin> {
    const place = this.#lanes.ofLogin(subject);
    const told = this.#lanes.told(subject);
    if (place === null) return { granted: true, lockedSince: true, told };
    const { busy, closedForMs, lockedAt } = await this.#read(place.counted);
    if (closedForMs > 0 && !busy) {
      // A device that begins anew may find the lane of strangers open: it is not told to wait.
      if (place.lane === 'devices') return { granted: true, lockedSince: true, told };
      const retryAfterSeconds = seconds(closedForMs);
      return { granted: false, busy, retryAfterSeconds, told, whose: 'account' };
    }
    return { granted: true, lockedSince: lockedAt >= Math.floor(since / 1000), told };
  }

  /** How an account stands, by its identifier or by the id that the `subject` option resolves it to. */
  async status(account: string | readonly string[], guessed: Guessed = 'password'): Promise<LockoutStatus> {
    const { strangers, devices } = this.#lanes.ofAccount(account, guessed);
    const [status, ofDevices] = await Promise.all([this.#standing(strangers), this.#standing(devices)]);
    return devices.length === 0 ? status : { ...status, devices: ofDevices };
  }

  /** What events call an account, by its identifier and by its id: `subject`. */
  subjectsOf(account: string | readonly string[]): readonly string[] {
    return this.#lanes.ofAccount(account, 'password').strangers.map(({ key }) => this.#lanes.told(key));
  }

  /** Forgets the account's failures, in all its lanes, and nobody else's. Answers whether there were any. */
  async unlock(account: string | readonly string[], guessed: Guessed = 'password'): Promise<boolean> {
    const { strangers, devices } = this.#lanes.ofAccount(account, guessed);
    return this.#clear([...strangers, ...devices]);
  }

  /** Forgets the failures of an account's known devices, which share a lane. Answers whether there were any. */
  async unlockDevices(account: string | readonly string[]): Promise<boolean> {
    return this.#clear(this.#lanes.ofAccount(account, 'password').devices);
  }

  /**
   * How an address stands; an IPv6 address by its /64.
   *
   * @throws {TypeError} when it is no address.
   */
  statusOfAddress(address: string): Promise<LockoutStanding> {
    return this.#standing(this.#ofAddress('statusOfAddress', address));
  }

  /** Forgets the failures from an address, which go on counting for their accounts. Answers whether there were any. */
  async unlockAddress(address: string): Promise<boolean> {
    return this.#clear(this.#ofAddress('unlockAddress', address));
  }

  /** Why the store keeps less than it promises, as far as it knows by now. */
  weaknesses(): readonly string[] {
    return this.#settings.store.weaknesses?.() ?? [];
  }

  #ofAddress(owner: string, address: string): readonly LaneSubject[] {
    // A source, as it is counted, stands for itself.
    const source = addressSource(address.replace(/::\/64$/, '::'));
    if (source === null)
      throw new TypeError(`${owner}: address must be an IP address, not ${describe(address)}`);
    const subject = this.#lanes.address(source);
    return subject === undefined ? [] : [subject];
  }

  async #standing(subjects: readonly LaneSubject[]): Promise<LockoutStanding> {
    const states = await Promise.all(subjects.map((subject) => this.#read(subject)));
    const closedForMs = Math.max(0, ...states.map((state) => state.closedForMs));
    const failures = (subjects[0]?.limits ?? []).map((_, index) =>
      Math.max(...states.map(({ counts }) => counts[index] ?? 0)),
    );
    return { locked: closedForMs > 0, retryAfterSeconds: seconds(closedForMs), failures };
  }

  async #clear(subjects: readonly LaneSubject[]): Promise<boolean> {
    const { store } = this.#settings;
    const cleared = await Promise.all(
      subjects.map((subject) => ask(() => store.clearAttempts(subject), isBoolean)),
    );
    return cleared.includes(true);
  }

  #read(subject: LaneSubject): Promise<AttemptStatus> {
    return ask(() => this.#settings.store.readAttempts(subject), isStatusFor(subject.limits.length));
  }
}
