import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { StoreUnavailable } from '../../src/core/errors.js';
import { LoginLog } from '../../src/core/login-log.js';
import type { Store } from '../../src/stores/memory.js';
import { redisStore } from '../../src/stores/redis.js';
import { sqlStore } from '../../src/stores/sql.js';
import { runLogProcess } from '../rig/log-process.js';
import { compileSources } from '../rig/login-process.js';
import { startRedisCluster, type RedisCluster } from '../rig/redis-cluster.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { migrate, startDatabases, type Databases, type Db } from './databases.js';

const key = randomBytes(32);
const hash = /^portcullis:log:\{([0-9a-f]{64})\}$/;

let redisServer: RedisServer;
let cluster: RedisCluster;
let databases: Databases;
let redis: Redis;
let clusterClient: Cluster;
let postgres: Db;
let sqlite: Db;
let build: Awaited<ReturnType<typeof compileSources>>;
const stores = new Map<string, Store>();

beforeAll(async () => {
  [redisServer, cluster, databases, build] = await Promise.all([
    startRedis(),
    startRedisCluster(),
    startDatabases(),
    compileSources('test/rig/log-process.ts'),
  ]);
  redis = new Redis(redisServer.url, { disconnectTimeout: 50 });
  clusterClient = new Cluster([...cluster.nodes], { redisOptions: { disconnectTimeout: 50 } });
  postgres = databases.openPostgres();
  sqlite = databases.openSqlite();
  await Promise.all([postgres, sqlite].map((db) => migrate(db)));
  stores.set('Redis', redisStore(redis));
  stores.set('Redis Cluster', redisStore(clusterClient));
  stores.set('PostgreSQL', sqlStore(postgres));
  stores.set('SQLite', sqlStore(sqlite));
}, 120_000);

afterAll(async () => {
  redis.disconnect();
  clusterClient.disconnect();
  build.remove();
  await Promise.all([redisServer.stop(), cluster.stop(), databases.end()]);
});

function storeOf(name: string): Store {
  const store = stores.get(name);
  if (store === undefined) throw new Error(`no ${name}`);
  return store;
}

/** Empties the log. */
async function clear(name: string): Promise<void> {
  if (name === 'Redis') await redis.flushall();
  else if (name === 'Redis Cluster') {
    await Promise.all(clusterClient.nodes('master').map((node) => node.flushall()));
  } else {
    const db = name === 'SQLite' ? sqlite : postgres;
    await db.deleteFrom('portcullis_log').execute();
    await db.deleteFrom('portcullis_heads').execute();
  }
}

const names = ['Redis', 'Redis Cluster', 'PostgreSQL', 'SQLite'];

function failed(account: string): AuthEvent {
  const request = { time: Date.now(), ip: '192.0.2.1', requestId: account, userAgent: 'test' };
  return { name: 'login.failed', account, reason: 'wrong', ...request };
}

async function filled(name: string, count = 8): Promise<LoginLog> {
  const log = new LoginLog({ store: storeOf(name), chain: { key }, organisation: () => 'acme' });
  for (let i = 1; i <= count; i += 1) log.record(failed(`u${i}`));
  await log.flush();
  return log;
}

describe.each(names)('a login log on %s', (name) => {
  beforeEach(() => clear(name));

  it('is written, found and verified', async () => {
    const log = await filled(name, 250);
    const first = await log.query({ organisation: 'acme', limit: 200 });
    const second = await log.query({ organisation: 'acme', limit: 200, cursor: first.next ?? '' });
    const accounts = [...first.entries, ...second.entries].map(({ account }) => account);
    expect(accounts.toReversed()).toEqual(Array.from({ length: 250 }, (_, i) => `u${i + 1}`));
    expect(second.next).toBeNull();
    expect((await log.query({ account: 'u7' })).entries).toHaveLength(1);
    expect((await log.query({ requestId: 'u8' })).entries).toMatchObject([{ account: 'u8' }]);
    const verdict = await log.verify();
    expect(verdict).toMatchObject({ ok: true, entries: 250, head: { position: 250 } });
  });

  it('is one chain for several that write at once', async () => {
    const logs = Array.from({ length: 3 }, () => new LoginLog({ store: storeOf(name), chain: { key } }));
    for (let round = 0; round < 4; round += 1) {
      for (const [i, log] of logs.entries()) for (let j = 0; j < 10; j += 1) log.record(failed(`u${i}.${j}`));
      await sleep(5);
    }
    await Promise.all(logs.map((log) => log.flush()));
    expect(await logs[0]?.verify()).toMatchObject({ ok: true, entries: 120 });
  });
});

