import type { AttemptLimit } from './attempt-window.js';
import { describe, type Rule } from './options.js';

/** One threshold of a lockout. */
export interface LockoutLimit {
  /** Failures that lock: the last one allowed is this many. 1 to 1,000. */
  readonly failures: number;
  /** Length of the sliding window in seconds, up to 12 days. */
  readonly withinSeconds: number;
  /**
   * How long the lock lasts, in seconds, counted from the failure that reached the limit. Not shorter than the
   * window, or the window could hold more failures than it allows.
   *
   * @default the length of the window
   */
  readonly lockSeconds?: number;
}

/** An option that holds limits; `readLimits` says what is wrong with one of them. */
export const limitList: Rule = { demand: 'a list of limits', accepts: Array.isArray };

// Stamps are kept modulo 2^32 ms (49.7 days): the oldest one that matters and the lock after it must fit.
const longestSeconds = 12 * 86_400;

/**
 * Limits in milliseconds. Each must be longer and higher than the one before: a higher limit on a shorter
 * window would never be reached, which is a mistake in the numbers and not a policy.
 *
 * @throws {TypeError} naming the owner, the position and the demand.
 */
export function readLimits(owner: string, given: unknown): readonly AttemptLimit[] {
  const demand = (what: string, found: unknown): never => {
    throw new TypeError(`${owner}: ${what}, not ${describe(found)}`);
  };
  if (!Array.isArray(given) || given.length === 0 || given.length > 8) {
    return demand('option limits must be a list of 1 to 8 limits', given);
  }
  const limits: AttemptLimit[] = [];
  for (const [index, item] of (given as unknown[]).entries()) {
    if (typeof item !== 'object' || item === null) return demand(`limits[${index}] must be an object`, item);
    const number = (name: keyof LockoutLimit, least: number, most: number, fallback?: number): number => {
      const value: unknown = Object.hasOwn(item, name) ? (item as LockoutLimit)[name] : fallback;
      const fits = Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
      if (fits) return value as number;
      return demand(`limits[${index}].${name} must be a whole number from ${least} to ${most}`, value);
    };
    for (const name of Object.keys(item)) {
      if (!['failures', 'withinSeconds', 'lockSeconds'].includes(name))
        demand(`limits[${index}] has failures, withinSeconds and lockSeconds`, name);
    }
    const before = limits.at(-1);
    const failures = number('failures', (before?.failures ?? 0) + 1, 1000);
    const withinSeconds = number(
      'withinSeconds',
      (before === undefined ? 0 : before.withinMs / 1000) + 1,
      longestSeconds,
    );
    const lockSeconds = number('lockSeconds', withinSeconds, longestSeconds, withinSeconds);
    limits.push({ failures, withinMs: withinSeconds * 1000, lockMs: lockSeconds * 1000 });
  }
  return Object.freeze(limits);
}

/** The same limits as an app writes them. */
export function writtenLimits(limits: readonly AttemptLimit[]): readonly Required<LockoutLimit>[] {
  return limits.map(({ failures, withinMs, lockMs }) => ({
    failures,
    withinSeconds: withinMs / 1000,
    lockSeconds: lockMs / 1000,
  }));
}
