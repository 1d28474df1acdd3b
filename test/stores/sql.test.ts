import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CamelCasePlugin, sql, type KyselyPlugin, type Transaction } from 'kysely';
import type { AttemptSubject } from '../../src/core/attempt-store.js';
import type { AttemptLimit } from '../../src/core/attempt-window.js';
import { StoreUnavailable } from '../../src/core/errors.js';
import { ask } from '../../src/core/store-call.js';
import { sqlMigrations, type SqlDatabase } from '../../src/stores/sql-migrations.js';
import { sqlStore, type SqlStore } from '../../src/stores/sql.js';
import type { PostgresServer } from '../rig/postgres.js';
import { migrate, startDatabases, type Databases, type Db } from './databases.js';

const minute = 60_000;
const hash = (): string => randomBytes(32).toString('hex');
const times = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));
/** A few at a time: on SQLite, who waits for too long behind the others is refused. */
async function inTurns(count: number, make: (index: number) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < count; at += 16) await times(Math.min(16, count - at), (i) => make(at + i));
}
const limitOf = (failures: number, withinMs = minute, lockMs = withinMs): AttemptLimit => ({
  failures,
  withinMs,
  lockMs,
});
const subjectOf = (...limits: AttemptLimit[]): AttemptSubject => ({ key: hash(), limits });

let running: Databases;
let server: PostgresServer;
const openPostgres = (port?: number): Db => running.openPostgres(port);
const openSqlite = (): Db => running.openSqlite();

beforeAll(async () => {
  running = await startDatabases();
  ({ server } = running);
});
afterAll(() => running.end());

/** With PostgreSQL two pools: two processes as the database sees them. */
const databases = [
  ['PostgreSQL', openPostgres],
  ['SQLite', openSqlite],
] as const;