/** The way to a value in Redis, and how entries are changed there. */
async function inRedis() {
  const [found = ''] = await redis.keys('portcullis:log:*');
  const [, tag] = hash.exec(found) ?? [];
  const valueOf = async (position: number) => (await redis.hget(found, String(position))) ?? '';
  return { log: found, index: `portcullis:logindex:{${tag}}`, valueOf };
}

type Tamper = () => Promise<unknown>;

const tamperRedis: [string, Tamper, string, number][] = [
  [
    'edited',
    async () => {
      const { log, valueOf } = await inRedis();
      await redis.hset(log, '4', (await valueOf(4)).replace('"u4"', '"u5"'));
    },
    'changed',
    4,
  ],
  ['deleted in the middle', async () => redis.hdel((await inRedis()).log, '4'), 'removed', 4],
  ['deleted at the end', async () => redis.hdel((await inRedis()).log, '7', '8'), 'removed', 7],
  [
    'swapped',
    async () => {
      const { log, valueOf } = await inRedis();
      const [fourth, fifth] = [await valueOf(4), await valueOf(5)];
      await redis.hset(log, '4', fifth, '5', fourth);
    },
    'changed',
    4,
  ],
  [
    'inserted, with the rest moved',
    async () => {
      const { log, valueOf } = await inRedis();
      for (let position = 8; position >= 4; position -= 1) {
        await redis.hset(log, String(position + 1), await valueOf(position));
      }
      await redis.hset(log, 'head', ((await redis.hget(log, 'head')) ?? '').replace('1 8 ', '1 9 '));
    },
    'changed',
    5,
  ],
  [
    'hidden from searches',
    async () => {
      const { index } = await inRedis();
      const entries = await redis.zrange(index, '[o', '(p', 'BYLEX');
      await redis.zrem(index, entries[3] ?? '');
    },
    'changed',
    4,
  ],
  [
    'left by a head that was removed',
    async () => redis.hdel((await inRedis()).log, 'head'),
    'rolled_back',
    1,
  ],
  [
    'left behind a head that was set back',
    async () => {
      const { log, valueOf } = await inRedis();
      const [, , , , , seal] = (await valueOf(5)).split(' ');
      await redis.hset(log, 'head', `1 5 0 ${seal}`);
    },
    'rolled_back',
    6,
  ],
];

