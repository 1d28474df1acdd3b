/** Who is counted. `account` wins over `identifier`; several parts (tenant, user) are kept apart. */
export interface AttemptNames {
  /** As {@link canonicalIdentifier} spells it. */
  readonly identifier: string;
  readonly account: string | readonly string[] | undefined;
  /** One source as {@link addressSource} spells it. */
  readonly address: string | undefined;
  /** Whether a known device asks: it has attempts of its own, and those of strangers once these are used up. */
  readonly isKnownDevice?: boolean;
}

/** A refused attempt. `busy`: the last slot is held by a check that is still running. */
export interface Locked {
  readonly granted: false;
  readonly busy: boolean;
  readonly retryAfterSeconds: number;
  /** What events call the account: `subject`. */
  readonly told: string;
  /** Whose limit was reached. */
  readonly whose: 'account' | 'address';
}

/** A login begun before, whose account is open now. */
export interface OpenLogin {
  readonly granted: true;
  /** It was locked since the login began. */
  readonly lockedSince: boolean;
  /** What events call the account: `subject`. */
  readonly told: string;
}

/** What one failure locked, in seconds; 0 where nothing. */
export interface LockedNow {
  readonly account: number;
  readonly address: number;
  /** The attempts of known devices, where it was one of these. */
  readonly devices?: number;
}

/** A counted attempt; the first call of `giveBack` or `fail` ends it. */
export interface ReservedAttempt {
  readonly granted: true;
  /** Where it is counted, for a pending login to be bound to. */
  readonly subject: string;
  /** What events call the account: `subject`. */
  readonly told: string;
  /** Store time in microseconds, read before the secret was looked at. */
  readonly time: number;
  /** The secret was right, or was not looked at: nothing happened. */
  readonly giveBack: () => Promise<void>;
  /** The secret was wrong. */
  readonly fail: () => Promise<LockedNow>;
}

/** How one count stands. */
export interface LockoutStanding {
  readonly locked: boolean;
  readonly retryAfterSeconds: number;
  /** In each window, in the order of the limits. */
  readonly failures: readonly number[];
}

/** How an account stands: to strangers, and where devices are known, to these. */
export interface LockoutStatus extends LockoutStanding {
  readonly devices?: LockoutStanding;
}
