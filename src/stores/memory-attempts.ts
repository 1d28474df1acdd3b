import type { AttemptStore, AttemptSubject } from '../core/attempt-store.js';
import {
  closedForMs,
  isBusy,
  longestOf,
  noAttempts,
  withAttempt,
  withoutAttempt,
  withoutFuture,
  type Attempts,
} from '../core/attempt-window.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

/** One thread runs each method from start to end: that is the atomicity. */
export function memoryAttempts(clock: MemoryClock, maxEntries: number): AttemptStore {
  const states = new BoundedMap<Attempts>(clock.ms, maxEntries);

  function load({ key, limits }: AttemptSubject): Attempts {
    const stored = states.get(key) ?? noAttempts;
    const attempts = withoutFuture(stored, clock.ms());
    if (attempts !== stored) save({ key, limits }, attempts);
    return attempts;
  }

  function save({ key, limits }: AttemptSubject, attempts: Attempts): void {
    const newest = attempts.stamps.at(-1);
    if (newest === undefined) states.delete(key);
    else states.set(key, attempts, newest + longestOf(limits, 'lockMs') - clock.ms());
  }

  return {
    async reserveAttempt(subjects) {
      const now = clock.ms();
      const states = subjects.map((subject) => ({ subject, attempts: load(subject) }));
      const closed = states.map(({ subject, attempts }) => closedForMs(attempts.stamps, subject.limits, now));
      const longest = Math.max(...closed);
      if (longest > 0) {
        const subject = closed.indexOf(longest);
        const busy = states.every(({ attempts }, index) => closed[index] === 0 || isBusy(attempts, now));
        return { granted: false, subject, busy, closedForMs: longest };
      }
      let full = false;
      for (const { subject, attempts } of states) {
        const counted = withAttempt(attempts, subject.limits, now);
        save(subject, counted);
        full ||= closedForMs(counted.stamps, subject.limits, now) > 0;
      }
      return { granted: true, stamps: subjects.map(() => now), time: clock.us(), full };
    },

    async releaseAttempt(subjects, stamps) {
      for (const [index, subject] of subjects.entries()) {
        save(subject, withoutAttempt(load(subject), stamps[index] ?? 0));
      }
    },

    async lockAttempts(subjects, reserved) {
      const now = clock.ms();
      return subjects.map((subject, index) => {
        const stamp = reserved[index];
        const { stamps, lockedBy } = load(subject);
        const closed = closedForMs(stamps, subject.limits, now);
        if (closed === 0 || stamp === undefined || stamps.at(-1) !== stamp || lockedBy === stamp) return 0;
        save(subject, { stamps, lockedBy: stamp });
        return closed;
      });
    },

    async readAttempts(subject) {
      const now = clock.ms();
      const attempts = load(subject);
      const closed = closedForMs(attempts.stamps, subject.limits, now);
      return {
        closedForMs: closed,
        busy: closed > 0 && isBusy(attempts, now),
        lockedAt: attempts.lockedBy,
        counts: subject.limits.map(
          ({ withinMs }) => attempts.stamps.filter((stamp) => now - stamp < withinMs).length,
        ),
      };
    },

    async clearAttempts({ key }) {
      return states.delete(key);
    },
  };
}
