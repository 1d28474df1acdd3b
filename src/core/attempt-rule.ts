import type { AttemptDecision, AttemptStatus } from './attempt-store.js';
import { closedForMs, isBusy, withAttempt, type AttemptLimit, type Attempts } from './attempt-window.js';

/** A subject as a store has loaded it. */
export interface LoadedSubject {
  readonly attempts: Attempts;
  readonly limits: readonly AttemptLimit[];
}

/**
 * Decides one attempt for all its subjects. A store without scripts calls this between loading and saving, in one
 * transaction; `counted` is what to save, and empty when nothing changes.
 *
 * @param now - Milliseconds since the epoch, the store's own.
 * @param time - The same in microseconds.
 */
export function decideAttempt(
  subjects: readonly LoadedSubject[],
  now: number,
  time: number,
): { readonly decision: AttemptDecision; readonly counted: readonly Attempts[] } {
  const closed = subjects.map(({ attempts, limits }) => closedForMs(attempts.stamps, limits, now));
  const longest = Math.max(...closed);
  if (longest > 0) {
    const busy = subjects.every(({ attempts }, index) => closed[index] === 0 || isBusy(attempts, now));
    const decision = {
      granted: false,
      subject: closed.indexOf(longest),
      busy,
      closedForMs: longest,
    } as const;
    return { decision, counted: [] };
  }
  const counted = subjects.map(({ attempts, limits }) => withAttempt(attempts, limits, now));
  const full = subjects.some(
    ({ limits }, index) => closedForMs(counted[index]?.stamps ?? [], limits, now) > 0,
  );
  return { decision: { granted: true, stamps: subjects.map(() => now), time, full }, counted };
}

/** The failure of a reserved attempt as a lock: what to save, or null when it locks nothing or was told before. */
export function lockAttempt(
  { attempts, limits }: LoadedSubject,
  stamp: number | undefined,
  now: number,
): { readonly closedForMs: number; readonly attempts: Attempts } | null {
  const { stamps, lockedBy } = attempts;
  const closed = closedForMs(stamps, limits, now);
  if (closed === 0 || stamp === undefined || stamps.at(-1) !== stamp || lockedBy === stamp) return null;
  return { closedForMs: closed, attempts: { stamps, lockedBy: stamp } };
}

export function attemptStatus({ attempts, limits }: LoadedSubject, now: number): AttemptStatus {
  const { stamps, lockedBy } = attempts;
  const closed = closedForMs(stamps, limits, now);
  const counts = limits.map(({ withinMs }) => stamps.filter((stamp) => now - stamp < withinMs).length);
  return { closedForMs: closed, busy: closed > 0 && isBusy(attempts, now), lockedAt: lockedBy, counts };
}
