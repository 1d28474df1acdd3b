import { describe, expect, it, jest } from '@jest/globals';
import type { Account } from '../../src/core/account.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { EnrolmentPolicy } from '../../src/http/enrolment-policy.js';
import { requireEnrolment } from '../../src/middleware/require-enrolment.js';
import { secondFactorRoutes } from '../../src/routes/second-factor-routes.js';
import { origin, sealingKey } from '../rig/factor-rig.js';
import {
  anyFactors,
  faults,
  loginApp,
  refused,
  silentHook,
  withSilentHook,
  type LoginApp,
} from '../rig/login-app.js';
import { told } from '../rig/told.js';

/** The clock of the app starts here. */
const start = Date.UTC(2030, 0, 1);
const passed: EnrolmentPolicy = { until: new Date(start) };

interface Person extends Account {
  readonly role: string;
}

interface Setup {
  readonly policy?: EnrolmentPolicy;
  readonly guarded?: boolean;
  readonly first?: AuthMiddleware;
  readonly findAccount?: (id: string) => { id: string };
}

/** `/work` under the policy, and the routes of enrolment, which must stay open. */
function mount({ policy = passed, guarded = true, ...rest }: Setup = {}): LoginApp {
  return loginApp({
    ...rest,
    routes({ router, factors, guard, handler }) {
      const held = requireEnrolment(factors, policy);
      router.all('/work', ...(guarded ? [guard, held] : [held]), handler);
      router.use('/second-factors', guard, secondFactorRoutes(factors, { policy }).routes());
    },
  });
}

const held = refused('enrolment_required');

describe('requireEnrolment lets through', () => {
  it('everybody before the deadline, without asking the store or the app', async () => {
    const exempt = jest.fn(() => false);
    const rig = mount({ policy: { until: new Date(start + 1), exempt } });
    const token = await rig.logIn('alice');
    rig.store.readFactors = () => Promise.reject(new Error('away'));
    await rig.send('get', '/work', token).expect(200, 'reached');
    expect(exempt).not.toHaveBeenCalled();
  });

  it('an account with a factor, without asking whether it is exempt', async () => {
    const exempt = jest.fn(() => false);
    const rig = mount({ policy: { ...passed, exempt } });
    await rig.enrolKey('bob');
    const { secret } = await rig.enrol('alice');
    await rig.send('get', '/work', await rig.logIn('alice', rig.code(secret))).expect(200);
    await rig.send('get', '/work', await rig.tokenOf('bob')).expect(200);
    expect(exempt).not.toHaveBeenCalled();
  });

  it('an account that is exempt, as requireToken found it', async () => {
    const asked: unknown[] = [];
    const exempt: EnrolmentPolicy['exempt'] = async (account, ctx) => {
      asked.push([account, ctx.path]);
      return account.id === 'robot';
    };
    const rig = mount({ policy: { ...passed, exempt }, findAccount: (id): Person => ({ id, role: 'none' }) });
    await rig.send('get', '/work', await rig.logIn('robot')).expect(200);
    await rig.send('get', '/work', await rig.logIn('alice')).expect(403);
    expect(asked).toEqual([
      [{ id: 'robot', role: 'none' }, '/work'],
      [{ id: 'alice', role: 'none' }, '/work'],
    ]);
  });

  it('an account from the moment on that it enrols, with the token that was held back (ENR-17)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    await rig.send('get', '/work', token).expect(403);
    const begun = await rig.send('post', '/second-factors/totp', token).send({}).expect(200);
    await rig.send('get', '/work', token).expect(403);
    const otp_token = rig.code((begun.body as { secret: string }).secret);
    await rig.send('post', '/second-factors/totp/confirm', token).send({ otp_token }).expect(201);
    await rig.send('get', '/work', token).expect(200);
    expect(rig.reached).toHaveLength(1);
  });

  it('the errors of what comes after it, as they are', async () => {
    const broken = new Error('away');
    const rig = loginApp({
      routes({ router, factors, guard }) {
        const policy = { until: new Date(start + 1) };
        router.get('/work', guard, requireEnrolment(factors, policy), () => Promise.reject(broken));
      },
    });
    await rig.send('get', '/work', await rig.logIn('alice')).expect(500);
    expect(rig.errors).toEqual([broken]);
  });
});

