import { describe, expect, it, jest } from '@jest/globals';
import type { FreshLoginOptions } from '../../src/core/fresh-login.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import { requireFreshLogin } from '../../src/middleware/require-fresh-login.js';
import { anyFactors, faults, forgeState, loginApp, refused, stale } from '../rig/login-app.js';
import { told } from '../rig/told.js';

interface Setup {
  readonly options?: FreshLoginOptions;
  readonly guarded?: boolean;
  readonly first?: AuthMiddleware;
}

/** `PUT /password`, behind a token and a fresh login. */
function mount({ options, guarded = true, ...rest }: Setup = {}) {
  return loginApp({
    ...rest,
    routes({ router, factors, guard, handler }) {
      const fresh = requireFreshLogin(factors, options);
      router.put('/password', ...(guarded ? [guard, fresh] : [fresh]), handler);
    },
  });
}

const challenge =
  'Bearer error="insufficient_user_authentication", error_description="A more recent login is needed", max_age="300"';

describe('requireFreshLogin lets through', () => {
  it('a login of this moment, of an account without a factor', async () => {
    const rig = mount();
    await rig.send('put', '/password', await rig.logIn('alice')).expect(200, 'reached');
    expect(rig.events.map(({ name }) => name)).toEqual(['token.issued', 'login.succeeded']);
  });

  it.each([0, 299, 300])('a login of %d seconds ago', async (agedSeconds) => {
    const rig = mount();
    await rig.send('put', '/password', await rig.tokenOf('alice', { agedSeconds })).expect(200);
    const token = await rig.logIn('alice');
    rig.clock.advance(agedSeconds);
    await rig.send('put', '/password', token).expect(200);
    expect(rig.reached).toHaveLength(2);
  });

  it.each([
    ['an authenticator', (rig) => rig.enrol('alice').then(({ secret }) => rig.code(secret))],
    ['an emergency code', (rig) => rig.enrol('alice').then(({ codes }) => codes[0] ?? '')],
  ] as [string, (rig: ReturnType<typeof mount>) => Promise<string>][])(
    'a login that proved %s (I15)',
    async (_, codeFor) => {
      const rig = mount();
      await rig.send('put', '/password', await rig.logIn('alice', await codeFor(rig))).expect(200);
      expect(rig.reached).toHaveLength(1);
    },
  );

  it('a login that proved a security key (I15)', async () => {
    const rig = mount();
    const key = await rig.enrolKey('alice');
    const { body } = await rig
      .send('post', '/tokens')
      .send({ username: 'alice', password: 'Correct horse 1' })
      .expect(401);
    const { pending, webauthn } = body as { pending: string; webauthn: { challenge: string } };
    const answer = { pending, webauthn: key.authenticate(webauthn) };
    const done = await rig.send('post', '/tokens/second-factor').send(answer).expect(200);
    const { access_token: token } = done.body as { access_token: string };
    await rig.send('put', '/password', token).expect(200);
    expect(rig.reached).toHaveLength(1);
  });

  it('a login a minute ahead, as the clocks of two processes differ', async () => {
    const rig = mount();
    await rig.send('put', '/password', await rig.tokenOf('alice', { agedSeconds: -60 })).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('as old a login as the option allows, and no older', async () => {
    const rig = mount({ options: { withinSeconds: 10 } });
    const token = await rig.logIn('alice');
    rig.clock.advance(10);
    await rig.send('put', '/password', token).expect(200);
    rig.clock.advance(1);
    const { body, headers } = await rig.send('put', '/password', token).expect(401);
    expect(body).toEqual(refused('insufficient_user_authentication', { max_age: 10 }));
    expect(headers['www-authenticate']).toContain('max_age="10"');
  });

  it('a password alone where the option asks for no factor, without asking the store', async () => {
    const rig = mount({ options: { factor: 'never' } });
    const token = await rig.logIn('alice');
    await rig.enrol('alice');
    rig.store.readFactors = () => Promise.reject(new Error('away'));
    await rig.send('put', '/password', token).expect(200);
    rig.clock.advance(300);
    await rig.send('put', '/password', token).expect(401);
    expect(rig.reached).toHaveLength(1);
  });

  it('the errors of what comes after it, as they are', async () => {
    const broken = new Error('away');
    const rig = loginApp({
      routes({ router, factors, guard }) {
        router.put('/password', guard, requireFreshLogin(factors), () => Promise.reject(broken));
      },
    });
    await rig.send('put', '/password', await rig.logIn('alice')).expect(500);
    expect(rig.errors).toEqual([broken]);
  });
});

describe('requireFreshLogin refuses', () => {
  it.each([301, 302, 86_400, 600_000])(
    'a login of %d seconds ago, and says how old it may be',
    async (seconds) => {
      const rig = mount();
      const token = await rig.logIn('alice');
      rig.clock.advance(seconds);
      const { body, headers } = await rig.send('put', '/password', token).expect(401);
      expect(body).toEqual(stale);
      expect(headers).toMatchObject({
        'www-authenticate': challenge,
        'cache-control': 'no-store',
        'set-cookie': ['kept=1'],
      });
      expect(rig.reached).toEqual([]);
      await rig.send('get', '/reports', token).expect(200);
    },
  );

  it.each([61, 3600, 1e9])('a login %d seconds in the future', async (ahead) => {
    const rig = mount();
    const token = await rig.tokenOf('alice', { agedSeconds: -ahead });
    expect((await rig.send('put', '/password', token).expect(401)).body).toEqual(stale);
    expect(rig.reached).toEqual([]);
  });

  it('a login with the password alone once there is a factor (ENR-02, I15)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    await rig.send('put', '/password', token).expect(200);
    const { secret } = await rig.enrol('alice');
    const { body, headers } = await rig.send('put', '/password', token).expect(401);
    expect(body).toEqual(stale);
    expect(headers['www-authenticate']).toBe(challenge);
    expect(rig.reached).toHaveLength(1);
    await rig.send('put', '/password', await rig.logIn('alice', rig.code(secret))).expect(200);
  });

  it.each([
    [[]],
    [['pwd']],
    [['mfa']],
    [['OTP']],
    [['otp ']],
    [['swk', 'pin']],
    [[['otp']]],
    [[{ otp: true }]],
  ] as unknown as [readonly string[]][])('a login by %j where a factor is needed', async (methods) => {
    const rig = mount();
    await rig.enrol('alice');
    const token = await rig.tokenOf('alice', { methods });
    expect((await rig.send('put', '/password', token).expect(401)).body).toEqual(stale);
    expect(rig.reached).toEqual([]);
  });

  it('a password alone where the option always asks for a factor, of an account without one too', async () => {
    const rig = mount({ options: { factor: 'always' } });
    const { secret } = await rig.enrol('alice');
    for (const token of [await rig.logIn('bob'), await rig.tokenOf('alice')])
      expect((await rig.send('put', '/password', token).expect(401)).body).toEqual(stale);
    expect(rig.reached).toEqual([]);
    await rig.send('put', '/password', await rig.logIn('alice', rig.code(secret))).expect(200);
  });

  it('whoever has no token, or a pending handle (PND-01, PND-02, PND-13)', async () => {
    const rig = mount();
    await rig.enrol('alice');
    const pending = await rig.ask('alice');
    await rig.send('put', '/password').expect(401);
    const { body } = await rig.send('put', '/password', pending).expect(401);
    expect(body).toEqual(refused('invalid_token'));
    await rig.send('put', `/password?access_token=${pending}`).send({ access_token: pending }).expect(401);
    await rig.send('put', '/password').set('Cookie', `portcullis_pending=${pending}`).expect(401);
    expect(rig.reached).toEqual([]);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    ['ctx.state.auth is forged', forgeState],
  ])('everything where %s, and says so once (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ guarded: false, first });
    const token = await rig.logIn('alice');
    rig.events.splice(0);
    for (let i = 0; i < 2; i += 1) {
      const { body, headers } = await rig.send('put', '/password', token).expect(401);
      expect(body).toEqual(refused('invalid_token'));
      expect(headers).toMatchObject({ 'www-authenticate': 'Bearer', 'set-cookie': ['kept=1'] });
    }
    expect(rig.reached).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^requireFreshLogin is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });

  it.each(faults)('where the store %s: 503 within a second (I9)', async (_, fault) => {
    const rig = mount();
    const token = await rig.logIn('alice');
    rig.events.splice(0);
    rig.store.readFactors = fault;
    const start = performance.now();
    const { body, headers } = await rig.send('put', '/password', token).expect(503);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect([...rig.reached, ...rig.errors]).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it('where the clock tells no time', async () => {
    const rig = loginApp({
      factors: { now: () => Number.NaN },
      routes({ router, factors, guard, handler }) {
        router.put('/password', guard, requireFreshLogin(factors), handler);
      },
    });
    await rig.send('put', '/password', await rig.logIn('alice')).expect(401);
    expect(rig.reached).toEqual([]);
  });
});

describe('requireFreshLogin tells', () => {
  it('its refusal in ctx.state.auth, beside the facts of the token', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    rig.clock.advance(301);
    const { body } = await rig.send('put', '/password', token).expect(401);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });

  it('its own name', () => {
    expect(requireFreshLogin(anyFactors()).name).toBe('requireFreshLogin');
  });
});

describe('requireFreshLogin rejects bad options', () => {
  const factors = anyFactors();
  const seconds = 'requireFreshLogin: option withinSeconds must be a whole number from 1 to 86400, not';
  const kinds = "requireFreshLogin: option factor must be one of 'if_enrolled', 'always', 'never', not";
  it.each<[unknown, unknown, string]>([
    [
      undefined,
      {},
      'requireFreshLogin: the first argument must be made by new SecondFactors(), not undefined',
    ],
    [{}, {}, 'requireFreshLogin: the first argument must be made by new SecondFactors(), not an object'],
    [factors, { maxAge: 1 }, 'requireFreshLogin: unknown option "maxAge"; it takes withinSeconds, factor'],
    [factors, 300, 'requireFreshLogin: options must be an object, not 300'],
    [factors, { withinSeconds: 0 }, `${seconds} 0`],
    [factors, { withinSeconds: 86_401 }, `${seconds} 86401`],
    [factors, { withinSeconds: 1.5 }, `${seconds} 1.5`],
    [factors, { withinSeconds: '300' }, `${seconds} "300"`],
    [factors, { withinSeconds: Number.NaN }, `${seconds} NaN`],
    [factors, { withinSeconds: Number.POSITIVE_INFINITY }, `${seconds} Infinity`],
    [factors, { factor: 'sometimes' }, `${kinds} "sometimes"`],
    [factors, { factor: true }, `${kinds} true`],
    [factors, { factor: null }, `${kinds} null`],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => requireFreshLogin(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and takes none from a polluted prototype (INP-06)', async () => {
    for (const [name, value] of [
      ['withinSeconds', 1e12],
      ['factor', 'never'],
    ] as const)
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    try {
      const rig = mount({ options: {} });
      const token = await rig.logIn('alice');
      const { secret } = await rig.enrol('alice');
      await rig.send('put', '/password', token).expect(401);
      const proved = await rig.logIn('alice', rig.code(secret));
      rig.clock.advance(301);
      expect((await rig.send('put', '/password', proved).expect(401)).body).toEqual(stale);
    } finally {
      for (const name of ['withinSeconds', 'factor']) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    const options: { withinSeconds: number } = { withinSeconds: 10 };
    const rig = mount({ options });
    options.withinSeconds = 1000;
    const token = await rig.logIn('alice');
    rig.clock.advance(11);
    await rig.send('put', '/password', token).expect(401);
    expect(() => requireFreshLogin(factors, Object.freeze({ factor: 'always' }))).not.toThrow();
  });
});