describe('in Redis, entries', () => {
  beforeEach(() => clear('Redis'));

  it.each(tamperRedis)('that were %s are found out', async (_how, tamper, reason, position) => {
    const log = await filled('Redis');
    expect(await log.verify()).toMatchObject({ ok: true, entries: 8 });
    await tamper();
    expect(await log.verify()).toMatchObject({ ok: false, reason, position });
  });

  it('are not written over where the head is gone or was set back, and the break stays', async () => {
    for (const [, tamper] of tamperRedis.slice(-2)) {
      await clear('Redis');
      const log = await filled('Redis');
      await tamper();
      await log.append({ name: 'a.b', outcome: 'changed' });
      expect(await log.verify()).toMatchObject({ ok: false, reason: 'forked', position: 9 });
      const { entries } = await log.query();
      expect(entries.map(({ position }) => position).toSorted((a, b) => a - b)).toEqual([
        1, 2, 3, 4, 5, 6, 7, 8, 9,
      ]);
    }
  });

  it('end, in one slot, and are deleted with all that they are found by', async () => {
    const log = await filled('Redis', 30);
    const keys = await redis.keys('*');
    expect(new Set(keys.map((one) => one.replace(/^portcullis:(\w+):\{.*$/, '$1')))).toEqual(
      new Set(['log', 'logindex', 'logbatch']),
    );
    expect(new Set(keys.map((one) => one.split(':')[2])).size).toBe(1);
    for (const one of keys) expect(await redis.pttl(one)).toBeGreaterThan(0);
    const { log: logKey, index } = await inRedis();
    expect([await redis.hlen(logKey), await redis.zcard(index)]).toEqual([31, 120]);
    expect(await redis.pttl(logKey)).toBeGreaterThan(364 * 86_400_000);
    // As if written long ago.
    for (let position = 1; position <= 20; position += 1) {
      const value = (await redis.hget(logKey, String(position))) ?? '';
      await redis.hset(logKey, String(position), value.replace(/^\d+/, '1000'));
    }
    const short = new LoginLog({ store: storeOf('Redis'), chain: { key }, retentionSeconds: 86_400 });
    await short.append({ name: 'a.b', outcome: 'changed' });
    expect([await redis.hlen(logKey), await redis.zcard(index)]).toEqual([12, 41]);
    expect(await short.verify()).toMatchObject({ ok: true, entries: 11, first: { position: 21 } });
    // The longer life stays.
    expect(await redis.pttl(logKey)).toBeGreaterThan(364 * 86_400_000);
    expect(await log.query({ account: 'u3' })).toEqual({ entries: [], next: null });
  });

  it('that have ended and wait to be deleted, however many, hide none behind them', async () => {
    const store = storeOf('Redis');
    const entry = { account: null, organisation: null, request: null, time: 1, record: '{}', seal: '' };
    const append = async (id: string, count: number) =>
      store.appendLog({
        id,
        entries: Array.from({ length: count }, () => entry),
        retentionMs: 86_400_000,
        expected: undefined,
      });
    for (let batch = 0; batch < 60; batch += 1) await append(`flood ${batch}`, 200);
    await sleep(1000);
    await append('after', 2);
    const part = await store.walkLog(1, 10, 900);
    expect(part.entries.map(({ position }) => position)).toEqual([12_001, 12_002]);
    expect((await store.walkLog(12_002, 10, 900)).entries).toHaveLength(1);
    expect((await store.walkLog(12_003, 10, 900)).entries).toEqual([]);
  });

  it('of four processes are one chain, with every one of them once', async () => {
    const tasks = ['a', 'b', 'c', 'd'].map((name) => ({
      redisUrl: redisServer.url,
      key: key.toString('base64'),
      name,
      events: 500,
    }));
    const lost = await Promise.all(tasks.map((task) => runLogProcess(build.directory, task)));
    expect(lost).toEqual([0, 0, 0, 0]);
    const log = new LoginLog({ store: storeOf('Redis'), chain: { key } });
    expect(await log.verify()).toMatchObject({ ok: true, entries: 4 * 550 });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await log.query({ outcome: 'failed', limit: 200, ...(cursor !== null && { cursor }) });
      seen.push(...page.entries.map(({ account }) => account ?? ''));
      cursor = page.next;
    } while (cursor !== null);
    const expected = tasks.flatMap(({ name }) => Array.from({ length: 500 }, (_, i) => `${name} ${i}`));
    expect(seen.toSorted()).toEqual(expected.toSorted());
  }, 60_000);

  it('need no command but those of the README', async () => {
    const [, list = ''] =
      /^### Access list\n.*?^```text\n(.*?)^```$/ms.exec(readFileSync('README.md', 'utf8')) ?? [];
    const rules = list.trim().split(/\s+/);
    expect(rules.length).toBeGreaterThan(20);
    await redis.call('ACL', 'SETUSER', 'listed', 'reset', 'on', '>secret', '~portcullis:*', ...rules);
    const url = redisServer.url.replace('redis://', 'redis://listed:secret@');
    const client = new Redis(url, { disconnectTimeout: 50 });
    client.on('error', () => {});
    const store = redisStore(client);
    const log = new LoginLog({ store, chain: { key }, organisation: () => 'acme', retentionSeconds: 86_400 });
    await filled('Redis');
    const { log: logKey, valueOf } = await inRedis();
    await redis.hset(logKey, '1', (await valueOf(1)).replace(/^\d+/, '1000'));
    await log.append({ name: 'a.b', outcome: 'changed', account: 'u1' });
    await redis.hdel(logKey, 'head');
    await log.append({ name: 'a.b', outcome: 'changed', account: 'u1' });
    expect((await log.query({ account: 'u1' })).entries).toHaveLength(2);
    expect(await log.verify()).toMatchObject({ ok: false, reason: 'forked' });
    store.close();
    client.disconnect();
  });

  it('wait while it is down, and all are written once when it is back', async () => {
    const log = await filled('Redis');
    await redis.call('CLIENT', 'PAUSE', '1500', 'ALL');
    for (let i = 0; i < 150; i += 1) log.record(failed(`paused ${i}`));
    await expect(log.append({ name: 'a.b', outcome: 'changed' })).rejects.toThrow(StoreUnavailable);
    await expect(log.flush()).rejects.toThrow(StoreUnavailable);
    for (let tries = 0; tries < 20; tries += 1) {
      const isDone = await log.flush().then(
        () => true,
        () => false,
      );
      if (isDone) break;
    }
    expect(log.lost).toBe(0);
    const { entries } = await log.query({ names: ['login.failed'], limit: 200 });
    const accounts = entries.map(({ account }) => account).filter((one) => one?.startsWith('paused'));
    expect(accounts).toHaveLength(150);
    expect(new Set(accounts)).toEqual(new Set(Array.from({ length: 150 }, (_, i) => `paused ${i}`)));
    expect(await log.verify()).toMatchObject({ ok: true });
  }, 30_000);
});