describe.each(databases)('sqlStore on %s', (name, open) => {
  const isPostgres = name === 'PostgreSQL';
  let db: Db;
  let store: SqlStore;
  let other: SqlStore;
  const either = (index: number): SqlStore => (index % 2 === 0 ? store : other);

  beforeAll(async () => {
    db = open();
    if (!isPostgres) await sql`pragma journal_mode = wal`.execute(db);
    await migrate(db);
    store = sqlStore(db);
    // A SQLite file belongs to one process, as libsql reads old rows after it has met a lock.
    other = sqlStore(isPostgres ? open() : db);
  });

  const rows = (table: string) => db.selectFrom(`portcullis_${table}`).selectAll().execute();
  /** How many ended rows each table has. */
  const countEnded = async (): Promise<number[]> =>
    Promise.all(
      ['tokens', 'challenges', 'sessions', 'documents', 'pending', 'attempts', 'cutoffs'].map(
        async (table) => (await rows(table)).filter(({ ends }) => Number(ends) < Date.now() - 1).length,
      ),
    );
  const rowOf = (table: string, id: string) =>
    db.selectFrom(`portcullis_${table}`).selectAll().where('id', '=', id).executeTakeFirst();

  async function reserve(...subjects: AttemptSubject[]) {
    const decision = await store.reserveAttempt(subjects);
    if (!decision.granted) throw new Error('The attempt was refused');
    return decision;
  }
  const startLogin = async (): Promise<number> => (await reserve(subjectOf(limitOf(1)))).time;

  const issue = (account: string, key = hash(), startedAt?: number, by?: SqlStore) =>
    (by ?? store).issueToken({
      key,
      account,
      lifetimeMs: minute,
      maxPerAccount: 1000,
      startedAt,
      record: `{"é":"${key}\u0000"}`,
    });

  const openLogin = (
    account: string,
    handle = hash(),
    startedAt?: number,
    lifetimeMs = minute,
    by?: SqlStore,
  ) =>
    (by ?? store).openPendingLogin({
      account,
      handle,
      startedAt,
      lifetimeMs,
      maxPerAccount: 5,
      record: '{"a":"\u0000é"}',
    });

  describe('counts attempts so that', () => {
    it('exactly the limit is granted to 100 parallel attempts of two processes (RCE-01)', async () => {
      const subject = subjectOf(limitOf(10), limitOf(20, 2 * minute));
      const decisions = await times(100, (i) => either(i).reserveAttempt([subject]));
      const granted = decisions.filter((one) => one.granted);
      expect(granted).toHaveLength(10);
      expect(granted.filter((one) => one.full)).toHaveLength(1);
      expect((await store.readAttempts(subject)).counts).toEqual([10, 10]);
      const { stamps } = (await rowOf('attempts', subject.key)) ?? {};
      const listed = String(stamps).split(',').map(Number);
      expect(listed).toEqual(listed.toSorted((a, b) => a - b));
    });

    it('subjects named in opposite orders, known or new, wait for each other and for nothing else', async () => {
      for (let round = 0; round < 10; round += 1) {
        const subjects = [subjectOf(limitOf(100)), subjectOf(limitOf(100)), subjectOf(limitOf(100))];
        const start = performance.now();
        const decisions = await times(40, (i) =>
          either(i).reserveAttempt(i % 3 === 0 ? subjects : subjects.toReversed()),
        );
        expect(decisions.every((one) => one.granted)).toBe(true);
        expect(performance.now() - start).toBeLessThan(700);
        for (const subject of subjects) expect((await store.readAttempts(subject)).counts).toEqual([40]);
      }
    });

    it('an attempt counts for all its subjects or for none, and a refused one leaves no row', async () => {
      const address = subjectOf(limitOf(10));
      const accounts = Array.from({ length: 100 }, () => subjectOf(limitOf(100)));
      const decisions = await Promise.all(
        accounts.map((account, i) => either(i).reserveAttempt([account, address])),
      );
      expect(decisions.filter((one) => one.granted)).toHaveLength(10);
      const states = await Promise.all(accounts.map((one) => store.readAttempts(one)));
      expect(states.filter(({ counts }) => counts[0] === 1)).toHaveLength(10);
      const late = subjectOf(limitOf(100));
      expect(await store.reserveAttempt([late, address])).toMatchObject({ granted: false, subject: 1 });
      expect(await rowOf('attempts', late.key)).toBeUndefined();
    });

    it('100 given back in parallel leave nothing to forget, and the row is used again', async () => {
      const subject = subjectOf(limitOf(200));
      const attempts = await times(100, () => reserve(subject));
      await Promise.all(attempts.map(({ stamps }, i) => either(i).releaseAttempt([subject], stamps)));
      expect(await store.readAttempts(subject)).toEqual({
        closedForMs: 0,
        busy: false,
        lockedAt: 0,
        counts: [0],
      });
      expect(await store.clearAttempts(subject)).toBe(false);
      await reserve(subject);
      expect(await store.clearAttempts(subject)).toBe(true);
      expect(await store.clearAttempts(subject)).toBe(false);
    });

    it('a lock is told to exactly one of 100 callers, and ends when it said', async () => {
      const subject = subjectOf(limitOf(2, 200));
      await reserve(subject);
      const { stamps } = await reserve(subject);
      expect(await store.readAttempts(subject)).toMatchObject({ busy: true, lockedAt: 0 });
      const told = await times(20, (i) => either(i).lockAttempts([subject], stamps));
      expect(told.filter(([ms]) => ms !== 0)).toHaveLength(1);
      const { closedForMs, busy } = await store.readAttempts(subject);
      expect(busy).toBe(false);
      await sleep(closedForMs + 1);
      await reserve(subject);
    });

    it('forgetting in parallel with attempts never counts one that was refused', async () => {
      const subject = subjectOf(limitOf(5));
      const answers = await times(60, async (i) =>
        i % 6 === 0 ? either(i).clearAttempts(subject) : (await either(i).reserveAttempt([subject])).granted,
      );
      expect(answers).toHaveLength(60);
      const [count = 9] = (await store.readAttempts(subject)).counts;
      expect(count).toBeLessThanOrEqual(5);
    });

    it('a clock that was set back frees nobody, and locks nobody for longer than the lock', async () => {
      const subject = subjectOf(limitOf(2, minute));
      await reserve(subject);
      const { stamps } = await reserve(subject);
      await store.lockAttempts([subject], stamps);
      const ahead = (stamps[0] ?? 0) + 3_600_000;
      await db
        .updateTable('portcullis_attempts')
        .set({ stamps: `${ahead - 1},${ahead}`, locked: ahead, ends: ahead + minute })
        .where('id', '=', subject.key)
        .execute();
      const { closedForMs } = await store.readAttempts(subject);
      expect(closedForMs).toBe(minute);
      await sleep(50);
      const later = await store.readAttempts(subject);
      expect(later.closedForMs).toBeLessThanOrEqual(minute - 45);
      expect(later.busy).toBe(false);
    });

    it.each(['1,x', '2,1', '1,,2', '-1', '1e3'])('the stamps %j are refused', async (stamps) => {
      const subject = subjectOf(limitOf(2));
      await reserve(subject);
      await db.updateTable('portcullis_attempts').set({ stamps }).where('id', '=', subject.key).execute();
      await expect(store.readAttempts(subject)).rejects.toThrow(StoreUnavailable);
      await expect(store.reserveAttempt([subject])).rejects.toThrow(StoreUnavailable);
    });
  });

  describe('keeps tokens so that', () => {
    it('one is read as it was written, by each process, and is revoked once', async () => {
      const [account, key] = [hash(), hash()];
      const token = await issue(account, key);
      expect(token).toMatchObject({ key, record: `{"é":"${key}\u0000"}` });
      expect((token?.expiresAt ?? 0) - (token?.createdAt ?? 0)).toBe(minute);
      expect(await other.readToken(key)).toEqual(token);
      expect(await other.listTokens(account)).toEqual([token]);
      const answers = await times(100, (i) => either(i).revokeToken(key));
      expect(answers.filter(Boolean)).toHaveLength(1);
      expect(await store.readToken(key)).toBeNull();
      expect(await store.listTokens(account)).toEqual([]);
    });

    it('one that was seen to have ended does not come back', async () => {
      const [account, key] = [hash(), hash()];
      await store.issueToken({
        key,
        account,
        lifetimeMs: 40,
        maxPerAccount: 1000,
        startedAt: undefined,
        record: '',
      });
      await sleep(45);
      expect(await store.listTokens(account)).toEqual([]);
      expect(await store.revokeToken(key)).toBe(false);
      expect(await store.readToken(key)).toBeNull();
      expect(await rowOf('tokens', key)).toBeUndefined();
    });

    it('beyond the most of an account those that would end first go, never the new one', async () => {
      const account = hash();
      const issueFor = async (lifetimeMs: number, by = store): Promise<string> => {
        const key = hash();
        await by.issueToken({ key, account, lifetimeMs, maxPerAccount: 3, startedAt: undefined, record: '' });
        return key;
      };
      const long = await issueFor(3 * minute);
      const [first, second] = [await issueFor(minute), await issueFor(2 * minute)];
      const short = await issueFor(minute / 2);
      expect(await store.readToken(first)).toBeNull();
      const live = (await store.listTokens(account)).map(({ key }) => key);
      expect(live).toEqual([short, second, long]);
      await inTurns(50, (i) => issueFor(4 * minute + i, either(i)));
      const left = await store.listTokens(account);
      expect(left.length).toBeGreaterThanOrEqual(2);
      expect(left.length).toBeLessThanOrEqual(3);
    });

    it('revoking all ends each but the one to keep, and no other account’s', async () => {
      const [account, foreign, kept] = [hash(), hash(), hash()];
      await inTurns(100, (i) => issue(account, hash(), undefined, either(i)));
      await issue(account, kept);
      await issue(hash(), foreign);
      expect(await store.revokeTokens(account, kept)).toBe(100);
      expect((await store.listTokens(account)).map(({ key }) => key)).toEqual([kept]);
      expect(await store.revokeTokens(account)).toBe(1);
      expect(await store.readToken(foreign)).not.toBeNull();
    });

    it('none of a login that began before survives, however they meet (RCE-14)', async () => {
      for (let round = 0; round < 20; round += 1) {
        const account = hash();
        const startedAt = await startLogin();
        const keys = Array.from({ length: 20 }, hash);
        const issued = keys.map((key, i) => issue(account, key, startedAt, either(i)));
        const revoked = [store.revokeTokens(account), other.revokeTokens(account)];
        await Promise.all([...issued, ...revoked]);
        expect(await Promise.all(keys.map((key) => store.readToken(key)))).toEqual(Array(20).fill(null));
        expect(await issue(account, hash(), startedAt, other)).toBeNull();
        expect(await issue(account, hash(), await startLogin())).not.toBeNull();
        expect(await store.listTokens(account)).toHaveLength(1);
      }
    });
  });

  it('a clock that was set back shuts nobody out for the jump, and revives no login from before', async () => {
    const [account, before, after, next] = [hash(), hash(), hash(), hash()];
    const ahead = 600_000_000;
    const startedAt = await startLogin();
    await openLogin(account, before, startedAt);
    await store.revokeTokens(account);
    const revoked = { time: startedAt + ahead, ends: Math.floor((startedAt + ahead) / 1000) + 60 * minute };
    await db.updateTable('portcullis_cutoffs').set(revoked).where('account', '=', account).execute();
    expect(await store.readPendingLogin(account, before)).toBeNull();
    // The first login finds it out, and is void like those from before.
    await openLogin(account, after, await startLogin());
    expect(await store.readPendingLogin(account, after)).toBeNull();
    const later = await startLogin();
    await openLogin(account, next, later);
    expect(await store.tryPendingLogin(account, next, 5)).toBe(1);
    expect(await issue(account, hash(), later)).not.toBeNull();
    expect(await issue(account, hash(), startedAt)).toBeNull();
    // From before the jump, so perhaps from before the revocation.
    expect(await issue(account, hash(), startedAt + ahead)).toBeNull();
    expect(await issue(hash(), hash(), startedAt + ahead)).toBeNull();
    const old = hash();
    await openLogin(account, old, startedAt + ahead);
    expect(await store.readPendingLogin(account, old)).toBeNull();
    await db
      .updateTable('portcullis_pending')
      .set({ started: later + ahead })
      .where('id', '=', next)
      .execute();
    expect(await store.readPendingLogin(account, next)).toBeNull();
    expect(await store.closePendingLogin(account, next)).toBe(false);
  });

  describe('keeps pending logins so that', () => {
    it('one is read as it was written, by its own account and handle', async () => {
      const [account, handle, startedAt] = [hash(), hash(), await startLogin()];
      await openLogin(account, handle, startedAt);
      expect(await other.readPendingLogin(account, handle)).toEqual({ startedAt, record: '{"a":"\u0000é"}' });
      expect(await store.readPendingLogin(hash(), handle)).toBeNull();
      expect(await store.tryPendingLogin(hash(), handle, 5)).toBeNull();
      expect(await store.closePendingLogin(hash(), handle)).toBe(false);
    });

    it('100 tries in parallel are counted once each, and none beyond the last (PND-08)', async () => {
      const [account, handle] = [hash(), hash()];
      await openLogin(account, handle);
      const tries = await times(100, (i) => either(i).tryPendingLogin(account, handle, 5));
      expect(tries.filter((one) => one !== null).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
      const closed = await times(100, (i) => either(i).closePendingLogin(account, handle));
      expect(closed.filter(Boolean)).toHaveLength(1);
      expect(await store.readPendingLogin(account, handle)).toBeNull();
    });

    it('the newest stay, also of 40 opened in parallel (PND-24)', async () => {
      const [account, parallel] = [hash(), hash()];
      const handles = Array.from({ length: 8 }, hash);
      for (const handle of handles) {
        await openLogin(account, handle);
        await sleep(2);
      }
      const found = await Promise.all(handles.map((handle) => store.readPendingLogin(account, handle)));
      expect(found.map((one) => one !== null)).toEqual([...Array(3).fill(false), ...Array(5).fill(true)]);
      const many = Array.from({ length: 40 }, hash);
      await Promise.all(many.map((handle, i) => openLogin(parallel, handle, undefined, minute, either(i))));
      const left = await Promise.all(many.map((handle) => store.readPendingLogin(parallel, handle)));
      expect(left.filter((one) => one !== null)).toHaveLength(5);
    });

    it('what has ended or is cut off is dead to every method, and takes no place (PND-07, RCE-15)', async () => {
      const account = hash();
      const [ended, before, uncounted, late, next] = [hash(), hash(), hash(), hash(), hash()];
      const startedAt = await startLogin();
      await openLogin(account, ended, undefined, 30);
      await openLogin(account, before, startedAt);
      await openLogin(account, uncounted);
      await sleep(31);
      await other.revokeTokens(account);
      await openLogin(account, next, await startLogin());
      await sleep(2);
      await openLogin(account, late, startedAt);
      for (let i = 0; i < 5; i += 1) await openLogin(account, hash(), startedAt);
      for (const handle of [ended, before, uncounted, late]) {
        expect(await store.readPendingLogin(account, handle)).toBeNull();
        expect(await store.tryPendingLogin(account, handle, 5)).toBeNull();
        expect(await store.closePendingLogin(account, handle)).toBe(false);
      }
      expect(await store.tryPendingLogin(account, next, 5)).toBe(1);
      expect(await store.closePendingLogin(account, next)).toBe(true);
    });
  });

  describe('keeps factors so that', () => {
    it('a record is written by exactly one of 100 callers who expect its revision', async () => {
      const account = hash();
      expect(await store.readFactors(account)).toBeNull();
      for (let expected = 0; expected < 3; expected += 1) {
        const answers = await times(100, (i) =>
          either(i).writeFactors(account, `${i} \u0000é\ud800`, expected),
        );
        expect(answers.filter(Boolean)).toHaveLength(1);
        const record = `${answers.indexOf(true)} \u0000é\ud800`;
        expect(await other.readFactors(account)).toEqual({ revision: expected + 1, record });
      }
      for (const wrong of [0, 1, 2, 4]) expect(await store.writeFactors(account, 'x', wrong)).toBe(false);
      expect(await store.writeFactors(hash(), 'x', 1)).toBe(false);
      expect(await store.readFactors(account)).toMatchObject({ revision: 3 });
    });

    it.each(['', 'null', '{}', '[""]', '5', '"open', '"a" "b"', '\u0022\u0007"'])(
      'the row %j is no record (I9)',
      async (record) => {
        const account = hash();
        await store.writeFactors(account, 'record', 0);
        await store.saveChallenge(account, 'record', minute);
        await db.updateTable('portcullis_factors').set({ record }).where('account', '=', account).execute();
        await db.updateTable('portcullis_challenges').set({ record }).where('id', '=', account).execute();
        await expect(store.readFactors(account)).rejects.toThrow(StoreUnavailable);
        await expect(store.readChallenge(account)).rejects.toThrow(StoreUnavailable);
        await expect(store.takeChallenge(account)).rejects.toThrow(StoreUnavailable);
      },
    );

    it.each([-1, 0, '9007199254740993'])('%j is no revision (I9)', async (revision) => {
      const account = hash();
      await store.writeFactors(account, 'record', 0);
      await db.updateTable('portcullis_factors').set({ revision }).where('account', '=', account).execute();
      const read = () => store.readFactors(account);
      await expect(ask(read, () => true)).rejects.toThrow(StoreUnavailable);
      expect(await store.writeFactors(account, 'x', 0)).toBe(false);
    });

    it('a credential belongs to exactly one of 100 accounts, until it is given up', async () => {
      const credential = hash();
      const accounts = Array.from({ length: 100 }, hash);
      const answers = await times(100, (i) => either(i).claimCredential(credential, accounts[i] ?? ''));
      expect(answers.filter(Boolean)).toHaveLength(1);
      const holder = accounts[answers.indexOf(true)] ?? '';
      expect(await other.claimCredential(credential, holder)).toBe(true);
      await store.releaseCredential(credential, hash());
      expect(await store.claimCredential(credential, hash())).toBe(false);
      await other.releaseCredential(credential, holder);
      expect(await store.claimCredential(credential, hash())).toBe(true);
    });
  });

  describe('keeps challenges so that', () => {
    it('one is replaced by the next, and taken by exactly one of 100 callers', async () => {
      const key = hash();
      expect(await store.takeChallenge(key)).toBeNull();
      await store.saveChallenge(key, 'first', minute);
      await other.saveChallenge(key, 'second \u0000é', minute);
      expect(await store.readChallenge(key)).toBe('second \u0000é');
      const taken = await times(100, (i) => either(i).takeChallenge(key));
      expect(taken.filter((one) => one !== null)).toEqual(['second \u0000é']);
      expect(await store.readChallenge(key)).toBeNull();
    });

    it('one that has ended is nobody’s, and the next one under its key is', async () => {
      const key = hash();
      await store.saveChallenge(key, 'first', 30);
      await sleep(31);
      expect(await store.readChallenge(key)).toBeNull();
      expect(await store.takeChallenge(key)).toBeNull();
      await store.saveChallenge(key, 'second', minute);
      expect(await store.takeChallenge(key)).toBe('second');
    });

    it('none is taken twice while others replace it', async () => {
      const key = hash();
      const saved = times(30, (i) => either(i).saveChallenge(key, `${i}`, minute));
      const taken = await times(60, (i) => either(i).takeChallenge(key));
      await saved;
      const records = taken.filter((one) => one !== null);
      expect(new Set(records).size).toBe(records.length);
    });
  });

  it('what has ended is deleted as more is written', async () => {
    const lifetimeMs = 1;
    const account = hash();
    const login = () => ({
      account: hash(),
      handle: hash(),
      startedAt: undefined,
      lifetimeMs,
      maxPerAccount: 5,
      record: '',
    });
    await inTurns(64, async () => {
      await store.issueToken({
        key: hash(),
        account,
        lifetimeMs,
        maxPerAccount: 1000,
        startedAt: undefined,
        record: '',
      });
      await store.saveChallenge(hash(), 'x', lifetimeMs);
      await store.saveSession(hash(), 'x', lifetimeMs);
      await store.replaceDocument(hash(), null, 'x', lifetimeMs);
      await store.openPendingLogin(login());
      await reserve(subjectOf(limitOf(5, 1)));
    });
    await db.updateTable('portcullis_cutoffs').set({ ends: 1 }).execute();
    await inTurns(70, () => store.revokeTokens(account));
    for (let i = 0; i < 40 && (await countEnded()).some((count) => count >= 64); i += 1) {
      await store.issueToken({
        key: hash(),
        account,
        lifetimeMs,
        maxPerAccount: 1000,
        startedAt: undefined,
        record: '',
      });
      await store.saveChallenge(hash(), 'x', lifetimeMs);
      await store.saveSession(hash(), 'x', lifetimeMs);
      await store.replaceDocument(hash(), null, 'x', lifetimeMs);
      await store.openPendingLogin(login());
      await reserve(subjectOf(limitOf(5, 1)));
    }
    for (const count of await countEnded()) expect(count).toBeLessThan(64);
  });

  it('tables have the prefix, and go again with what they hold', async () => {
    const count = async (): Promise<number> =>
      (await db.introspection.getTables()).filter((table) => /^gate_(?!migration)/.test(table.name)).length;
    await migrate(db, 'gate');
    expect(await count()).toBe(11);
    const gate = sqlStore(db, { prefix: 'gate' });
    const account = hash();
    expect(await gate.writeFactors(account, 'record', 0)).toBe(true);
    expect(await gate.claimCredential(hash(), account)).toBe(true);
    expect(await store.readFactors(account)).toBeNull();
    await migrate(db, 'gate', 'down');
    expect(await count()).toBe(0);
    await expect(gate.readFactors(account)).rejects.toThrow('gate_factors');
    await migrate(db, 'gate');
    expect(await gate.readFactors(account)).toBeNull();
  });

  it('plugins of the app that rename columns change nothing', async () => {
    const camel = sqlStore(db.withPlugin(new CamelCasePlugin()));
    const [key, account] = [hash(), hash()];
    const token = await camel.issueToken({
      key,
      account,
      lifetimeMs: minute,
      maxPerAccount: 1000,
      startedAt: 1,
      record: 'r',
    });
    expect(await store.readToken(key)).toEqual(token);
    const subject = subjectOf(limitOf(1));
    expect(await camel.reserveAttempt([subject])).toMatchObject({ granted: true });
    expect(await camel.reserveAttempt([subject])).toMatchObject({ granted: false });
  });

  it.each([undefined, null, {}, 'db', { prefix: 'P' }])('does not take %j for a Kysely', (given) => {
    expect(() => sqlStore(given as never)).toThrow(/^sqlStore: kysely must be a Kysely instance/);
  });

  it('takes no transaction, no other prefix and no unknown option', async () => {
    await db.transaction().execute(async (trx: Transaction<Record<string, Record<string, unknown>>>) => {
      expect(() => sqlStore(trx)).toThrow('sqlStore: kysely must not be a transaction');
    });
    for (const prefix of ['', 'A', '1a', 'a-b', 'a"b', 'a'.repeat(33)]) {
      expect(() => sqlStore(db, { prefix })).toThrow(/^sqlStore: option prefix must be/);
      expect(() => sqlMigrations(prefix)).toThrow(/^sqlMigrations: prefix must be/);
    }
    expect(() => sqlStore(db, { prefxi: 'a' } as never)).toThrow(/^sqlStore: unknown option "prefxi"/);
  });
});

/** Lets `work` run while somebody else holds the row of a subject. */
async function whileHeld(db: Db, { key }: AttemptSubject, work: (trx: Db) => Promise<void>): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.updateTable('portcullis_attempts').set({ locked: 0 }).where('id', '=', key).execute();
    await work(trx);
  });
}

