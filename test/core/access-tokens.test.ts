import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { accessTokenPattern } from '../../src/core/token-secret.js';
import { StoreUnavailable } from '../../src/core/errors.js';
import { freshLoginRule, isRecentLogin } from '../../src/core/fresh-login.js';
import { Login } from '../../src/core/login.js';
import type { AccessTokensOptions } from '../../src/core/token-options.js';
import type { TokenStore } from '../../src/core/token-store.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { tokenFacts } from '../rig/token-facts.js';

const week = 604_800;
const alice = { id: 'alice' };

function rig(options: Partial<AccessTokensOptions> = {}, overrides: Partial<TokenStore> = {}) {
  const clock = fakeClock();
  const calls: string[] = [];
  const store = memoryStore({ now: clock.now });
  const watched = Object.fromEntries(
    Object.entries({ ...store, ...overrides }).map(([name, method]) => [
      name,
      (...args: never[]) => {
        calls.push(name);
        return Reflect.apply(method, undefined, args) as unknown;
      },
    ]),
  ) as unknown as TokenStore;
  const tokens = new AccessTokens({ store: watched, now: clock.now, ...options });
  const proof = (id = 'alice'): Login => {
    const login = new Login();
    login.verifyPassword({ id }, clock.now());
    login.passFactor();
    return login;
  };
  const issue = async (id = 'alice', grant = {}) => {
    const issued = await tokens.issue(proof(id), grant);
    if (issued === null) throw new Error('no token');
    return issued;
  };
  return { clock, store, tokens, calls, proof, issue };
}

describe('a token', () => {
  it('is whose login it was issued on, and what was granted', async () => {
    const { tokens, issue, clock } = rig();
    const { secret, facts } = await issue('alice', { scope: 'read write', name: 'laptop' });
    expect(facts).toEqual({
      account: alice,
      methods: ['pwd'],
      authTime: clock.now() / 1000,
      token: tokenFacts({
        id: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) as unknown as string,
        scope: 'read write',
        name: 'laptop',
        createdAt: clock.now(),
        expiresAt: clock.now() + week * 1000,
      }),
    });
    expect(await tokens.check(secret)).toEqual(facts);
    expect(secret).not.toContain(facts.token.id);
  });

  it('holds 256 random bits, a prefix and a checksum, in the published pattern (TOK-16)', async () => {
    const { issue } = rig();
    const secrets = new Set<string>();
    for (let i = 0; i < 100_000; i += 1) secrets.add((await issue(`user ${i}`)).secret);
    expect(secrets.size).toBe(100_000);
    const pattern = new RegExp(`^${accessTokenPattern}$`);
    expect([...secrets].filter((secret) => !pattern.test(secret) || !secret.startsWith('pcat_'))).toEqual([]);
    expect(accessTokenPattern).toBe('pcat_[A-Za-z0-9_-]{49}');
    // Bits of the 32 bytes: each is set in half of the tokens; 1,300 is more than eight standard deviations.
    const set = Array.from({ length: 256 }, () => 0);
    for (const secret of secrets) {
      const bytes = Buffer.from(secret.slice(5, 48), 'base64url');
      for (let bit = 0; bit < 256; bit += 1)
        set[bit] = (set[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1);
    }
    expect(set.filter((count) => Math.abs(count - 50_000) > 1300)).toEqual([]);
  });

  it.each([
    [1, -1, true],
    [1, 0, false],
    [1, 1, false],
    [week, -1, true],
    [week, 0, false],
    [week, 1, false],
  ])('of %d s, %d ms from its end, is live: %s (TOK-02)', async (lifetimeSeconds, ms, live) => {
    const { tokens, issue, clock } = rig({ lifetimeSeconds });
    const { secret } = await issue();
    clock.advance(lifetimeSeconds + ms / 1000);
    expect((await tokens.check(secret)) !== null).toBe(live);
  });

  it('that expired is not revived by a clock that goes back (CLK-05)', async () => {
    const { tokens, issue, clock } = rig({ lifetimeSeconds: 60 });
    const { secret } = await issue();
    clock.advance(61);
    expect(await tokens.check(secret)).toBeNull();
    clock.advance(-30);
    expect(await tokens.check(secret)).toBeNull();
  });

  it.each([
    8 * 86_400,
    week + 1,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    '7d',
    -1,
    0,
    null,
    1.5,
    Number('1e400'),
  ])('cannot be made to live for %p, by option or by grant (TOK-01)', async (lifetimeSeconds) => {
    const message = /lifetimeSeconds must be a whole number from 1 to 604800/;
    expect(() => rig({ lifetimeSeconds: lifetimeSeconds as number })).toThrow(message);
    const { tokens, proof, calls } = rig();
    const login = proof();
    await expect(tokens.issue(login, { lifetimeSeconds: lifetimeSeconds as number })).rejects.toThrow(
      message,
    );
    expect(calls).toEqual([]);
    // A grant that was refused has not used the proof up.
    await expect(tokens.issue(login)).resolves.not.toBeNull();
  });

  it('with one character flipped, dropped or added is nobody, without a store call (TOK-04)', async () => {
    const { tokens, issue, calls } = rig();
    const { secret } = await issue();
    calls.length = 0;
    for (let at = 0; at < secret.length; at += 1) {
      const flipped = secret[at] === 'A' ? 'B' : 'A';
      expect(await tokens.check(secret.slice(0, at) + flipped + secret.slice(at + 1))).toBeNull();
      expect(await tokens.check(secret.slice(0, at) + secret.slice(at + 1))).toBeNull();
      expect(await tokens.check(secret.slice(0, at) + flipped + secret.slice(at))).toBeNull();
    }
    expect(calls).toEqual([]);
    // Well made, and nobody's.
    expect(await tokens.check((await rig().issue()).secret)).toBeNull();
    expect(calls).toEqual(['readToken']);
  });
});

