import { describe, expect, it } from '@jest/globals';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { describeStore } from './contract.js';

describeStore('memoryStore', async () => {
  const { now, advance } = fakeClock();
  return {
    store: memoryStore({ now }),
    pass: async (ms) => advance(ms / 1000),
    end: () => {},
  };
});

const limits = [{ failures: 3, withinMs: 60_000, lockMs: 60_000 }];
const subjectOf = (name: string) => ({ key: name.padStart(64, '0'), limits });
const unavailable = expect.objectContaining({ name: 'StoreUnavailable' });

it('a full memoryStore counts an attempt for none of its subjects when it cannot for one', async () => {
  const store = memoryStore({ maxEntries: 2 });
  await store.reserveAttempt([subjectOf('a')]);
  await store.reserveAttempt([subjectOf('b')]);
  await expect(store.reserveAttempt([subjectOf('a'), subjectOf('c')])).rejects.toEqual(unavailable);
  expect((await store.readAttempts(subjectOf('a'))).counts).toEqual([1]);
});

it('a full memoryStore refuses what is new, keeps what it has, and takes more once something has ended', async () => {
  const { now, advance } = fakeClock();
  const store = memoryStore({ maxEntries: 1, now });
  const token = {
    key: 'one',
    account: 'a',
    lifetimeMs: 5000,
    maxPerAccount: 1000,
    startedAt: undefined,
    record: '',
  };
  await store.reserveAttempt([subjectOf('a')]);
  await store.issueToken(token);
  await expect(store.reserveAttempt([subjectOf('b')])).rejects.toEqual(unavailable);
  await expect(store.issueToken({ ...token, key: 'two' })).rejects.toEqual(unavailable);
  expect(await store.readToken('one')).not.toBeNull();
  expect((await store.readAttempts(subjectOf('a'))).counts).toEqual([1]);
  advance(300);
  expect(await store.reserveAttempt([subjectOf('b')])).toMatchObject({ granted: true });
  expect(await store.issueToken({ ...token, key: 'two' })).toMatchObject({ key: 'two' });
});

it('a token that has ended does not come back when the clock of a memoryStore is set back (CLK-05)', async () => {
  const { now, advance } = fakeClock();
  const store = memoryStore({ now });
  await store.issueToken({
    key: 'one',
    account: 'a',
    lifetimeMs: 5000,
    maxPerAccount: 1000,
    startedAt: undefined,
    record: '',
  });
  advance(5);
  expect(await store.readToken('one')).toBeNull();
  advance(-4);
  expect(await store.readToken('one')).toBeNull();
  expect(await store.listTokens('a')).toEqual([]);
});

it('a clock that was set back shuts nobody out for the jump, and revives no login from before a revocation', async () => {
  const { now, advance, set } = fakeClock(1_900_000_000_000);
  const store = memoryStore({ now });
  const begin = async () => {
    const decision = await store.reserveAttempt([subjectOf('clock')]);
    await store.releaseAttempt([subjectOf('clock')], decision.granted ? decision.stamps : []);
    return decision.granted ? decision.time : 0;
  };
  const issue = (startedAt: number) =>
    store.issueToken({
      key: 'x',
      account: 'a',
      lifetimeMs: 5000,
      maxPerAccount: 10,
      startedAt,
      record: '',
    });
  const before = await begin();
  advance(1);
  await store.revokeTokens('a');
  set(now() - 600_000);
  expect(await issue(before)).toBeNull();
  advance(1);
  expect(await issue(await begin())).not.toBeNull();
});

