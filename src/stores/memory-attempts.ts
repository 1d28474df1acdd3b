import { attemptStatus, decideAttempt, lockAttempt } from '../core/attempt-rule.js';
import type { AttemptStore, AttemptSubject } from '../core/attempt-store.js';
import {
  longestOf,
  noAttempts,
  withoutAttempt,
  withoutFuture,
  type Attempts,
} from '../core/attempt-window.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

/** One thread runs each method from start to end: that is the atomicity. */
export function memoryAttempts(clock: MemoryClock, maxEntries: number): AttemptStore {
  const states = new BoundedMap<Attempts>(clock.ms, maxEntries);

  function load(subject: AttemptSubject): Attempts {
    const stored = states.get(subject.key) ?? noAttempts;
    const attempts = withoutFuture(stored, clock.ms());
    if (attempts !== stored) save(subject, attempts);
    return attempts;
  }

  function save({ key, limits }: AttemptSubject, { stamps, lockedBy }: Attempts): void {
    const newest = stamps.at(-1);
    if (newest === undefined) states.delete(key);
    else states.set(key, { stamps, lockedBy }, newest + longestOf(limits, 'lockMs') - clock.ms());
  }

  return {
    async reserveAttempt(subjects) {
      const loaded = subjects.map((subject) => ({ attempts: load(subject), limits: subject.limits }));
      const { decision, counted } = decideAttempt(loaded, clock.ms(), clock.us());
      // All or none: an attempt that is counted for the account alone would lock it without being looked at.
      if (decision.granted) states.makeRoom(subjects.map(({ key }) => key));
      for (const [index, attempts] of counted.entries()) {
        const subject = subjects[index];
        if (subject !== undefined) save(subject, attempts);
      }
      return decision;
    },

    async releaseAttempt(subjects, stamps) {
      for (const [index, subject] of subjects.entries()) {
        save(subject, withoutAttempt(load(subject), stamps[index] ?? 0));
      }
    },

    async lockAttempts(subjects, stamps) {
      return subjects.map((subject, index) => {
        const locked = lockAttempt(
          { attempts: load(subject), limits: subject.limits },
          stamps[index],
          clock.ms(),
        );
        if (locked !== null) save(subject, locked.attempts);
        return locked?.closedForMs ?? 0;
      });
    },

    async readAttempts(subject) {
      return attemptStatus({ attempts: load(subject), limits: subject.limits }, clock.ms());
    },

    async clearAttempts({ key }) {
      return states.delete(key);
    },
  };
}