describe('issuing', () => {
  it('needs a proof of this very login, once (TOK-14)', async () => {
    const { tokens, proof, calls, clock } = rig();
    const used = proof();
    await tokens.issue(used);
    const old = proof();
    clock.advance(300.001);
    calls.length = 0;
    const unfinished = new Login();
    unfinished.verifyPassword(alice, clock.now());
    for (const fake of [
      'alice',
      alice,
      { satisfied: true },
      Object.create(proof()),
      used,
      old,
      unfinished,
      undefined,
    ]) {
      await expect(tokens.issue(fake as Login)).rejects.toThrow(TypeError);
    }
    expect(calls).toEqual([]);
  });

  it('on one proof, 50 times at once, gives one token', async () => {
    const { tokens, proof } = rig();
    const login = proof();
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => tokens.issue(login)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await tokens.list(alice)).toHaveLength(1);
  });

  it('gives nothing for a login that began before a revocation', async () => {
    const { tokens, clock } = rig();
    const login = new Login();
    const counted = {
      identifier: 'alice',
      account: undefined,
      subject: 'key',
      told: 'told',
      startedAt: clock.now() * 1000,
    };
    login.count({ ...counted, giveBack: async () => {} });
    login.verifyPassword(alice, clock.now());
    login.passFactor();
    clock.advance(1);
    expect(await tokens.revokeAll(alice)).toBe(0);
    expect(await tokens.issue(login)).toBeNull();
    expect(await tokens.list(alice)).toEqual([]);
  });

  it.each([
    { scope: 'a  b' },
    { scope: 7 },
    { name: 'x'.repeat(256) },
    { name: 7 },
    { scpoe: 'read' },
    null,
    'read',
  ])('refuses a grant out of range: %j', async (grant) => {
    const { tokens, proof } = rig();
    await expect(tokens.issue(proof(), grant as never)).rejects.toThrow(/^issue: /);
  });
});

