import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { StoreUnavailable } from '../../src/core/errors.js';
import { redisStore, type RedisStore, type RedisStoreOptions } from '../../src/index.js';
import { slotOf } from '../../src/stores/redis-slot.js';
import { startRedisCluster, type RedisCluster } from '../rig/redis-cluster.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';

const hash = (): string => randomBytes(32).toString('hex');
const hashes = (count: number): string[] => Array.from({ length: count }, hash);
const unavailable = { name: 'StoreUnavailable', reason: 'too few replicas answered' };

/** A replica need not wait for others to sync with. */
const quick = { args: ['--repl-diskless-sync-delay', '0'] };

let ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

function direct(port: number): Redis {
  const client = new Redis(port, { retryStrategy: () => 50, disconnectTimeout: 50 }).on('error', () => {});
  ends.push(() => client.disconnect());
  return client;
}

function open(redis: Redis | Cluster, options: RedisStoreOptions = { waitReplicas: 1 }): RedisStore {
  const store = redisStore(redis, options);
  ends.push(() => {
    store.close();
    redis.disconnect();
  });
  return store;
}

const issue = (store: RedisStore, account: string, key = hash(), startedAt?: number) =>
  store.issueToken({ key, account, lifetimeMs: 60_000, maxPerAccount: 1000, startedAt, record: '{}' });

async function startLogin(store: RedisStore): Promise<number> {
  const limits = [{ failures: 1, withinMs: 1000, lockMs: 1000 }];
  const decision = await store.reserveAttempt([{ key: hash(), limits }]);
  return decision.granted ? decision.time : 0;
}

/** Again while it is refused: a busy machine can hold up a replica for longer than the store waits. */
async function untilTaken(revoke: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      return void (await revoke());
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }
}

/** Until a replica of it has all that was written. */
async function untilInStep({ port }: RedisServer): Promise<void> {
  const client = direct(port);
  while ((await client.set('mark', '1').then(() => client.wait(1, 1000))) < 1);
}

async function follow(replica: RedisServer, master: RedisServer): Promise<void> {
  await direct(replica.port).replicaof('127.0.0.1', master.port);
  await untilInStep(master);
}

async function issueMany(store: RedisStore, account: string, count: number): Promise<string[]> {
  const keys = hashes(count);
  await Promise.all(keys.map((key) => issue(store, account, key)));
  return keys;
}

async function readAll(store: RedisStore, keys: readonly string[]): Promise<number> {
  return (await Promise.all(keys.map((key) => store.readToken(key)))).filter((one) => one !== null).length;
}

it.each([-1, 6, 1.5, '1', null, true])('%j is no number of replicas', (waitReplicas) => {
  const redis = new Redis({ lazyConnect: true });
  expect(() => redisStore(redis, { waitReplicas: waitReplicas as number })).toThrow(
    /^redisStore: option waitReplicas must be a whole number from 0 to 5, not /,
  );
});

