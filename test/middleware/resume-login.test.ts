import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { keyHash } from '../../src/core/key-hash.js';
import { Login } from '../../src/core/login.js';
import type { SecondFactorsOptions } from '../../src/core/second-factor-options.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { loginOf, passwordVerified } from '../../src/http/login.js';
import { requireSecondFactor } from '../../src/middleware/require-second-factor.js';
import { resumeLogin, type ResumeLoginOptions } from '../../src/middleware/resume-login.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { factorRig } from '../rig/factor-rig.js';
import { fakeClock } from '../rig/fake-clock.js';
import { told } from '../rig/told.js';

/** The standard limits, as a counted subject is filed under them. */
const standardPolicy = '10/60000/60000,20/3600000/3600000,40/86400000/86400000';

const keys = [randomBytes(32)];

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
    ['its own page without a referrer', { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }],
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
    ['Sec-Fetch-Site same-site, own origin unknown', undefined, { 'Sec-Fetch-Site': 'same-site' }],
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
        loginOf(ctx).passLockout('told');
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

const provePassword: AuthMiddleware = (ctx, next) => {
  passwordVerified(ctx, { id: 'alice' });
  return next();
};

interface BoundSetup {
  readonly core?: Partial<SecondFactorsOptions>;
  readonly store?: Partial<Store>;
  readonly proxy?: boolean;
}

/** Both steps of a login, with `bindPending`; what a browser keeps is handed over by the test. */
async function mountBound({ core = {}, store = {}, proxy = false }: BoundSetup = {}) {
  const rig = factorRig({ store, options: { bindPending: true, ...core } });
  const { secret } = await rig.addTotp();
  const app = new Koa({ proxy, maxIpsCount: 1 });
  app.use(bodyParser());
  const errors: unknown[] = [];
  app.on('error', (error) => errors.push(error));
  let reached = 0;
  const resume = resumeLogin(rig.factors);
  app.use((ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    return (ctx.path === '/first' ? provePassword : resume)(ctx, next);
  });
  app.use(requireSecondFactor(rig.factors));
  app.use((ctx) => {
    reached += 1;
    ctx.body = 'passed';
  });
  const post = (path: string, body: object, cookie?: string): request.Test => {
    const sent = request(app.callback()).post(path).send(body);
    return cookie === undefined ? sent : sent.set('Cookie', cookie);
  };
  /** The first step: the handle, and the cookies that came with it. */
  const begin = async (cookie?: string) => {
    const { body, headers } = await post('/first', {}, cookie).expect(401);
    const [kept, bound = ''] = headers['set-cookie'] as unknown as string[];
    const pair = bound.split(';')[0] ?? '';
    return { pending: (body as { pending: string }).pending, kept, bound, pair };
  };
  const finish = (pending: string, cookie?: string): request.Test =>
    post('/second', { pending, otp_token: rig.code(secret) }, cookie);
  return { ...rig, errors, reached: () => reached, begin, finish, post, secret };
}

