import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { redisStore, type Alert, type RedisStore } from '../src/index.js';
import { newTotpSecret } from '../src/core/totp.js';
import { added } from './rig/factor-rig.js';
import { compileSources } from './rig/login-process.js';
import { startRedis, type RedisServer } from './rig/redis-server.js';
import { codeOf } from './rig/totp-code.js';
import { until } from './rig/until.js';
import {
  startWatchProcess,
  watchPrograms,
  type WatchProcess,
  type WatchReport,
  type WatchSettings,
} from './rig/watch-process.js';
import { rightPassword, watchedFactors } from './rig/watched-app.js';

let redis: RedisServer;
let direct: Redis;
let store: RedisStore;
let build: Awaited<ReturnType<typeof compileSources>>;
let processes: WatchProcess[] = [];
const others: WatchProcess[] = [];

beforeAll(async () => {
  [redis, build] = await Promise.all([startRedis(), compileSources(...watchPrograms)]);
  direct = new Redis(redis.url);
  store = redisStore(direct);
  processes = await start();
}, 60_000);
afterAll(async () => {
  await Promise.all(processes.map((one) => one.stop()));
  store.close();
  direct.disconnect();
  build.remove();
  await redis.stop();
});
beforeEach(() => direct.flushall());
afterEach(() => Promise.all(others.splice(0).map((one) => one.stop())));

function start(settings: WatchSettings = {}): Promise<WatchProcess[]> {
  return Promise.all(
    Array.from({ length: 4 }, () => startWatchProcess(build.directory, redis.url, settings)),
  );
}

async function startOthers(settings: WatchSettings): Promise<WatchProcess[]> {
  others.push(...(await start(settings)));
  return others;
}

interface Client {
  readonly name: string;
  readonly password?: string;
  readonly code?: string;
  readonly ip: string;
}

async function logIn(service: WatchProcess | undefined, client: Client): Promise<number> {
  const { name, password = 'wrong', code, ip } = client;
  const response = await fetch(`http://127.0.0.1:${service?.port}/tokens`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': ip },
    body: JSON.stringify({ username: name, password, otp_token: code }),
  });
  await response.arrayBuffer();
  return response.status;
}

/** 100 clients at once, spread over the processes. */
function crowd(clientOf: (i: number) => Client, services = processes): Promise<number[]> {
  return Promise.all(Array.from({ length: 100 }, (_, i) => logIn(services[i % 4], clientOf(i))));
}

/** What all processes have told of since they were last asked. */
async function told(services = processes): Promise<Alert[]> {
  const reports: WatchReport[] = await Promise.all(services.map((one) => one.flush()));
  for (const { lost } of reports) expect(lost).toEqual({ events: 0, alerts: 0 });
  return reports.flatMap(({ alerts }) => alerts);
}

const kindsOf = (alerts: readonly Alert[]): string[] => alerts.map(({ kind }) => kind).toSorted();
const oneAddress = '192.0.2.1';
const addressOf = (i: number): string => `198.51.${i}.7`;

describe('100 clients in 4 processes that cross a threshold together', () => {
  it('raise one alert for failures of one account', async () => {
    const statuses = await crowd(() => ({ name: 'alice', ip: oneAddress }));
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(kindsOf(await told())).toEqual(['repeated_failures']);
  });

  it('raise one alert for many sources', async () => {
    await crowd((i) => ({ name: 'alice', ip: addressOf(i) }));
    expect(['many_sources', 'repeated_failures']).toContain(kindsOf(await told()).join());
  });

  it('raise one alert for spraying', async () => {
    await crowd((i) => ({ name: `user-${i}`, ip: `2001:db8:0:7::${i}` }));
    const alerts = await told();
    expect(alerts).toMatchObject([{ kind: 'password_spraying', address: '2001:db8:0:7::/64' }]);
  });

  it('raise one alert for unknown names', async () => {
    await crowd((i) => ({ name: `nobody-${i}`, ip: addressOf(i) }));
    expect(kindsOf(await told())).toEqual(['unknown_names']);
  });

  it('raise one alert for a known password', async () => {
    const secret = newTotpSecret();
    const factors = watchedFactors(store);
    added(await factors.importTotp({ id: 'alice' }, { secret }));
    const step = Math.floor(Date.now() / 30_000);
    const right = new Set(Array.from({ length: 9 }, (_, i) => codeOf(secret, step + i - 4)));
    const wrong = [
      '000000',
      '111111',
      '222222',
      '333333',
      '444444',
      '555555',
      '666666',
      '777777',
      '888888',
      '999999',
    ];
    const code = wrong.find((one) => !right.has(one)) ?? '';
    await crowd(() => ({ name: 'alice', password: rightPassword, code, ip: oneAddress }));
    expect(kindsOf(await told())).toEqual(['password_known']);
  });

  it('raise one alert for a success after failures, and one for all their logins on one new device', async () => {
    const owner = { name: 'alice', password: rightPassword, ip: '203.0.113.1' };
    await logIn(processes[0], owner);
    await told();
    for (let i = 0; i < 9; i += 1) await logIn(processes[i % 4], { name: 'alice', ip: oneAddress });
    await told();
    const statuses = await crowd(() => ({ ...owner, ip: oneAddress }));
    expect(statuses).toContain(200);
    expect(kindsOf(await told())).toEqual(['new_device', 'success_after_failures']);
  });

  it('have what is above the budget told in digests, each sent by one process', async () => {
    const thresholds = { repeatedFailures: { count: 1, withinSeconds: 3600 } };
    const services = await startOthers({ thresholds, alertsPerMinute: 5, digestSeconds: 2 });
    await crowd((i) => ({ name: `user-${i}`, ip: addressOf(i) }), services);
    const alerts: Alert[] = [];
    const sumOf = (): number =>
      alerts.reduce((sum, { digest, count }) => sum + (digest === null ? 1 : count), 0);
    await until(async () => {
      alerts.push(...(await told(services)));
      return sumOf() >= 100;
    });
    expect(sumOf()).toBe(100);
    expect(alerts.filter(({ digest }) => digest === null)).toHaveLength(5);
    expect(new Set(alerts.map(({ id }) => id)).size).toBe(alerts.length);
  });
});
