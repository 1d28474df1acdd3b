import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import { generateSync } from 'otplib/functional';
import request from 'supertest';
import { SecondFactors } from '../../src/core/second-factors.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/http/events.js';
import { loginOf, passwordVerified } from '../../src/http/login.js';
import {
  requireSecondFactor,
  type RequireSecondFactorOptions,
} from '../../src/middleware/require-second-factor.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';

const keys = [randomBytes(32)];
const alice = { id: 'alice' };
const told = { time: expect.any(Number), ip: expect.any(String) };

interface Setup {
  readonly options?: RequireSecondFactorOptions;
  readonly store?: Partial<Store>;
  /** What has happened to the login before. */
  readonly before?: AuthMiddleware;
  readonly parser?: boolean;
}

/** Behind a password step that has just proven alice's password, or behind the handle in `X-Pending`. */
function mount({ options, store, before, parser = true }: Setup = {}) {
  const clock = fakeClock();
  const kept: Store = { ...memoryStore({ now: clock.now }), ...store };
  const factors = new SecondFactors({ store: kept, issuer: 'Acme', keys, now: clock.now });
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
  const proven: AuthMiddleware = async (ctx, next) => {
    const handle = ctx.get('X-Pending');
    if (handle === '') passwordVerified(ctx, alice);
    else {
      const resumed = await factors.pending.find(handle);
      if (resumed === null) ctx.throw(410);
      else loginOf(ctx).resume(resumed, Date.now());
    }
    await next();
  };
  app.use(before ?? proven);
  app.use(requireSecondFactor(factors, options));
  app.use((ctx) => {
    const { account, factorPassed, methods } = loginOf(ctx);
    reached.push({ account, factorPassed, methods });
    ctx.body = 'passed';
  });
  const code = (secret: string, steps = 0): string =>
    generateSync({ secret, strategy: 'hotp', counter: Math.floor(clock.now() / 30_000) + steps });
  const wrong = (secret: string): string =>
    ['000000', '000001', '000002'].find((one) => one !== code(secret) && one !== code(secret, -1)) ?? '';
  const enrol = async (account = alice): Promise<string> => {
    const begun = await factors.beginTotp(account, { label: account.id });
    const secret = begun?.secret ?? '';
    await factors.confirmTotp(account, code(secret));
    clock.advance(60);
    return secret;
  };
  const send = (body: object, pending = ''): request.Test =>
    request(app.callback()).post('/').set('X-Pending', pending).send(body);
  const ask = async (): Promise<string> => ((await send({}).expect(401)).body as { pending: string }).pending;
  return { app, clock, factors, events, errors, reached, state, code, wrong, enrol, send, ask };
}

const refused = (error: string): object => ({ error, error_description: expect.any(String) });

describe('requireSecondFactor lets through', () => {
  it('an account without a factor', async () => {
    const rig = mount();
    await rig.send({}).expect(200, 'passed');
    expect(rig.reached).toEqual([{ account: alice, factorPassed: true, methods: ['pwd'] }]);
    expect(rig.events).toEqual([]);
  });

  it('an account whose enrolment was not confirmed (ENR-05)', async () => {
    const rig = mount();
    await rig.factors.beginTotp(alice, { label: 'alice' });
    await rig.send({}).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('a right code beside the password', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    await rig.send({ otp_token: rig.code(secret) }).expect(200, 'passed');
    expect(rig.reached).toEqual([{ account: alice, factorPassed: true, methods: ['pwd', 'otp'] }]);
  });

  it('a right code on a pending login, once (PND-06, RCE-07)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.ask();
    await rig.send({ otp_token: rig.code(secret) }, pending).expect(200, 'passed');
    expect(rig.reached).toEqual([{ account: alice, factorPassed: true, methods: ['pwd', 'otp'] }]);
    rig.clock.advance(30);
    await rig.send({ otp_token: rig.code(secret) }, pending).expect(410);
  });

  it('a code from wherever readOtpToken finds it, without a body parser', async () => {
    const rig = mount({ parser: false, options: { readOtpToken: (ctx) => ctx.get('X-Code') || undefined } });
    const secret = await rig.enrol();
    await rig.send({}).set('X-Code', rig.code(secret)).expect(200);
    await rig.send({}).expect(401);
    expect(rig.errors).toEqual([]);
  });

  it('the errors of what comes after it, as they are', async () => {
    const rig = mount();
    const broken = new Error('away');
    rig.app.middleware.splice(-1, 1, () => Promise.reject(broken));
    await rig.send({}).expect(500);
    expect(rig.errors).toEqual([broken]);
  });
});

