import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { redisStore } from '../../src/stores/redis.js';
import { startRedisCluster, type RedisCluster } from '../rig/redis-cluster.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { describeStore } from './contract.js';

let single: RedisServer;
let cluster: RedisCluster;

beforeAll(async () => {
  [single, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
}, 60_000);
afterAll(() => Promise.all([single.stop(), cluster.stop()]));

describeStore('redisStore', async () => {
  const redis = new Redis(single.url, { disconnectTimeout: 50 });
  const store = redisStore(redis);
  return { store, pass: sleep, end: () => redis.disconnect() };
});

describeStore('redisStore on a Cluster', async () => {
  const redis = new Cluster([...cluster.nodes], { redisOptions: { disconnectTimeout: 50 } });
  const store = redisStore(redis);
  return { store, pass: sleep, end: () => redis.disconnect() };
});

it('only factors and the owners of credentials have no end, and no value of another kind is replaced', async () => {
  const redis = new Redis(single.url, { keyPrefix: '', disconnectTimeout: 50 });
  const store = redisStore(redis, { prefix: 'ends' });
  const account = 'a'.repeat(64);
  await store.writeFactors(account, '{}', 0);
  await store.claimCredential(account, account);
  await store.saveChallenge(account, '{}', 60_000);
  const key = (capability: string): string => `ends:${capability}:{${account}}`;
  expect(await redis.pttl(key('factors'))).toBe(-1);
  expect(await redis.pttl(key('credential'))).toBe(-1);
  expect(await redis.pttl(key('challenge'))).toBeGreaterThan(59_000);
  await store.writeFactors(account, '{}', 1);
  expect(await redis.pttl(key('factors'))).toBe(-1);
  for (const broken of ['', '0 {}', '{}', ' 1 {}']) {
    await redis.set(key('factors'), broken);
    for (const expected of [0, 1]) expect(await store.writeFactors(account, 'x', expected)).toBe(false);
    expect(await redis.get(key('factors'))).toBe(broken);
  }
  await redis.del(key('factors'));
  await redis.sadd(key('factors'), 'x');
  const unavailable = { name: 'StoreUnavailable' };
  await expect(store.writeFactors(account, 'x', 0)).rejects.toMatchObject(unavailable);
  await expect(store.readFactors(account)).rejects.toMatchObject(unavailable);
  store.close();
  redis.disconnect();
});

it('the list of an account has a token for longer than that lives, however often it is touched (TOK-12)', async () => {
  const redis = new Redis(single.url, { disconnectTimeout: 50 });
  const store = redisStore(redis, { prefix: 'index' });
  const [account, key] = ['b'.repeat(64), 'c'.repeat(64)];
  const [idleMs, lifetimeMs] = [100_000, 604_800_000];
  const issued = await store.issueToken({
    key,
    account,
    lifetimeMs,
    idleMs,
    maxPerAccount: 10,
    startedAt: undefined,
    record: '{}',
  });
  const use = { key, account, idleMs, expiresAt: issued?.expiresAt ?? 0 };
  for (let touches = 0; touches < 5; touches += 1) {
    const listed = Number(await redis.zscore(`index:tokens:{${account}}`, key));
    const ends = Date.now() + (await redis.pttl(`index:token:{${key}}`));
    expect(listed - ends).toBeGreaterThan(50_000);
    await sleep(20);
    expect(await store.touchToken(use)).toBe(true);
  }
  // The last touch of all: not beyond the end.
  await store.touchToken({ ...use, idleMs: 2 * lifetimeMs });
  const latest = Number(await redis.zscore(`index:tokens:{${account}}`, key));
  expect(latest).toBe(use.expiresAt + 60_000);
  store.close();
  redis.disconnect();
});

it('a token that had to make room is found by a revocation of all, where it could not be ended (TOK-12)', async () => {
  const redis = new Redis(single.url, { disconnectTimeout: 50 });
  await redis.call('ACL', 'SETUSER', 'clumsy', 'on', '>secret', '~*', '&*', '+@all', '-unlink');
  const clumsy = new Redis(single.url.replace('redis://', 'redis://clumsy:secret@'), {
    disconnectTimeout: 50,
  });
  const [store, failing] = [redis, clumsy].map((client) => redisStore(client, { prefix: 'room' }));
  if (store === undefined || failing === undefined) throw new Error('no store');
  const account = 'd'.repeat(64);
  const token = (key: string) => ({
    key: key.repeat(64),
    account,
    lifetimeMs: 60_000,
    maxPerAccount: 1,
    startedAt: undefined,
    record: '{}',
  });
  await store.issueToken(token('1'));
  await expect(failing.issueToken(token('2'))).rejects.toMatchObject({ name: 'StoreUnavailable' });
  expect(await store.readToken('1'.repeat(64))).not.toBeNull();
  expect(await store.revokeTokens(account)).toBe(2);
  expect(await store.readToken('1'.repeat(64))).toBeNull();
  expect(await store.readToken('2'.repeat(64))).toBeNull();
  for (const one of [store, failing]) one.close();
  for (const client of [redis, clumsy]) client.disconnect();
});
