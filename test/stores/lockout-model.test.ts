import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import type { ReservedAttempt } from '../../src/core/attempt.js';
import type { AttemptStore, AttemptSubject } from '../../src/core/attempt-store.js';
import type { AttemptLimit } from '../../src/core/attempt-window.js';
import { Lockout, type LockoutOptions } from '../../src/core/lockout.js';
import { memoryStore } from '../../src/stores/memory.js';
import { redisStore } from '../../src/stores/redis.js';
import { clockedRedis } from '../rig/clocked-redis.js';
import { fakeClock, type FakeClock } from '../rig/fake-clock.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { disconnectTimeout: 50 });
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

const stores = {
  memory: (now: () => number): AttemptStore => memoryStore({ now }),
  redis: (now: () => number): AttemptStore => clockedRedis(redis, now),
};
const kinds = ['memory', 'redis'] as const;

const limitOf = (failures: number, withinMs: number, lockMs = withinMs): AttemptLimit => ({
  failures,
  withinMs,
  lockMs,
});
const hash = (): string => randomBytes(32).toString('hex');

/** The rule as plainly as it can be said: every attempt of one subject, none ever forgotten. */
class Model {
  attempts: { at: number; state: 'counted' | 'returned' }[] = [];
  told = -1;

  constructor(readonly limits: readonly AttemptLimit[]) {}

  counted(): number[] {
    return this.attempts.filter(({ state }) => state === 'counted').map(({ at }) => at);
  }

  /** A lock begins with each attempt that, with those before it, reached a limit. */
  closedFor(now: number): number {
    const stamps = this.counted();
    const locks = stamps.flatMap((at, index) =>
      this.limits
        .filter(
          ({ failures, withinMs }) =>
            stamps.slice(0, index + 1).filter((other) => at - other < withinMs).length >= failures,
        )
        .map(({ lockMs }) => at + lockMs - now),
    );
    return Math.max(0, ...locks);
  }

  isBusy(now: number): boolean {
    const newest = this.counted().at(-1) ?? 0;
    return this.closedFor(now) > 0 && newest !== this.told && now - newest < 30_000;
  }

  giveBack(stamp: number): void {
    const found = this.attempts.findLast(({ at, state }) => at === stamp && state === 'counted');
    if (found !== undefined) found.state = 'returned';
  }

  /** Milliseconds that are told of a lock: once, to the attempt that it began with. */
  tell(stamp: number, now: number): number {
    if (this.counted().at(-1) !== stamp || this.told === stamp) return 0;
    if (this.closedFor(now) > 0) this.told = stamp;
    return this.closedFor(now);
  }

  setBack(now: number): void {
    for (const attempt of this.attempts) attempt.at = Math.min(attempt.at, now);
    this.told = Math.min(this.told, now);
  }

  /** Whether no window, wherever it lies, has more than its limit: I1. */
  isWithinLimits(): boolean {
    const stamps = this.counted();
    return this.limits.every(({ failures, withinMs }) =>
      stamps.every((from) => stamps.filter((at) => at >= from && at < from + withinMs).length <= failures),
    );
  }
}

type Step =
  | { readonly do: 'reserve'; readonly account: number }
  | { readonly do: 'end'; readonly which: number; readonly failed: boolean }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'forget'; readonly account: number };

const accountLimits = [limitOf(3, 5000), limitOf(5, 20_000, 25_000), limitOf(8, 60_000)];
const addressLimits = [limitOf(5, 5000), limitOf(12, 40_000)];

const reserve = fc.record({ do: fc.constant('reserve' as const), account: fc.nat(1) });
const end = fc.record({ do: fc.constant('end' as const), which: fc.nat(5), failed: fc.boolean() });
const wait = fc.record({
  do: fc.constant('wait' as const),
  ms: fc.oneof(
    fc.nat(3000),
    fc.constantFrom(0, 1, 999, 4999, 5000, 5001, 15_000, 19_999, 20_000, 24_999, 25_000, 60_000),
  ),
});
const forget = fc.record({ do: fc.constant('forget' as const), account: fc.nat(1) });
const steps = (maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { arbitrary: reserve, weight: 8 },
      { arbitrary: end, weight: 5 },
      { arbitrary: wait, weight: 5 },
      { arbitrary: forget, weight: 1 },
    ),
    { maxLength, size: 'max' },
  );

/** As `expect`, which is too slow to be asked a million times. */
function same(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected);
}

function pick<T>(from: readonly T[], on: readonly number[]): T[] {
  return from.filter((_, index) => on.includes(index));
}