describe.each([
  ['PostgreSQL', () => postgres],
  ['SQLite', () => sqlite],
] as const)('in %s, entries', (name, open) => {
  const table = 'portcullis_log';
  beforeEach(() => clear(name));
  const rowOf = (db: Db, position: number) =>
    db.selectFrom(table).selectAll().where('position', '=', position).executeTakeFirstOrThrow();
  const update = (db: Db, position: number, change: Record<string, unknown>) =>
    db.updateTable(table).set(change).where('position', '=', position).execute();

  it.each<[string, (db: Db) => Promise<unknown>, string, number]>([
    [
      'edited',
      async (db) => {
        const { record } = await rowOf(db, 4);
        await update(db, 4, { record: String(record).replace('u4', 'u5') });
      },
      'changed',
      4,
    ],
    ['made unreadable', (db) => update(db, 4, { record: 'x' }), 'changed', 4],
    ['given to another account', (db) => update(db, 4, { account: 'f'.repeat(16) }), 'changed', 4],
    ['moved in time', (db) => update(db, 4, { time: 1 }), 'changed', 4],
    ['deleted in the middle', (db) => db.deleteFrom(table).where('position', '=', 4).execute(), 'removed', 4],
    ['deleted at the end', (db) => db.deleteFrom(table).where('position', '>', 6).execute(), 'removed', 7],
    ['made old', (db) => update(db, 4, { written: 1 }), 'removed', 4],
    [
      'swapped',
      async (db) => {
        await update(db, 4, { position: 100 });
        await update(db, 5, { position: 4 });
        await update(db, 100, { position: 5 });
      },
      'changed',
      4,
    ],
    [
      'inserted, with the rest moved',
      async (db) => {
        for (let position = 8; position >= 4; position -= 1)
          await update(db, position, { position: position + 1 });
        await db
          .insertInto(table)
          .values({ ...(await rowOf(db, 3)), position: 4 })
          .execute();
        await db.updateTable('portcullis_heads').set({ position: 9 }).execute();
      },
      'changed',
      4,
    ],
    [
      'left by a head that was removed',
      (db) => db.deleteFrom('portcullis_heads').execute(),
      'rolled_back',
      1,
    ],
    [
      'left behind a head that was set back',
      async (db) => {
        const { seal } = await rowOf(db, 5);
        await db.updateTable('portcullis_heads').set({ position: 5, seal }).execute();
      },
      'rolled_back',
      6,
    ],
  ])('that were %s are found out', async (_how, tamper, reason, position) => {
    const log = await filled(name);
    expect(await log.verify()).toMatchObject({ ok: true, entries: 8 });
    await tamper(open());
    expect(await log.verify()).toMatchObject({ ok: false, reason, position });
  });

  it('are not written over where the head is gone, and the break stays', async () => {
    const log = await filled(name);
    await open().deleteFrom('portcullis_heads').execute();
    await log.append({ name: 'a.b', outcome: 'changed' });
    expect(await log.verify()).toMatchObject({ ok: false, reason: 'forked', position: 9 });
  });

  it('are deleted some time after their retention', async () => {
    await filled(name, 30);
    await open().updateTable(table).set({ written: 1000 }).where('position', '<=', 20).execute();
    const short = new LoginLog({ store: storeOf(name), chain: { key }, retentionSeconds: 86_400 });
    expect((await short.query()).entries).toHaveLength(10);
    await short.append({ name: 'a.b', outcome: 'changed' });
    const { count } = await open()
      .selectFrom(table)
      .select((eb) => eb.fn.countAll().as('count'))
      .executeTakeFirstOrThrow();
    expect(Number(count)).toBe(11);
    expect(await short.verify()).toMatchObject({ ok: true, entries: 11, first: { position: 21 } });
  });
});
