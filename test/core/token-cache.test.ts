import { describe, expect, it } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { TokenCache } from '../../src/core/token-cache.js';
import type { TokenFacts, VerifiedToken } from '../../src/core/token-record.js';
import { memoryStore } from '../../src/stores/memory.js';
import { tokenFacts } from '../rig/token-facts.js';

/** A cache with a clock that stands still, and a store 1,000,000 ms ahead of it that vouches for a second. */
function rig(maxTokens = 100, maxStaleMs = 1e9) {
  let now = 0;
  const cache = new TokenCache(maxTokens, maxStaleMs, () => now);
  const vouch = (): void => cache.vouch(now + 1000, 1_000_000);
  vouch();
  const keep = (name: string, facts: Partial<TokenFacts> = {}): void => {
    const read = cache.startRead(`key of ${name}`);
    if (read !== undefined) cache.endRead(read, name, tokenOf(name, facts));
  };
  const owner = (name: string): string | undefined => cache.find(name, 'bearer')?.account.id;
  const wait = (ms: number): void => {
    now += ms;
  };
  return { cache, vouch, keep, owner, wait };
}

function tokenOf(name: string, facts: Partial<TokenFacts> = {}): VerifiedToken {
  const token = tokenFacts({ id: name, createdAt: 1_000_000, expiresAt: 1_500_000, ...facts });
  return { account: { id: `owner of ${name}` }, methods: ['pwd'], authTime: 0, token };
}

describe('a kept token', () => {
  it('is found under its secret, and no other is', () => {
    const { keep, owner } = rig();
    keep('a');
    keep('b');
    expect([owner('a'), owner('b'), owner('key of a'), owner('')]).toEqual([
      'owner of a',
      'owner of b',
      undefined,
      undefined,
    ]);
  });

  it('is gone once it has changed, and those beside it are not', () => {
    const { cache, keep, owner } = rig();
    keep('a');
    keep('b');
    cache.changed('key of a');
    cache.changed('key of nothing');
    expect([owner('a'), owner('b')]).toEqual([undefined, 'owner of b']);
  });

  it('is gone with all others once changes may have been missed, and none is kept until the store vouches again', () => {
    const { cache, vouch, keep, owner } = rig();
    keep('a');
    cache.lost();
    keep('b');
    vouch();
    expect([owner('a'), owner('b')]).toEqual([undefined, undefined]);
    keep('a');
    expect(owner('a')).toBe('owner of a');
  });

  it('is not answered once the store has not vouched for a term, and is again when it does', () => {
    const { vouch, keep, owner, wait } = rig();
    keep('a');
    wait(999);
    expect(owner('a')).toBe('owner of a');
    wait(1);
    expect(owner('a')).toBeUndefined();
    vouch();
    expect(owner('a')).toBe('owner of a');
  });

  it('ends by the clock of the store, to the millisecond (TOK-02)', () => {
    const { cache, keep, owner, wait } = rig();
    cache.vouch(1e9, 1_000_000);
    keep('a', { expiresAt: 1_000_500 });
    wait(499);
    expect(owner('a')).toBe('owner of a');
    wait(1);
    expect(owner('a')).toBeUndefined();
  });

  it('ends when it was idle for its time and the two minutes that a use can be noted late', () => {
    const { cache, keep, owner, wait } = rig();
    cache.vouch(1e9, 1_000_000);
    keep('new', { idleSeconds: 60 });
    keep('used', { idleSeconds: 60, lastUsedAt: 1_030_000 });
    keep('short', { idleSeconds: 600, expiresAt: 1_060_000 });
    wait(59_999);
    expect(['new', 'used', 'short'].map(owner)).not.toContain(undefined);
    wait(1);
    expect(owner('short')).toBeUndefined();
    wait(119_999);
    expect(owner('new')).toBe('owner of new');
    wait(1);
    expect(['new', 'used'].map(owner)).toEqual([undefined, 'owner of used']);
    wait(30_000);
    expect(owner('used')).toBeUndefined();
  });

  it('is asked for again so long after the store was asked, however often it is used and whatever is vouched for (TOK-03)', () => {
    const { cache, owner, wait } = rig(100, 1000);
    cache.vouch(1e9, 1_000_000);
    const read = cache.startRead('key of a');
    // The answer may be as old as the question.
    wait(300);
    if (read !== undefined) cache.endRead(read, 'a', tokenOf('a'));
    for (let i = 0; i < 7; i += 1) {
      expect(owner('a')).toBe('owner of a');
      wait(100);
    }
    expect(owner('a')).toBeUndefined();
  });

  it('of a session opens nothing in a header, nor the other way round', () => {
    const { cache, keep } = rig();
    keep('cookie', { carry: 'session' });
    keep('header');
    expect(cache.find('cookie', 'bearer')).toBeUndefined();
    expect(cache.find('header', 'session')).toBeUndefined();
    expect(cache.find('cookie', 'session')?.account.id).toBe('owner of cookie');
  });
});

