import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import type { AccessTokensOptions } from '../../src/core/token-options.js';
import { StoreUnavailable } from '../../src/core/errors.js';
import type { TokenStore } from '../../src/core/token-store.js';
import type { AuthContext, AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { loginOf, passwordVerified } from '../../src/http/login.js';
import { issueToken, type IssueTokenOptions } from '../../src/middleware/issue-token.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { tokenFacts } from '../rig/token-facts.js';
import { told } from '../rig/told.js';

const week = 604_800;
const alice = { id: 'alice', role: 'owner' };

interface Setup {
  readonly options?: IssueTokenOptions;
  readonly core?: Partial<AccessTokensOptions>;
  readonly store?: Partial<TokenStore>;
  /** What has happened to the login before; by default, all of it. */
  readonly before?: (ctx: AuthContext) => unknown;
}

function complete(ctx: AuthContext): void {
  loginOf(ctx).passLockout('told');
  passwordVerified(ctx, alice);
  loginOf(ctx).passFactor('otp');
}

function passwordOnly(ctx: AuthContext): void {
  passwordVerified(ctx, alice);
}

function mount({ options, core, store, before = complete }: Setup = {}) {
  const clock = fakeClock();
  const tokens = new AccessTokens({ store: { ...memoryStore({ now: clock.now }), ...store }, ...core });
  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const state: { auth?: unknown } = {};
  let after = 0;
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  app.use(bodyParser());
  const prepare: AuthMiddleware = async (ctx, next) => {
    await before(ctx);
    await next();
  };
  app.use(prepare);
  app.use(issueToken(tokens, options));
  app.use(() => {
    after += 1;
  });
  const send = (body: object = {}): request.Test => request(app.callback()).post('/tokens').send(body);
  return { app, clock, tokens, events, errors, state, send, reached: () => after };
}

const refused = (error: string): object => ({ error, error_description: expect.any(String) });

describe('issueToken lets through', () => {
  it('a proven login, with a token in the form of RFC 6749 section 5.1', async () => {
    const rig = mount();
    const { body, headers } = await rig.send().expect(200);
    const now = rig.clock.now();
    expect(body).toEqual({
      access_token: expect.stringMatching(/^pcat_[\w-]{49}$/),
      token_type: 'Bearer',
      expires_in: week,
      scope: '',
      id: expect.stringMatching(/^[\w-]{43}$/),
      created_at: new Date(now).toISOString(),
      expires_at: new Date(now + week * 1000).toISOString(),
    });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    const { access_token } = body as { access_token: string };
    expect(await rig.tokens.check(access_token)).toMatchObject({
      account: { id: 'alice' },
      methods: ['pwd', 'otp'],
    });
    expect(rig.reached()).toBe(0);
  });

  it('fixed grants', async () => {
    const rig = mount({ options: { scope: 'read write', name: 'cli', lifetimeSeconds: 60 } });
    const { body } = await rig.send().expect(200);
    expect(body).toMatchObject({ scope: 'read write', expires_in: 60 });
    expect(await rig.tokens.list(alice)).toMatchObject([{ name: 'cli', scope: 'read write' }]);
  });

  it('grants that are decided for this login', async () => {
    const rig = mount({
      options: {
        scope: (account) => ((account as typeof alice).role === 'owner' ? 'admin' : 'read'),
        name: (_, ctx) => ctx.get('User-Agent'),
        lifetimeSeconds: () => 5,
      },
    });
    const { body } = await rig.send().set('User-Agent', 'acme-cli/1').expect(200);
    expect(body).toMatchObject({ scope: 'admin', expires_in: 5 });
    expect(await rig.tokens.list(alice)).toMatchObject([{ name: 'acme-cli/1' }]);
  });

  it('a login that no lockout counted or no factor step saw, where the app says so', async () => {
    const both = { dangerouslyWithoutLockout: true, dangerouslyWithoutSecondFactor: true };
    await mount({ before: passwordOnly, options: both }).send().expect(200);
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const options of [{ dangerouslyWithoutLockout: true }, { dangerouslyWithoutSecondFactor: true }]) {
      await mount({ before: passwordOnly, options }).send().expect(401);
    }
    await mount({ before: () => {}, options: both })
      .send()
      .expect(401);
    expect(warned).toHaveBeenCalledTimes(3);
    warned.mockRestore();
  });
});

