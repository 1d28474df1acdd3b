import type { AttemptLimit } from './attempt-window.js';
import { isCount, own } from './store-call.js';

/** What attempts are counted for: an account, an address, the second factor of an account. */
export interface AttemptSubject {
  /** 64 hexadecimal digits. */
  readonly key: string;
  readonly limits: readonly AttemptLimit[];
}

/** Answer to a reservation. `time` is the store's, in microseconds since the epoch. */
export type AttemptDecision =
  | {
      readonly granted: true;
      /** One for each subject: what names this attempt when it is given back or has failed. */
      readonly stamps: readonly number[];
      readonly time: number;
      /** This attempt filled a window: its failure must be told by `lockAttempts`. */
      readonly full: boolean;
    }
  | {
      readonly granted: false;
      /** Position of the subject that is closed for longest. */
      readonly subject: number;
      readonly busy: boolean;
      readonly closedForMs: number;
    };

/** State of one subject. `lockedAt` is the time of the failure that locked last, or 0, in milliseconds. */
export interface AttemptStatus {
  readonly closedForMs: number;
  readonly busy: boolean;
  readonly lockedAt: number;
  /** Failures and running checks within each limit's window, in the order of the limits. */
  readonly counts: readonly number[];
}

/**
 * Counts attempts. Every method must be one atomic step for each subject over all processes, with the store's
 * own clock, and must reject when it cannot decide.
 */
export interface AttemptStore {
  /**
   * Counts one attempt for all subjects, or, if any is closed, for none. Must be called before the secret is
   * looked at; a refused attempt must change nothing.
   */
  reserveAttempt(subjects: readonly AttemptSubject[]): Promise<AttemptDecision>;
  /** Takes a reserved attempt back: the secret was right, or was never looked at. */
  releaseAttempt(subjects: readonly AttemptSubject[], stamps: readonly number[]): Promise<void>;
  /**
   * The attempt that filled a window has failed. Answers for each subject the milliseconds it is now locked
   * for, or 0 when this failure locked nothing or the lock was told before.
   */
  lockAttempts(subjects: readonly AttemptSubject[], stamps: readonly number[]): Promise<readonly number[]>;
  readAttempts(subject: AttemptSubject): Promise<AttemptStatus>;
  /** Forgets the subject. Answers whether there was anything to forget. */
  clearAttempts(subject: AttemptSubject): Promise<boolean>;
  /** Why its promises are weaker than they seem, in fixed words; each is told once as `config.weak`. */
  weaknesses?(): readonly string[];
}

export const attemptStoreMethods = [
  'reserveAttempt',
  'releaseAttempt',
  'lockAttempts',
  'readAttempts',
  'clearAttempts',
] as const satisfies readonly (keyof AttemptStore)[];

export function isDecisionFor(subjects: number): (reply: unknown) => boolean {
  return (reply) => isDecision(reply, subjects);
}

function isDecision(reply: unknown, subjects: number): boolean {
  const granted = own(reply, 'granted');
  if (granted === true) {
    const stamps = own(reply, 'stamps');
    const stamped = Array.isArray(stamps) && stamps.length === subjects && stamps.every(isCount);
    return stamped && isCount(own(reply, 'time')) && typeof own(reply, 'full') === 'boolean';
  }
  const closed = own(reply, 'closedForMs');
  return (
    granted === false &&
    isCount(own(reply, 'subject')) &&
    typeof own(reply, 'busy') === 'boolean' &&
    isCount(closed) &&
    closed > 0
  );
}

export function isStatus(reply: unknown): boolean {
  const counts = own(reply, 'counts');
  return (
    isCount(own(reply, 'closedForMs')) &&
    typeof own(reply, 'busy') === 'boolean' &&
    isCount(own(reply, 'lockedAt')) &&
    Array.isArray(counts) &&
    counts.every(isCount)
  );
}

export function isCounts(length: number): (reply: unknown) => boolean {
  return (reply) => Array.isArray(reply) && reply.length === length && reply.every(isCount);
}
