import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  closedForMs,
  isBusy,
  longestCheckMs,
  longestOf,
  noAttempts,
  withAttempt,
  withoutAttempt,
  withoutFuture,
  type AttemptLimit,
} from '../../src/core/attempt-window.js';

const limits: readonly AttemptLimit[] = [
  { failures: 3, withinMs: 5000, lockMs: 5000 },
  { failures: 5, withinMs: 20_000, lockMs: 30_000 },
  { failures: 8, withinMs: 60_000, lockMs: 60_000 },
];
const [shortest = { failures: 0, withinMs: 0, lockMs: 0 }] = limits;

/** Most attempts that lie within any span of this length. */
function mostWithin(stamps: readonly number[], ms: number): number {
  return Math.max(0, ...stamps.map((from) => stamps.filter((at) => at >= from && at < from + ms).length));
}

const waits = fc.oneof(
  fc.integer({ min: 0, max: 7000 }),
  fc.constantFrom(0, 1, 4999, 5000, 5001, 19_999, 20_000, 30_000, 59_999, 60_000, 60_001),
);

describe('a subject', () => {
  // prettier-ignore
  it.each([
    ['open without attempts', [], 100_000, 0],
    ['open below the limit', [0, 1], 2, 0],
    ['closed by the last attempt allowed, for the whole lock', [0, 1, 2], 2, 5000],
    ['closed until the last millisecond of the lock', [0, 1, 2], 5001, 1],
    ['open when the lock has ended', [0, 1, 2], 5002, 0],
    ['closed if the window is a millisecond from too long', [0, 1, 4999], 4999, 5000],
    ['open if the attempts lie a whole window apart', [0, 1, 5000], 5000, 0],
    ['closed by attempts of one millisecond', [7, 7, 7], 7, 5000],
    ['closed by a higher limit that lower ones do not see', [0, 1, 6000, 6001, 12_000], 12_000, 30_000],
    ['closed for the longer of two locks', [0, 1, 2, 3, 4], 4, 30_000],
    ['closed for a lock that is longer than its window', [0, 1, 6000, 6001, 12_000], 41_999, 1],
  ] as const)('is %s', (_state, stamps, now, closed) => {
    expect(Math.max(0, closedForMs(stamps, limits, now))).toBe(closed);
  });

  it('never has more attempts in a window than its limit allows, whenever they come (I1)', () => {
    fc.assert(
      fc.property(fc.array(waits, { maxLength: 60 }), (pauses) => {
        let now = 1_000_000;
        let attempts = noAttempts;
        const all: number[] = [];
        for (const pause of pauses) {
          now += pause;
          if (closedForMs(attempts.stamps, limits, now) > 0) continue;
          attempts = withAttempt(attempts, limits, now);
          all.push(now);
        }
        for (const { failures, withinMs } of limits) {
          expect(mostWithin(all, withinMs)).toBeLessThanOrEqual(failures);
        }
        // Forgetting what no window sees changes no answer.
        expect(closedForMs(attempts.stamps, limits, now)).toBe(closedForMs(all, limits, now));
      }),
      { numRuns: 2000 },
    );
  });

  it('lets somebody who tries all the time have as many as the limits allow, and no fewer', () => {
    let attempts = noAttempts;
    const granted: number[] = [];
    for (let now = 0; now <= 120_000; now += 100) {
      while (closedForMs(attempts.stamps, limits, now) === 0) {
        attempts = withAttempt(attempts, limits, now);
        granted.push(now);
      }
    }
    expect(granted).toEqual([
      0, 0, 0, 5000, 5000, 35_000, 35_000, 35_000, 95_000, 95_000, 95_000, 100_000, 100_000,
    ]);
  });

  it('is open again when an attempt is given back, whichever of the window it was', () => {
    for (const stamp of [0, 1, 2]) {
      const { stamps } = withoutAttempt({ stamps: [0, 1, 2], lockedBy: 0 }, stamp);
      expect(closedForMs(stamps, limits, 2)).toBe(0);
      expect(stamps).toHaveLength(2);
    }
  });
});

