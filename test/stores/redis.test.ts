import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { redisStore } from '../../src/stores/redis.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { describeStore } from './contract.js';

let single: RedisServer;
let cluster: RedisServer;

beforeAll(async () => {
  [single, cluster] = await Promise.all([
    startRedis(),
    startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] }),
  ]);
  const node = new Redis(cluster.url, { disconnectTimeout: 50 });
  await node.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
  while (!String(await node.call('CLUSTER', 'INFO')).includes('cluster_state:ok')) await sleep(20);
  node.disconnect();
});
afterAll(() => Promise.all([single.stop(), cluster.stop()]));

describeStore('redisStore', async () => {
  const redis = new Redis(single.url, { disconnectTimeout: 50 });
  const store = redisStore(redis);
  return { store, pass: sleep, end: () => redis.disconnect() };
});

describeStore('redisStore on a Cluster', async () => {
  const redis = new Cluster([{ host: '127.0.0.1', port: cluster.port }], {
    redisOptions: { disconnectTimeout: 50 },
  });
  const store = redisStore(redis);
  return { store, pass: sleep, end: () => redis.disconnect() };
});
