import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Lockout, memoryStore, redisStore, sqlStore, type RedisStore } from '../../src/index.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { fakeClock } from '../rig/fake-clock.js';
import { until } from '../rig/until.js';
import { migrate, startDatabases, type Databases } from '../stores/databases.js';

const dayMs = 86_400_000;

/** A made-up name, of the length that made-up addresses have. */
const nameOf = (index: number): string => `user-${index}@mail.example`;
const addressOf = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;

/** One wrong password for a name; whether it was looked at. */
async function guess(attempts: Lockout, identifier: string, address?: string): Promise<boolean> {
  const attempt = await attempts.reserve({ identifier, account: undefined, address });
  if (attempt.granted) await attempt.fail();
  return attempt.granted;
}

/** Wrong passwords for `count` names, some at a time. `namesOf` one address. */
async function flood(attempts: Lockout, count: number, perAddress: number, width = 100): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++)
      await guess(attempts, nameOf(index), addressOf(Math.floor(index / perAddress)));
  };
  await Promise.all(Array.from({ length: width }, lane));
}

describe('made-up names on Redis', () => {
  let server: RedisServer;
  let client: Redis;
  let store: RedisStore;
  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
    store = redisStore(client);
  });
  afterAll(async () => {
    store.close();
    client.disconnect();
    await server.stop();
  });

  const usedMemory = async (): Promise<number> =>
    Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);

  it.each([
    ['100 of each address', 100],
    ['each from an address of its own', 1],
  ])('take the memory that the README says, and end within a day (DOS-03): %s', async (_, perAddress) => {
    const attempts = new Lockout({ store });
    // Scripts are loaded by their first call, and stay.
    await guess(attempts, 'alice', addressOf(0));
    await client.flushall();
    const before = await usedMemory();
    const names = 10_000;
    for (let i = 0; i < 10; i += 1) await guess(attempts, 'alice', '192.0.2.1');
    await flood(attempts, names, perAddress);
    const records = names + Math.ceil(names / perAddress) + 2;
    const keys = await client.keys('*');
    expect(keys).toHaveLength(records);
    expect(((await usedMemory()) - before) / records).toBeLessThan(256);

    const ends = await endsOf(client, keys);
    expect(Math.min(...ends)).toBeGreaterThan(dayMs - 60_000);
    expect(Math.max(...ends)).toBeLessThanOrEqual(dayMs);
    // Nobody is pushed out, and nobody else is kept out.
    expect(await attempts.status('alice')).toMatchObject({ locked: true });
    expect(await guess(attempts, 'alice', '192.0.2.2')).toBe(false);
    expect(await guess(attempts, 'bob', '192.0.2.2')).toBe(true);
  });

  it('of an address that is locked take nothing more', async () => {
    await client.flushall();
    const attempts = new Lockout({ store });
    await flood(attempts, 1000, 1000, 1);
    expect(await client.dbsize()).toBe(101);
  });
});

/** In milliseconds; -1 for a key without one. */
async function endsOf(client: Redis, keys: readonly string[]): Promise<number[]> {
  const ends: number[] = [];
  for (let at = 0; at < keys.length; at += 1000) {
    const batch = client.pipeline();
    for (const key of keys.slice(at, at + 1000)) batch.pttl(key);
    for (const [error, end] of (await batch.exec()) ?? []) ends.push(error === null ? Number(end) : -1);
  }
  return ends;
}

describe('made-up names in memory', () => {
  const maxEntries = 300;

  /** Alice is locked and bob has failed once before strangers fill the store. */
  async function filled(perAddress: number) {
    const clock = fakeClock();
    const attempts = new Lockout({ store: memoryStore({ maxEntries, now: clock.now }) });
    for (let i = 0; i < 40; i += 1) {
      expect(await guess(attempts, 'alice', '192.0.2.1')).toBe(true);
      if (i % 10 === 9) clock.advance(3600);
    }
    await guess(attempts, 'bob', '192.0.2.2');
    let looked = 0;
    let refused = 0;
    for (let i = 0; i < 1000; i += 1) {
      await guess(attempts, nameOf(i), addressOf(Math.floor(i / perAddress))).then(
        () => (looked += 1),
        (error: unknown) => {
          expect(error).toMatchObject({ name: 'StoreUnavailable', reason: 'the memory store is full' });
          refused += 1;
        },
      );
    }
    return { clock, attempts, looked, refused };
  }

  it('fill it and no more, free nobody and stop nobody who is counted, until they end (DOS-03)', async () => {
    const { clock, attempts, looked, refused } = await filled(100);
    expect({ looked, refused }).toEqual({ looked: maxEntries - 2, refused: 1000 - maxEntries + 2 });
    expect(await attempts.status('alice')).toMatchObject({ locked: true });
    expect(await guess(attempts, 'alice', '192.0.2.3')).toBe(false);
    expect(await guess(attempts, 'bob', '192.0.2.3')).toBe(true);
    // Counted nowhere, a guess would be free: whoever is new has to wait.
    await expect(guess(attempts, 'carol', '192.0.2.3')).rejects.toMatchObject({ name: 'StoreUnavailable' });
    clock.advance(86_400);
    expect(await guess(attempts, 'carol', '192.0.2.3')).toBe(true);
    expect(await guess(attempts, 'alice', '192.0.2.3')).toBe(true);
  });

  it('of as many addresses stop those who are counted at addresses that are not', async () => {
    const { attempts } = await filled(1);
    expect(await guess(attempts, 'bob', '192.0.2.2')).toBe(true);
    expect(await guess(attempts, 'bob')).toBe(true);
    await expect(guess(attempts, 'bob', '192.0.2.3')).rejects.toMatchObject({ name: 'StoreUnavailable' });
    expect((await attempts.status('bob')).failures[0]).toBe(3);
  });

  it('and right passwords leave nothing behind', async () => {
    const attempts = new Lockout({ store: memoryStore({ maxEntries: 2 }) });
    for (let i = 0; i < 1000; i += 1) {
      const names = { identifier: nameOf(i), account: undefined, address: addressOf(i) };
      const attempt = await attempts.reserve(names);
      if (!attempt.granted) throw new Error('refused');
      await attempt.giveBack();
    }
    expect(await guess(attempts, 'bob', '192.0.2.2')).toBe(true);
  });
});

describe('made-up names in SQL', () => {
  let databases: Databases;
  beforeAll(async () => {
    databases = await startDatabases();
  }, 60_000);
  afterAll(() => databases.end());

  it.each(['PostgreSQL', 'SQLite'])(
    'take a row each, and go once they have ended (DOS-03): %s',
    async (kind) => {
      const db = kind === 'PostgreSQL' ? databases.openPostgres() : databases.openSqlite();
      await migrate(db);
      const attempts = new Lockout({ store: sqlStore(db) });
      const rows = async () => db.selectFrom('portcullis_attempts').select('ends').execute();
      const names = 300;
      await flood(attempts, names, 100, 8);
      const made = await rows();
      expect(made).toHaveLength(names + names / 100);
      for (const { ends } of made) expect(Number(ends)).toBeLessThanOrEqual(Date.now() + dayMs);

      // A day goes by. What comes then takes the old along, more of it than it adds.
      await db.updateTable('portcullis_attempts').set({ ends: 1 }).execute();
      for (let i = 0; i < names / 2; i += 1) await guess(attempts, `later ${i}`);
      await until(async () => (await rows()).filter(({ ends }) => Number(ends) === 1).length === 0);
    },
  );
});
