import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { sql } from 'kysely';
import type { FactorStore } from '../../src/core/factor-store.js';
import { redisStore } from '../../src/stores/redis.js';
import { sqlStore } from '../../src/stores/sql.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { describeStore } from './contract.js';
import { migrate, startDatabases, type Databases } from './databases.js';

let databases: Databases;
let redisServer: RedisServer;

beforeAll(async () => {
  [databases, redisServer] = await Promise.all([startDatabases(), startRedis()]);
  await migrate(databases.openPostgres());
});
afterAll(() => Promise.all([databases.end(), redisServer.stop()]));

describeStore('sqlStore on PostgreSQL', async () => ({
  store: sqlStore(databases.openPostgres()),
  pass: sleep,
  end: () => {},
}));

describeStore('sqlStore on SQLite', async () => {
  const db = databases.openSqlite();
  await sql`pragma journal_mode = wal`.execute(db);
  await migrate(db);
  return { store: sqlStore(db), pass: sleep, end: () => {} };
});

describeStore('factors in PostgreSQL and all else in Redis', async () => {
  const redis = new Redis(redisServer.url, { disconnectTimeout: 50 });
  const durable = sqlStore(databases.openPostgres());
  const factors: FactorStore = {
    readFactors: (account) => durable.readFactors(account),
    writeFactors: (account, record, expected) => durable.writeFactors(account, record, expected),
    claimCredential: (credential, account) => durable.claimCredential(credential, account),
    releaseCredential: (credential, account) => durable.releaseCredential(credential, account),
  };
  const store = { ...redisStore(redis), ...factors };
  return { store, pass: sleep, end: () => redis.disconnect() };
});
