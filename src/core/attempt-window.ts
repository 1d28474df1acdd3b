import { pendingSeconds } from './pending-store.js';

/**
 * The lockout rule as pure arithmetic over the stamps of one subject. A store that cannot run a script may
 * build on it; the Redis store says the same in Lua, and one property test holds both to one model.
 */

/** One limit: this many failures within this time lock for that time. All in milliseconds. */
export interface AttemptLimit {
  readonly failures: number;
  readonly withinMs: number;
  readonly lockMs: number;
}

/** Stamps of attempts that failed or are still being checked, oldest first, in milliseconds. */
export interface Attempts {
  readonly stamps: readonly number[];
  /** The newest stamp once it is known to have failed and to have locked; 0 before. */
  readonly lockedBy: number;
}

export const noAttempts: Attempts = { stamps: [], lockedBy: 0 };

/**
 * A full window whose newest stamp is younger than this and not known to have failed is `busy`: the check may
 * still be running. An older one died with its process, and counts as a failure.
 */
export const longestCheckMs = 30_000;

/**
 * Milliseconds for which the subject stays closed; 0 when it is open.
 *
 * A lock starts at the failure that reached the limit. While it lasts nothing is added, so that failure is the
 * newest stamp, and looking back from it is enough: no list of locks is kept. Stamps that are given back
 * dissolve the lock with them.
 */
export function closedForMs(stamps: readonly number[], limits: readonly AttemptLimit[], now: number): number {
  const newest = stamps.at(-1);
  if (newest === undefined) return 0;
  let longest = 0;
  for (const { failures, withinMs, lockMs } of limits) {
    const reaching = stamps[stamps.length - failures];
    if (reaching === undefined || newest - reaching >= withinMs) continue;
    longest = Math.max(longest, newest + lockMs - now);
  }
  return longest;
}

/** Closed only because a check that may still be given back holds the last slot. */
export function isBusy({ stamps, lockedBy }: Attempts, now: number): boolean {
  const newest = stamps.at(-1);
  return newest !== undefined && newest !== lockedBy && now - newest < longestCheckMs;
}

/**
 * Stamps from the future mean that the clock was set back. They move to the present: still counted, so the
 * jump frees nobody, but no lock outlasts its length after the jump.
 */
export function withoutFuture(attempts: Attempts, now: number): Attempts {
  const { stamps, lockedBy } = attempts;
  if ((stamps.at(-1) ?? 0) <= now) return attempts;
  return { stamps: stamps.map((stamp) => Math.min(stamp, now)), lockedBy: Math.min(lockedBy, now) };
}

/** Adds the stamp of a new attempt and drops what no window can see any more. */
export function withAttempt(
  { stamps, lockedBy }: Attempts,
  limits: readonly AttemptLimit[],
  now: number,
): Attempts {
  const memoryMs = longestOf(limits, 'withinMs');
  return { stamps: [...stamps.filter((stamp) => now - stamp < memoryMs), now], lockedBy };
}

/** Takes one stamp out. Equal stamps are interchangeable, so an attempt needs no other name. */
export function withoutAttempt({ stamps, lockedBy }: Attempts, stamp: number): Attempts {
  const at = stamps.lastIndexOf(stamp);
  return { stamps: at < 0 ? stamps : stamps.toSpliced(at, 1), lockedBy };
}

/**
 * How long a subject must be kept after its newest attempt: a lock is remembered at least until the logins that were
 * pending before it have ended.
 */
export function keepMs(limits: readonly AttemptLimit[]): number {
  return Math.max(pendingSeconds * 1000, longestOf(limits, 'lockMs'));
}

export function longestOf(limits: readonly AttemptLimit[], length: 'withinMs' | 'lockMs'): number {
  return Math.max(...limits.map((limit) => limit[length]));
}