describe('a use', () => {
  it('is noted beside the request that makes it, once in half a minute', async () => {
    const { tokens, issue, calls, clock } = rig();
    const { secret } = await issue();
    clock.advance(5);
    for (let i = 0; i < 10; i += 1) await tokens.check(secret);
    expect(calls.filter((name) => name === 'touchToken')).toHaveLength(1);
    expect((await tokens.check(secret))?.token.lastUsedAt).toBe(clock.now());
    expect(await tokens.list(alice)).toMatchObject([{ lastUsedAt: clock.now() }]);
  });

  it('that cannot be noted fails no request', async () => {
    const { tokens, issue } = rig({}, { touchToken: () => Promise.reject(new Error('CANARY')) });
    const { secret } = await issue();
    expect((await tokens.check(secret))?.account.id).toBe('alice');
  });

  it('that could not be noted is noted by the next one', async () => {
    let isUp = false;
    const sound = memoryStore();
    const { tokens, issue, clock } = rig(
      {},
      { touchToken: (use) => (isUp ? sound.touchToken(use) : Promise.reject(new Error('CANARY'))) },
    );
    const touched: unknown[] = [];
    sound.touchToken = async ({ key }) => touched.push(key) > 0;
    const { secret } = await issue();
    clock.advance(1);
    await tokens.check(secret);
    isUp = true;
    await new Promise(setImmediate);
    await tokens.check(secret);
    expect(touched).toHaveLength(1);
  });

  it('puts off the end of a token that ends when it is idle, by two minutes more than was granted', async () => {
    const { tokens, issue, clock } = rig();
    const { secret: idle } = await issue('alice', { idleSeconds: 60 });
    const { secret: used, facts } = await issue('alice', { idleSeconds: 60 });
    expect(facts.token.idleSeconds).toBe(60);
    clock.advance(160);
    expect(await tokens.check(used)).not.toBeNull();
    clock.advance(19.999);
    expect((await tokens.list(alice)).map(({ lastUsedAt }) => lastUsedAt === null)).toEqual([true, false]);
    clock.advance(0.001);
    expect(await tokens.check(idle)).toBeNull();
    expect(await tokens.check(used)).not.toBeNull();
  });

  it.each([59, 604_801, 0, '600', Number.NaN])(
    'never ends a token by an idle time of %p',
    async (idleSeconds) => {
      const { tokens, proof } = rig();
      await expect(tokens.issue(proof(), { idleSeconds } as never)).rejects.toThrow(
        /option idleSeconds must be/,
      );
    },
  );
});

describe('what was read', () => {
  it('is told to all requests alike, and none can change it for the others', async () => {
    const { tokens, issue } = rig();
    const { secret } = await issue('alice', { scope: 'read' });
    const first = await tokens.check(secret);
    for (const part of [first, first?.token, first?.methods, first?.account])
      expect(Object.isFrozen(part)).toBe(true);
    expect(await tokens.check(secret)).toMatchObject({ account: { id: 'alice' }, token: { scope: 'read' } });
  });

  it('is read anew when the store answers anything else under the same hash', async () => {
    let store = memoryStore();
    const { tokens, issue } = rig(
      {},
      { readToken: (key) => store.readToken(key), issueToken: (token) => store.issueToken(token) },
    );
    const { secret, facts } = await issue();
    expect(await tokens.check(secret)).toMatchObject({ account: { id: 'alice' } });
    const key = Buffer.from(facts.token.id, 'base64url').toString('hex');
    const stored = await store.readToken(key);
    for (const other of [
      { createdAt: 1 },
      { expiresAt: 2 },
      { usedAt: 3 },
      { record: stored?.record.replace('alice', 'malice') ?? '' },
    ]) {
      store = { ...store, readToken: async () => ({ ...stored, ...other }) as never };
      const found = await tokens.check(secret);
      const { createdAt, expiresAt, lastUsedAt } = found?.token ?? {};
      expect(found?.account.id).toBe('record' in other ? 'malice' : 'alice');
      expect({ createdAt, expiresAt, usedAt: lastUsedAt }).toMatchObject('record' in other ? {} : other);
    }
    store = { ...store, readToken: async () => null };
    expect(await tokens.check(secret)).toBeNull();
  });

  it('is not remembered without bound', async () => {
    const { tokens, issue } = rig();
    const { secret } = await issue();
    const before = await tokens.check(secret);
    expect(await tokens.check(secret)).toEqual(await tokens.check(secret));
    for (let i = 0; i < 3000; i += 1) await tokens.check((await issue(`user ${i}`)).secret);
    expect((await tokens.check(secret))?.account).toEqual(before?.account);
  });
});

