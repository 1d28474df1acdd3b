import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { compileSources } from '../rig/login-process.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import type { SoakPlan, SoakReport } from '../rig/soak-app.js';

const program = 'test/rig/soak-app.ts';
let build: Awaited<ReturnType<typeof compileSources>>;
let redis: RedisServer;

beforeAll(async () => {
  [build, redis] = await Promise.all([compileSources(program), startRedis()]);
});

afterAll(async () => {
  await redis.stop();
  build.remove();
});

/** In a process of its own, whose memory is only its own. */
async function soak(plan: SoakPlan): Promise<SoakReport> {
  const child = fork(join(build.directory, program.replace(/ts$/, 'js')), [JSON.stringify(plan)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const failed = once(child, 'exit').then(() => Promise.reject(new Error('The process ended early')));
  const [report] = (await Promise.race([once(child, 'message'), failed])) as [SoakReport];
  await failed.catch(() => {});
  return report;
}

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

it.each([
  // Two days: in the second one as much ends as comes.
  ['in memory', { logins: 24_000, hours: 48, people: 499 }, false],
  ['on Redis', { logins: 3600, hours: 0, people: 101 }, true],
])(
  'logins leave nothing behind that grows (DOS-08): %s',
  async (_, plan, onRedis) => {
    const shared = onRedis ? { redisUrl: redis.url } : {};
    const { statuses, samples } = await soak({ ...plan, every: plan.logins / 24, ...shared });
    const { logins } = plan;
    const { '200': fine = 0, '401 second_factor_required': asked = 0 } = statuses;
    expect(statuses).toEqual({
      // A login and a use of its token each.
      '200': fine,
      '401 second_factor_required': asked,
      '401 invalid_credentials': logins / 5,
      events: expect.any(Number),
    });
    expect(fine / 2 + asked).toBe((logins * 4) / 5);
    expect(samples).toHaveLength(24);

    const [middle, last] = [samples.slice(12, 18), samples.slice(18)];
    const heapOf = (some: typeof samples): number => mean(some.map(({ heapMb }) => heapMb));
    // What 100 bytes of each login would come to; compiled code still grows a little.
    expect(heapOf(last) - heapOf(middle)).toBeLessThan(0.6);
    for (const fact of ['handles', 'listeners', 'keys'] as const) {
      const most = Math.max(...middle.map((sample) => sample[fact]));
      for (const sample of last) expect(sample[fact]).toBeLessThanOrEqual(most);
    }
  },
  180_000,
);