describe('giving back', () => {
  it('takes one attempt of several of the same millisecond', () => {
    expect(withoutAttempt({ stamps: [5, 5, 7, 7], lockedBy: 5 }, 7)).toEqual({
      stamps: [5, 5, 7],
      lockedBy: 5,
    });
  });

  it('takes nothing for a stamp that is not there', () => {
    expect(withoutAttempt({ stamps: [5, 7], lockedBy: 0 }, 6)).toEqual({ stamps: [5, 7], lockedBy: 0 });
  });

  it('undoes what adding did', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4000), { maxLength: 8 }), (given) => {
        const stamps = given.toSorted((a, b) => a - b);
        const attempts = { stamps, lockedBy: 0 };
        expect(withoutAttempt(withAttempt(attempts, limits, 4000), 4000)).toEqual(attempts);
      }),
    );
  });
});

describe('adding', () => {
  it('forgets what the longest window does not see, and nothing else', () => {
    const { stamps } = withAttempt({ stamps: [0, 1, 2, 60_000], lockedBy: 2 }, limits, 60_001);
    expect(stamps).toEqual([2, 60_000, 60_001]);
  });

  it('changes nothing that it was given', () => {
    const given = Object.freeze({ stamps: Object.freeze([1, 2]), lockedBy: 0 });
    withAttempt(given, limits, 3);
    withoutAttempt(given, 2);
    withoutFuture(given, 0);
    expect(given).toEqual({ stamps: [1, 2], lockedBy: 0 });
  });
});

describe('a full window is busy', () => {
  it.each([
    ['while its last attempt may still be checked', [1, 2], 0, 2 + longestCheckMs - 1, true],
    ['no longer than a check can take', [1, 2], 0, 2 + longestCheckMs, false],
    ['not once its last attempt is known to have failed', [1, 2], 2, 3, false],
    ['whatever earlier attempt has locked', [1, 2], 1, 3, true],
    ['not without attempts', [], 0, 3, false],
  ] as const)('%s', (_when, stamps, lockedBy, now, busy) => {
    expect(isBusy({ stamps, lockedBy }, now)).toBe(busy);
  });
});

describe('a clock that was set back', () => {
  it('moves what lies ahead to the present, so that nobody is freed or locked for longer (CLK-02)', () => {
    const attempts = { stamps: [1000, 700_000, 700_001], lockedBy: 700_001 };
    expect(withoutFuture(attempts, 100_000)).toEqual({
      stamps: [1000, 100_000, 100_000],
      lockedBy: 100_000,
    });
    expect(closedForMs([100_000, 100_000, 100_000], limits, 100_000)).toBe(shortest.lockMs);
  });

  it('leaves attempts alone of which none lies ahead', () => {
    const attempts = { stamps: [1, 2, 3], lockedBy: 3 };
    expect(withoutFuture(attempts, 3)).toBe(attempts);
    expect(withoutFuture(noAttempts, 0)).toBe(noAttempts);
  });

  it('keeps every attempt, in order, and no lock outlasts its length', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100_000), { maxLength: 12 }), fc.nat(100_000), (given, now) => {
        const stamps = given.toSorted((a, b) => a - b);
        const moved = withoutFuture({ stamps, lockedBy: stamps.at(-1) ?? 0 }, now);
        expect(moved.stamps).toHaveLength(stamps.length);
        expect(moved.stamps).toEqual(moved.stamps.toSorted((a, b) => a - b));
        expect(Math.max(0, ...moved.stamps, moved.lockedBy)).toBeLessThanOrEqual(now);
        expect(closedForMs(moved.stamps, limits, now)).toBeLessThanOrEqual(longestOf(limits, 'lockMs'));
      }),
    );
  });
});

it('the longest of each length is the longest of all limits', () => {
  expect(longestOf(limits, 'withinMs')).toBe(60_000);
  expect(longestOf([...limits].toReversed(), 'lockMs')).toBe(60_000);
});