describe('requireSecondFactor refuses', () => {
  it('a password alone, with a handle for the second step', async () => {
    const rig = mount();
    await rig.enrol();
    const { body, headers } = await rig.send({}).expect(401);
    expect(body).toEqual({
      ...refused('second_factor_required'),
      pending: expect.stringMatching(/^pcpl_[\w-]{92}$/),
      methods: ['totp'],
      expires_in: 300,
    });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(headers['www-authenticate']).toBeUndefined();
    expect(rig.reached).toEqual([]);
  });

  it('a wrong code', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const { body, headers } = await rig.send({ otp_token: rig.wrong(secret) }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(rig.reached).toEqual([]);
  });

  it('a code that was used (TOT-02)', async () => {
    const rig = mount();
    const otp_token = rig.code(await rig.enrol());
    await rig.send({ otp_token }).expect(200);
    expect((await rig.send({ otp_token }).expect(401)).body).toEqual(refused('invalid_second_factor'));
    expect(rig.reached).toHaveLength(1);
  });

  it.each<unknown>([
    '',
    ' ',
    '12345',
    '1234567',
    '12345a',
    ' 123456',
    '123456\n',
    '123 456',
    '１２３４５６',
    '١٢٣٤٥٦',
    '1e5',
    '0x1E240',
    '+12345',
    '-12345',
    '123456\u0000',
    '1'.repeat(100_000),
    123_456,
    true,
    null,
    ['123456'],
    { $gt: '' },
    { length: 6 },
  ])('as malformed and uncounted what is no code (TOT-07, INP-01): %.30j', async (otp_token) => {
    const rig = mount();
    const secret = await rig.enrol();
    const { body, headers } = await rig.send({ otp_token }).expect(400);
    expect(body).toEqual(refused('invalid_request'));
    expect(headers['cache-control']).toBe('no-store');
    const pending = await rig.ask();
    for (let i = 0; i < 12; i += 1) await rig.send({ otp_token }, pending).expect(400);
    expect([...rig.reached, ...rig.errors]).toEqual([]);
    await rig.send({ otp_token: rig.code(secret) }, pending).expect(200);
  });

  it('a second step without a code', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.ask();
    expect((await rig.send({}, pending).expect(400)).body).toEqual(refused('invalid_request'));
    await rig.send({ otp_token: rig.code(secret) }, pending).expect(200);
  });

  it('a sixth try on a pending login, with the right code too (PND-08)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.ask();
    for (let i = 0; i < 5; i += 1) await rig.send({ otp_token: rig.wrong(secret) }, pending).expect(401);
    const { body } = await rig.send({ otp_token: rig.code(secret) }, pending).expect(401);
    expect(body).toEqual(refused('pending_login_invalid'));
    expect(rig.reached).toEqual([]);
  });

  it('an eleventh try in a minute, whatever the pending login (PND-10, I2)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    for (const _ of [1, 2]) {
      const pending = await rig.ask();
      for (let i = 0; i < 5; i += 1) await rig.send({ otp_token: rig.wrong(secret) }, pending).expect(401);
    }
    const pending = await rig.ask();
    for (const handle of [pending, '']) {
      const { body, headers } = await rig.send({ otp_token: rig.code(secret) }, handle).expect(429);
      expect(body).toEqual(refused('locked_out'));
      expect(headers).toMatchObject({ 'retry-after': '60', 'cache-control': 'no-store' });
    }
    expect(rig.reached).toEqual([]);
  });

  it.each<[string, (rig: ReturnType<typeof mount>) => Promise<unknown>]>([
    ['removed', (rig) => rig.factors.removeAll(alice)],
    [
      'replaced',
      async (rig) => {
        await rig.factors.removeAll(alice);
        await rig.enrol();
      },
    ],
  ])('a pending login whose factor was %s since (PND-11)', async (_, change) => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.ask();
    await change(rig);
    const { body } = await rig.send({ otp_token: rig.code(secret) }, pending).expect(401);
    expect(body).toEqual(refused('pending_login_invalid'));
    expect(rig.reached).toEqual([]);
  });

  it('a secret sealed under another key, and says so to the operator (CFG-10)', async () => {
    const clock = fakeClock();
    const store = memoryStore({ now: clock.now });
    const first = mount({ store });
    const secret = await first.enrol();
    const odd = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)], now: first.clock.now });
    const app = new Koa();
    const events: AuthEvent[] = [];
    app.on('auth', (event: AuthEvent) => events.push(event));
    app.use(bodyParser());
    app.use(async (ctx, next) => {
      passwordVerified(ctx, alice);
      await next();
    });
    app.use(requireSecondFactor(odd));
    const otp_token = first.code(secret);
    const { body } = await request(app.callback()).post('/').send({ otp_token }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(events).toEqual([
      { name: 'second_factor.unreadable', account: 'alice', reason: expect.any(String), ...told },
    ]);
  });

  it.each<[string, Partial<Store>]>([
    ['factors that cannot be read', { readFactors: () => Promise.reject(new Error('CANARY')) }],
    ['factors that are undefined', { readFactors: async () => undefined as never }],
    ['factors that are null', { readFactors: async () => null as never }],
    ['factors that are {}', { readFactors: async () => ({}) as never }],
    ['factors that are text', { readFactors: async () => 'none' as never }],
    ['factors that never come', { readFactors: () => new Promise(() => {}) }],
    ['an attempt that cannot be reserved', { reserveAttempt: () => Promise.reject(new Error('CANARY')) }],
    ['a step that cannot be accepted', { acceptStep: () => Promise.reject(new Error('CANARY')) }],
    ['a step that is accepted with 1', { acceptStep: async () => 1 as never }],
    [
      'a pending login that cannot be opened',
      { openPendingLogin: () => Promise.reject(new Error('CANARY')) },
    ],
  ])('where the store answers with %s: 503 within a second (PND-16, I9)', async (name, store) => {
    const sound = mount();
    const secret = await sound.enrol();
    const [factor] = (await sound.factors.enrolled(alice)).factors;
    // The same keys seal for every rig here, so the copied factor opens.
    const odd = mount({
      store: { readFactors: async () => (factor === undefined ? [] : [factor]), ...store },
    });
    odd.clock.set(sound.clock.now());
    const body = name.startsWith('a pending') ? {} : { otp_token: odd.code(secret) };
    const start = performance.now();
    const answer = await odd.send(body).expect(503);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(answer.body).toEqual(refused('store_unavailable'));
    expect(answer.headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect([...odd.reached, ...odd.errors]).toEqual([]);
    expect(odd.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it.each<[string, AuthMiddleware]>([
    ['before a password step', (_, next) => next()],
    [
      'after a wrong password',
      (ctx, next) => {
        loginOf(ctx).failPassword();
        return next();
      },
    ],
    [
      'twice',
      (ctx, next) => {
        passwordVerified(ctx, alice);
        loginOf(ctx).passFactor('otp');
        return next();
      },
    ],
    [
      'behind a forged ctx.state',
      (ctx, next) => {
        ctx.state.auth = { account: alice, methods: ['pwd', 'otp'] };
        return next();
      },
    ],
  ])('everything when it is mounted %s (CFG-02)', async (_, before) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before });
    const { body } = await rig.send({ otp_token: '123456' }).expect(401);
    expect(body).toEqual(refused('invalid_credentials'));
    expect(rig.reached).toEqual([]);
    expect(rig.events).toEqual([
      {
        name: 'config.weak',
        reason: expect.stringMatching(/^requireSecondFactor is out of order/),
        ...told,
      },
    ]);
    warned.mockRestore();
  });

  it('where the attempt of the password could not be given back', async () => {
    const rig = mount({
      before: (ctx, next) => {
        const counted = { identifier: 'alice', subject: 'x', startedAt: 1 };
        loginOf(ctx).count({ ...counted, giveBack: () => Promise.reject(new RangeError('a bug')) });
        passwordVerified(ctx, alice);
        return next();
      },
    });
    await rig.send({}).expect(500);
    expect(rig.reached).toEqual([]);
    expect(rig.errors).toEqual([new RangeError('a bug')]);
  });
});