describe('a token of a robot', () => {
  const grant = { name: 'nightly export', scope: 'reports:read', issuer: 'olivia' };

  it('has a name, a scope and somebody who answers for it, and no login behind it', async () => {
    const { tokens } = rig();
    const { secret, facts } = await tokens.issueToRobot(
      { id: 'exporter' },
      { ...grant, lifetimeSeconds: 60 },
    );
    expect(facts).toMatchObject({ account: { id: 'exporter' }, methods: [], authTime: 0, token: grant });
    expect(facts.token.expiresAt - facts.token.createdAt).toBe(60_000);
    expect(await tokens.check(secret)).toEqual(facts);
    expect(isRecentLogin(facts, freshLoginRule(86_400, 'never'), Date.now())).toBe(false);
    expect(await tokens.revokeAll({ id: 'exporter' })).toBe(1);
  });

  it.each([
    { ...grant, scope: '' },
    { ...grant, name: '' },
    { ...grant, issuer: undefined },
    { ...grant, lifetimeSeconds: 604_801 },
    { ...grant, carry: 'session' },
    {},
  ])('is refused out of range: %j (TOK-01)', async (wrong) => {
    const { tokens, calls } = rig();
    await expect(tokens.issueToRobot({ id: 'exporter' }, wrong as never)).rejects.toThrow(/^issueToRobot: /);
    expect(calls).toEqual([]);
  });
});