describe('a master with a replica', () => {
  let master: RedisServer;
  let replica: RedisServer;
  let store: RedisStore;

  beforeEach(async () => {
    [master, replica] = await Promise.all([startRedis(quick), startRedis(quick)]);
    ends.push(
      () => master.stop(),
      () => replica.stop(),
    );
    await follow(replica, master);
    store = open(new Redis(master.url, { disconnectTimeout: 50 }));
  });

  /** The replica takes over, and another process finds it. */
  async function failOver(): Promise<RedisStore> {
    await master.kill();
    await direct(replica.port).replicaof('NO', 'ONE');
    return open(new Redis(replica.url, { disconnectTimeout: 50 }), {});
  }

  it('keeps what was revoked revoked when the replica takes over (RED-16)', async () => {
    const account = hash();
    const early = await startLogin(store);
    const [kept = '', one = '', ...rest] = await issueMany(store, account, 50);
    // A replica that lags: it has none of what is revoked until it goes on.
    replica.freeze();
    const revoked = [store.revokeToken(one), store.revokeTokens(account, kept)];
    let answers = 0;
    for (const each of revoked) void each.then(() => (answers += 1));
    await sleep(50);
    expect(answers).toBe(0);
    replica.thaw();
    await Promise.allSettled(revoked);
    await untilTaken(() => store.revokeToken(one));
    await untilTaken(() => store.revokeTokens(account, kept));
    const heir = await failOver();
    expect(await readAll(heir, [one, ...rest])).toBe(0);
    expect(await heir.readToken(kept)).not.toBeNull();
    // The cut-off is there too: a login from before yields none.
    expect(await issue(heir, account, hash(), early)).toBeNull();
  });

  it.each([
    ['is frozen', async () => replica.freeze()],
    ['is gone', () => replica.kill()],
  ])('refuses a revocation while the replica %s, in time, though it is applied', async (_what, lose) => {
    const account = hash();
    const keys = await issueMany(store, account, 20);
    const [one = ''] = keys;
    await lose();
    const start = performance.now();
    await expect(store.revokeToken(one)).rejects.toMatchObject(unavailable);
    expect(performance.now() - start).toBeLessThan(3000);
    // A second one finds nothing left to do, and is no less refused.
    await expect(store.revokeToken(one)).rejects.toMatchObject(unavailable);
    await expect(store.revokeTokens(account)).rejects.toMatchObject(unavailable);
    await expect(store.revokeTokens(hash())).rejects.toMatchObject(unavailable);
    expect(await readAll(store, keys)).toBe(0);
  });

  it('holds up nothing else while it waits, and waits once for many', async () => {
    const account = hash();
    const keys = await issueMany(store, account, 100);
    replica.freeze();
    const start = performance.now();
    let isOver = false;
    const revoked = Promise.allSettled(keys.slice(50).map((key) => store.revokeToken(key))).finally(() => {
      isOver = true;
    });
    for (let reads = 0; reads < 5; reads += 1) {
      expect(await readAll(store, keys.slice(0, 50))).toBe(50);
      await issue(store, hash());
    }
    expect(isOver).toBe(false);
    const late = store.revokeToken(keys[0] ?? '').catch(() => 'refused');
    expect((await revoked).map(({ status }) => status)).toEqual(Array(50).fill('rejected'));
    expect(await late).toBe('refused');
    // A wait for each would take 25 seconds.
    expect(performance.now() - start).toBeLessThan(5000);
    replica.thaw();
    await untilInStep(master);
    await untilTaken(() => store.revokeToken(keys[1] ?? ''));
  });

  it('takes no acknowledgement of a connection that broke', async () => {
    const [one = '', other = ''] = await issueMany(store, hash(), 2);
    await untilTaken(() => store.revokeToken(one));
    replica.freeze();
    const revoked = store.revokeToken(other);
    await Promise.all([
      expect(revoked).rejects.toMatchObject({ name: 'StoreUnavailable' }),
      sleep(100).then(() => direct(master.port).call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')),
    ]);
    replica.thaw();
  });

  it('takes none for what a new master lacks, though the old one had done it', async () => {
    // Connections go to the master; those that are made later, to the replica, which has taken over with its own.
    let target = master.port;
    const front = createServer((socket) => {
      const server = connect(target, '127.0.0.1');
      socket
        .on('error', () => {})
        .pipe(server)
        .on('error', () => {})
        .pipe(socket);
      ends.push(() => socket.destroy());
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    ends.push(() => front.close());
    const { port } = front.address() as AddressInfo;
    const split = open(new Redis(port, { disconnectTimeout: 50 }));
    const account = hash();
    const [one = '', ...rest] = await issueMany(split, account, 20);
    const early = await startLogin(split);
    await untilInStep(master);
    const third = await startRedis();
    ends.push(() => third.stop());
    await direct(replica.port).replicaof('NO', 'ONE');
    await follow(third, replica);
    target = replica.port;

    await untilTaken(() => split.revokeToken(one));
    await untilTaken(() => split.revokeTokens(account));
    const heir = open(new Redis(third.url, { disconnectTimeout: 50 }), {});
    expect(await readAll(heir, [one, ...rest])).toBe(0);
    await direct(third.port).replicaof('NO', 'ONE');
    expect(await issue(heir, account, hash(), early)).toBeNull();
  });

  it('is asked for as many replicas as the option says, by default for none', async () => {
    const [two, none] = [{ waitReplicas: 2 }, {}].map((options) =>
      open(new Redis(master.url, { disconnectTimeout: 50 }), options),
    );
    const [one = '', other = ''] = await issueMany(store, hash(), 2);
    await expect(two?.revokeToken(one)).rejects.toMatchObject(unavailable);
    replica.freeze();
    expect(await none?.revokeToken(other)).toBe(true);
  });

  it('confirms by a key of its own that is gone at once, under the prefix of the client', async () => {
    const redis = new Redis(master.url, { keyPrefix: 'app:', disconnectTimeout: 50 });
    const prefixed = open(redis, { waitReplicas: 1, prefix: 'mine' });
    const [one = ''] = await issueMany(prefixed, hash(), 1);
    const seen: string[] = [];
    const monitor = await direct(master.port).monitor();
    monitor.on('monitor', (_time: string, args: string[]) => seen.push(args.slice(0, 2).join(' ')));
    await prefixed.revokeToken(one).catch(() => {});
    await sleep(50);
    monitor.disconnect();
    expect(seen.filter((line) => /^(?:UNLINK|SET|WAIT)/.test(line))).toEqual([
      `UNLINK app:mine:token:{${one}}`,
      `UNLINK app:mine:token:{${one}}`,
      `SET app:mine:fence:{${one}}`,
      'WAIT 1',
    ]);
    expect(await direct(master.port).keys('*fence*')).toEqual([]);
  });
});

const clusterOptions = { keyPrefix: 'app:', redisOptions: { disconnectTimeout: 50 } };
const shardOf = (key: string): number => Math.floor((slotOf(`{${key}}`) * 3) / 16_384);

describe('a Cluster whose masters have a replica each', () => {
  let cluster: RedisCluster;
  let store: RedisStore;

  beforeEach(async () => {
    cluster = await startRedisCluster();
    ends.push(() => cluster.stop());
    store = open(new Cluster([...cluster.nodes], clusterOptions));
  }, 60_000);

  it('keeps what was revoked revoked when a master is killed, and asks only masters of the tokens (RED-16)', async () => {
    const account = hash();
    const early = await startLogin(store);
    const [kept = '', one = '', ...rest] = await issueMany(store, account, 200);
    expect(new Set(rest.map(shardOf)).size).toBe(3);
    const shard = shardOf(account);
    for (const { replica } of cluster.shards) replica.freeze();
    const revoked = [store.revokeToken(one), store.revokeTokens(account, kept)];
    let answers = 0;
    for (const each of revoked) void each.then(() => (answers += 1));
    await sleep(50);
    expect(answers).toBe(0);
    for (const { replica } of cluster.shards) replica.thaw();
    await Promise.allSettled(revoked);
    await untilTaken(() => store.revokeToken(one));
    await untilTaken(() => store.revokeTokens(account, kept));

    await cluster.killMaster(shard);
    const heir = open(new Cluster([...cluster.nodes], clusterOptions), {});
    expect(await readAll(heir, [one, ...rest])).toBe(0);
    expect(await heir.readToken(kept)).not.toBeNull();
    expect(await issue(heir, account, hash(), early)).toBeNull();

    // The master that took over has no replica now; the others have theirs.
    const keys = await issueMany(store, hash(), 12);
    const [orphaned, others] = [true, false].map((is) =>
      keys.filter((key) => (shardOf(key) === shard) === is),
    );
    for (const key of orphaned ?? []) await expect(store.revokeToken(key)).rejects.toMatchObject(unavailable);
    await Promise.all((others ?? []).map((key) => untilTaken(() => store.revokeToken(key))));
    expect(await readAll(store, keys)).toBe(0);
  }, 60_000);
});
