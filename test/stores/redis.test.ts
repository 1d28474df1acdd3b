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