describe('resumeLogin with bindPending (PND-21)', () => {
  it('continues a login in the browser that began it', async () => {
    const rig = await mountBound();
    const { pending, kept, bound, pair } = await rig.begin();
    expect(kept).toBe('kept=1');
    expect(bound).toMatch(
      /^__Host-portcullis_pending=[\w-]{43}; Path=\/; Max-Age=300; HttpOnly; SameSite=Strict; Secure$/,
    );
    await rig.finish(pending, `other=1; ${pair}; more=2`).expect(200, 'passed');
    expect(rig.reached()).toBe(1);
    expect(rig.errors).toEqual([]);
  });

  type Bound = Awaited<ReturnType<typeof mountBound>>;
  it.each<[string, (pair: string, rig: Bound) => Promise<string | undefined> | string | undefined]>([
    ['no cookie', () => undefined],
    ['another cookie', () => 'kept=1'],
    ['another browser that began a login too', async (_, rig) => (await rig.begin()).pair],
    ['the value changed', (pair) => `${pair.slice(0, -2)}${pair.endsWith('AA') ? 'BB' : 'AA'}`],
    ['the value cut', (pair) => pair.slice(0, -1)],
    ['the value made longer', (pair) => `${pair}A`],
    ['no value', (pair) => pair.slice(0, pair.indexOf('=') + 1)],
    ['the value under the name without its prefix', (pair) => pair.replace('__Host-', '')],
    ['the value under another name', (pair) => pair.replace('pending', 'other')],
    ['the value and more in quotes', (pair) => pair.replace(/=(.*)/, '="$1x"')],
  ])('refuses it in one with %s, and takes it in its own afterwards', async (_, cookieFor) => {
    const rig = await mountBound();
    const { pending, pair } = await rig.begin();
    const cookie = await cookieFor(pair, rig);
    for (let i = 0; i < 11; i += 1) {
      const { body } = await rig.finish(pending, cookie).expect(401);
      expect(body).toEqual(invalid);
    }
    expect(rig.reached()).toBe(0);
    // None of it was a try: what is refused here is looked at no further.
    await rig.finish(pending, pair).expect(200);
  });

  it('gives a browser one secret for all its logins: tabs do not disturb each other', async () => {
    const rig = await mountBound();
    const first = await rig.begin();
    const second = await rig.begin(first.pair);
    expect(second.pair).toBe(first.pair);
    expect(second.bound).toBe(first.bound);
    await rig.finish(first.pending, first.pair).expect(200);
    rig.clock.advance(30);
    await rig.finish(second.pending, first.pair).expect(200);
    expect((await rig.begin()).pair).not.toBe(first.pair);
  });

  it.each(['short', 'x'.repeat(44), `${'A'.repeat(42)}!`, ''])(
    'makes a secret of its own where the browser has none of ours: %j',
    async (value) => {
      const rig = await mountBound();
      const { pending, pair } = await rig.begin(`__Host-portcullis_pending=${value}`);
      expect(pair).toMatch(/^__Host-portcullis_pending=[\w-]{43}$/);
      await rig.finish(pending, pair).expect(200);
      expect(rig.reached()).toBe(1);
    },
  );

  it('sends the cookie behind a proxy that ends TLS', async () => {
    const rig = await mountBound({ proxy: true });
    const { pending, bound, pair } = await rig.begin();
    expect(bound).toContain('; Secure');
    await rig.finish(pending, pair).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('names the cookie without prefix and Secure on http://localhost, where browsers refuse both', async () => {
    const rig = await mountBound({ core: { origin: 'http://localhost:3000' } });
    const { pending, bound, pair } = await rig.begin();
    expect(bound).toMatch(/^portcullis_pending=[\w-]{43}; Path=\/; Max-Age=300; HttpOnly; SameSite=Strict$/);
    await rig.finish(pending).expect(401);
    await rig.finish(pending, pair).expect(200);
    expect(rig.reached()).toBe(1);
  });

  it('keeps the secret out of the answer and the store', async () => {
    const records: unknown[] = [];
    const kept = memoryStore();
    const rig = await mountBound({
      store: {
        openPendingLogin: (login) => {
          records.push(login);
          return kept.openPendingLogin(login);
        },
      },
    });
    const { pending, pair } = await rig.begin();
    expect(records).toHaveLength(1);
    expect(JSON.stringify([pending, records])).not.toContain(pair.slice(-43));
  });

  it('binds nothing where a code comes with the password, or no factor is asked for', async () => {
    const rig = await mountBound();
    const { headers } = await rig.post('/first', { otp_token: rig.code(rig.secret) }).expect(200);
    expect(headers['set-cookie']).toEqual(['kept=1']);
    await rig.factors.removeAll({ id: 'alice' });
    expect((await rig.post('/first', {}).expect(200)).headers['set-cookie']).toEqual(['kept=1']);
  });

  it.each([{ bindPending: false }, {}])('and without it sets no cookie and needs none: %j', async (core) => {
    const rig = await mountBound({ core: { bindPending: false, ...core } });
    const { body, headers } = await rig.post('/first', {}).expect(401);
    expect(headers['set-cookie']).toEqual(['kept=1']);
    await rig.finish((body as { pending: string }).pending).expect(200);
    expect(rig.reached()).toBe(1);
  });
});

describe('resumeLogin rejects bad options', () => {
  const { factors } = mount();
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'resumeLogin: the first argument must be made by new SecondFactors(), not undefined'],
    [memoryStore(), {}, 'resumeLogin: the first argument must be made by new SecondFactors(), not an object'],
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