/** Does each step to a store and to the model, and compares whatever can be seen of both. */
async function follow(store: AttemptStore, clock: FakeClock, trace: readonly Step[]): Promise<void> {
  const subjects = [accountLimits, accountLimits, addressLimits].map((limits) => ({ key: hash(), limits }));
  const models = subjects.map(({ limits }) => new Model(limits));
  const running: { on: number[]; stamps: readonly number[]; full: boolean }[] = [];

  for (const step of trace) {
    const now = clock.now();
    if (step.do === 'wait') clock.advance(step.ms / 1000);
    if (step.do === 'forget') {
      const [subject] = pick(subjects, [step.account]);
      const [model] = pick(models, [step.account]);
      if (subject === undefined || model === undefined) continue;
      await store.clearAttempts(subject);
      // Those still running are forgotten with the rest; their stamps must not be taken from later ones.
      for (const one of running.splice(0)) {
        if (!one.on.includes(step.account)) running.push(one);
      }
      models[step.account] = new Model(model.limits);
    }
    if (step.do === 'reserve') {
      const on = [step.account, 2];
      const closed = pick(models, on).map((model) => model.closedFor(now));
      const decision = await store.reserveAttempt(pick(subjects, on));
      const longest = Math.max(...closed);
      if (longest > 0) {
        same(decision, {
          granted: false,
          subject: closed.indexOf(longest),
          busy: pick(models, on).every((model) => model.closedFor(now) === 0 || model.isBusy(now)),
          closedForMs: longest,
        });
      } else {
        for (const model of pick(models, on)) {
          model.attempts.push({ at: now, state: 'counted' });
          same(model.isWithinLimits(), true);
        }
        const full = pick(models, on).some((model) => model.closedFor(now) > 0);
        same(decision.granted && decision.full, full);
        same(decision.granted, true);
        if (decision.granted) {
          same(Math.abs(decision.time - now * 1000) < 10_000, true);
          running.push({ on, stamps: decision.stamps, full });
        }
      }
    }
    if (step.do === 'end') {
      const [attempt] = running.splice(step.which, 1);
      if (attempt === undefined) continue;
      const { on, stamps, full } = attempt;
      const at = stamps.map((stamp) => stampNear(stamp, clock.now()));
      if (!step.failed) {
        await store.releaseAttempt(pick(subjects, on), stamps);
        for (const [i, model] of pick(models, on).entries()) model.giveBack(at[i] ?? -1);
      } else if (full) {
        const told = await store.lockAttempts(pick(subjects, on), stamps);
        same(
          told,
          pick(models, on).map((model, i) => model.tell(at[i] ?? -1, now)),
        );
      }
    }
    for (const [index, subject] of subjects.entries()) {
      const [model] = pick(models, [index]);
      const status = await store.readAttempts(subject);
      const time = clock.now();
      same(
        [index, status.closedForMs, status.busy, status.counts],
        [
          index,
          model?.closedFor(time),
          model?.isBusy(time),
          subject.limits.map(
            ({ withinMs }) => model?.counted().filter((stamp) => time - stamp < withinMs).length,
          ),
        ],
      );
      // An older lock may have been forgotten with its stamps.
      if (model !== undefined && model.told > time - 40_000) same(status.lockedAt, model.told);
    }
  }
}

/** The time of a stamp, which a store may keep modulo 2^32. */
function stampNear(stamp: number, now: number): number {
  return stamp > 2 ** 32 ? stamp : now - (((((now % 2 ** 32) - stamp) % 2 ** 32) + 2 ** 32) % 2 ** 32);
}

// Where the 32 bits of a stamp in Redis begin anew.
const wrap = 2 ** 32 * 441;

describe.each([
  ['memory', 10_000, Date.UTC(2030, 0, 1)],
  ['redis', 120, Date.UTC(2030, 0, 1)],
  ['redis', 80, wrap - 20_000],
  ['redis', 40, wrap - 2],
] as const)('on %s', (kind, numRuns, start) => {
  it(`${numRuns} random traces from ${start} give what the plain rule gives (LCK-06, I1)`, async () => {
    let traces = 0;
    await fc.assert(
      fc.asyncProperty(steps(kind === 'memory' ? 30 : 60), async (trace) => {
        const clock = fakeClock(start);
        await follow(stores[kind](clock.now), clock, trace);
        traces += 1;
      }),
      { numRuns },
    );
    expect(traces).toBe(numRuns);
  }, 120_000);
});