describe('a full memoryStore', () => {
  it('refuses the factors of a new account, and goes on with those that it has', async () => {
    const store = memoryStore({ maxEntries: 2 });
    for (const account of ['a', 'b']) await store.writeFactors(account, '1', 0);
    await expect(store.writeFactors('c', '1', 0)).rejects.toEqual(unavailable);
    expect(await store.readFactors('c')).toBeNull();
    expect(await store.writeFactors('a', '2', 1)).toBe(true);
    expect(await store.readFactors('a')).toEqual({ revision: 2, record: '2' });
  });

  it('keeps factors and owners for good, whatever the time', async () => {
    const { now, advance } = fakeClock();
    const store = memoryStore({ maxEntries: 1, now });
    await store.writeFactors('a', '1', 0);
    await store.claimCredential('key', 'a');
    for (const seconds of [10 * 365 * 86_400, -20 * 365 * 86_400]) {
      advance(seconds);
      await expect(store.writeFactors('b', '1', 0)).rejects.toEqual(unavailable);
      expect(await store.readFactors('a')).toEqual({ revision: 1, record: '1' });
      expect(await store.claimCredential('key', 'b')).toBe(false);
    }
  });

  it('gives a new credential to nobody, until another one is given up', async () => {
    const store = memoryStore({ maxEntries: 2 });
    for (const key of ['one', 'two']) expect(await store.claimCredential(key, 'a')).toBe(true);
    await expect(store.claimCredential('three', 'b')).rejects.toEqual(unavailable);
    expect(await store.claimCredential('one', 'a')).toBe(true);
    expect(await store.claimCredential('one', 'b')).toBe(false);
    await store.releaseCredential('three', 'b');
    await expect(store.claimCredential('three', 'b')).rejects.toEqual(unavailable);
    await store.releaseCredential('one', 'a');
    expect(await store.claimCredential('three', 'b')).toBe(true);
  });

  it('refuses new challenges until one is taken or has ended', async () => {
    const { now, advance } = fakeClock();
    const store = memoryStore({ maxEntries: 2, now });
    await store.saveChallenge('one', '1', 5000);
    await store.saveChallenge('two', '1', 60_000);
    await expect(store.saveChallenge('three', '1', 60_000)).rejects.toEqual(unavailable);
    await store.saveChallenge('two', '2', 60_000);
    expect(await store.takeChallenge('two')).toBe('2');
    await store.saveChallenge('three', '1', 60_000);
    await expect(store.saveChallenge('four', '1', 60_000)).rejects.toEqual(unavailable);
    advance(5);
    await store.saveChallenge('four', '1', 60_000);
    expect(await Promise.all(['one', 'three', 'four'].map((key) => store.readChallenge(key)))).toEqual([
      null,
      '1',
      '1',
    ]);
  });
});

const day = 86_400_000;
const entryAt = (time: number) => ({
  account: null,
  organisation: null,
  request: null,
  time,
  record: `${time}`,
  seal: '',
});
const append = (store: ReturnType<typeof memoryStore>, id: string, ...moments: number[]) =>
  store.appendLog({ id, entries: moments.map(entryAt), retentionMs: day, expected: undefined });

describe('of the login log a full memoryStore', () => {
  it('keeps what was written last, whenever it happened', async () => {
    const store = memoryStore({ maxEntries: 3 });
    await append(store, 'one', 50, 10, 40);
    await append(store, 'two', 20, 30);
    const kept = async (limit = 10) =>
      (
        await store.searchLog({ by: null, since: 0, until: null, before: null, limit, retentionMs: day })
      ).entries.map(({ time }) => time);
    expect(await kept()).toEqual([40, 30, 20]);
    await append(store, 'three', 60, 5);
    expect(await kept()).toEqual([60, 30, 5]);
    const { entries } = await store.walkLog(1, 10, day);
    expect(entries.map(({ position, time }) => [position, time])).toEqual([
      [5, 30],
      [6, 60],
      [7, 5],
    ]);
  });

  it('knows a batch for as long as an entry of it is there, so that a flood of them takes no more memory', async () => {
    const store = memoryStore({ maxEntries: 2 });
    await append(store, 'one', 1, 2);
    await append(store, 'two', 3);
    expect((await append(store, 'one', 1, 2)).head.position).toBe(3);
    await append(store, 'three', 4);
    expect((await append(store, 'two', 3)).head.position).toBe(4);
    expect((await append(store, 'one', 1, 2)).head.position).toBe(6);
  });
});
