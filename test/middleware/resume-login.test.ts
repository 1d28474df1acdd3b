import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { keyHash } from '../../src/core/key-hash.js';
import { Login } from '../../src/core/login.js';
import { SecondFactors, type SecondFactorsOptions } from '../../src/core/second-factors.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/http/events.js';
import { loginOf, passwordVerified } from '../../src/http/login.js';
import { resumeLogin, type ResumeLoginOptions } from '../../src/middleware/resume-login.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';

/** The standard limits, as a counted subject is filed under them. */
const standardPolicy = '10/60000/60000,20/3600000/3600000,40/86400000/86400000';

const keys = [randomBytes(32)];
const told = { time: expect.any(Number), ip: expect.any(String) };

interface Setup {
  readonly options?: ResumeLoginOptions;
  readonly core?: Partial<SecondFactorsOptions>;
  readonly store?: Partial<Store>;
  readonly before?: AuthMiddleware;
  readonly parser?: boolean;
}

function mount({ options, core, store, before, parser = true }: Setup = {}) {
  const clock = fakeClock();
  const calls: string[] = [];
  const kept: Store = { ...memoryStore({ now: clock.now }), ...store };
  const watched: Store = {
    ...kept,
    readPendingLogin: (...args) => {
      calls.push('readPendingLogin');
      return kept.readPendingLogin(...args);
    },
  };
  const factors = new SecondFactors({ store: watched, issuer: 'Acme', keys, ...core });
  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const reached: unknown[] = [];
  const state: { auth?: unknown } = {};
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  if (parser) app.use(bodyParser());
  if (before !== undefined) app.use(before);
  app.use(resumeLogin(factors, options));
  app.use((ctx) => {
    const { account, password, resumed } = loginOf(ctx);
    reached.push({ account, password, handle: resumed?.handle });
    ctx.body = 'on to the factor';
  });
  const open = async (id = 'alice'): Promise<string> => {
    const login = new Login();
    login.verifyPassword({ id }, Date.now());
    return factors.pending.open(login, 'print');
  };
  const send = (body: object): request.Test => request(app.callback()).post('/second').send(body);
  return { app, clock, calls, factors, kept, events, errors, reached, state, open, send };
}

const invalid = { error: 'pending_login_invalid', error_description: expect.any(String) };

