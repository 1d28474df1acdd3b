import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@libsql/client';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { Redis } from 'ioredis';
import { Kysely } from 'kysely';
import {
  auditConfig,
  Lockout,
  memoryStore,
  redisStore,
  sqlStore,
  StoreUnavailable,
} from '../../src/index.js';
import { inspect } from '../../src/core/store-facts.js';
import { startRedis } from '../rig/redis-server.js';
import { migrate, startDatabases, type Databases, type Db } from './databases.js';

describe('Redis', () => {
  it.each([
    ['by default', [], false, []],
    ['with an append-only file', ['--appendonly', 'yes'], true, []],
    ['that snapshots only', ['--save', '3600 1'], false, []],
    [
      'that may evict',
      ['--maxmemory-policy', 'allkeys-lru'],
      false,
      ['Redis may evict keys (maxmemory-policy allkeys-lru)'],
    ],
  ])('%s says so before anybody logged in', async (_what, args, isDurable, weaknesses) => {
    const server = await startRedis({ args });
    const redis = new Redis(server.url);
    const store = redisStore(redis);
    try {
      expect(await inspect(store)).toEqual({ kind: 'redis', isShared: true, isDurable, weaknesses });
      const { weak } = await auditConfig({ attempts: new Lockout({ store }) });
      expect(weak.some(({ code }) => code === 'store_weak')).toBe(weaknesses.length > 0);
      expect(weak.some(({ code }) => code === 'store_not_durable')).toBe(!isDurable);
    } finally {
      store.close();
      redis.disconnect();
      await server.stop();
    }
  });

  it.each([
    ['to a user who may not ask', []],
    ['where its command is renamed', ['--rename-command', 'INFO', '']],
  ])('does not say %s', async (_what, args) => {
    const server = await startRedis({ args });
    const redis = new Redis(server.url, { enableReadyCheck: false });
    await redis.call('ACL', 'SETUSER', 'login', 'on', '>pw', '~*', '+@all', '-info');
    const restricted = new Redis(server.url, { username: 'login', password: 'pw', enableReadyCheck: false });
    const store = redisStore(args.length === 0 ? restricted : redis);
    try {
      expect(await inspect(store)).toEqual({
        kind: 'redis',
        isShared: true,
        isDurable: null,
        weaknesses: ['Redis does not say whether it evicts keys'],
      });
    } finally {
      store.close();
      restricted.disconnect();
      redis.disconnect();
      await server.stop();
    }
  });

  it('that is gone is not called fine', async () => {
    const server = await startRedis();
    const redis = new Redis(server.url);
    redis.on('error', () => {});
    const store = redisStore(redis);
    try {
      expect(await inspect(store)).toMatchObject({ kind: 'redis' });
      await server.kill();
      await expect(inspect(store)).rejects.toThrow(StoreUnavailable);
    } finally {
      store.close();
      redis.disconnect();
      await server.stop();
    }
  });
});

describe('databases', () => {
  let databases: Databases;

  beforeAll(async () => {
    databases = await startDatabases();
  });
  afterAll(() => databases.end());

  it('PostgreSQL is shared and durable', async () => {
    const db = databases.openPostgres();
    await migrate(db);
    expect(await inspect(sqlStore(db))).toEqual({
      kind: 'postgresql',
      isShared: true,
      isDurable: true,
      weaknesses: [],
    });
  });

  it('without the tables it is not called fine', async () => {
    await expect(inspect(sqlStore(databases.openPostgres(), { prefix: 'none' }))).rejects.toThrow(
      StoreUnavailable,
    );
  });

  it('a file of SQLite is durable, and of one process', async () => {
    const db = databases.openSqlite();
    await migrate(db);
    const facts = { kind: 'sqlite', isShared: false, isDurable: true, weaknesses: [] };
    expect(await inspect(sqlStore(db))).toEqual(facts);
  });

  it('SQLite in memory is not durable', async () => {
    const client = createClient({ url: ':memory:' });
    const db: Db = new Kysely({ dialect: new LibsqlDialect({ client: client as never }) });
    await migrate(db);
    expect(await inspect(sqlStore(db))).toMatchObject({ kind: 'sqlite', isDurable: false });
    await db.destroy();
  });
});

describe('other stores', () => {
  it('one in memory is of one process', async () => {
    expect(await inspect(memoryStore())).toMatchObject({ kind: 'memory', isShared: false, isDurable: false });
  });

  it('one that says nothing is known nothing of', async () => {
    expect(await inspect({})).toBeNull();
  });
});
