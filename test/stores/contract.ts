import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AttemptDecision, AttemptSubject } from '../../src/core/attempt-store.js';
import type { AttemptLimit } from '../../src/core/attempt-window.js';
import type { LogSearch, NewStoredEntry, StoredEntry } from '../../src/core/log-store.js';
import type { Store } from '../../src/stores/memory.js';

/** A store, and a way to let time pass by its clock. */
export interface StoreUnderTest {
  readonly store: Store;
  pass(ms: number): Promise<unknown>;
  end(): unknown;
}

const minute = 60_000;
const hash = (): string => randomBytes(32).toString('hex');
const limitOf = (failures: number, withinMs = minute, lockMs = withinMs): AttemptLimit => ({
  failures,
  withinMs,
  lockMs,
});
const subjectOf = (...limits: AttemptLimit[]): AttemptSubject => ({ key: hash(), limits });

/** Records are the core's JSON today; a store takes any well-formed text for what it is. */
const oddTexts = {
  'no characters': '',
  'other alphabets': 'é Ω 漢字 \u{1F511} e\u0301 \u202E \uFEFF',
  quotes: `"double" 'single' \`back\` '; drop table x; -- \\ \\u0041 %s $1 ? {}`,
  'spaces and line ends': '  two \r\n\t ends\n ',
  'control characters': 'nul \u0000, escape \u001B, delete \u007F',
  'digits first': '12 34 {"v":1}',
  'a space first': ' 1 ',
  'the word null': 'null',
  JSON: '{"v":1,"list":[{"name":"é \\"x\\""}],"codes":null}',
  '100 KB': 'x'.repeat(100_000),
  '100 KB of keys': '\u{1F511}'.repeat(25_000),
};

function times<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => make(index)));
}

const day = 86_400_000;
const batchId = (): string => randomUUID();
const logKey = (): string => randomBytes(8).toString('hex');

const timesOf = (entries: readonly StoredEntry[]): number[] => entries.map(({ time }) => time);

/** An entry of a moment, found by nothing but that. */
function logged(time: number, more: Partial<NewStoredEntry> = {}): NewStoredEntry {
  const keys = { account: null, organisation: null, request: null };
  return { ...keys, time, record: `{"at":${time}}`, seal: '', ...more };
}

type Granted = Extract<AttemptDecision, { granted: true }>;

function granted(decision: AttemptDecision): Granted {
  if (!decision.granted) throw new Error('The attempt was refused');
  return decision;
}