describe('requireSecondFactor tells', () => {
  it('that a factor was asked for', async () => {
    const rig = mount();
    await rig.enrol();
    await rig.ask();
    expect(rig.events).toEqual([{ name: 'second_factor.requested', account: 'alice', ...told }]);
  });

  it('each failure, the last of a pending login, and the lock (PND-08)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const failure = { name: 'second_factor.failed', account: 'alice', reason: 'wrong', ...told };
    const pending = await rig.ask();
    rig.events.length = 0;
    for (let i = 0; i < 5; i += 1) await rig.send({ otp_token: rig.wrong(secret) }, pending).expect(401);
    expect(rig.events).toEqual([
      ...Array.from({ length: 5 }, () => failure),
      { name: 'pending_login.exhausted', account: 'alice', ...told },
    ]);
    for (let i = 0; i < 4; i += 1) await rig.send({ otp_token: rig.wrong(secret) }).expect(401);
    rig.events.length = 0;
    await rig.send({ otp_token: rig.wrong(secret) }).expect(401);
    await rig.send({ otp_token: rig.wrong(secret) }).expect(429);
    expect(rig.events).toEqual([
      failure,
      { name: 'second_factor.locked', account: 'alice', retryAfterSeconds: 60, ...told },
      { name: 'login.refused', reason: 'second factor locked out', ...told },
    ]);
  });

  it('a code that was used before (TOT-02)', async () => {
    const rig = mount();
    const otp_token = rig.code(await rig.enrol());
    await rig.send({ otp_token }).expect(200);
    expect(rig.events).toEqual([]);
    await rig.send({ otp_token }).expect(401);
    expect(rig.events).toEqual([
      { name: 'second_factor.failed', account: 'alice', reason: 'replayed', ...told },
      { name: 'totp.replayed', account: 'alice', ...told },
    ]);
  });

  it('the methods in ctx.state.auth', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    await rig.send({ otp_token: rig.code(secret) }).expect(200);
    expect(rig.state.auth).toMatchObject({ methods: ['pwd', 'otp'] });
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    await rig.enrol();
    const { body } = await rig.send({}).expect(401);
    expect(rig.state.auth).toEqual({ refusal: body });
  });

  it('never a code, a secret or a handle in an event (LOG-01)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.ask();
    const wrong = rig.wrong(secret);
    await rig.send({ otp_token: wrong }, pending).expect(401);
    await rig.send({ otp_token: rig.code(secret) }, pending).expect(200);
    const text = JSON.stringify([rig.events, rig.errors]);
    for (const hidden of [secret, pending, wrong, rig.code(secret)]) expect(text).not.toContain(hidden);
  });

  it('its own name', () => {
    expect(requireSecondFactor(mount().factors).name).toBe('requireSecondFactor');
  });
});