describe('a read under way', () => {
  it('is not kept when its token changed meanwhile: the answer may be older than the change', () => {
    const { cache, owner } = rig();
    const read = cache.startRead('key of a');
    cache.changed('key of a');
    if (read !== undefined) cache.endRead(read, 'a', tokenOf('a'));
    expect(owner('a')).toBeUndefined();
  });

  it('is kept when another token changed', () => {
    const { cache, owner } = rig();
    const read = cache.startRead('key of a');
    cache.changed('key of b');
    if (read !== undefined) cache.endRead(read, 'a', tokenOf('a'));
    expect(owner('a')).toBe('owner of a');
  });

  it('is not kept when changes may have been missed meanwhile', () => {
    const { cache, vouch, owner } = rig();
    const read = cache.startRead('key of a');
    cache.lost();
    vouch();
    if (read !== undefined) cache.endRead(read, 'a', tokenOf('a'));
    expect(owner('a')).toBeUndefined();
  });

  it('of two at once, one from before a change and one after it, only the later is kept', () => {
    const { cache, owner } = rig();
    const early = cache.startRead('key of a');
    cache.changed('key of a');
    const late = cache.startRead('key of a');
    if (late !== undefined) cache.endRead(late, 'a', tokenOf('a'));
    if (early !== undefined) cache.endRead(early, 'a', { ...tokenOf('a'), account: { id: 'stale' } });
    expect(owner('a')).toBe('owner of a');
  });

  it('that found nothing keeps nothing', () => {
    const { cache, owner } = rig();
    const read = cache.startRead('key of a');
    if (read !== undefined) cache.endRead(read);
    expect(owner('a')).toBeUndefined();
  });
});

describe('the room', () => {
  it('is bounded: beyond it those go that were not asked for of late', () => {
    const { keep, owner } = rig(4);
    for (const name of ['a', 'b', 'c', 'd']) keep(name);
    owner('a');
    owner('c');
    keep('e');
    keep('f');
    const left = ['a', 'b', 'c', 'd', 'e', 'f'].filter((name) => owner(name) !== undefined);
    expect(left).toEqual(['a', 'c', 'e', 'f']);
  });

  it('has place for the newest where all were asked for of late', () => {
    const { keep, owner } = rig(3);
    for (const name of ['a', 'b', 'c']) keep(name);
    for (const name of ['a', 'b', 'c']) owner(name);
    keep('d');
    expect(owner('d')).toBe('owner of d');
    expect(['a', 'b', 'c'].filter((name) => owner(name) !== undefined)).toHaveLength(2);
  });

  it('is made at once in a crowd where all were asked for of late', () => {
    const { keep, owner } = rig(5000);
    const names = Array.from({ length: 5000 }, (_, index) => String(index));
    for (const name of names) keep(name);
    for (const name of names) owner(name);
    keep('newest');
    // A thousand were looked at; those behind them still have their second chance.
    expect(owner('newest')).toBe('owner of newest');
    keep('next');
    expect(owner('1000')).toBeUndefined();
    expect(names.filter((name) => owner(name) === undefined)).toHaveLength(2);
  });

  it('holds one token with room for one, whatever comes', () => {
    const { keep, owner } = rig(1);
    for (let index = 0; index < 100; index += 1) {
      keep(String(index));
      expect(owner(String(index))).toBe(`owner of ${index}`);
      expect(owner(String(index - 1))).toBeUndefined();
    }
  });
});

describe('the option', () => {
  it.each([
    [{ maxTokens: 0 }, /maxTokens must be a whole number/],
    [{ maxTokens: 1_000_001 }, /maxTokens/],
    [{ maxStaleSeconds: 61 }, /maxStaleSeconds/],
    [{ maxStaleSeconds: 0 }, /maxStaleSeconds must be a number from 0.2 to 60/],
    [{ maxStaleSeconds: '1' }, /maxStaleSeconds/],
    [{ maxStale: 1 }, /unknown option "maxStale"/],
  ])('%j is refused by name', (cache, message) => {
    const store = { ...memoryStore(), watchTokens: () => {} };
    expect(() => new AccessTokens({ store, cache: cache as never })).toThrow(message);
  });

  it('is refused for a store that tells of no changes', () => {
    expect(() => new AccessTokens({ store: memoryStore(), cache: {} })).toThrow('tells of changes');
  });
});