describe('revoking', () => {
  it('the own token ends it; that of another, an unknown one and what is no id stay as they are', async () => {
    const { tokens, issue } = rig();
    const mine = await issue();
    const bobs = await issue('bob');
    expect(await tokens.revokeOwn(alice, bobs.facts.token.id)).toBe(false);
    expect(await tokens.revokeOwn(alice, Buffer.alloc(32).toString('base64url'))).toBe(false);
    expect(await tokens.revokeOwn(alice, mine.secret)).toBe(false);
    expect(await tokens.check(bobs.secret)).not.toBeNull();
    expect(await tokens.revokeOwn(alice, mine.facts.token.id)).toBe(true);
    expect(await tokens.check(mine.secret)).toBeNull();
    expect(await tokens.revokeOwn(alice, mine.facts.token.id)).toBe(false);
  });

  it('ends one token at once; again, and for an unknown one, it answers false (TOK-18)', async () => {
    const { tokens, issue } = rig();
    const first = await issue();
    const second = await issue();
    expect(await tokens.revoke(first.facts.token.id)).toBe(true);
    expect(await tokens.check(first.secret)).toBeNull();
    expect(await tokens.check(second.secret)).not.toBeNull();
    expect(await tokens.revoke(first.facts.token.id)).toBe(false);
    expect(await tokens.revoke(Buffer.alloc(32).toString('base64url'))).toBe(false);
  });

  it.each(['', 'x', '../x', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(43)}\n`])(
    'by what is no id asks no store: %j',
    async (id) => {
      const { tokens, calls } = rig();
      expect(await tokens.revoke(id)).toBe(false);
      expect(calls).toEqual([]);
    },
  );

  it('by another spelling of its id ends nothing', async () => {
    const { tokens, issue } = rig();
    const { secret, facts } = await issue();
    const { id } = facts.token;
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const others = [1, 2, 3].map((bits) => id.slice(0, -1) + letters[letters.indexOf(id.slice(-1)) + bits]);
    for (const other of others) {
      expect(Buffer.from(other, 'base64url')).toEqual(Buffer.from(id, 'base64url'));
      expect(await tokens.revoke(other)).toBe(false);
      expect(await tokens.revokeOwn(alice, other)).toBe(false);
      expect(await tokens.find(other)).toBeNull();
    }
    expect(await tokens.find(id)).toEqual(facts);
    expect(await tokens.check(secret)).not.toBeNull();
  });

  it('by the token itself is not possible: its id is another text', async () => {
    const { tokens, issue } = rig();
    const { secret } = await issue();
    expect(await tokens.revoke(secret)).toBe(false);
    expect(await tokens.check(secret)).not.toBeNull();
  });

  it('ends all tokens of an account and of nobody else (TOK-12)', async () => {
    const { tokens, issue } = rig();
    const mine = await Promise.all([issue(), issue(), issue()]);
    const bobs = await issue('bob');
    expect(await tokens.revokeAll(alice)).toBe(3);
    for (const { secret } of mine) expect(await tokens.check(secret)).toBeNull();
    expect(await tokens.check(bobs.secret)).not.toBeNull();
    expect(await tokens.revokeAll(alice)).toBe(0);
  });

  it('can leave the acting token, and only it', async () => {
    const { tokens, issue } = rig();
    const acting = await issue();
    const other = await issue();
    const bobs = await issue('bob');
    expect(await tokens.revokeAll(alice, { except: acting.facts.token.id })).toBe(1);
    expect(await tokens.check(acting.secret)).not.toBeNull();
    expect(await tokens.check(other.secret)).toBeNull();
    expect(await tokens.revokeAll(alice, { except: bobs.facts.token.id })).toBe(1);
    expect(await tokens.check(acting.secret)).toBeNull();
  });

  it('never leaves a token that no option names: a misspelt or inherited one is an error or nothing (INP-06)', async () => {
    const { tokens, issue } = rig();
    const { secret, facts } = await issue();
    await expect(async () => tokens.revokeAll(alice, { excpet: facts.token.id } as never)).rejects.toThrow(
      TypeError,
    );
    Reflect.defineProperty(Object.prototype, 'except', { configurable: true, value: facts.token.id });
    try {
      await tokens.revokeAll(alice);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'except');
    }
    expect(await tokens.check(secret)).toBeNull();
  });

  it.each([undefined, null, 'alice', {}, { id: '' }, { id: 7 }, { id: 'x'.repeat(256) }, { id: '\ud800' }])(
    'and listing need an account: %j',
    async (account) => {
      const { tokens, calls } = rig();
      await expect(async () => tokens.revokeAll(account as never)).rejects.toThrow(TypeError);
      await expect(async () => tokens.list(account as never)).rejects.toThrow(TypeError);
      expect(calls).toEqual([]);
    },
  );
});

it('lists the live tokens of one account, oldest first, without their secrets', async () => {
  const { tokens, issue, clock } = rig({ lifetimeSeconds: 100 });
  await issue('alice', { name: 'ended', lifetimeSeconds: 1 });
  clock.advance(5);
  await issue('alice', { name: 'first' });
  clock.advance(5);
  await issue('bob', { name: 'not mine' });
  const { secret } = await issue('alice', { name: 'second' });
  const list = await tokens.list(alice);
  expect(list.map(({ name }) => name)).toEqual(['first', 'second']);
  expect(list.map(({ methods }) => methods)).toEqual([['pwd'], ['pwd']]);
  expect(JSON.stringify(list)).not.toContain(secret);
});

describe('a store that answers oddly refuses (CFG-08, I9)', () => {
  const token = { key: 'a'.repeat(64), createdAt: 1, expiresAt: 2 };
  const record = { v: 1, account: 'alice', scope: '', name: '', methods: ['pwd'], authTime: 1 };
  const odd: [string, unknown][] = [
    ['undefined', undefined],
    ['true', true],
    ['text', 'alice'],
    ['an empty object', {}],
    ['a list', [token]],
    ['a count', 1],
    ['no record', token],
    ['an empty record', { ...token, record: '' }],
    ['a record cut short', { ...token, record: '{"v":1,"acc' }],
    ['a record of another version', { ...token, record: JSON.stringify({ ...record, v: 2 }) }],
    ['a record of nobody', { ...token, record: JSON.stringify({ ...record, account: undefined }) }],
    ['a record of a number', { ...token, record: JSON.stringify({ ...record, account: 7 }) }],
    ['a record without methods', { ...token, record: JSON.stringify({ ...record, methods: 'pwd' }) }],
    ['a record without a time', { ...token, record: JSON.stringify({ ...record, authTime: null }) }],
    ['a record that is null', { ...token, record: 'null' }],
    ['times that are text', { ...token, createdAt: '1', record: JSON.stringify(record) }],
    ['an end that is NaN', { ...token, expiresAt: Number.NaN, record: JSON.stringify(record) }],
    ['a negative end', { ...token, expiresAt: -1, record: JSON.stringify(record) }],
    ['inherited fields', Object.create({ ...token, record: JSON.stringify(record) })],
  ];

  it.each(odd)('with %s for a token', async (_, reply) => {
    const { tokens, proof, issue } = rig({}, { readToken: async () => reply as never });
    const { secret } = await issue();
    await expect(tokens.check(secret)).rejects.toThrow(StoreUnavailable);
    const other = rig(
      {},
      { issueToken: async () => reply as never, listTokens: async () => [reply] as never },
    );
    await expect(other.tokens.issue(proof())).rejects.toThrow(StoreUnavailable);
    await expect(other.tokens.list(alice)).rejects.toThrow(StoreUnavailable);
  });

  it.each([undefined, null, 1, 'OK', {}, 'true'])('with %p for a revocation', async (reply) => {
    const { tokens, issue } = rig({}, { revokeToken: async () => reply as never });
    const { facts } = await issue();
    await expect(tokens.revoke(facts.token.id)).rejects.toThrow(StoreUnavailable);
  });

  it.each([undefined, null, '1', -1, 1.5, Number.NaN, 2 ** 53, [1], true])(
    'with %p for the number of those revoked',
    async (reply) => {
      const { tokens } = rig({}, { revokeTokens: async () => reply as never });
      await expect(tokens.revokeAll(alice)).rejects.toThrow(StoreUnavailable);
    },
  );

  it.each<[string, () => never]>([
    [
      'an error',
      () => {
        throw Object.assign(new Error('CANARY'), { command: { args: ['CANARY'] } });
      },
    ],
    [
      'a rejection',
      () => Promise.reject(Object.assign(new Error('CANARY'), { command: { args: ['CANARY'] } })) as never,
    ],
  ])('with %s, of which nothing goes on (LOG-10)', async (_, readToken) => {
    const { tokens, issue } = rig({}, { readToken });
    const error: unknown = await tokens.check((await issue()).secret).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('CANARY');
  });

  it('with silence, within a second', async () => {
    const { tokens, issue } = rig({}, { readToken: () => new Promise(() => {}) });
    const { secret } = await issue();
    const start = performance.now();
    await expect(tokens.check(secret)).rejects.toThrow('no answer in time');
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('AccessTokens rejects', () => {
  afterEach(() => {
    Reflect.deleteProperty(Object.prototype, 'lifetimeSeconds');
  });

  it.each<[unknown, RegExp]>([
    [undefined, /^AccessTokens: option store must be a token store/],
    [{}, /^AccessTokens: option store must be a token store .*, not undefined$/],
    [{ store: {} }, /^AccessTokens: option store must be a token store .*, not an object$/],
    [{ store: { ...memoryStore(), revokeTokens: 1 } }, /^AccessTokens: option store/],
    [
      { store: memoryStore(), ttl: 1 },
      /^AccessTokens: unknown option "ttl"; it takes store, lifetimeSeconds, maxPerAccount, cache, now$/,
    ],
    [{ store: memoryStore(), now: 0 }, /^AccessTokens: option now must be a function, not 0$/],
  ])('bad options %#', (options, message) => {
    expect(() => new AccessTokens(options as never)).toThrow(message);
  });

  it('a lifetime from a polluted Object.prototype (INP-06)', async () => {
    Reflect.defineProperty(Object.prototype, 'lifetimeSeconds', { configurable: true, value: 1e12 });
    const { issue, clock } = rig();
    expect((await issue()).facts.token.expiresAt - clock.now()).toBe(week * 1000);
  });
});

it('AccessTokens shows nothing of a token or a store when it is printed (LOG-06)', async () => {
  const { tokens, issue } = rig();
  const { secret } = await issue();
  const shown = inspect(tokens, { depth: Infinity, showHidden: true }) + JSON.stringify(tokens);
  expect(shown).not.toContain(secret.slice(5, 30));
});
