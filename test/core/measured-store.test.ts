import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { Lockout } from '../../src/core/lockout.js';
import { Login } from '../../src/core/login.js';
import { measuredStore, type StoreObserver } from '../../src/core/measured-store.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { describeStore } from '../stores/contract.js';
import { storeKinds } from '../stores/kinds.js';

type Told = Parameters<StoreObserver>;

// Whatever a store must do, a measured one must.
describeStore('a measured memoryStore', async () => {
  const { now, advance } = fakeClock();
  return {
    store: measuredStore(memoryStore({ now }), () => {}),
    pass: async (ms) => advance(ms / 1000),
    end: () => {},
  };
});

const servers = storeKinds();
beforeAll(() => servers.start(), 60_000);
afterAll(() => servers.end());

describe.each(servers.kinds)('a measured store: %s', (_name, open) => {
  it('serves a lockout and a token from issue to revocation, and tells of each call', async () => {
    const told: Told[] = [];
    const store = measuredStore<Store>(open().store, (...args) => told.push(args));
    const attempts = new Lockout({ store });
    const attempt = await attempts.reserve({
      identifier: `measured ${_name}`,
      account: undefined,
      address: undefined,
    });
    if (!attempt.granted) throw new Error('refused');
    await attempt.giveBack();
    const tokens = new AccessTokens({ store });
    const login = new Login();
    login.verifyPassword({ id: `measured ${_name}` }, Date.now());
    login.passFactor('otp');
    const issued = await tokens.issue(login);
    if (issued === null) throw new Error('no token');
    expect(await tokens.check(issued.secret)).toMatchObject({ account: { id: `measured ${_name}` } });
    expect(await tokens.revoke(issued.facts.token.id)).toBe(true);
    expect(await tokens.check(issued.secret)).toBeNull();
    expect(attempts.weaknesses()).toEqual(expect.any(Array));
    const names = told.map(([operation]) => operation);
    expect(names).toEqual(
      expect.arrayContaining(['reserveAttempt', 'releaseAttempt', 'issueToken', 'readToken', 'revokeToken']),
    );
    expect(names).not.toContain('weaknesses');
    for (const [, seconds, outcome] of told) {
      expect(seconds).toBeGreaterThanOrEqual(0);
      expect(seconds).toBeLessThan(10);
      expect(outcome).toBe('ok');
    }
  });
});

describe('measuredStore', () => {
  it('tells how long an answer took, and that of one that failed, which goes on as it is', async () => {
    let now = 1000;
    const told: Told[] = [];
    const error = new Error('the driver says no');
    const store = {
      async read(key: string): Promise<string> {
        now += 250;
        return `read ${key}`;
      },
      async write(): Promise<void> {
        now += 40;
        throw error;
      },
    };
    const measured = measuredStore(
      store,
      (...args) => told.push(args),
      () => now,
    );
    expect(await measured.read('a')).toBe('read a');
    await expect(measured.write()).rejects.toBe(error);
    expect(told).toEqual([
      ['read', 0.25, 'ok'],
      ['write', 0.04, 'failed'],
    ]);
  });

  it('hands on what is no question: weaknesses, watches, the end, and what is no method', async () => {
    const told: Told[] = [];
    const done: string[] = [];
    const store = {
      prefix: 'a',
      weaknesses: () => ['weak'],
      watchTokens: (...args: unknown[]) => void done.push(`watched ${args.length}`),
      close: async () => void done.push('closed'),
    };
    const measured = measuredStore(store, (...args) => told.push(args));
    store.prefix = 'b';
    expect([measured.prefix, measured.weaknesses()]).toEqual(['b', ['weak']]);
    measured.watchTokens({}, 5);
    await measured.close();
    expect(done).toEqual(['watched 2', 'closed']);
    expect(told).toEqual([]);
    expect(Object.keys({ ...measured })).toEqual(Object.keys(store));
  });

  it('takes a store that is a class with private fields, and one that is frozen', async () => {
    class Counter {
      #count = 0;
      async next(): Promise<number> {
        return (this.#count += 1);
      }
      get count(): number {
        return this.#count;
      }
    }
    class Named extends Counter {
      async name(): Promise<string> {
        return `counter ${await this.next()}`;
      }
    }
    const told: Told[] = [];
    const measured = measuredStore(Object.freeze(new Named()), (...args) => told.push(args));
    expect([await measured.next(), await measured.name(), measured.count]).toEqual([1, 'counter 2', 2]);
    expect(told.map(([operation]) => operation)).toEqual(['next', 'name']);
  });

  it('answers all the same where the observer throws', async () => {
    const measured = measuredStore(memoryStore(), () => {
      throw new Error('no disk');
    });
    expect(await measured.readToken('0'.repeat(64))).toBeNull();
  });

  it('keeps the type of what it wraps', async () => {
    const measured: Store = measuredStore(memoryStore(), () => {});
    // @ts-expect-error -- no port has it
    expect(measured.noSuchMethod).toBeUndefined();
  });

  it.each([
    [undefined, () => {}, 'store must be a store'],
    [null, () => {}, 'store must be a store'],
    ['redis://', () => {}, 'store must be a store'],
    [memoryStore(), undefined, 'observe and now must be functions'],
  ])('refuses %#', (store, observe, message) => {
    expect(() => measuredStore(store as object, observe as StoreObserver)).toThrow(TypeError);
    expect(() => measuredStore(store as object, observe as StoreObserver)).toThrow(message);
  });
});
