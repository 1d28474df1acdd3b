import { expect, it } from '@jest/globals';
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