describe('resumeLogin lets through', () => {
  it('the login that a handle stands for, more than once until it is completed', async () => {
    const rig = mount();
    const pending = await rig.open();
    await rig.send({ pending }).expect(200, 'on to the factor');
    await rig.send({ pending }).expect(200);
    expect(rig.reached[0]).toEqual({ account: { id: 'alice' }, password: 'verified', handle: pending });
    expect(rig.events).toEqual([]);
  });

  it('with the account as findAccount knows it now', async () => {
    const asked: string[] = [];
    const rig = mount({
      options: {
        findAccount: async (id) => {
          asked.push(id);
          return { id, role: 'owner' };
        },
      },
    });
    await rig.send({ pending: await rig.open() }).expect(200);
    expect(asked).toEqual(['alice']);
    expect(rig.reached).toEqual([expect.objectContaining({ account: { id: 'alice', role: 'owner' } })]);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice', role: 'owner' } });
  });

  it('only the account of the handle, whoever else the request names (PND-05)', async () => {
    const rig = mount();
    const others = {
      username: 'bob',
      userId: 'bob',
      sub: 'bob',
      account: { id: 'bob' },
      user: { id: 'bob' },
    };
    await rig.send({ pending: await rig.open(), ...others }).expect(200);
    expect(rig.reached).toEqual([expect.objectContaining({ account: { id: 'alice' } })]);
  });

  it('a handle from wherever readPending finds it, without a body parser', async () => {
    const rig = mount({ parser: false, options: { readPending: (ctx) => ctx.cookies.get('pending') } });
    const pending = await rig.open();
    await rig.send({}).set('Cookie', `pending=${pending}`).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it.each([
    ['no Origin: a client that is no browser', {}],
    ['its own Origin', { Origin: 'https://acme.example' }],
    ['its own Origin from a sibling page', { Origin: 'https://acme.example', 'Sec-Fetch-Site': 'same-site' }],
    ['Sec-Fetch-Site same-origin', { 'Sec-Fetch-Site': 'same-origin' }],
  ])('a request with %s (PND-22)', async (_, headers) => {
    const rig = mount({ core: { origin: 'https://acme.example' } });
    await rig
      .send({ pending: await rig.open() })
      .set(headers)
      .expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('the errors of what comes after it, as they are', async () => {
    const rig = mount();
    const broken = new Error('away');
    rig.app.middleware.splice(-1, 1, () => Promise.reject(broken));
    await rig.send({ pending: await rig.open() }).expect(500);
    expect(rig.errors).toEqual([broken]);
  });
});

describe('resumeLogin refuses', () => {
  it.each<[string, unknown]>([
    ['number', 7],
    ['boolean', true],
    ['null', null],
    ['array', ['pcpl_']],
    ['object', { $gt: '' }],
    ['missing', undefined],
    ['empty', ''],
  ])('as malformed what is no handle (INP-01): %s', async (_, pending) => {
    const rig = mount();
    const { body, headers } = await rig.send({ pending }).expect(400);
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect([...rig.reached, ...rig.calls, ...rig.errors]).toEqual([]);
  });

  it('text that was never a handle, without asking the store (PND-03)', async () => {
    const rig = mount();
    const handle = await rig.open();
    const flipped = `${handle.slice(0, 60)}${handle[60] === 'A' ? 'B' : 'A'}${handle.slice(61)}`;
    for (const pending of [
      'x',
      ' ',
      '\0',
      flipped,
      `${handle}x`,
      handle.slice(1),
      ` ${handle}`,
      `pcat_${'A'.repeat(49)}`,
      keyHash('pending', handle),
      keyHash('password', standardPolicy, 'identifier', 'alice'),
      `portcullis:att:{${keyHash('password', standardPolicy, 'identifier', 'alice')}}`,
      'x'.repeat(100_000),
      '__proto__',
    ]) {
      const { body, headers } = await rig.send({ pending }).expect(401);
      expect(body).toEqual(invalid);
      expect(headers['cache-control']).toBe('no-store');
    }
    expect(rig.calls).toEqual([]);
    expect(rig.reached).toEqual([]);
  });

  it('a handle that is well made and unknown, ended, used up or cut off by a revocation', async () => {
    const rig = mount();
    const unknown = await mount().open();
    await rig.send({ pending: unknown }).expect(401);
    const closed = await rig.open();
    await rig.factors.pending.close(closed);
    expect((await rig.send({ pending: closed }).expect(401)).body).toEqual(invalid);
    const late = await rig.open();
    rig.clock.advance(300);
    expect((await rig.send({ pending: late }).expect(401)).body).toEqual(invalid);
    const revoked = await rig.open('bob');
    rig.clock.advance(1);
    await rig.kept.revokeTokens(keyHash('account-records', 'bob'));
    expect((await rig.send({ pending: revoked }).expect(401)).body).toEqual(invalid);
    expect(rig.reached).toEqual([]);
  });

  it('an account that findAccount does not find any more (PND-11)', async () => {
    const rig = mount({ options: { findAccount: () => null } });
    expect((await rig.send({ pending: await rig.open() }).expect(401)).body).toEqual(invalid);
    expect(rig.reached).toEqual([]);
    expect(rig.errors).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['another account', () => ({ id: 'bob' })],
    ['true', () => true],
    ['undefined', () => undefined],
    ['{}', () => ({})],
    ['an error', () => Promise.reject(new Error('away'))],
  ])('where findAccount answers %s: 503, and the app is told (I6, I9)', async (_, findAccount) => {
    const rig = mount({ options: { findAccount: findAccount as never } });
    const { body, headers } = await rig.send({ pending: await rig.open() }).expect(503);
    expect(body).toEqual({ error: 'store_unavailable', error_description: expect.any(String) });
    expect(headers['retry-after']).toBe('1');
    expect(rig.reached).toEqual([]);
    expect(rig.errors).toHaveLength(1);
  });

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('CANARY'))],
    ['answers nonsense', () => Promise.resolve({}) as Promise<never>],
    ['answers nothing', () => Promise.resolve(undefined) as Promise<never>],
  ])('where the store %s: 503 (PND-16)', async (_, readPendingLogin) => {
    const rig = mount({ store: { readPendingLogin } });
    const { body } = await rig.send({ pending: await rig.open() }).expect(503);
    expect(body).toEqual({ error: 'store_unavailable', error_description: expect.any(String) });
    expect(rig.events).toEqual([{ name: 'store.failed', reason: expect.any(String), ...told }]);
    expect([...rig.reached, ...rig.errors]).toEqual([]);
  });

  it.each([
    ['a foreign Origin', 'https://acme.example', { Origin: 'https://evil.example' }],
    ['Origin null', 'https://acme.example', { Origin: 'null' }],
    ['another scheme', 'https://acme.example', { Origin: 'http://acme.example' }],
    ['another port', 'https://acme.example', { Origin: 'https://acme.example:8443' }],
    ['a longer name', 'https://acme.example', { Origin: 'https://acme.example.evil.example' }],
    ['a sub-domain', 'https://acme.example', { Origin: 'https://user.acme.example' }],
    ['Sec-Fetch-Site cross-site, no Origin', 'https://acme.example', { 'Sec-Fetch-Site': 'cross-site' }],
    ['Sec-Fetch-Site cross-site, own origin unknown', undefined, { 'Sec-Fetch-Site': 'cross-site' }],
    [
      'a foreign Origin and a forged Host (INP-13)',
      'https://acme.example',
      { Origin: 'https://evil.example', Host: 'evil.example', 'X-Forwarded-Host': 'evil.example' },
    ],
  ])('a page of another site: %s (PND-22)', async (_, origin, headers) => {
    const rig = mount({ core: origin === undefined ? {} : { origin } });
    const { body } = await rig
      .send({ pending: await rig.open() })
      .set(headers)
      .expect(403);
    expect(body).toEqual({ error: 'csrf_rejected', error_description: expect.any(String) });
    expect([...rig.reached, ...rig.calls]).toEqual([]);
  });

  it.each<[string, AuthMiddleware]>([
    [
      'a password step',
      (ctx, next) => {
        passwordVerified(ctx, { id: 'bob' });
        return next();
      },
    ],
    [
      'a lockout',
      (ctx, next) => {
        loginOf(ctx).passLockout();
        return next();
      },
    ],
  ])('everything after %s (CFG-02)', async (_, before) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before });
    const { body } = await rig.send({ pending: await rig.open() }).expect(401);
    expect(body).toMatchObject({ error: 'invalid_credentials' });
    expect(rig.reached).toEqual([]);
    expect(rig.events).toMatchObject([
      { name: 'config.weak', reason: expect.stringMatching(/^resumeLogin is/) },
    ]);
    warned.mockRestore();
  });

  it('the whole request where no body parser ran (INP-11)', async () => {
    const rig = mount({ parser: false });
    await rig.send({}).expect(500);
    expect(rig.errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('body parser') }),
    ]);
  });
});