describe('a row that is held', () => {
  it('is waited for, and the time is taken afterwards', async () => {
    const db = openPostgres();
    const store = sqlStore(db);
    const subject = subjectOf(limitOf(5));
    await store.reserveAttempt([subject]);
    let waiting: ReturnType<typeof store.reserveAttempt> | undefined;
    let releasedAt = 0;
    await whileHeld(db, subject, async (trx) => {
      waiting = store.reserveAttempt([subject]);
      await sleep(100);
      const clock = sql<string>`extract(epoch from clock_timestamp()) * 1000000`;
      releasedAt = Number((await trx.selectNoFrom(clock.as('now')).executeTakeFirstOrThrow()).now);
    });
    const decision = await waiting;
    expect(decision).toMatchObject({ granted: true });
    expect(decision?.granted === true && decision.time > releasedAt).toBe(true);
    expect((await store.readAttempts(subject)).counts).toEqual([2]);
  });

  it.each(databases)(
    'on %s is not counted in for a caller who has been refused meanwhile',
    async (_, open) => {
      const db = open();
      const subject = subjectOf(limitOf(5));
      await sqlStore(db).reserveAttempt([subject]);
      let late: Promise<unknown> | undefined;
      await whileHeld(db, subject, async () => {
        late = sqlStore(open())
          .reserveAttempt([subject])
          .catch((error: unknown) => error);
        await sleep(800);
      });
      await late;
      expect((await sqlStore(open()).readAttempts(subject)).counts).toEqual([1]);
    },
  );
});