describe('requireEnrolment refuses', () => {
  it('an account without a factor, from the deadline on (ENR-17)', async () => {
    const rig = mount({ policy: { until: new Date(start + 10_000) } });
    const token = await rig.logIn('alice');
    rig.clock.advance(9.999);
    await rig.send('get', '/work', token).expect(200);
    rig.clock.advance(0.001);
    for (const method of ['get', 'post', 'put', 'patch', 'delete'] as const) {
      const { body, headers } = await rig.send(method, '/work', token).expect(403);
      expect(body).toEqual(held);
      expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    }
    await rig.send('head', '/work', token).expect(403);
    expect(rig.reached).toHaveLength(1);
  });

  it('an account after a new login, with a new token, and in a new process (ENR-17)', async () => {
    const rig = mount();
    for (const _ of [1, 2, 3]) await rig.send('get', '/work', await rig.logIn('alice')).expect(403);
    const restarted = loginApp({
      routes({ router, guard, handler }) {
        const others = { store: rig.store, issuer: 'Acme', keys: [sealingKey], origin, now: rig.clock.now };
        router.get('/work', guard, requireEnrolment(new SecondFactors(others), passed), handler);
      },
    });
    Object.assign(restarted.store, rig.store);
    await restarted.send('get', '/work', await restarted.logIn('alice')).expect(403);
    expect([...rig.reached, ...restarted.reached]).toEqual([]);
  });

  it('an account whose factors are gone again', async () => {
    const rig = mount();
    const { secret } = await rig.enrol('alice');
    const token = await rig.logIn('alice', rig.code(secret));
    await rig.send('get', '/work', token).expect(200);
    await rig.factors.removeAll({ id: 'alice' });
    expect((await rig.send('get', '/work', token).expect(403)).body).toEqual(held);
  });

  it('an account that only began to enrol', async () => {
    const rig = mount();
    await rig.factors.beginTotp({ id: 'alice' }, { label: 'alice' });
    await rig.factors.beginSecurityKey({ id: 'alice' }, { userName: 'alice' });
    await rig.send('get', '/work', await rig.logIn('alice')).expect(403);
    expect(rig.reached).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['false', false],
    ['a promise of false', Promise.resolve(false)],
  ])('an account whose exemption is %s', async (_, answer) => {
    const rig = mount({ policy: { ...passed, exempt: () => answer as boolean } });
    expect((await rig.send('get', '/work', await rig.logIn('alice')).expect(403)).body).toEqual(held);
    expect([...rig.reached, ...rig.errors]).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['is 1', () => 1],
    ['is "true"', () => 'true'],
    ['is nothing', () => undefined],
    ['is null', () => null],
    ['is {}', () => ({})],
    ['is [true]', () => [true]],
    ['is a Boolean object', () => Object(true) as unknown],
    [
      'throws',
      () => {
        throw new Error('away');
      },
    ],
    ['rejects', () => Promise.reject(new Error('away'))],
  ])('an account whose exemption %s: 503, and the app is told (I9)', async (_, exempt) => {
    const rig = mount({ policy: { ...passed, exempt: exempt as () => boolean } });
    const { body, headers } = await rig.send('get', '/work', await rig.logIn('alice')).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.reached).toEqual([]);
    expect(rig.errors).toHaveLength(1);
  });

  it('an account whose exemption never answers: 503 after five seconds', async () => {
    const { hook, wasAsked } = silentHook();
    const rig = mount({ policy: { ...passed, exempt: hook } });
    const token = await rig.logIn('alice');
    expect(await withSilentHook(rig.send('get', '/work', token), wasAsked)).toEqual({
      status: 503,
      body: refused('store_unavailable'),
    });
    expect(rig.reached).toEqual([]);
  });

  it.each(faults)('everybody where the store %s: 503 within a second (I9)', async (_, fault) => {
    const rig = mount({ policy: { ...passed, exempt: () => true } });
    const token = await rig.logIn('alice');
    rig.events.splice(0);
    rig.store.readFactors = fault;
    const began = performance.now();
    const { body, headers } = await rig.send('get', '/work', token).expect(503);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect([...rig.reached, ...rig.errors]).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    [
      'ctx.state.auth is forged',
      (ctx, next) => {
        ctx.state.auth = { account: { id: 'enrolled' }, methods: ['pwd', 'otp'] };
        return next();
      },
    ],
  ])('everything where %s, before the deadline too (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ guarded: false, first, policy: { until: new Date(start + 1e9) } });
    await rig.enrol('enrolled');
    const { body, headers } = await rig.send('get', '/work').expect(401);
    expect(body).toEqual(refused('invalid_token'));
    expect(headers).toMatchObject({ 'www-authenticate': 'Bearer', 'set-cookie': ['kept=1'] });
    expect(rig.reached).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^requireEnrolment is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });
});

describe('requireEnrolment tells', () => {
  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.send('get', '/work', await rig.logIn('alice')).expect(403);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });

  it('its own name', () => {
    expect(requireEnrolment(anyFactors(), passed).name).toBe('requireEnrolment');
  });
});

describe('requireEnrolment rejects bad options', () => {
  const factors = anyFactors();
  const until = 'requireEnrolment: option until must be a valid Date, not';
  it.each<[unknown, unknown, string]>([
    [
      undefined,
      passed,
      'requireEnrolment: the first argument must be made by new SecondFactors(), not undefined',
    ],
    [factors, undefined, `${until} undefined`],
    [factors, {}, `${until} undefined`],
    [factors, { until: null }, `${until} null`],
    [factors, { until: start }, `${until} ${start}`],
    [factors, { until: '2030-01-01' }, `${until} "2030-01-01"`],
    [factors, { until: new Date('never') }, `${until} an object`],
    [factors, { until: { getTime: () => 0 } }, `${until} an object`],
    [factors, { ...passed, exempt: true }, 'requireEnrolment: option exempt must be a function, not true'],
    [
      factors,
      { ...passed, exempt: ['bob'] },
      'requireEnrolment: option exempt must be a function, not an array of 1',
    ],
    [factors, { ...passed, from: 1 }, 'requireEnrolment: unknown option "from"; it takes until, exempt'],
    [factors, [], 'requireEnrolment: options must be an object, not an array of 0'],
    [factors, null, 'requireEnrolment: options must be an object, not null'],
  ])('by name, when it is made %#', (core, policy, message) => {
    expect(() => requireEnrolment(core as never, policy as never)).toThrow(new TypeError(message));
  });

  it('and takes none from a polluted prototype (INP-06)', async () => {
    Reflect.defineProperty(Object.prototype, 'exempt', { configurable: true, value: () => true });
    try {
      const rig = mount();
      await rig.send('get', '/work', await rig.logIn('alice')).expect(403);
      expect(rig.reached).toEqual([]);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'exempt');
    }
  });

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    const policy: { until: Date; exempt?: () => boolean } = { until: new Date(start) };
    const rig = mount({ policy });
    policy.until.setTime(start + 1e12);
    policy.exempt = () => true;
    await rig.send('get', '/work', await rig.logIn('alice')).expect(403);
    expect(() => requireEnrolment(factors, Object.freeze({ until: new Date(start) }))).not.toThrow();
  });
});