describe('resumeLogin tells', () => {
  it('who it is and what was proven so far in ctx.state.auth, never the handle', async () => {
    const rig = mount();
    const pending = await rig.open();
    await rig.send({ pending }).expect(200);
    expect(rig.state.auth).toEqual({ account: { id: 'alice' }, methods: ['pwd'] });
    expect(rig.events).toEqual([]);
  });

  it('its refusal in ctx.state.auth, and no event of a handle that is none', async () => {
    const rig = mount();
    const { body } = await rig.send({ pending: 'c4nary' }).expect(401);
    expect(rig.state.auth).toEqual({ refusal: body });
    expect(rig.events).toEqual([]);
  });

  it('its own name', () => {
    expect(resumeLogin(mount().factors).name).toBe('resumeLogin');
  });
});

describe('resumeLogin rejects bad options', () => {
  const { factors } = mount();
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'resumeLogin: the first argument must be a SecondFactors, not undefined'],
    [memoryStore(), {}, 'resumeLogin: the first argument must be a SecondFactors, not an object'],
    [
      factors,
      { readHandle: () => '' },
      'resumeLogin: unknown option "readHandle"; it takes readPending, findAccount',
    ],
    [
      factors,
      { readPending: 'pending' },
      'resumeLogin: option readPending must be a function, not "pending"',
    ],
    [factors, { findAccount: {} }, 'resumeLogin: option findAccount must be a function, not an object'],
    [factors, null, 'resumeLogin: options must be an object, not null'],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => resumeLogin(core as never, options as never)).toThrow(new TypeError(message));
  });

  it.each(['readPending', 'findAccount'])(
    'and takes none from a polluted prototype (INP-06): %s',
    async (name) => {
      const value = jest.fn(() => null);
      Reflect.defineProperty(Object.prototype, name, { configurable: true, value });
      let rig;
      try {
        rig = mount({ options: {} });
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      await rig.send({ pending: await rig.open() }).expect(200);
      expect(value).not.toHaveBeenCalled();
    },
  );

  it('and leaves them as they were (CFG-13)', () => {
    const options = Object.freeze({ readPending: () => 'x' });
    expect(() => resumeLogin(factors, options)).not.toThrow();
    expect(Object.keys(options)).toEqual(['readPending']);
  });
});