const names = (identifier: string, more: { account?: string | string[]; address?: string } = {}) => ({
  identifier,
  account: more.account,
  address: more.address,
});

describe.each(kinds)('a lockout on %s', (kind) => {
  function lockout(start?: number, options: Partial<LockoutOptions> = {}) {
    const clock = fakeClock(start);
    const attempts = new Lockout({ store: stores[kind](clock.now), ...options });
    const open = async (of = names('alice')): Promise<ReservedAttempt | undefined> => {
      const attempt = await attempts.reserve(of);
      return attempt.granted ? attempt : undefined;
    };
    /** Whether it was evaluated, and what it locked. */
    const fail = async (of = names('alice')) => (await open(of))?.fail();
    return { clock, attempts, open, fail };
  }

  it('locks for a minute from the tenth failure, and tells it once (LCK-01)', async () => {
    const { clock, attempts, fail } = lockout();
    const told: unknown[] = [];
    for (let second = 0; second < 10; second += 1) {
      told.push(await fail());
      clock.advance(1);
    }
    expect(told).toEqual([
      ...Array.from({ length: 9 }, () => ({ account: 0, address: 0 })),
      { account: 60, address: 0 },
    ]);
    expect(await attempts.reserve(names('alice'))).toEqual({
      granted: false,
      busy: false,
      retryAfterSeconds: 59,
      told: expect.stringMatching(/^[0-9a-f]{64}$/),
      whose: 'account',
    });
    expect(await attempts.status('alice')).toMatchObject({ locked: true, failures: [10, 10, 10] });
    clock.advance(58.999);
    expect(await fail()).toBeUndefined();
    clock.advance(0.001);
    expect(await fail()).toBeDefined();
  });

  it('a right password as the tenth attempt passes, and leaves nine failures (LCK-02)', async () => {
    const { clock, attempts, open, fail } = lockout();
    for (let i = 0; i < 9; i += 1) {
      await fail();
      clock.advance(1);
    }
    await (await open())?.giveBack();
    expect(await attempts.status('alice')).toEqual({
      locked: false,
      retryAfterSeconds: 0,
      failures: [9, 9, 9],
    });
  });

  it('ten failures before a minute’s edge and ten after it are ten (LCK-03)', async () => {
    const { clock, fail } = lockout(Date.UTC(2030, 0, 1) + 59_000);
    const evaluated: number[] = [];
    for (let tenth = 0; tenth <= 20; tenth += 1) {
      if ((await fail()) !== undefined) evaluated.push(tenth);
      clock.advance(0.1);
    }
    expect(evaluated).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('somebody who never stops has 40 attempts a day, ten at seconds 0, 60, 3,660 and 3,720 (LCK-05)', async () => {
    const { clock, fail } = lockout();
    const start = clock.now();
    const evaluated: number[] = [];
    // Each second in memory; over Redis each second of which it matters, and the millisecond before.
    const everySecond = Array.from({ length: 90_122 }, (_, second) => second);
    const edges = [0, 1, 59, 60, 61, 119, 120, 3659, 3660, 3719, 3720, 3721, 7260, 90_119, 90_120];
    for (const second of kind === 'memory' ? everySecond : edges) {
      if (edges.includes(second) && second > 0) {
        clock.set(start + second * 1000 - 1);
        if ((await fail()) !== undefined) evaluated.push(second - 0.001);
      }
      clock.set(start + second * 1000);
      while ((await fail()) !== undefined) evaluated.push(second);
    }
    const tens = [0, 60, 3660, 3720].flatMap((second) => Array<number>(10).fill(second));
    expect(evaluated.slice(0, 40)).toEqual(tens);
    expect(evaluated.slice(40)).toEqual(Array(evaluated.length - 40).fill(3720 + 86_400));
    expect(evaluated.length).toBeGreaterThan(40);
  }, 60_000);

  it('a success between failures clears none of them (LCK-07)', async () => {
    const { open, fail } = lockout();
    for (let i = 0; i < 9; i += 1) await fail();
    await (await open())?.giveBack();
    expect(await fail()).toEqual({ account: 60, address: 0 });
    for (let i = 0; i < 8; i += 1) expect(await fail()).toBeUndefined();
    expect(await open()).toBeUndefined();
  });

  it('failures stay with the account when its name changes (LCK-20)', async () => {
    const { fail } = lockout();
    for (let i = 0; i < 5; i += 1) await fail(names('alice', { account: '42' }));
    for (let i = 0; i < 5; i += 1) await fail(names('alice2', { account: '42' }));
    expect(await fail(names('alice3', { account: '42' }))).toBeUndefined();
    expect(await fail(names('alice', { account: '43' }))).toBeDefined();
    expect(await fail(names('42'))).toBeDefined();
  });

  it('parts of a name are kept apart (IDN-09)', async () => {
    const { fail } = lockout();
    for (let i = 0; i < 10; i += 1) await fail(names('x', { account: ['a', 'b:c'] }));
    expect(await fail(names('x', { account: ['a', 'b:c'] }))).toBeUndefined();
    for (const account of [['a:b', 'c'], ['a', 'b', 'c'], ['ab:c'], ['a', 'b:c', '']]) {
      expect(await fail(names('x', { account }))).toBeDefined();
    }
  });

  it('an address is locked by failures on many accounts, and told once, with the account’s own lock', async () => {
    const { attempts, fail } = lockout(undefined, {
      addressLimits: [{ failures: 12, withinSeconds: 60, lockSeconds: 90 }],
    });
    const address = '192.0.2.1';
    for (let i = 0; i < 9; i += 1) await fail(names('alice', { address }));
    for (let i = 0; i < 2; i += 1) await fail(names(`user${i}`, { address }));
    expect(await fail(names('alice', { address }))).toEqual({ account: 60, address: 90 });
    expect(await attempts.reserve(names('bob', { address }))).toEqual({
      granted: false,
      busy: false,
      retryAfterSeconds: 90,
      told: expect.stringMatching(/^[0-9a-f]{64}$/),
      whose: 'address',
    });
    expect(await fail(names('bob', { address: '192.0.2.2' }))).toBeDefined();
  });

  it('an attempt that ended cannot end again', async () => {
    const { attempts, open } = lockout();
    const [one, two] = [await open(), await open()];
    await one?.giveBack();
    await one?.giveBack();
    await one?.fail();
    await two?.fail();
    await two?.giveBack();
    expect((await attempts.status('alice')).failures).toEqual([1, 1, 1]);
  });

  it('a clock set back by ten minutes locks nobody for longer than the lock (CLK-02)', async () => {
    const { clock, attempts, fail } = lockout();
    for (let i = 0; i < 10; i += 1) await fail();
    clock.advance(-600);
    expect(await attempts.reserve(names('alice'))).toMatchObject({ granted: false, retryAfterSeconds: 60 });
    clock.advance(30);
    expect(await attempts.reserve(names('alice'))).toMatchObject({ granted: false, retryAfterSeconds: 30 });
    clock.advance(30);
    expect(await fail()).toBeDefined();
    expect((await attempts.status('alice')).failures).toEqual([1, 11, 11]);
  });

  it('a clock set forward by a day opens windows early and breaks nothing (CLK-03)', async () => {
    const { clock, attempts, fail } = lockout();
    for (let i = 0; i < 10; i += 1) await fail();
    clock.advance(86_400);
    expect(await attempts.status('alice')).toEqual({
      locked: false,
      retryAfterSeconds: 0,
      failures: [0, 0, 0],
    });
    for (let i = 0; i < 10; i += 1) expect(await fail()).toBeDefined();
    expect(await fail()).toBeUndefined();
  });

  it('a lock that was told long ago does not seem new when the stamps begin anew after 49.7 days', async () => {
    const { clock, attempts, open, fail } = lockout();
    for (let i = 0; i < 10; i += 1) await fail();
    // One failure every few hours keeps the record alive all the time.
    for (let hours = 0; hours < (2 ** 32 - 60_000) / 3_600_000; hours += 20) {
      clock.advance(20 * 3600);
      await fail();
    }
    clock.set(Date.UTC(2030, 0, 1) + 2 ** 32 + 1000);
    const attempt = await open();
    expect(attempt).toBeDefined();
    const since = (clock.now() - 60_000) * 1000;
    expect(await attempts.check(attempt?.subject ?? '', since)).toMatchObject({
      granted: true,
      lockedSince: false,
    });
  });

  it('a login begun before a lock is told apart from one begun after it (LCK-14, LCK-15)', async () => {
    const { clock, attempts, open, fail } = lockout();
    const before = await open();
    await before?.giveBack();
    clock.advance(1);
    for (let i = 0; i < 10; i += 1) await fail();
    const subject = before?.subject ?? '';
    expect(await attempts.check(subject, before?.time ?? 0)).toMatchObject({
      granted: false,
      busy: false,
      retryAfterSeconds: 60,
    });
    clock.advance(60);
    expect(await attempts.check(subject, before?.time ?? 0)).toMatchObject({
      granted: true,
      lockedSince: true,
    });
    const after = await open();
    expect(await attempts.check(subject, after?.time ?? 0)).toMatchObject({
      granted: true,
      lockedSince: false,
    });
  });

  it('a login begun before a short lock is told apart for as long as it can be pending (LCK-15)', async () => {
    const { clock, attempts, open, fail } = lockout(undefined, {
      limits: [{ failures: 3, withinSeconds: 5 }],
    });
    const before = await open();
    await before?.giveBack();
    clock.advance(1);
    for (let i = 0; i < 3; i += 1) await fail();
    clock.advance(298);
    expect(await attempts.check(before?.subject ?? '', before?.time ?? 0)).toMatchObject({
      granted: true,
      lockedSince: true,
    });
  });

  it('what is left after failures and successes at the same time is what was evaluated, 500 times (RCE-13)', async () => {
    const numbers = fc.record({
      before: fc.integer({ min: 6, max: 9 }),
      outcomes: fc.array(fc.record({ right: fc.boolean(), delay: fc.nat(2) }), {
        minLength: 2,
        maxLength: 5,
      }),
    });
    await fc.assert(
      fc.asyncProperty(numbers, async ({ before, outcomes }) => {
        const { attempts, open, fail } = lockout();
        const of = names(hash());
        for (let i = 0; i < before; i += 1) await fail(of);
        let failures = before;
        let told = 0;
        let rights = 0;
        let refused = 0;
        await Promise.all(
          outcomes.map(async ({ right, delay }) => {
            for (let i = 0; i < delay; i += 1) await turn();
            const attempt = await open(of);
            if (attempt === undefined) {
              refused += 1;
              return;
            }
            for (let i = 0; i < delay; i += 1) await turn();
            if (right) {
              rights += 1;
              await attempt.giveBack();
            } else {
              failures += 1;
              const { account } = await attempt.fail();
              told += Number(account > 0);
            }
          }),
        );
        expect(failures).toBeLessThanOrEqual(10);
        const status = await attempts.status(of.identifier);
        expect(status).toMatchObject({ locked: failures === 10, failures: [failures, failures, failures] });
        // All that was refused was refused because a slot was held, or the lock reached.
        expect(refused === 0 || before + outcomes.length >= 10).toBe(true);
        // While a right password holds a slot, the window is full with fewer failures, and told to be.
        const isPlain = rights === 0 || failures === 10;
        expect(isPlain && told > 0).toBe(failures === 10);
        expect(rights > 0 || told <= 1).toBe(true);
      }),
      { numRuns: 500 },
    );
  }, 60_000);
});

describe('options of a lockout', () => {
  const limit = { failures: 10, withinSeconds: 60 };

  it.each([
    ['limits out of order', [limit, { failures: 5, withinSeconds: 3600 }], /limits\[1\]\.failures/],
    ['two limits of one window', [limit, { failures: 20, withinSeconds: 60 }], /limits\[1\]\.withinSeconds/],
    ['a limit in text', [{ ...limit, failures: '10' }], /limits\[0\]\.failures .* not "10"/],
    ['NaN', [{ ...limit, failures: Number.NaN }], /limits\[0\]\.failures .* not NaN/],
    ['0', [{ ...limit, failures: 0 }], /limits\[0\]\.failures .* not 0/],
    ['-1', [{ ...limit, failures: -1 }], /limits\[0\]\.failures .* not -1/],
    ['1.5', [{ ...limit, failures: 1.5 }], /limits\[0\]\.failures .* not 1\.5/],
    ['Infinity', [{ ...limit, withinSeconds: Number.POSITIVE_INFINITY }], /withinSeconds .* not Infinity/],
    ['2**53', [{ ...limit, withinSeconds: 2 ** 53 }], /limits\[0\]\.withinSeconds/],
    ['a window of 21,900 days', [{ ...limit, withinSeconds: 21_900 * 86_400 }], /limits\[0\]\.withinSeconds/],
    ['a lock shorter than its window', [{ ...limit, lockSeconds: 59 }], /limits\[0\]\.lockSeconds/],
    ['an unknown field', [{ ...limit, window: 60 }], /limits\[0\] .* not "window"/],
    ['a field of a prototype', [Object.create(limit)], /limits\[0\]\.failures .* not undefined/],
    ['no limit', [], /limits must be a list of 1 to 8/],
    ['nine limits', Array.from({ length: 9 }, () => limit), /limits must be a list of 1 to 8/],
    ['a limit that is null', [null], /limits\[0\] must be an object/],
  ])('refuse %s, by name (LCK-18)', (_what, limits, message) => {
    for (const option of ['limits', 'addressLimits']) {
      const make = () => new Lockout({ store: memoryStore(), [option]: limits });
      expect(make).toThrow(TypeError);
      expect(make).toThrow(message);
    }
  });

  it('are read once', async () => {
    const limits = [{ failures: 1, withinSeconds: 60 }];
    const attempts = new Lockout({ store: memoryStore(), limits });
    limits.splice(0, 1, { failures: 1000, withinSeconds: 60 });
    await attempts.reserve(names('alice'));
    expect(await attempts.reserve(names('alice'))).toMatchObject({ granted: false });
  });
});

describe('on the clock of Redis itself', () => {
  it.each([3_600_000, -3_600_000])(
    'a process whose clock is %i ms off counts like any other (CLK-01)',
    async (off) => {
      const subject: AttemptSubject = { key: hash(), limits: [limitOf(10, 60_000)] };
      const [one, other] = [redisStore(redis), redisStore(redis)];
      const real = Date.now();
      for (let i = 0; i < 9; i += 1) await one.reserveAttempt([subject]);
      const shifted = jest.spyOn(Date, 'now').mockImplementation(() => real + off);
      try {
        expect(await other.readAttempts(subject)).toMatchObject({ counts: [9] });
        expect(await other.reserveAttempt([subject])).toMatchObject({ granted: true, full: true });
        const refused = await other.reserveAttempt([subject]);
        expect(refused).toMatchObject({ granted: false, closedForMs: expect.closeTo(60_000, -4) });
      } finally {
        shifted.mockRestore();
        one.close();
        other.close();
      }
    },
  );

  it('stamps that lie ahead, as after its clock was set back, lock for the length of a lock (CLK-02)', async () => {
    const subject: AttemptSubject = { key: hash(), limits: [limitOf(3, 60_000)] };
    const store = redisStore(redis);
    const key = `portcullis:lockout:{${subject.key}}`;
    const [seconds = '0'] = (await redis.call('TIME')) as string[];
    const state = Buffer.alloc(12);
    for (const [i, ahead] of [590_000, 595_000, 600_000].entries()) {
      state.writeUInt32BE((Number(seconds) * 1000 + ahead) % 2 ** 32, i * 4);
    }
    await redis.set(key, state, 'PX', 660_000);
    try {
      const refused = await store.reserveAttempt([subject]);
      expect(refused).toMatchObject({ granted: false, closedForMs: 60_000 });
      expect(await redis.pttl(key)).toBeLessThanOrEqual(300_000);
      expect(await store.readAttempts(subject)).toMatchObject({ counts: [3] });
    } finally {
      store.close();
    }
  });

  it('a short lock is remembered for as long as a login can be pending (LCK-15)', async () => {
    const subject: AttemptSubject = { key: hash(), limits: [limitOf(1, 1000)] };
    const store = redisStore(redis);
    try {
      const decision = await store.reserveAttempt([subject]);
      await store.lockAttempts([subject], decision.granted ? decision.stamps : []);
      expect(await redis.pttl(`portcullis:lockout:{${subject.key}}`)).toBeGreaterThan(299_000);
    } finally {
      store.close();
    }
  });

  it.each([
    ['cut', Buffer.from('abc')],
    ['two bytes too long', Buffer.alloc(10)],
    ['empty', Buffer.alloc(0)],
    ['text', Buffer.from('{"failures":3}')],
  ])('a record that is %s decides nothing', async (_what, state) => {
    const subject: AttemptSubject = { key: hash(), limits: [limitOf(3, 60_000)] };
    const store = redisStore(redis);
    const key = `portcullis:lockout:{${subject.key}}`;
    await redis.set(key, state);
    try {
      await expect(store.reserveAttempt([subject])).rejects.toMatchObject({ name: 'StoreUnavailable' });
      await expect(store.readAttempts(subject)).rejects.toMatchObject({ name: 'StoreUnavailable' });
      await expect(store.releaseAttempt([subject], [1])).rejects.toMatchObject({ name: 'StoreUnavailable' });
      await expect(store.lockAttempts([subject], [1])).rejects.toMatchObject({ name: 'StoreUnavailable' });
      expect(await redis.getBuffer(key)).toEqual(state);
    } finally {
      store.close();
    }
  });
});
