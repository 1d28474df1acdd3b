import { attemptStatus, decideAttempt, lockAttempt } from '../core/attempt-rule.js';
import type { AttemptStore, AttemptSubject } from '../core/attempt-store.js';
import { keepMs, noAttempts, withoutAttempt, withoutFuture } from '../core/attempt-window.js';
import type { AttemptLimit, Attempts } from '../core/attempt-window.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

/**
 * One thread runs each method from start to end: that is the atomicity. Each set of limits has a map of its own: a
 * flood of made-up names that fills that of the accounts leaves room for the addresses of those who are in it.
 */
export function memoryAttempts(clock: MemoryClock, maxEntries: number): AttemptStore {
  const maps = new Map<string, BoundedMap<Attempts>>();
  const mapOf = new WeakMap<readonly AttemptLimit[], BoundedMap<Attempts>>();

  function statesOf({ limits }: AttemptSubject): BoundedMap<Attempts> {
    const known = mapOf.get(limits);
    if (known !== undefined) return known;
    // By value: two lockouts of the same limits count as one.
    const kind = JSON.stringify(limits);
    const states = maps.get(kind) ?? new BoundedMap<Attempts>(clock.ms, maxEntries);
    maps.set(kind, states);
    mapOf.set(limits, states);
    return states;
  }

  function load(subject: AttemptSubject): Attempts {
    const stored = statesOf(subject).get(subject.key) ?? noAttempts;
    const attempts = withoutFuture(stored, clock.ms());
    if (attempts !== stored) save(subject, attempts);
    return attempts;
  }

  function save(subject: AttemptSubject, { stamps, lockedBy }: Attempts): void {
    const { key, limits } = subject;
    const states = statesOf(subject);
    const newest = stamps.at(-1);
    if (newest === undefined) states.delete(key);
    else states.set(key, { stamps, lockedBy }, newest + keepMs(limits) - clock.ms());
  }

  function makeRoom(subjects: readonly AttemptSubject[]): void {
    for (const states of new Set(subjects.map(statesOf))) {
      const own = subjects.filter((subject) => statesOf(subject) === states);
      states.makeRoom(own.map(({ key }) => key));
    }
  }

  return {
    async reserveAttempt(subjects) {
      const loaded = subjects.map((subject) => ({ attempts: load(subject), limits: subject.limits }));
      const { decision, counted } = decideAttempt(loaded, clock.ms(), clock.us());
      // All or none: an attempt that is counted for the account alone would lock it without being looked at.
      if (decision.granted) makeRoom(subjects);
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

    async clearAttempts(subject) {
      return statesOf(subject).delete(subject.key);
    },
  };
}
