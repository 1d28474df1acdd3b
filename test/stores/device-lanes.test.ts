import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import type { ReservedAttempt } from '../../src/core/attempt.js';
import type { AttemptStore } from '../../src/core/attempt-store.js';
import { KnownDevices } from '../../src/core/known-devices.js';
import { deviceName } from '../../src/core/lockout-lanes.js';
import { Lockout, type LockoutOptions } from '../../src/core/lockout.js';
import { memoryStore } from '../../src/stores/memory.js';
import { clockedRedis } from '../rig/clocked-redis.js';
import { signingKey } from '../rig/device-app.js';
import { origin } from '../rig/factor-rig.js';
import { fakeClock } from '../rig/fake-clock.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { storeKinds } from './kinds.js';

let server: RedisServer;
let redis: Redis;
const stores = storeKinds();
beforeAll(async () => {
  [server] = await Promise.all([startRedis(), stores.start()]);
  redis = new Redis(server.url, { disconnectTimeout: 50 });
}, 60_000);
afterAll(async () => {
  redis.disconnect();
  await Promise.all([server.stop(), stores.end()]);
});

const keys = [signingKey];
const about = { userAgent: 'Firefox/1', address: '192.0.2.1' };

function lockoutOn(store: AttemptStore, options: Partial<LockoutOptions> = {}): Lockout {
  const devices = new KnownDevices({ store: memoryStore(), keys, origin });
  return new Lockout({ store, devices, addressLimits: false, ...options });
}

const namesOf = (identifier: string, isKnownDevice: boolean) => ({
  identifier,
  account: undefined,
  address: undefined,
  isKnownDevice,
});

type Step =
  | { readonly do: 'try'; readonly process: number; readonly isKnown: boolean }
  | { readonly do: 'end'; readonly which: number; readonly isRight: boolean }
  | { readonly do: 'wait'; readonly seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant('try' as const), process: fc.nat(2), isKnown: fc.boolean() }),
  },
  {
    weight: 8,
    // Guesses are wrong: one right password in eight.
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(7),
      isRight: fc.nat(7).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      seconds: fc.constantFrom(0, 0.001, 1, 29, 31, 59.999, 60, 600, 3599.999, 3600, 43_200, 86_400),
    }),
  },
);

describe.each([
  ['memory', 400, (now: () => number): AttemptStore => memoryStore({ now })],
  ['Redis', 40, (now: () => number): AttemptStore => clockedRedis(redis, now)],
] as const)('two lanes on %s', (kind, numRuns, open) => {
  it('never let more than 10, 20, 40 wrong passwords be looked at, in any window and any interleaving (I1, DOS-02)', async () => {
    let most = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 250, size: 'max' }), fc.nat(), async (trace, seed) => {
        const clock = fakeClock();
        // Three processes on one store.
        const store = open(clock.now);
        const processes = Array.from({ length: 3 }, () => lockoutOn(store));
        const name = `alice ${kind} ${seed} ${trace.length}`;
        await processes[0]?.unlock(name);
        const running: { attempt: ReservedAttempt; at: number; lane: string }[] = [];
        const wrong: { at: number; lane: string }[] = [];
        for (const one of trace) {
          if (one.do === 'wait') clock.advance(one.seconds);
          if (one.do === 'try') {
            const attempt = await processes[one.process]?.reserve(namesOf(name, one.isKnown));
            if (attempt?.granted === true) {
              const [lane = ''] = attempt.subject.split('.');
              expect(one.isKnown || lane === 'strangers').toBe(true);
              running.push({ attempt, at: clock.now(), lane });
            }
          }
          if (one.do === 'end') {
            const [ended] = running.splice(one.which, 1);
            if (ended === undefined) continue;
            if (one.isRight) await ended.attempt.giveBack();
            else {
              wrong.push(ended);
              await ended.attempt.fail();
            }
          }
        }
        // What still runs may turn out wrong.
        const looked = [...wrong, ...running];
        for (const [lanes, limits] of [
          [
            ['strangers', 'devices'],
            [10, 20, 40],
          ],
          [['strangers'], [8, 16, 35]],
          [['devices'], [2, 4, 5]],
        ] as const) {
          const at = looked.filter(({ lane }) => lanes.some((l) => l === lane)).map((attempt) => attempt.at);
          for (const [index, withinMs] of [60_000, 3_600_000, 86_400_000].entries()) {
            const counts = at.map((from) => at.filter((t) => t >= from && t < from + withinMs).length);
            expect(Math.max(0, ...counts)).toBeLessThanOrEqual(limits[index] ?? 0);
            if (index === 2 && lanes.length === 2) most = Math.max(most, ...counts);
          }
        }
      }),
      { numRuns },
    );
    // The traces come as far as it matters.
    expect(most).toBeGreaterThan(kind === 'memory' ? 30 : 20);
  }, 120_000);
});

describe.each(stores.kinds)('on %s', (kind, open) => {
  it('100 guesses at once, half of them with a stolen cookie, are ten (I1)', async () => {
    const name = `alice on ${kind}`;
    const processes = Array.from({ length: 4 }, () => {
      const { store } = open();
      const devices = new KnownDevices({ store, keys, origin });
      return { devices, attempts: new Lockout({ store, devices, addressLimits: false }) };
    });
    const [first] = processes;
    const bound = deviceName(namesOf(name, false));
    const { cookie = '' } = (await first?.devices.remember({ id: name }, bound, '', about)) ?? {};
    const guess = async (i: number): Promise<string> => {
      const { devices, attempts } = processes[i % 4] ?? processes[0] ?? never();
      const stolen = i % 2 === 0 ? cookie : '';
      const found = await devices.recognise(stolen, bound);
      const attempt = await attempts.reserve(namesOf(name, found !== null && !found.isReplayed));
      if (!attempt.granted) return 'refused';
      await attempt.fail();
      return attempt.subject.split('.')[0] ?? '';
    };
    const became = await Promise.all(Array.from({ length: 100 }, (_, i) => guess(i)));
    const count = (what: string): number => became.filter((one) => one === what).length;
    expect([count('devices'), count('strangers'), count('refused')]).toEqual([2, 8, 90]);
  }, 60_000);

  it('a device of one process is known to the others, and 12 logins at once forget nobody', async () => {
    const account = { id: `bob on ${kind}` };
    const name = deviceName(namesOf(account.id, false));
    const processes = Array.from(
      { length: 4 },
      () => new KnownDevices({ store: open().store, keys, origin }),
    );
    const one = (i: number): KnownDevices => processes[i % 4] ?? never();
    const added = await Promise.all(
      Array.from({ length: 12 }, (_, i) => one(i).remember(account, name, '', about)),
    );
    expect(await one(3).list(account)).toHaveLength(12);
    for (const [i, { id, cookie }] of added.entries()) {
      const found = await one(i + 1).recognise(cookie, name);
      expect(found).toEqual({ account: account.id, id, isReplayed: false });
    }
    expect(await one(2).revoke(account, added[0]?.id ?? '')).toBe(true);
    expect(await one(1).recognise(added[0]?.cookie ?? '', name)).toBeNull();
    expect(await one(1).revokeAll(account, { except: added[1]?.id ?? '' })).toBe(10);
    expect((await one(0).list(account)).map(({ id }) => id)).toEqual([added[1]?.id]);
    expect(await one(0).revokeAll(account)).toBe(1);
    expect(await one(3).list(account)).toEqual([]);
  }, 60_000);
});

function never(): never {
  throw new Error('no such process');
}