describe('requireSecondFactor rejects bad options', () => {
  const { factors } = mount();
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'requireSecondFactor: the first argument must be a SecondFactors, not undefined'],
    [{}, {}, 'requireSecondFactor: the first argument must be a SecondFactors, not an object'],
    [
      factors,
      { readCode: () => '' },
      'requireSecondFactor: unknown option "readCode"; it takes readOtpToken',
    ],
    [
      factors,
      { readOtpToken: 'otp' },
      'requireSecondFactor: option readOtpToken must be a function, not "otp"',
    ],
    [factors, 7, 'requireSecondFactor: options must be an object, not 7'],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => requireSecondFactor(core as never, options as never)).toThrow(new TypeError(message));
  });

  it.each(['readOtpToken', 'satisfied', 'verified', 'skip', 'outcome', 'method', 'handle', 'methods'])(
    'and nothing passes by a polluted prototype (INP-06): %s',
    async (name) => {
      const rig = mount();
      await rig.enrol();
      Reflect.defineProperty(Object.prototype, name, {
        configurable: true,
        writable: true,
        value: 'verified',
      });
      try {
        const made = mount({ options: {} });
        expect(made.reached).toEqual([]);
        await rig.send({}).expect(401);
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      expect(rig.reached).toEqual([]);
    },
  );

  it('and leaves them as they were (CFG-13)', () => {
    const options = Object.freeze({ readOtpToken: () => 'x' });
    expect(() => requireSecondFactor(factors, options)).not.toThrow();
    expect(Object.keys(options)).toEqual(['readOtpToken']);
  });
});
