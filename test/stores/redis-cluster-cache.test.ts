import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { AccessTokens, redisStore, type IssuedToken, type RedisStore } from '../../src/index.js';
import { slotOf } from '../../src/stores/redis-slot.js';
import { proven } from '../rig/factor-rig.js';
import { startRedisCluster, type RedisCluster } from '../rig/redis-cluster.js';
import { until } from '../rig/until.js';

let cluster: RedisCluster;
let keeping: AccessTokens;
let other: AccessTokens;
const opened: { client: Cluster; store: RedisStore }[] = [];

beforeAll(async () => {
  cluster = await startRedisCluster();
  keeping = new AccessTokens({ store: open(), cache: {} });
  other = new AccessTokens({ store: open() });
}, 60_000);
afterAll(async () => {
  for (const { client, store } of opened) {
    store.close();
    client.disconnect();
  }
  await cluster.stop();
});

function open(): RedisStore {
  const client = new Cluster([...cluster.nodes], { redisOptions: { disconnectTimeout: 50 } });
  client.on('error', () => {});
  const store = redisStore(client);
  opened.push({ client, store });
  return store;
}

/** Again where the store could not tell. */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 200) throw error;
      await sleep(50);
    }
  }
}

async function issue(): Promise<IssuedToken> {
  return insist(async () => {
    const login = proven();
    login.passFactor();
    const issued = await other.issue(login);
    if (issued === null) throw new Error('no token');
    return issued;
  });
}

/** Asked for until it is kept. */
async function keep({ secret }: IssuedToken): Promise<void> {
  await until(async () => {
    await keeping.check(secret).catch(() => null);
    return keeping.recall(secret) !== undefined;
  });
}

/** The master, by its place at the start, that has a token. */
function shardOf({ facts }: IssuedToken): number {
  const hash = Buffer.from(facts.token.id, 'base64url').toString('hex');
  return Math.floor((slotOf(`{${hash}}`) * 3) / 16_384);
}

/** Kept ones of each master. */
async function keptByShard(each: number): Promise<IssuedToken[][]> {
  const shards: IssuedToken[][] = [[], [], []];
  while (shards.some((tokens) => tokens.length < each)) {
    const token = await issue();
    const tokens = shards[shardOf(token)];
    if (tokens === undefined || tokens.length >= each) continue;
    await keep(token);
    tokens.push(token);
  }
  // What was kept first may have gone while others came.
  for (const token of shards.flat()) await keep(token);
  return shards;
}

/** Revokes them, and answers those that pass a second later. */
async function passingLate(tokens: readonly IssuedToken[]): Promise<IssuedToken[]> {
  await Promise.all(tokens.map(({ facts }) => insist(() => other.revoke(facts.token.id))));
  await sleep(1000);
  const kept = tokens.filter(({ secret }) => keeping.recall(secret) !== undefined);
  const found = await Promise.all(tokens.map(({ secret }) => insist(() => keeping.check(secret))));
  return [...kept, ...tokens.filter((_, index) => found[index] !== null)];
}

describe('tokens that a process keeps beside a Cluster', () => {
  it('are told of by every master', async () => {
    const shards = await keptByShard(5);
    const left = shards.map((tokens) => tokens.slice(1));
    const ended = shards.map(([first]) => first).filter((token) => token !== undefined);
    expect(ended).toHaveLength(3);
    expect(await passingLate(ended)).toEqual([]);
    for (const { secret } of left.flat()) expect((await keeping.check(secret))?.account.id).toBe('alice');
  }, 60_000);

  it.each<[string, number, (shard: number) => Promise<void>]>([
    ['dies', 0, (shard: number) => cluster.killMaster(shard)],
    ['falls silent', 1, (shard: number) => cluster.silenceMaster(shard)],
  ])(
    'are not believed for longer than maxStaleSeconds when a master %s, and are kept again with its heir (TOK-03)',
    async (_, shard, end) => {
      const shards = await keptByShard(4);
      const others = shards.flatMap((tokens, index) => (index === shard ? [] : tokens.slice(0, 2)));
      const failover = end(shard);
      // On the masters that are left: told, or not trusted.
      expect(await passingLate(others)).toEqual([]);
      await failover;
      expect(await passingLate(shards[shard] ?? [])).toEqual([]);
      const again = await keptByShard(2);
      expect(await passingLate(again.flat())).toEqual([]);
    },
    120_000,
  );
});