/** What every store must do, whatever keeps its records: each sentence of the ports, against one store. */
export function describeStore(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a store`, () => {
    let store: Store;
    let tested: StoreUnderTest;
    const pass = (ms: number): Promise<unknown> => tested.pass(ms);

    beforeAll(async () => {
      tested = await makeStore();
      ({ store } = tested);
    });
    afterAll(async () => {
      await tested.end();
    });

    const reserve = async (...subjects: AttemptSubject[]) => granted(await store.reserveAttempt(subjects));

    /** Now, by the clock that the store puts on logins. */
    async function startLogin(): Promise<number> {
      const { time } = await reserve(subjectOf(limitOf(1)));
      return time;
    }

    const recordOf = async (key: string) => (await store.readDocument(key)).record;

    const append = (entries: readonly NewStoredEntry[], id = batchId(), retentionMs = day) =>
      store.appendLog({ id, entries, retentionMs, expected: undefined });
    const search = (more: Partial<LogSearch> = {}) =>
      store.searchLog({
        by: null,
        since: 0,
        until: null,
        before: null,
        limit: 200,
        retentionMs: day,
        ...more,
      });
    const headNow = async () => (await store.walkLog(1, 1, day)).head;

    /** What every method says of a pending login. */
    const askedOf = async (account: string, handle: string): Promise<unknown[]> => [
      await store.readPendingLogin(account, handle),
      await store.tryPendingLogin(account, handle, 5),
      await store.closePendingLogin(account, handle),
    ];

    describe('counts attempts so that', () => {
      it('as many are granted as the limit allows, and one more is refused', async () => {
        const subject = subjectOf(limitOf(3));
        for (const full of [false, false, true]) {
          const { stamps, ...decision } = await reserve(subject);
          expect(decision).toEqual({ granted: true, time: expect.any(Number), full });
          expect(stamps).toEqual([expect.any(Number)]);
        }
        const refused = await store.reserveAttempt([subject]);
        expect(refused).toEqual({
          granted: false,
          subject: 0,
          busy: true,
          closedForMs: expect.any(Number),
        });
        expect(refused).toMatchObject({ closedForMs: expect.closeTo(minute, -4) });
      });

      it('exactly the limit is granted to 100 parallel attempts (RCE-01)', async () => {
        const subject = subjectOf(limitOf(10), limitOf(20, 2 * minute));
        const decisions = await times(100, () => store.reserveAttempt([subject]));
        expect(decisions.filter((one) => one.granted)).toHaveLength(10);
        expect(decisions.filter((one) => one.granted && one.full)).toHaveLength(1);
        expect((await store.readAttempts(subject)).counts).toEqual([10, 10]);
      });

      it('an attempt counts for all its subjects or, if one is closed, for none', async () => {
        const address = subjectOf(limitOf(10));
        const accounts = Array.from({ length: 20 }, () => subjectOf(limitOf(100)));
        const decisions = await times(100, (i) =>
          store.reserveAttempt([accounts[i % 20] ?? address, address]),
        );
        const [open, closed] = [true, false].map((is) => decisions.filter((one) => one.granted === is));
        expect(open).toHaveLength(10);
        expect(new Set(closed?.map((one) => !one.granted && one.subject))).toEqual(new Set([1]));
        const states = await Promise.all(accounts.map((one) => store.readAttempts(one)));
        expect(states.reduce((sum, { counts }) => sum + (counts[0] ?? 0), 0)).toBe(10);
        expect((await store.readAttempts(address)).counts).toEqual([10]);
      });

      it('the subject that is closed for longest is named, and the refusal is busy only if all closed ones are', async () => {
        const short = subjectOf(limitOf(1, 1000));
        const long = subjectOf(limitOf(1, minute));
        const first = await reserve(short);
        await reserve(long);
        expect(await store.reserveAttempt([short, long])).toMatchObject({ subject: 1, busy: true });
        expect(await store.reserveAttempt([long, short])).toMatchObject({ subject: 0, busy: true });
        await store.lockAttempts([short], first.stamps);
        expect(await store.reserveAttempt([short, long])).toMatchObject({ subject: 1, busy: false });
        const open = subjectOf(limitOf(5));
        expect(await store.reserveAttempt([open, long])).toMatchObject({ subject: 1, busy: true });
      });

      it('a refused attempt adds nothing and prolongs nothing', async () => {
        const subject = subjectOf(limitOf(2));
        await reserve(subject);
        const { stamps } = await reserve(subject);
        await store.lockAttempts([subject], stamps);
        const before = await store.readAttempts(subject);
        await pass(20);
        await times(20, () => store.reserveAttempt([subject]));
        const after = await store.readAttempts(subject);
        expect({ ...after, closedForMs: 0 }).toEqual({ ...before, closedForMs: 0 });
        expect(after.closedForMs).toBeLessThan(before.closedForMs);
      });

      it('the lock ends when it said, and lasts as long as it was set to', async () => {
        const subject = subjectOf(limitOf(2, 100, 400));
        await times(2, () => reserve(subject));
        const { closedForMs } = await store.readAttempts(subject);
        expect(closedForMs).toBeGreaterThan(200);
        expect(closedForMs).toBeLessThanOrEqual(400);
        await pass(closedForMs);
        await reserve(subject);
      });

      it('a higher limit remembers what a lower one has forgotten', async () => {
        const subject = subjectOf(limitOf(2, 150), limitOf(3, minute));
        await times(2, () => reserve(subject));
        await pass((await store.readAttempts(subject)).closedForMs);
        expect(await reserve(subject)).toMatchObject({ full: true });
        expect(await store.reserveAttempt([subject])).toMatchObject({
          closedForMs: expect.closeTo(minute, -4),
        });
        expect((await store.readAttempts(subject)).counts).toEqual([1, 3]);
      });

      it('an attempt given back leaves no trace', async () => {
        const subject = subjectOf(limitOf(3));
        await reserve(subject);
        const before = await store.readAttempts(subject);
        await pass(2);
        const attempt = await reserve(subject);
        await store.releaseAttempt([subject], attempt.stamps);
        expect({ ...(await store.readAttempts(subject)) }).toEqual(before);
      });

      it('an attempt given back opens a full window, as often as that happens', async () => {
        const subject = subjectOf(limitOf(2));
        await reserve(subject);
        for (let round = 0; round < 30; round += 1) {
          const { stamps, full } = await reserve(subject);
          expect(full).toBe(true);
          expect(await store.reserveAttempt([subject])).toMatchObject({ granted: false });
          await store.releaseAttempt([subject], stamps);
        }
        expect((await store.readAttempts(subject)).counts).toEqual([1]);
      });

      it('100 attempts given back in parallel leave nothing', async () => {
        const subjects = [subjectOf(limitOf(200)), subjectOf(limitOf(150))];
        const attempts = await times(100, () => reserve(...subjects));
        await Promise.all(attempts.map(({ stamps }) => store.releaseAttempt(subjects, stamps)));
        for (const subject of subjects) {
          expect(await store.readAttempts(subject)).toMatchObject({ counts: [0], closedForMs: 0 });
          expect(await store.clearAttempts(subject)).toBe(false);
        }
      });

      it('giving back what was never reserved changes nothing', async () => {
        const subject = subjectOf(limitOf(3));
        const { stamps } = await reserve(subject);
        await store.releaseAttempt([subject], [(stamps[0] ?? 0) - 5]);
        await store.releaseAttempt([subjectOf(limitOf(3))], stamps);
        expect((await store.readAttempts(subject)).counts).toEqual([1]);
      });

      it('a full window is busy until its last attempt has failed, and locked from then on', async () => {
        const subject = subjectOf(limitOf(1));
        const { stamps } = await reserve(subject);
        expect(await store.readAttempts(subject)).toMatchObject({ busy: true, lockedAt: 0 });
        const [locked] = await store.lockAttempts([subject], stamps);
        expect(locked).toBeGreaterThan(minute - 10_000);
        expect(locked).toBeLessThanOrEqual(minute);
        const status = await store.readAttempts(subject);
        expect(status.busy).toBe(false);
        expect(await store.reserveAttempt([subject])).toMatchObject({ granted: false, busy: false });
        const later = subjectOf(limitOf(1));
        expect(Math.abs((await reserve(later)).time / 1000 - status.lockedAt)).toBeLessThan(1000);
      });

      it('a lock is told to exactly one of 100 callers', async () => {
        const subjects = [subjectOf(limitOf(2)), subjectOf(limitOf(9))];
        await reserve(...subjects);
        const { stamps } = await reserve(...subjects);
        const told = await times(100, () => store.lockAttempts(subjects, stamps));
        expect(told.filter(([account]) => account !== 0)).toHaveLength(1);
        expect(told.every((each) => each.length === 2 && each[1] === 0)).toBe(true);
      });

      it('no lock is told for a window that is not full any more', async () => {
        const subject = subjectOf(limitOf(2));
        const first = await reserve(subject);
        await pass(2);
        const second = await reserve(subject);
        await store.releaseAttempt([subject], first.stamps);
        expect(await store.lockAttempts([subject], second.stamps)).toEqual([0]);
        await pass(2);
        const third = await reserve(subject);
        expect(await store.lockAttempts([subject], second.stamps)).toEqual([0]);
        expect((await store.lockAttempts([subject], third.stamps))[0]).toBeGreaterThan(0);
      });

      it('forgetting one subject frees it and no other, once (LCK-17)', async () => {
        const [one, other] = [subjectOf(limitOf(1)), subjectOf(limitOf(1))];
        await reserve(one, other);
        expect(await store.clearAttempts(one)).toBe(true);
        expect(await store.clearAttempts(one)).toBe(false);
        expect(await store.readAttempts(one)).toEqual({
          closedForMs: 0,
          busy: false,
          lockedAt: 0,
          counts: [0],
        });
        await reserve(one);
        expect(await store.reserveAttempt([other])).toMatchObject({ granted: false });
      });

      it('times never go back', async () => {
        let last = 0;
        for (let i = 0; i < 20; i += 1) {
          const { time } = await reserve(subjectOf(limitOf(1)));
          expect(time).toBeGreaterThan(last);
          last = time;
        }
      });
    });

    describe('keeps tokens so that', () => {
      const day = 86_400_000;
      const issue = (
        account: string,
        {
          key = hash(),
          startedAt = undefined as number | undefined,
          lifetimeMs = day,
          idleMs = undefined as number | undefined,
          maxPerAccount = 2000,
        } = {},
      ) =>
        store.issueToken({
          key,
          account,
          lifetimeMs,
          idleMs,
          maxPerAccount,
          startedAt,
          record: `{"é":"${key}"}`,
        });

      it('one that was issued is read as it was written', async () => {
        const account = hash();
        const key = hash();
        const token = await issue(account, { key, startedAt: await startLogin() });
        expect(token).toMatchObject({ key, record: `{"é":"${key}"}` });
        expect((token?.expiresAt ?? 0) - (token?.createdAt ?? 0)).toBe(day);
        expect(await store.readToken(key)).toMatchObject({ ...token });
        expect(await store.listTokens(account)).toHaveLength(1);
        expect(await store.readToken(hash())).toBeNull();
        expect(await store.listTokens(hash())).toEqual([]);
      });

      it('beyond the most of an account, those that would end first are gone before the answer', async () => {
        const account = hash();
        const keys = Array.from({ length: 5 }, hash);
        for (const [index, key] of keys.entries()) {
          const lifetimeMs = day + (index === 0 ? 1000 : index) * 1000;
          await issue(account, { key, lifetimeMs, maxPerAccount: 3 });
        }
        const live = (await store.listTokens(account)).map(({ key }) => key);
        expect(new Set(live)).toEqual(new Set([keys[0], keys[3], keys[4]]));
        expect(await Promise.all(keys.slice(1, 3).map((key) => store.readToken(key)))).toEqual([null, null]);
      });

      it('at the most of an account, all of 100 parallel ones are issued, and as many live as may', async () => {
        const account = hash();
        const keys = Array.from({ length: 100 }, hash);
        const given = await Promise.all(keys.map((key) => issue(account, { key, maxPerAccount: 10 })));
        expect(given.filter((one) => one === null)).toEqual([]);
        const listed = (await store.listTokens(account)).length;
        // Two that make room at once may both do it for the other.
        expect(listed).toBeLessThanOrEqual(10);
        expect(listed).toBeGreaterThan(0);
        const live = (await Promise.all(keys.map((key) => store.readToken(key)))).filter(
          (one) => one !== null,
        );
        expect(live).toHaveLength(listed);
        expect(await store.revokeTokens(account)).toBe(listed);
      });

      it('one that was revoked makes no other one go', async () => {
        const account = hash();
        const kept = hash();
        await issue(account, { key: kept, maxPerAccount: 3 });
        for (let logins = 0; logins < 5; logins += 1) {
          const key = hash();
          await issue(account, { key, maxPerAccount: 3 });
          expect(await store.revokeToken(key, account)).toBe(true);
        }
        expect((await store.listTokens(account)).map(({ key }) => key)).toEqual([kept]);
      });

      it('one that has expired is gone everywhere', async () => {
        const account = hash();
        const key = hash();
        const lives = { key, account, lifetimeMs: 60, maxPerAccount: 1000, startedAt: undefined, record: '' };
        await store.issueToken(lives);
        await issue(account);
        await pass(61);
        expect(await store.readToken(key)).toBeNull();
        expect(await store.listTokens(account)).toHaveLength(1);
        expect(await store.revokeToken(key)).toBe(false);
        expect(await store.revokeTokens(account)).toBe(1);
      });

      it('one that is touched says when it was last used, and ends when it would have ended', async () => {
        const account = hash();
        const key = hash();
        const issued = await issue(account, { key });
        expect(issued?.usedAt).toBeNull();
        expect((await store.readToken(key))?.usedAt).toBeNull();
        await pass(5);
        expect(await store.touchToken({ key, account, expiresAt: issued?.expiresAt ?? 0 })).toBe(true);
        const touched = await store.readToken(key);
        expect(touched).toEqual({ ...touched, ...issued, usedAt: expect.any(Number) });
        expect(touched?.usedAt).toBeGreaterThan(issued?.createdAt ?? Infinity);
        expect((await store.listTokens(account)).map(({ usedAt }) => usedAt)).toEqual([touched?.usedAt]);
      });

      it('one that ends when it is idle lives as long as it is touched, and not beyond its end', async () => {
        const account = hash();
        const [idle, used, short] = [hash(), hash(), hash()];
        const idleMs = 2000;
        const ends = new Map<string, number>();
        for (const [key, lifetimeMs] of [
          [short, 2600],
          [idle, day],
          [used, day],
        ] as const) {
          ends.set(key, (await issue(account, { key, lifetimeMs, idleMs }))?.expiresAt ?? 0);
        }
        const touch = (key: string): Promise<boolean> =>
          store.touchToken({ key, account, idleMs, expiresAt: ends.get(key) ?? Date.now() + day });
        await pass(1300);
        expect(await touch(used)).toBe(true);
        expect(await touch(short)).toBe(true);
        await pass(1300);
        expect(await store.readToken(used)).not.toBeNull();
        expect(await store.readToken(idle)).toBeNull();
        expect(await store.readToken(short)).toBeNull();
        expect((await store.listTokens(account)).map(({ key }) => key)).toEqual([used]);
        // What has ended is not brought back, nor is what never was.
        expect(await touch(idle)).toBe(false);
        expect(await touch(hash())).toBe(false);
        expect(await store.readToken(idle)).toBeNull();
        // What has ended may count for a minute more; what lives is not pushed out by it, and is found.
        for (let more = 0; more < 2; more += 1) await issue(account, { maxPerAccount: 3 });
        expect(await store.readToken(used)).not.toBeNull();
        expect(await store.listTokens(account)).toHaveLength(3);
        expect(await store.revokeTokens(account)).toBe(3);
        expect(await store.readToken(used)).toBeNull();
      });

      it('a touch in parallel with a revocation brings none back', async () => {
        const account = hash();
        const keys = Array.from({ length: 40 }, hash);
        await Promise.all(keys.map((key) => issue(account, { key, idleMs: day })));
        const touches = (): Promise<unknown>[] =>
          keys.map((key) => store.touchToken({ key, account, idleMs: day, expiresAt: Date.now() + day }));
        await Promise.all([...touches(), store.revokeTokens(account), ...touches()]);
        expect(await Promise.all(keys.map((key) => store.readToken(key)))).toEqual(Array(40).fill(null));
        expect(await store.listTokens(account)).toEqual([]);
      });

      it('revoking ends one, and is true for exactly one of 100 callers (TOK-18)', async () => {
        const account = hash();
        const [one, other] = [hash(), hash()];
        await Promise.all([one, other].map((key) => issue(account, { key })));
        const answers = await times(100, () => store.revokeToken(one));
        expect(answers.filter(Boolean)).toHaveLength(1);
        expect(await store.readToken(one)).toBeNull();
        expect((await store.listTokens(account)).map(({ key }) => key)).toEqual([other]);
        expect(await store.revokeToken(hash())).toBe(false);
      });

      it('revoking all of an account ends each but the one to keep, and no other account loses any', async () => {
        const [account, other] = [hash(), hash()];
        const keys = Array.from({ length: 1200 }, hash);
        // A store may refuse what waits for too long.
        for (let at = 0; at < keys.length; at += 25) {
          await Promise.all(keys.slice(at, at + 25).map((key) => issue(account, { key })));
        }
        const [kept = ''] = keys;
        const foreign = hash();
        await issue(other, { key: foreign });
        expect(await store.revokeTokens(account, kept)).toBe(1199);
        expect((await store.listTokens(account)).map(({ key }) => key)).toEqual([kept]);
        expect(await Promise.all(keys.slice(1).map((key) => store.readToken(key)))).toEqual(
          Array(1199).fill(null),
        );
        expect(await store.readToken(foreign)).not.toBeNull();
        expect(await store.revokeTokens(account, foreign)).toBe(1);
        expect(await store.revokeTokens(account)).toBe(0);
        expect(await store.readToken(foreign)).not.toBeNull();
      });

      it('a login that began before all were revoked yields none, one that began after does', async () => {
        const [account, other] = [hash(), hash()];
        const before = await startLogin();
        await store.revokeTokens(account);
        const after = await startLogin();
        const key = hash();
        expect(await issue(account, { key, startedAt: before })).toBeNull();
        expect(await store.readToken(key)).toBeNull();
        expect(await store.listTokens(account)).toEqual([]);
        expect(await issue(account, { startedAt: after })).not.toBeNull();
        expect(await issue(other, { startedAt: before })).not.toBeNull();
        expect(await issue(account)).not.toBeNull();
      });

      it('none issued in parallel with a revocation survives it (RCE-14)', async () => {
        for (let round = 0; round < 20; round += 1) {
          const account = hash();
          const startedAt = await startLogin();
          const keys = Array.from({ length: 40 }, hash);
          const early = keys.slice(0, 20).map((key) => issue(account, { key, startedAt }));
          const revoked = store.revokeTokens(account);
          const late = keys.slice(20).map((key) => issue(account, { key, startedAt }));
          await Promise.all([...early, revoked, ...late]);
          expect(await Promise.all(keys.map((key) => store.readToken(key)))).toEqual(Array(40).fill(null));
          expect(await store.listTokens(account)).toEqual([]);
        }
      });
    });

    describe('keeps pending logins so that', () => {
      interface Opening {
        handle?: string;
        startedAt?: number | undefined;
        lifetimeMs?: number;
        record?: string;
      }
      const open = (
        account: string,
        { handle = hash(), startedAt, lifetimeMs = minute, record = '{}' }: Opening = {},
      ) => store.openPendingLogin({ account, handle, startedAt, lifetimeMs, maxPerAccount: 5, record });

      const dead = [null, null, false];

      it('one that was opened is read as it was written, by its own account and handle', async () => {
        const [account, handle, startedAt] = [hash(), hash(), await startLogin()];
        const record = '{"a b":"1 2 3\\n\u0000 é"} x\n%s';
        await open(account, { handle, startedAt, record });
        expect(await store.readPendingLogin(account, handle)).toMatchObject({ startedAt, record });
        await store.tryPendingLogin(account, handle, 5);
        expect(await store.readPendingLogin(account, handle)).toMatchObject({ startedAt, record });
        expect(await askedOf(hash(), handle)).toEqual(dead);
        expect(await askedOf(account, hash())).toEqual(dead);
      });

      it('the time at which an uncounted login began is the store’s', async () => {
        const [account, handle] = [hash(), hash()];
        const before = await startLogin();
        await open(account, { handle });
        const after = await startLogin();
        const { startedAt = 0 } = (await store.readPendingLogin(account, handle)) ?? {};
        expect(startedAt).toBeGreaterThan(before);
        expect(startedAt).toBeLessThan(after);
      });

      it('one that has ended is dead, and tries do not prolong it (PND-07)', async () => {
        const [account, handle] = [hash(), hash()];
        await open(account, { handle, lifetimeMs: 120 });
        await open(account);
        await pass(40);
        await store.tryPendingLogin(account, handle, 5);
        await pass(81);
        expect(await askedOf(account, handle)).toEqual(dead);
      });

      it('one has as many tries as it has, also in parallel (PND-08)', async () => {
        const [account, handle] = [hash(), hash()];
        await open(account, { handle });
        const tries = await times(100, () => store.tryPendingLogin(account, handle, 5));
        expect(new Set(tries)).toEqual(new Set([1, 2, 3, 4, 5, null]));
        expect(await store.tryPendingLogin(account, handle, 5)).toBeNull();
      });

      it('a try beyond the last takes it from none of those that are under way (RCE-07)', async () => {
        const [account, handle] = [hash(), hash()];
        await open(account, { handle });
        for (const count of [1, 2, 3, 4, 5]) {
          expect(await store.tryPendingLogin(account, handle, 5)).toBe(count);
        }
        expect(await store.tryPendingLogin(account, handle, 5)).toBeNull();
        expect(await store.closePendingLogin(account, handle)).toBe(true);
      });

      it('one is closed by exactly one of 100 callers, and dead then (RCE-07, PND-06)', async () => {
        const [account, handle, other] = [hash(), hash(), hash()];
        await open(account, { handle });
        await open(account, { handle: other });
        const closed = await times(100, () => store.closePendingLogin(account, handle));
        expect(closed.filter(Boolean)).toHaveLength(1);
        expect(await askedOf(account, handle)).toEqual(dead);
        expect(await store.readPendingLogin(account, other)).not.toBeNull();
      });

      it('an account has at most as many as it may, the newest (PND-24)', async () => {
        const account = hash();
        const handles = Array.from({ length: 8 }, hash);
        for (const handle of handles) {
          await open(account, { handle });
          await pass(2);
        }
        const found = await Promise.all(handles.map((handle) => store.readPendingLogin(account, handle)));
        expect(found.map((each) => each !== null)).toEqual([...Array(3).fill(false), ...Array(5).fill(true)]);
      });

      it('40 opened in parallel leave as many as there may be', async () => {
        const account = hash();
        const handles = Array.from({ length: 40 }, hash);
        await Promise.all(handles.map((handle) => open(account, { handle })));
        const found = await Promise.all(handles.map((handle) => store.readPendingLogin(account, handle)));
        expect(found.filter((each) => each !== null)).toHaveLength(5);
      });

      it('one that began before the tokens of its account were revoked is dead (RCE-15)', async () => {
        const [account, other] = [hash(), hash()];
        const [counted, uncounted, foreign, late, next] = [hash(), hash(), hash(), hash(), hash()];
        const before = await startLogin();
        await open(account, { handle: counted, startedAt: before });
        await open(account, { handle: uncounted });
        await open(other, { handle: foreign, startedAt: before });
        await store.revokeTokens(account);
        await open(account, { handle: late, startedAt: before });
        await open(account, { handle: next, startedAt: await startLogin() });
        for (const handle of [counted, uncounted, late]) expect(await askedOf(account, handle)).toEqual(dead);
        expect(await store.tryPendingLogin(other, foreign, 5)).toBe(1);
        expect(await store.tryPendingLogin(account, next, 5)).toBe(1);
        expect(await store.closePendingLogin(account, next)).toBe(true);
      });

      it('a dead one takes no place of a live one', async () => {
        const account = hash();
        const before = await startLogin();
        await store.revokeTokens(account);
        const first = hash();
        await open(account, { handle: first });
        await pass(2);
        for (let i = 0; i < 5; i += 1) await open(account, { startedAt: before });
        expect(await store.readPendingLogin(account, first)).not.toBeNull();
      });
    });

    describe('keeps factors so that', () => {
      it('only an account that never had a record has none', async () => {
        const account = hash();
        expect(await store.readFactors(account)).toBeNull();
        expect(await store.writeFactors(account, '', 0)).toBe(true);
        expect({ ...(await store.readFactors(account)) }).toEqual({ revision: 1, record: '' });
      });

      it('each write makes the next revision, and nothing else is left of those before', async () => {
        const account = hash();
        for (let revision = 1; revision <= 12; revision += 1) {
          expect(await store.writeFactors(account, `record ${revision}`, revision - 1)).toBe(true);
          expect(await store.readFactors(account)).toEqual({ revision, record: `record ${revision}` });
        }
      });

      it('a write that expects another revision answers false and changes nothing', async () => {
        const account = hash();
        for (const expected of [1, 2])
          expect(await store.writeFactors(account, 'early', expected)).toBe(false);
        expect(await store.readFactors(account)).toBeNull();
        await store.writeFactors(account, 'one', 0);
        await store.writeFactors(account, 'two', 1);
        for (const expected of [0, 1, 3, 20]) {
          expect(await store.writeFactors(account, 'wrong', expected)).toBe(false);
        }
        expect(await store.readFactors(account)).toEqual({ revision: 2, record: 'two' });
      });

      it('exactly one of 100 parallel writes that expect the same revision is made (RCE-05, RCE-06)', async () => {
        const account = hash();
        for (const expected of [0, 1, 2]) {
          const answers = await times(100, (i) => store.writeFactors(account, `${expected} ${i}`, expected));
          expect(answers.filter(Boolean)).toHaveLength(1);
          const record = `${expected} ${answers.indexOf(true)}`;
          expect(await store.readFactors(account)).toEqual({ revision: expected + 1, record });
        }
      });

      it('nothing is lost of what parallel writers add in turn (RCE-16)', async () => {
        const account = hash();
        const add = async (what: string): Promise<void> => {
          for (;;) {
            const found = await store.readFactors(account);
            const list = found === null ? [] : (JSON.parse(found.record) as string[]);
            const record = JSON.stringify([...list, what]);
            if (await store.writeFactors(account, record, found?.revision ?? 0)) return;
          }
        };
        await times(10, async (worker) => {
          for (let i = 0; i < 10; i += 1) await add(`${worker}.${i}`);
        });
        const { revision, record } = (await store.readFactors(account)) ?? { revision: 0, record: '[]' };
        expect(revision).toBe(100);
        const found = JSON.parse(record) as string[];
        const own = Array.from({ length: 10 }, (_, worker) =>
          found.filter((one) => one.startsWith(`${worker}.`)),
        );
        // Each one's in the order in which it was added.
        expect(own).toEqual(own.map((_, worker) => Array.from({ length: 10 }, (__, i) => `${worker}.${i}`)));
      });

      it('what one account has says nothing of another, nor of what else has the same name', async () => {
        const [account, other] = [hash(), hash()];
        await store.writeFactors(account, 'own', 0);
        await store.claimCredential(account, account);
        await store.saveChallenge(account, 'challenge', minute);
        expect(await store.readFactors(other)).toBeNull();
        expect(await store.writeFactors(other, 'other', 1)).toBe(false);
        expect(await store.writeFactors(other, 'other', 0)).toBe(true);
        expect(await store.claimCredential(other, other)).toBe(true);
        expect(await store.readChallenge(other)).toBeNull();
        expect(await store.readFactors(account)).toEqual({ revision: 1, record: 'own' });
        expect(await store.takeChallenge(account)).toBe('challenge');
        expect(await store.readFactors(account)).toEqual({ revision: 1, record: 'own' });
      });

      it.each(Object.entries(oddTexts))('a record of %s comes back as it was', async (_what, record) => {
        const account = hash();
        await store.writeFactors(account, record, 0);
        expect(await store.readFactors(account)).toEqual({ revision: 1, record });
        expect(await store.writeFactors(account, `1 ${record}`, 1)).toBe(true);
        expect(await store.writeFactors(account, record, 2)).toBe(true);
        expect(await store.readFactors(account)).toEqual({ revision: 3, record });
      });
    });

    describe('keeps the owners of credentials so that', () => {
      it('one belongs to exactly one of 100 accounts that claim it at once (RCE-20)', async () => {
        const credential = hash();
        const accounts = Array.from({ length: 100 }, hash);
        const answers = await Promise.all(accounts.map((one) => store.claimCredential(credential, one)));
        expect(answers.filter(Boolean)).toHaveLength(1);
        const again = await Promise.all(accounts.map((one) => store.claimCredential(credential, one)));
        expect(again).toEqual(answers);
      });

      it('its owner may claim it as often as it likes, also at once', async () => {
        const [credential, account] = [hash(), hash()];
        expect(await times(100, () => store.claimCredential(credential, account))).toEqual(
          Array(100).fill(true),
        );
        expect(await store.claimCredential(credential, hash())).toBe(false);
      });

      it('only its owner gives it up, and the next one may have it then', async () => {
        const [credential, account, other] = [hash(), hash(), hash()];
        await store.claimCredential(credential, account);
        await times(20, () => store.releaseCredential(credential, hash()));
        await store.releaseCredential(hash(), account);
        expect(await store.claimCredential(credential, other)).toBe(false);
        await store.releaseCredential(credential, account);
        expect(await store.claimCredential(credential, other)).toBe(true);
        await store.releaseCredential(credential, account);
        expect(await store.claimCredential(credential, account)).toBe(false);
      });

      it('giving up in parallel with claims never leaves two owners', async () => {
        for (let round = 0; round < 10; round += 1) {
          const [credential, account] = [hash(), hash()];
          await store.claimCredential(credential, account);
          const others = Array.from({ length: 10 }, hash);
          const [answers] = await Promise.all([
            Promise.all(others.map((one) => store.claimCredential(credential, one))),
            store.releaseCredential(credential, account),
          ]);
          expect(answers.filter(Boolean).length).toBeLessThanOrEqual(1);
          const after = await Promise.all(others.map((one) => store.claimCredential(credential, one)));
          expect(after.filter(Boolean)).toHaveLength(1);
          // Whoever was told that it is theirs has it.
          expect(answers.filter((isOwner, index) => isOwner && after[index] !== true)).toEqual([]);
        }
      });

      it('an account may have many', async () => {
        const account = hash();
        const credentials = Array.from({ length: 20 }, hash);
        await Promise.all(credentials.map((one) => store.claimCredential(one, account)));
        await store.releaseCredential(credentials[0] ?? '', account);
        const taken = await Promise.all(credentials.map((one) => store.claimCredential(one, hash())));
        expect(taken).toEqual([true, ...Array(19).fill(false)]);
      });
    });

    describe('keeps challenges so that', () => {
      it('one is read as often as asked, until it is taken', async () => {
        const key = hash();
        expect([await store.readChallenge(key), await store.takeChallenge(key)]).toEqual([null, null]);
        await store.saveChallenge(key, 'record', minute);
        expect(await times(20, () => store.readChallenge(key))).toEqual(Array(20).fill('record'));
        expect(await store.takeChallenge(key)).toBe('record');
        expect([await store.readChallenge(key), await store.takeChallenge(key)]).toEqual([null, null]);
      });

      it('the next one replaces it, with its own lifetime', async () => {
        const key = hash();
        await store.saveChallenge(key, 'short', 80);
        await store.saveChallenge(key, 'long', minute);
        await pass(81);
        expect(await store.readChallenge(key)).toBe('long');
        await store.saveChallenge(key, 'short', 80);
        expect(await store.readChallenge(key)).toBe('short');
        await pass(81);
        expect([await store.readChallenge(key), await store.takeChallenge(key)]).toEqual([null, null]);
      });

      it('exactly one of 100 parallel takers has it (RCE-07)', async () => {
        const key = hash();
        await store.saveChallenge(key, 'record', minute);
        const taken = await times(100, () => store.takeChallenge(key));
        expect(taken.filter((one) => one !== null)).toEqual(['record']);
      });

      it('none is taken twice while others replace it, and the last one stays', async () => {
        const key = hash();
        const [taken] = await Promise.all([
          times(40, () => store.takeChallenge(key)),
          times(20, (i) => store.saveChallenge(key, `${i}`, minute)),
        ]);
        const records = taken.filter((one) => one !== null);
        expect(new Set(records).size).toBe(records.length);
        await store.saveChallenge(key, 'last', minute);
        expect(await store.takeChallenge(key)).toBe('last');
      });

      it('one ends after its lifetime, and being read does not prolong it', async () => {
        const key = hash();
        await store.saveChallenge(key, 'record', 120);
        await pass(60);
        expect(await store.readChallenge(key)).toBe('record');
        await pass(61);
        expect([await store.readChallenge(key), await store.takeChallenge(key)]).toEqual([null, null]);
        await store.saveChallenge(key, 'next', minute);
        expect(await store.takeChallenge(key)).toBe('next');
      });

      it('keys are apart', async () => {
        const [one, other] = [hash(), hash()];
        await store.saveChallenge(one, 'one', minute);
        await store.saveChallenge(other, 'other', minute);
        expect(await store.takeChallenge(one)).toBe('one');
        expect(await store.takeChallenge(other)).toBe('other');
      });

      it.each(Object.entries(oddTexts))('one of %s comes back as it was', async (_what, record) => {
        const key = hash();
        await store.saveChallenge(key, record, minute);
        expect(await store.readChallenge(key)).toBe(record);
        expect(await store.takeChallenge(key)).toBe(record);
      });
    });

    describe('keeps sessions so that', () => {
      it('one is read until it is removed', async () => {
        const key = hash();
        expect(await store.readSession(key)).toBeNull();
        expect(await store.saveSession(key, 'record', minute)).toBeUndefined();
        expect(await times(20, () => store.readSession(key))).toEqual(Array(20).fill('record'));
        expect(await store.removeSession(key)).toBeUndefined();
        expect(await store.readSession(key)).toBeNull();
        expect(await store.removeSession(key)).toBeUndefined();
      });

      it('the next record replaces it, with its own lifetime', async () => {
        const key = hash();
        await store.saveSession(key, 'short', 80);
        await store.saveSession(key, 'long', minute);
        await pass(81);
        expect(await store.readSession(key)).toBe('long');
        expect(await store.updateSession(key, 'short', 80)).toBe(true);
        expect(await store.readSession(key)).toBe('short');
        await pass(81);
        expect(await store.readSession(key)).toBeNull();
      });

      it('one that has gone is not brought back by an update: removed, ended or never there', async () => {
        const [removed, ended, unknown] = [hash(), hash(), hash()];
        await store.saveSession(removed, 'record', minute);
        await store.removeSession(removed);
        await store.saveSession(ended, 'record', 60);
        await pass(61);
        for (const key of [removed, ended, unknown]) {
          expect(await store.updateSession(key, 'late', minute)).toBe(false);
          expect(await store.readSession(key)).toBeNull();
        }
        await store.saveSession(ended, 'new', minute);
        expect(await store.readSession(ended)).toBe('new');
      });

      it('no update in parallel with a removal leaves anything behind', async () => {
        for (let round = 0; round < 10; round += 1) {
          const key = hash();
          await store.saveSession(key, 'record', minute);
          await Promise.all([
            times(10, (i) => store.updateSession(key, `late ${i}`, minute)),
            store.removeSession(key),
            times(10, (i) => store.updateSession(key, `later ${i}`, minute)),
          ]);
          expect(await store.readSession(key)).toBeNull();
          expect(await store.updateSession(key, 'last', minute)).toBe(false);
        }
      });

      it('keys are apart, and nothing else of the same name is touched', async () => {
        const [one, other] = [hash(), hash()];
        await store.saveSession(one, 'one', minute);
        await store.saveChallenge(one, 'challenge', minute);
        expect(await store.updateSession(other, 'other', minute)).toBe(false);
        await store.saveSession(other, 'other', minute);
        await store.removeSession(one);
        expect(await store.readSession(other)).toBe('other');
        expect(await store.readChallenge(one)).toBe('challenge');
        expect(await store.readToken(other)).toBeNull();
      });

      it.each(Object.entries(oddTexts))('one of %s comes back as it was', async (_what, record) => {
        const key = hash();
        await store.saveSession(key, record, minute);
        expect(await store.readSession(key)).toBe(record);
        expect(await store.updateSession(key, `1 ${record}`, minute)).toBe(true);
        expect(await store.readSession(key)).toBe(`1 ${record}`);
      });
    });

    describe('keeps documents so that', () => {
      it('each is read with the time of the store', async () => {
        const key = hash();
        const before = Math.floor((await startLogin()) / 1000);
        expect(await store.readDocument(key)).toEqual({ time: expect.any(Number), record: null });
        expect(await store.replaceDocument(key, null, 'record', minute)).toBe(true);
        const { time, record } = await store.readDocument(key);
        expect(record).toBe('record');
        expect(time).toBeGreaterThanOrEqual(before);
        expect(time).toBeLessThanOrEqual(Math.ceil((await startLogin()) / 1000));
      });

      it('one is replaced by whoever knows what is there, and by nobody else', async () => {
        const key = hash();
        expect(await store.replaceDocument(key, 'guess', 'new', minute)).toBe(false);
        expect(await store.replaceDocument(key, '', 'new', minute)).toBe(false);
        expect(await recordOf(key)).toBeNull();
        expect(await store.replaceDocument(key, null, 'one', minute)).toBe(true);
        expect(await store.replaceDocument(key, null, 'two', minute)).toBe(false);
        expect(await store.replaceDocument(key, 'One', 'two', minute)).toBe(false);
        expect(await store.replaceDocument(key, 'guess', null, minute)).toBe(false);
        expect(await recordOf(key)).toBe('one');
        expect(await store.replaceDocument(key, 'one', 'two', minute)).toBe(true);
        expect(await store.replaceDocument(key, 'two', null, minute)).toBe(true);
        expect(await recordOf(key)).toBeNull();
        expect(await store.replaceDocument(key, 'two', 'three', minute)).toBe(false);
        expect(await store.replaceDocument(key, null, null, minute)).toBe(true);
        expect(await store.replaceDocument(key, null, '', minute)).toBe(true);
        expect(await recordOf(key)).toBe('');
        expect(await store.replaceDocument(key, null, null, minute)).toBe(false);
      });

      it('of 50 in parallel who expect the same, one succeeds', async () => {
        const key = hash();
        let expected = null;
        for (const round of ['first', 'second']) {
          const before = expected;
          const won = await times(50, (i) => store.replaceDocument(key, before, `${round} ${i}`, minute));
          expect(won.filter(Boolean)).toHaveLength(1);
          expected = await recordOf(key);
          expect(expected).toBe(`${round} ${won.indexOf(true)}`);
        }
      });

      it('one that has ended is none, and does not come back', async () => {
        const key = hash();
        await store.replaceDocument(key, null, 'short', 80);
        await pass(81);
        expect(await recordOf(key)).toBeNull();
        expect(await store.replaceDocument(key, 'short', 'late', minute)).toBe(false);
        expect(await store.replaceDocument(key, 'short', null, minute)).toBe(false);
        expect(await store.replaceDocument(key, null, 'new', 80)).toBe(true);
        expect(await store.replaceDocument(key, 'new', 'longer', minute)).toBe(true);
        await pass(81);
        expect(await recordOf(key)).toBe('longer');
      });

      it('keys are apart, and nothing else of the same name is touched', async () => {
        const [one, other] = [hash(), hash()];
        await store.saveSession(one, 'session', minute);
        await store.replaceDocument(one, null, 'one', minute);
        await store.replaceDocument(other, null, 'other', minute);
        expect(await store.replaceDocument(one, 'one', null, minute)).toBe(true);
        expect(await recordOf(other)).toBe('other');
        expect(await store.readSession(one)).toBe('session');
      });

      it.each(Object.entries(oddTexts))('one of %s comes back as it was', async (_what, record) => {
        const key = hash();
        expect(await store.replaceDocument(key, null, record, minute)).toBe(true);
        expect(await recordOf(key)).toBe(record);
        expect(await store.replaceDocument(key, record, `1 ${record}`, minute)).toBe(true);
        expect(await recordOf(key)).toBe(`1 ${record}`);
      });
    });

    describe('keeps a log so that', () => {
      it('what was written in a batch is read as it was, in one order without gaps', async () => {
        const before = Math.floor((await startLogin()) / 1000);
        const { position: start } = await headNow();
        const given = [
          logged(1000, { account: logKey(), seal: 'seal-1' }),
          logged(1000, { organisation: logKey(), record: 'two' }),
          logged(999, { request: logKey(), seal: 'x_Y' }),
        ];
        const end = { position: start + 3, seal: 'x_Y' };
        expect(await append(given)).toEqual({ appended: true, head: end });
        const { entries, head, isOver } = await store.walkLog(start + 1, 10, day);
        expect({ head, isOver }).toEqual({ head: end, isOver: false });
        const writtenAt = entries[0]?.writtenAt ?? 0;
        expect(writtenAt).toBeGreaterThanOrEqual(before);
        expect(writtenAt).toBeLessThanOrEqual(Math.ceil((await startLogin()) / 1000));
        expect(entries).toEqual(
          given.map((one, index) => ({ ...one, position: start + 1 + index, writtenAt, isFound: true })),
        );
        expect((await store.walkLog(start + 2, 1, day)).entries).toEqual(entries.slice(1, 2));
        expect((await store.walkLog(start + 4, 10, day)).entries).toEqual([]);
      });

      it('the newest comes first, of one moment the one written last, and pages miss and repeat none', async () => {
        const account = logKey();
        const by = { key: 'account', value: account } as const;
        const moments = [5, 3, 9, 3, 3, 7, 1, 9];
        await append(moments.slice(0, 5).map((time) => logged(time, { account })));
        await append(moments.slice(5).map((time) => logged(time, { account })));
        const whole = await search({ by });
        expect(timesOf(whole.entries)).toEqual([9, 9, 7, 5, 3, 3, 3, 1]);
        expect(whole.next).toBeNull();
        const positions = whole.entries.filter(({ time }) => time === 3).map(({ position }) => position);
        expect(positions).toEqual(positions.toSorted((a, b) => b - a));
        for (const limit of [1, 2, 3, 8]) {
          const seen: StoredEntry[] = [];
          let before: LogSearch['before'] = null;
          do {
            const page = await search({ by, limit, before });
            seen.push(...page.entries);
            before = page.next;
            // What is written meanwhile is newer, and moves nothing.
            await append([logged(20, { account: logKey() })]);
          } while (before !== null);
          expect(seen).toEqual(whole.entries);
        }
      });

      it('an entry is found by account, organisation, request and time, and by nothing that only looks like it', async () => {
        const [account, organisation, request, other] = [logKey(), logKey(), logKey(), logKey()];
        await append([
          logged(1010, { account, organisation, request }),
          logged(1020, { account, request: other }),
          logged(1030, { organisation, account: other }),
          logged(1040, { request, organisation: other }),
          logged(1050),
        ]);
        const by = async (key: 'account' | 'organisation' | 'request', value: string, more = {}) =>
          timesOf((await search({ by: { key, value }, ...more })).entries);
        expect(await by('account', account)).toEqual([1020, 1010]);
        expect(await by('organisation', organisation)).toEqual([1030, 1010]);
        expect(await by('request', request)).toEqual([1040, 1010]);
        expect(await by('organisation', account)).toEqual([]);
        expect(await by('account', account, { since: 1010, until: 1020 })).toEqual([1010]);
        expect(await by('account', account, { since: 1011 })).toEqual([1020]);
        expect(await by('account', account, { since: 1020, until: 1020 })).toEqual([]);
        const all = await search({ since: 1010, until: 1051 });
        expect(timesOf(all.entries)).toEqual([1050, 1040, 1030, 1020, 1010]);
        const [, second] = all.entries;
        expect(timesOf((await search({ since: 1010, until: 1031, before: second ?? null })).entries)).toEqual(
          [1030, 1020, 1010],
        );
      });

      it('a batch that is sent again is in it once, also by 20 at once', async () => {
        const id = batchId();
        const account = logKey();
        const entries = [logged(1, { account }), logged(2, { account, seal: 'end' })];
        const replies = await times(20, () => append(entries, id));
        await append([logged(3)]);
        expect(new Set(replies.map(({ appended }) => appended))).toEqual(new Set([true]));
        expect((await append(entries, id)).head).toEqual(await headNow());
        expect(timesOf((await search({ by: { key: 'account', value: account } })).entries)).toEqual([2, 1]);
      });

      it('of 30 in parallel who expect the same end one writes, and the others learn where it is', async () => {
        for (let round = 0; round < 3; round += 1) {
          const expected = await headNow();
          const replies = await times(30, (i) =>
            store.appendLog({
              id: batchId(),
              entries: [logged(1, { seal: `seal${i}` })],
              retentionMs: day,
              expected,
            }),
          );
          const won = replies.findIndex(({ appended }) => appended);
          const head = { position: expected.position + 1, seal: `seal${won}` };
          expect(replies).toEqual(replies.map((_, i) => ({ appended: i === won, head })));
        }
        const head = await headNow();
        for (const expected of [
          { ...head, seal: '' },
          { ...head, position: head.position - 1 },
        ]) {
          const entries = [logged(1)];
          const reply = await store.appendLog({ id: batchId(), entries, retentionMs: day, expected });
          expect(reply).toEqual({ appended: false, head });
        }
      });

      it('50 batches of 4 in parallel are all there, each in a piece', async () => {
        const organisation = logKey();
        const { position: start } = await headNow();
        await times(50, (i) =>
          append([1, 2, 3, 4].map((time) => logged(time, { organisation, record: `${i} ${time}` }))),
        );
        const { entries } = await store.walkLog(start + 1, 1000, day);
        expect(entries.map(({ position }) => position)).toEqual(entries.map((_, i) => start + 1 + i));
        expect(entries).toHaveLength(200);
        for (let i = 0; i < 200; i += 4) {
          const batch = entries.slice(i, i + 4).map(({ record }) => record.split(' '));
          expect(batch).toEqual([1, 2, 3, 4].map((time) => [batch[0]?.[0], String(time)]));
        }
        expect((await search({ by: { key: 'organisation', value: organisation } })).entries).toHaveLength(
          200,
        );
      });

      it('what was written longer ago than the retention is gone, and its place is not given again', async () => {
        const account = logKey();
        const by = { key: 'account', value: account } as const;
        const { head } = await append([logged(1, { account }), logged(2, { account, seal: 'old' })]);
        await pass(201);
        expect(await search({ by, retentionMs: 200 })).toEqual({ entries: [], next: null });
        expect(await store.walkLog(head.position - 1, 10, 200)).toEqual({ entries: [], head, isOver: true });
        await append([logged(3, { account })], batchId(), 200);
        const { entries } = await store.walkLog(1, 10, day);
        expect(entries.map(({ position }) => position)).toEqual([head.position + 1]);
        expect(timesOf((await search({ by })).entries)).toEqual([3]);
        expect(timesOf((await search()).entries)).toEqual([3]);
      });

      it.each(Object.entries(oddTexts))('an entry of %s comes back as it was', async (_what, record) => {
        const account = logKey();
        const { head } = await append([logged(1, { account, record })]);
        const { entries } = await search({ by: { key: 'account', value: account } });
        expect(entries.map((one) => one.record)).toEqual([record]);
        expect((await store.walkLog(head.position, 1, day)).entries).toEqual(entries);
      });
    });
  });
}