/** Holds each result back for as long as `wait` takes. */
function held(wait: () => Promise<unknown>): KyselyPlugin {
  return {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      await wait();
      return result;
    },
  };
}

it('SQLite does nothing more for those whose callers were refused while they waited for their turn', async () => {
  const db = openSqlite();
  const store = sqlStore(db.withPlugin(held(() => sleep(100))));
  const accounts = Array.from({ length: 20 }, hash);
  const writes = await Promise.allSettled(accounts.map((account) => store.writeFactors(account, 'x', 0)));
  const found = await Promise.all(accounts.map((account) => sqlStore(db).readFactors(account)));
  expect(found.filter((one) => one !== null).length).toBeLessThan(9);
  expect(found.map((one) => one !== null)).toEqual(writes.map(({ status }) => status === 'fulfilled'));
  expect(await store.writeFactors(hash(), 'x', 0)).toBe(true);
});

it.each(databases)(
  'on %s a challenge that was replaced between reading and taking is left alone',
  async (_, open) => {
    const db = open();
    const store = sqlStore(db);
    const key = hash();
    await store.saveChallenge(key, 'first', minute);
    const replaced = new AbortController();
    const wait = async (): Promise<unknown> => replaced.signal.aborted || once(replaced.signal, 'abort');
    const late = sqlStore(db.withPlugin(held(wait))).takeChallenge(key);
    await sleep(50);
    expect(await store.takeChallenge(key)).toBe('first');
    await store.saveChallenge(key, 'second', minute);
    replaced.abort();
    // Not the first, which is taken: it looks again.
    expect(await late).toBe('second');
    expect(await store.readChallenge(key)).toBeNull();
  },
);