describe('issueToken refuses', () => {
  it.each<[string, (ctx: AuthContext) => unknown]>([
    ['nothing was proven', () => {}],
    ['only the lockout was passed', (ctx) => loginOf(ctx).passLockout('told')],
    [
      'the lockout was passed and the password not verified',
      (ctx) => {
        loginOf(ctx).passLockout('told');
        loginOf(ctx).passFactor('otp');
      },
    ],
    [
      'no factor step was passed',
      (ctx) => {
        loginOf(ctx).passLockout('told');
        passwordVerified(ctx, alice);
      },
    ],
    [
      'no lockout was passed',
      (ctx) => {
        passwordVerified(ctx, alice);
        loginOf(ctx).passFactor('otp');
      },
    ],
    [
      'a password was refused',
      (ctx) => {
        loginOf(ctx).passLockout('told');
        loginOf(ctx).failPassword();
        loginOf(ctx).passFactor('otp');
      },
    ],
    [
      'all of it is forged in ctx.state',
      (ctx) => {
        const forged = { account: alice, methods: ['pwd', 'otp'], satisfied: true, password: 'verified' };
        Object.assign(ctx.state, { auth: forged, login: forged, user: alice, isOwner: true });
        Object.assign(ctx, { login: forged, account: alice });
      },
    ],
    [
      'the proof is that of another request',
      (ctx) => {
        complete(Object.create(ctx) as AuthContext);
        complete({ ...ctx });
      },
    ],
  ])('where %s (I3, TOK-14, CFG-02)', async (_, before) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before });
    const { body, headers } = await rig.send().expect(401);
    expect(body).toEqual(refused('invalid_credentials'));
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(await rig.tokens.list(alice)).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^issueToken is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });

  it('a pending login whose factor is outstanding, whatever the options say (I3)', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({
      options: { dangerouslyWithoutLockout: true, dangerouslyWithoutSecondFactor: true },
      before: (ctx) => {
        const facts = { subject: 'x', methods: ['pwd'], provenAt: 1, handle: 'x', factors: 'x' };
        loginOf(ctx).resume({ ...facts, account: alice, startedAt: 1 }, Date.now());
      },
    });
    expect((await rig.send().expect(401)).body).toEqual(refused('invalid_credentials'));
    expect(await rig.tokens.list(alice)).toEqual([]);
    warned.mockRestore();
  });

  it('a second token on one proof', async () => {
    const rig = mount();
    const again = issueToken(rig.tokens);
    rig.app.middleware.splice(-2, 0, async (ctx, next) => {
      await next();
      await expect(again(ctx as never, next)).rejects.toThrow(TypeError);
    });
    await rig.send().expect(200);
    expect(await rig.tokens.list(alice)).toHaveLength(1);
  });

  it('a request that took over five minutes from its proof', async () => {
    const now = jest.fn(() => Date.now() + 300_001);
    const rig = mount({ core: { now } });
    await rig.send().expect(500);
    expect(await rig.tokens.list(alice)).toEqual([]);
    now.mockImplementation(Date.now);
    await rig.send().expect(200);
  });

  it.each<[string, IssueTokenOptions]>([
    ['a lifetime over seven days (TOK-01, I8)', { lifetimeSeconds: () => week + 1 }],
    ['a lifetime that is NaN (TOK-01)', { lifetimeSeconds: () => Number.NaN }],
    ['a lifetime of text (TOK-01)', { lifetimeSeconds: (() => '7d') as never }],
    ['a promise of a lifetime', { lifetimeSeconds: (async () => 5) as never }],
    ['a scope that breaks out of a header', { scope: () => 'read"\r\nX: 1' }],
    ['a scope that is a list', { scope: (() => ['read']) as never }],
    ['a name of 256 bytes', { name: () => 'x'.repeat(256) }],
    [
      'an error',
      {
        name: () => {
          throw new TypeError('a bug of the app');
        },
      },
    ],
  ])('where the app decides for %s: 500, no token', async (_, options) => {
    const rig = mount({ options });
    await rig.send().expect(500);
    expect(rig.errors).toEqual([expect.any(TypeError)]);
    expect(await rig.tokens.list(alice)).toEqual([]);
  });

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('CANARY'))],
    ['is away', () => Promise.reject(new StoreUnavailable('gone'))],
    ['answers true', () => Promise.resolve(true) as Promise<never>],
    ['answers nothing', () => Promise.resolve(undefined) as Promise<never>],
    [
      'answers another key',
      () => Promise.resolve({ key: 1, createdAt: 1, expiresAt: 2, record: '' }) as Promise<never>,
    ],
  ])('where the store %s: 503 (I9)', async (_, issue) => {
    const rig = mount({ store: { issueToken: issue } });
    const { body, headers } = await rig.send().expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({
      'retry-after': '1',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it.each([
    ['invalid_credentials', false],
    ['pending_login_invalid', true],
  ])('with %s a login that a revocation overtook (I7, RCE-14)', async (error, isResumed) => {
    const startedAt = fakeClock().now() * 1000;
    const rig = mount({
      before: async (ctx) => {
        const login = loginOf(ctx);
        if (isResumed) {
          const facts = { subject: 'x', methods: ['pwd'], provenAt: 1, handle: 'x', factors: 'x' };
          login.resume({ ...facts, account: alice, startedAt }, Date.now());
          login.passLockout('told');
        } else {
          login.count({
            identifier: 'alice',
            account: undefined,
            subject: 'x',
            told: 'told',
            startedAt,
            giveBack: async () => {},
          });
          passwordVerified(ctx, alice);
        }
        login.passFactor('otp');
        rig.clock.advance(1);
        await rig.tokens.revokeAll(alice);
      },
    });
    const { body, headers } = await rig.send().expect(401);
    expect(body).toEqual(refused(error));
    expect(headers['cache-control']).toBe('no-store');
    expect(await rig.tokens.list(alice)).toEqual([]);
    expect(rig.events).toEqual([]);
  });

  it('where the attempt could not be given back: no token before it is', async () => {
    const rig = mount({
      before: (ctx) => {
        const counted = { identifier: 'alice', account: undefined, subject: 'x', told: 'told', startedAt: 1 };
        loginOf(ctx).count({ ...counted, giveBack: () => Promise.reject(new StoreUnavailable('gone')) });
        passwordVerified(ctx, alice);
        loginOf(ctx).passFactor();
      },
    });
    await rig.send().expect(503);
    expect(await rig.tokens.list(alice)).toEqual([]);
  });

  it('nobody the body names: only the proof decides (PND-05, ENR-15)', async () => {
    const rig = mount();
    await rig
      .send({ username: 'bob', account: { id: 'bob' }, isOwner: true, lifetimeSeconds: 1e12 })
      .expect(200);
    expect(await rig.tokens.list({ id: 'bob' })).toEqual([]);
    expect(await rig.tokens.list(alice)).toMatchObject([{ expiresAt: rig.clock.now() + week * 1000 }]);
  });
});

describe('issueToken tells', () => {
  it('the token by its id, and the login (LOG-01)', async () => {
    const rig = mount({ options: { scope: 'read' } });
    const { body } = await rig.send().expect(200);
    const { id, access_token } = body as { id: string; access_token: string };
    expect(rig.events).toEqual([
      { name: 'token.issued', account: 'alice', token: id, scope: 'read', ...told },
      {
        name: 'login.succeeded',
        account: 'alice',
        methods: ['pwd', 'otp'],
        token: id,
        subject: 'told',
        ...told,
      },
    ]);
    expect(JSON.stringify(rig.events)).not.toContain(access_token);
  });

  it('the facts in ctx.state.auth, without the secret', async () => {
    const rig = mount({ options: { name: 'cli' } });
    const { body } = await rig.send().expect(200);
    const { id, access_token } = body as { id: string; access_token: string };
    const now = rig.clock.now();
    expect(rig.state.auth).toEqual({
      account: alice,
      methods: ['pwd', 'otp'],
      authTime: expect.any(Number),
      token: tokenFacts({
        id,
        name: 'cli',
        createdAt: now,
        expiresAt: now + week * 1000,
        address: '127.0.0.1',
      }),
    });
    expect(Math.abs((rig.state.auth as { authTime: number }).authTime - Date.now() / 1000)).toBeLessThan(5);
    expect(JSON.stringify(rig.state)).not.toContain(access_token);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount({ store: { issueToken: async () => null } });
    const { body } = await rig.send().expect(401);
    expect(rig.state.auth).toEqual({ refusal: body });
  });

  it('its own name', () => {
    expect(issueToken(mount().tokens).name).toBe('issueToken');
  });
});

describe('issueToken rejects bad options', () => {
  const { tokens } = mount();
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'issueToken: the first argument must be made by new AccessTokens(), not undefined'],
    [memoryStore(), {}, 'issueToken: the first argument must be made by new AccessTokens(), not an object'],
    [
      tokens,
      { ttl: 60 },
      'issueToken: unknown option "ttl"; it takes scope, name, lifetimeSeconds, idleSeconds, carry, dangerouslyWithoutLockout, dangerouslyWithoutSecondFactor',
    ],
    [
      tokens,
      { scope: 'a  b' },
      'issueToken: option scope must be scope values separated by single spaces, or a function, not "a  b"',
    ],
    [
      tokens,
      { name: 7 },
      'issueToken: option name must be a string of at most 255 bytes, or a function, not 7',
    ],
    ...[8 * 86_400, week + 1, Number.POSITIVE_INFINITY, Number.NaN, -1, 0, null].map(
      (value): [unknown, unknown, string] => [
        tokens,
        { lifetimeSeconds: value },
        `issueToken: option lifetimeSeconds must be a whole number from 1 to 604800, or a function, not ${value}`,
      ],
    ),
    [
      tokens,
      { dangerouslyWithoutLockout: 'true' },
      'issueToken: option dangerouslyWithoutLockout must be true or false, not "true"',
    ],
    [
      tokens,
      { dangerouslyWithoutSecondFactor: 1 },
      'issueToken: option dangerouslyWithoutSecondFactor must be true or false, not 1',
    ],
    [tokens, 'read', 'issueToken: options must be an object, not "read"'],
  ])('by name, when it is made (TOK-01) %#', (core, options, message) => {
    expect(() => issueToken(core as never, options as never)).toThrow(new TypeError(message));
  });

  it.each([
    'dangerouslyWithoutLockout',
    'dangerouslyWithoutSecondFactor',
    'lifetimeSeconds',
    'ttl',
    'satisfied',
    'verified',
    'skip',
    'allow',
  ])('and takes none from a polluted prototype (INP-06): %s', async (name) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const value = name.endsWith('s') ? 1e12 : true;
    Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    try {
      await mount({ before: passwordOnly }).send().expect(401);
      const { body } = await mount({ options: {} }).send().expect(200);
      expect((body as { expires_in: number }).expires_in).toBe(week);
    } finally {
      Reflect.deleteProperty(Object.prototype, name);
      warned.mockRestore();
    }
  });

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    const options = { lifetimeSeconds: 60 };
    const rig = mount({ options });
    options.lifetimeSeconds = week * 2;
    expect((await rig.send().expect(200)).body).toMatchObject({ expires_in: 60 });
    expect(() => issueToken(tokens, Object.freeze({ lifetimeSeconds: 60 }))).not.toThrow();
    expect(options).toEqual({ lifetimeSeconds: week * 2 });
  });
});