it('a database that is neither is refused by name', () => {
  const mysql = { ...probe('select `id` from `tokens` where `id` = ?'), isTransaction: false };
  expect(() => sqlStore(mysql as unknown as SqlDatabase)).toThrow(
    'sqlStore: kysely must speak to PostgreSQL or SQLite',
  );
});

function probe(text: string) {
  const query = { select: () => query, where: () => query, compile: () => ({ sql: text }) };
  return { selectFrom: () => query, transaction: () => query, schema: {} };
}

/** A wire to PostgreSQL that can be cut, and that can fall silent, as a whole or for the connections it has. */
async function startCable(port: number) {
  const sockets = new Set<Socket>();
  const muted = new Set<Socket>();
  let isSilent = false;
  const listener = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {}).on('close', () => to.destroy());
      from.on('data', (chunk: Buffer) => {
        if (!isSilent && !muted.has(from)) to.write(chunk);
      });
    }
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    port: (listener.address() as AddressInfo).port,
    cut,
    mute() {
      for (const socket of sockets) muted.add(socket);
    },
    silence(silent: boolean) {
      isSilent = silent;
    },
    close() {
      cut();
      listener.close();
    },
  };
}

/** A call of each method that a login needs. */
function everyPort(store: SqlStore): (() => Promise<unknown>)[] {
  const subject = subjectOf(limitOf(5));
  const token = {
    key: hash(),
    account: hash(),
    lifetimeMs: minute,
    maxPerAccount: 9,
    startedAt: 1,
    record: '',
  };
  const login = {
    account: hash(),
    handle: hash(),
    startedAt: 1,
    lifetimeMs: minute,
    maxPerAccount: 5,
    record: '',
  };
  return [
    () => store.reserveAttempt([subject]),
    () => store.releaseAttempt([subject], [1]),
    () => store.readAttempts(subject),
    () => store.clearAttempts(subject),
    () => store.issueToken(token),
    () => store.readToken(hash()),
    () => store.revokeToken(hash()),
    () => store.revokeTokens(hash()),
    () => store.openPendingLogin(login),
    () => store.tryPendingLogin(hash(), hash(), 5),
    () => store.closePendingLogin(hash(), hash()),
    () => store.readFactors(hash()),
    () => store.writeFactors(hash(), '', 0),
    () => store.claimCredential(hash(), hash()),
    () => store.saveChallenge(hash(), '', minute),
    () => store.takeChallenge(hash()),
  ];
}

async function expectRefusals(store: SqlStore): Promise<void> {
  const start = performance.now();
  const refusals = everyPort(store).map((call) =>
    expect(ask(call, () => true)).rejects.toThrow(StoreUnavailable),
  );
  await Promise.all(refusals);
  expect(performance.now() - start).toBeLessThan(900);
}

describe('a PostgreSQL that fails', () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): unknown => unhandled.push(error);
  beforeAll(async () => {
    process.on('unhandledRejection', note);
    await migrate(openPostgres());
  });
  afterAll(() => {
    process.off('unhandledRejection', note);
  });

  it('rejects while it is stopped, and answers again after its restart, with what it had', async () => {
    const store = sqlStore(openPostgres());
    const account = hash();
    const subject = subjectOf(limitOf(2));
    await store.writeFactors(account, 'durable', 0);
    await store.reserveAttempt([subject]);
    await server.kill();
    await expectRefusals(store);
    await server.restart();
    expect(await store.readFactors(account)).toEqual({ revision: 1, record: 'durable' });
    expect((await store.readAttempts(subject)).counts).toEqual([1]);
  });

  it('rejects while it is silent, counts nothing of that later, and answers afterwards', async () => {
    const cable = await startCable(server.port);
    const store = sqlStore(openPostgres(cable.port));
    const subject = subjectOf(limitOf(9));
    await store.reserveAttempt([subject]);
    cable.silence(true);
    await expectRefusals(store);
    await expect(
      ask(
        () => store.reserveAttempt([subject]),
        () => true,
      ),
    ).rejects.toThrow(StoreUnavailable);
    cable.silence(false);
    cable.cut();
    expect((await store.readAttempts(subject)).counts).toEqual([1]);
    expect(await store.reserveAttempt([subject])).toMatchObject({ granted: true });
    cable.close();
  });

  it('one connection that is silent holds up nobody for longer than a deadline', async () => {
    const cable = await startCable(server.port);
    const store = sqlStore(openPostgres(cable.port));
    const subject = subjectOf(limitOf(9));
    const { stamps = [] } = { ...(await store.reserveAttempt([subject])) } as { stamps?: readonly number[] };
    cable.mute();
    await expect(
      ask(
        () => store.releaseAttempt([subject], stamps),
        () => true,
      ),
    ).rejects.toThrow(StoreUnavailable);
    expect(
      await ask(
        () => store.reserveAttempt([subject]),
        () => true,
      ),
    ).toMatchObject({ granted: true });
    cable.close();
  });

  it('a connection that is cut is refused, not repeated', async () => {
    const cable = await startCable(server.port);
    const store = sqlStore(openPostgres(cable.port));
    const subjects = Array.from({ length: 40 }, () => subjectOf(limitOf(9)));
    const answers = subjects.map(async (subject, i) => {
      await sleep(i);
      return store.reserveAttempt([subject]).then(
        () => true,
        () => false,
      );
    });
    for (let i = 0; i < 8; i += 1) {
      await sleep(5);
      cable.cut();
    }
    const granted = await Promise.all(answers);
    for (const [i, subject] of subjects.entries()) {
      const [count = 9] = (await store.readAttempts(subject)).counts;
      // A commit whose answer was lost counts, which is the safe side; it never counts twice.
      expect(count).toBeLessThanOrEqual(1);
      expect(count).toBeGreaterThanOrEqual(granted[i] === true ? 1 : 0);
    }
    cable.close();
  });

  it('leaves no rejection that nobody takes', () => {
    expect(unhandled).toEqual([]);
  });
});
