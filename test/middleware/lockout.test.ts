import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import type { AttemptStore } from '../../src/core/attempt-store.js';
import { Busy, StoreUnavailable } from '../../src/core/errors.js';
import { keyHash } from '../../src/core/key-hash.js';
import { Lockout, type LockoutOptions } from '../../src/core/lockout.js';
import type { AuthContext, AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { loginOf, passwordRefused, passwordVerified } from '../../src/http/login.js';
import { lockout, type LockoutMiddlewareOptions } from '../../src/middleware/lockout.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { told } from '../rig/told.js';

/** The standard limits, as a counted subject is filed under them. */
const standardPolicy = '10/60000/60000,20/3600000/3600000,40/86400000/86400000';

interface Setup {
  readonly options?: LockoutMiddlewareOptions;
  readonly core?: Partial<LockoutOptions>;
  readonly store?: Partial<AttemptStore>;
  /** The app's own password step. */
  readonly step?: AuthMiddleware;
  readonly before?: AuthMiddleware;
  readonly proxy?: { proxy: boolean; maxIpsCount?: number };
  readonly parser?: boolean;
}

/** An app whose own password step answers 401 for each password but "right". */
function mount({ options, core, store, step = plainStep, before, proxy, parser = true }: Setup = {}) {
  const clock = fakeClock();
  const attempts = new Lockout({ store: { ...memoryStore({ now: clock.now }), ...store }, ...core });
  const app = new Koa(proxy);
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const evaluated: string[] = [];
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
  app.use(lockout(attempts, options));
  app.use(async (ctx, next) => {
    const { password } = (ctx.request.body ?? {}) as { password?: string };
    evaluated.push(password ?? '');
    await next();
  });
  app.use(step);
  const send = (body: object): request.Test => request(app.callback()).post('/login').send(body);
  const login = (password: string, username = 'alice'): request.Test => send({ username, password });
  const fail = async (times: number, username = 'alice'): Promise<void> => {
    for (let i = 0; i < times; i += 1) await login('wrong', username).expect(401);
  };
  return { app, attempts, clock, events, errors, evaluated, state, send, login, fail };
}

function plainStep(ctx: AuthContext): void {
  const { password } = ctx.request.body as { password: string };
  ctx.status = password === 'right' ? 200 : 401;
  ctx.body = password === 'right' ? 'welcome' : 'wrong';
}

function names(events: readonly AuthEvent[]): string[] {
  return events.map(({ name }) => name);
}

describe('lockout lets through', () => {
  it('nine wrong passwords, the right one as the tenth, and gives that one back (LCK-02)', async () => {
    const rig = mount();
    await rig.fail(9);
    await rig.login('right').expect(200, 'welcome');
    expect((await rig.attempts.status('alice')).failures).toEqual([9, 9, 9]);
  });

  it.each([200, 204, 302, 400, 403, 404, 409, 422, 500, 503])(
    'an answer of %d, as often as it comes: it is no failure',
    async (status) => {
      const rig = mount({
        step: (ctx) => {
          ctx.status = status;
        },
      });
      for (let i = 0; i < 12; i += 1) await rig.login('wrong').expect(status);
      expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
      expect(rig.events).toEqual([]);
    },
  );

  it('an error of the login handler, as it is, and gives the attempt back', async () => {
    const broken = new Error('the database is away');
    const rig = mount({ step: () => Promise.reject(broken) });
    for (let i = 0; i < 12; i += 1) await rig.login('wrong').expect(500);
    expect(rig.errors).toEqual(Array.from({ length: 12 }, () => broken));
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
  });

  it('an error that has no status', async () => {
    const rig = mount({ step: () => Promise.reject('away') });
    await rig.login('wrong').expect(500);
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
  });

  it('a login that the app vouches for, whatever it answers', async () => {
    const rig = mount({
      step: (ctx) => {
        passwordVerified(ctx, { id: 'alice' });
        ctx.status = 401;
      },
    });
    for (let i = 0; i < 12; i += 1) await rig.login('right').expect(401);
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
    expect(rig.events).toEqual([]);
  });

  it('everyone else while one account is locked (LCK-11)', async () => {
    const rig = mount();
    await rig.fail(10);
    await rig.login('right', 'bob').expect(200);
    await rig.login('right', 'alice').expect(429);
    expect(rig.errors).toEqual([]);
  });

  it('again after the lock, and each limit in its turn', async () => {
    const rig = mount();
    await rig.fail(10);
    rig.clock.advance(59.999);
    await rig.login('right').expect(429);
    rig.clock.advance(0.001);
    await rig.login('right').expect(200);
    await rig.fail(10);
    const { headers } = await rig.login('right').expect(429);
    expect(headers['retry-after']).toBe('3600');
  });

  it('other limits than the standard ones', async () => {
    const rig = mount({ core: { limits: [{ failures: 1, withinSeconds: 5, lockSeconds: 30 }] } });
    await rig.fail(1);
    const { headers } = await rig.login('right').expect(429);
    expect(headers['retry-after']).toBe('30');
  });

  it('a resumed login of an open account, without reading a name', async () => {
    const rig = mount({ before: resumed(), step: afterFactor });
    await rig.send({}).expect(200, 'lockout passed: true');
    expect(rig.events).toEqual([]);
  });

  it('a name from wherever readUsername finds it, without a body parser', async () => {
    const rig = mount({
      parser: false,
      options: { readUsername: (ctx) => ctx.get('X-Name') },
      step: (ctx) => {
        ctx.status = 401;
      },
    });
    for (let i = 0; i < 10; i += 1) await rig.send({}).set('X-Name', 'Alice').expect(401);
    await rig.send({}).set('X-Name', 'alice').expect(429);
    expect(rig.errors).toEqual([]);
  });
});

function resumed(
  subject: string | undefined = keyHash('password', standardPolicy, 'identifier', 'alice'),
  startedAt = 1_000_000,
): AuthMiddleware {
  return async (ctx, next) => {
    const account = { id: 'alice' };
    const facts = { account, subject, startedAt, methods: ['pwd'], provenAt: 1, handle: 'x', factors: 'x' };
    loginOf(ctx).resume(facts, Date.now());
    await next();
  };
}

function afterFactor(ctx: AuthContext): void {
  ctx.body = `lockout passed: ${loginOf(ctx).lockoutPassed}`;
}

describe('lockout refuses', () => {
  it('the right password after ten wrong ones, and evaluates nothing (LCK-01)', async () => {
    const rig = mount();
    for (let i = 0; i < 10; i += 1) {
      await rig.fail(1);
      rig.clock.advance(1);
    }
    const { body, headers } = await rig.login('right').expect(429);
    expect(body).toEqual({ error: 'locked_out', error_description: expect.any(String) });
    expect(headers).toMatchObject({
      'retry-after': '59',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(rig.evaluated).toHaveLength(10);
  });

  it('ten tries after ten over the edge of a minute (LCK-03)', async () => {
    const rig = mount();
    rig.clock.advance(59);
    for (let i = 0; i < 10; i += 1) {
      await rig.fail(1);
      rig.clock.advance(0.1);
    }
    for (let i = 0; i < 10; i += 1) {
      rig.clock.advance(0.1);
      await rig.login('right').expect(429);
    }
    expect(rig.evaluated).toHaveLength(10);
  });

  it('without prolonging the lock', async () => {
    const rig = mount();
    await rig.fail(10);
    for (let i = 0; i < 59; i += 1) {
      rig.clock.advance(1);
      const { headers } = await rig.login('wrong').expect(429);
      expect(headers['retry-after']).toBe(String(59 - i));
    }
    rig.clock.advance(1);
    await rig.login('right').expect(200);
  });

  it.each<[string, AuthMiddleware]>([
    ['ctx.throw(401)', (ctx) => ctx.throw(401, 'wrong')],
    [
      'passwordRefused and a page shown with 200',
      (ctx) => {
        passwordRefused(ctx);
        ctx.body = '<form>';
      },
    ],
    [
      'passwordRefused and a redirect',
      (ctx) => {
        passwordRefused(ctx);
        ctx.redirect('/login?failed');
      },
    ],
    [
      'passwordRefused and an error',
      (ctx) => {
        passwordRefused(ctx);
        throw new Error('the audit log is away');
      },
    ],
  ])('after ten failures that the app tells by %s', async (_, step) => {
    const rig = mount({ step });
    for (let i = 0; i < 10; i += 1) expect((await rig.login('wrong')).status).not.toBe(429);
    await rig.login('wrong').expect(429);
    expect(rig.evaluated).toHaveLength(10);
    expect(names(rig.events).filter((name) => name === 'login.failed')).toHaveLength(10);
  });

  it.each<[string, object]>([
    ['number', { username: 7 }],
    ['boolean', { username: true }],
    ['null', { username: null }],
    ['array', { username: ['alice'] }],
    ['object', { username: { $gt: '' } }],
    ['missing field', {}],
    ['empty string', { username: '' }],
    ['white space', { username: ' \t' }],
    ['NUL (IDN-13)', { username: 'alice\0' }],
    ['256 bytes (IDN-15)', { username: 'a'.repeat(256) }],
    ['400 KB of combining marks (PWD-09)', { username: `a${'\u0300\u0316'.repeat(100_000)}` }],
    ['lone surrogate', { username: 'alice\ud800' }],
    ['whole array', [{ username: 'alice' }]],
    ['field of a prototype (INP-05)', { constructor: { prototype: { username: 'alice' } } }],
  ])('as malformed and uncounted, what is no name (INP-01): %s', async (_, sent) => {
    const rig = mount();
    const { body, headers } = await rig.send(sent).expect(400);
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
    expect(headers['cache-control']).toBe('no-store');
    expect(rig.evaluated).toEqual([]);
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([]);
  });

  it('the eleventh of eleven at once as busy, while the tenth is being checked (RCE-09)', async () => {
    const open: (() => void)[] = [];
    const rig = mount({
      step: async (ctx) => {
        await new Promise<void>((resolve) => open.push(resolve));
        ctx.body = 'welcome';
      },
    });
    const server = rig.app.listen();
    const post = (): request.Test =>
      request(server).post('/login').send({ username: 'alice', password: 'right' });
    const running = Array.from({ length: 10 }, async () => post().expect(200));
    while (open.length < 10) await new Promise(setImmediate);
    const { body, headers } = await post().expect(429);
    expect(body).toEqual({ error: 'busy', error_description: expect.any(String) });
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    for (const go of open) go();
    await Promise.all(running);
    server.close();
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
    expect(rig.events).toEqual([
      { name: 'login.refused', reason: 'busy', subject: expect.any(String), ...told },
    ]);
  });

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('CANARY'))],
    ['is unavailable', () => Promise.reject(new StoreUnavailable('gone'))],
    ['answers nonsense', () => Promise.resolve({ granted: 'yes' }) as Promise<never>],
    ['answers nothing', () => Promise.resolve(undefined) as Promise<never>],
  ])('where the store %s: nothing is evaluated', async (_, reserveAttempt) => {
    const rig = mount({ store: { reserveAttempt } });
    for (let i = 0; i < 3; i += 1) {
      const { body, headers } = await rig.login('right').expect(503);
      expect(body).toEqual({ error: 'store_unavailable', error_description: expect.any(String) });
      expect(headers).toMatchObject({
        'retry-after': '1',
        'cache-control': 'no-store',
        'set-cookie': ['kept=1'],
      });
    }
    expect(rig.evaluated).toEqual([]);
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([{ name: 'store.failed', reason: expect.any(String), ...told }]);
    expect(JSON.stringify(rig.events)).not.toContain('CANARY');
  });

  it('where the store is silent, within a second', async () => {
    const rig = mount({ store: { reserveAttempt: () => new Promise(() => {}) } });
    const start = performance.now();
    await rig.login('right').expect(503);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(rig.evaluated).toEqual([]);
  });

  it.each(['releaseAttempt', 'lockAttempts'] as const)(
    'where the store fails after the password was looked at: %s',
    async (method) => {
      const rig = mount({ store: { [method]: () => Promise.reject(new Error('away')) } });
      if (method === 'releaseAttempt') {
        await rig.login('right').expect(503);
        return;
      }
      await rig.fail(9);
      const { body } = await rig.login('wrong').expect(503);
      expect(body).toEqual({ error: 'store_unavailable', error_description: expect.any(String) });
    },
  );

  it('an error that is no refusal of the store, as it is', async () => {
    const rig = mount({
      options: {
        readUsername: () => {
          throw new RangeError('a bug of the app');
        },
      },
    });
    await rig.login('right').expect(500);
    expect(rig.errors).toEqual([new RangeError('a bug of the app')]);
  });

  it('the whole request where no body parser ran (INP-11)', async () => {
    const rig = mount({ parser: false });
    await rig.login('right').expect(500);
    expect(rig.errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('body parser') }),
    ]);
    expect(rig.evaluated).toEqual([]);
  });

  it('a resumed login of a locked account (LCK-14)', async () => {
    const rig = mount({ before: resumed(), step: afterFactor });
    for (let i = 0; i < 10; i += 1) {
      const attempt = await rig.attempts.reserve({
        identifier: 'alice',
        account: undefined,
        address: undefined,
      });
      if (attempt.granted) await attempt.fail();
    }
    const { body, headers } = await rig.send({}).expect(429);
    expect(body).toEqual({ error: 'locked_out', error_description: expect.any(String) });
    expect(headers).toMatchObject({ 'retry-after': '60', 'cache-control': 'no-store' });
    expect(rig.evaluated).toEqual([]);
    rig.clock.advance(60);
    expect((await rig.send({}).expect(401)).body).toMatchObject({ error: 'pending_login_invalid' });
    expect(rig.evaluated).toEqual([]);
  });

  it('a resumed login that no lockout has counted: a guess would have been free', async () => {
    const emitWarning = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before: resumedUncounted, step: afterFactor });
    const { body } = await rig.send({}).expect(401);
    expect(body).toEqual({ error: 'invalid_credentials', error_description: expect.any(String) });
    expect(rig.evaluated).toEqual([]);
    emitWarning.mockRestore();
  });

  it('a resumed login of which the store cannot tell', async () => {
    const rig = mount({
      before: resumed(),
      store: { readAttempts: () => Promise.reject(new Error('away')) },
    });
    expect((await rig.send({}).expect(503)).body).toMatchObject({ error: 'store_unavailable' });
    expect(rig.evaluated).toEqual([]);
  });

  it.each<[string, AuthMiddleware]>([
    [
      'after a password step',
      async (ctx, next) => {
        passwordVerified(ctx, { id: 'alice' });
        await next();
      },
    ],
    [
      'after a password was refused',
      async (ctx, next) => {
        passwordRefused(ctx);
        await next();
      },
    ],
    [
      'after another lockout',
      async (ctx, next) => {
        loginOf(ctx).passLockout('told');
        await next();
      },
    ],
  ])('everything when it is mounted %s (CFG-02), and tells the developer once', async (_, before) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before });
    await rig.login('right').expect(401);
    await rig.login('right').expect(401);
    expect(rig.evaluated).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^lockout is out of order/), ...told },
    ]);
    expect(warned.mock.calls).toEqual([
      [expect.stringMatching(/^lockout is out of/), { code: 'PORTCULLIS_ORDER' }],
    ]);
    warned.mockRestore();
  });
});

const resumedUncounted: AuthMiddleware = async (ctx, next) => {
  const account = { id: 'alice' };
  const facts = { account, startedAt: 1, methods: ['pwd'], provenAt: 1, handle: 'x', factors: 'x' };
  loginOf(ctx).resume({ ...facts, subject: undefined }, Date.now());
  await next();
};

describe('lockout counts', () => {
  it('every spelling of a name as one (IDN-01, IDN-03)', async () => {
    const rig = mount();
    for (const name of [
      'alice',
      'Alice',
      'ALICE',
      ' alice ',
      'ａｌｉｃｅ',
      '𝐚𝐥𝐢𝐜𝐞',
      'aLice',
      'alIce',
      'aliCe',
      'alicE',
    ]) {
      await rig.login('wrong', name).expect(401);
    }
    await rig.login('right').expect(429);
    expect(rig.errors).toEqual([]);
  });

  it('the account that subject resolves a name to, and a name that is nobody by itself (IDN-06)', async () => {
    const accounts: Record<string, string> = { alice: '1', 'alice@acme.example': '1', bob: '2' };
    const rig = mount({ options: { subject: async (name) => accounts[name] ?? null } });
    await rig.fail(5, 'alice');
    await rig.fail(5, 'Alice@Acme.example');
    await rig.login('right', 'alice').expect(429);
    await rig.login('right', 'bob').expect(200);
    await rig.fail(10, 'nobody');
    await rig.login('right', 'nobody').expect(429);
    // An unknown name that is spelt like an account's id is not that account.
    await rig.login('right', '2').expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('the parts of a subject apart (IDN-09)', async () => {
    const rig = mount({
      options: {
        subject: (name) => (name === 'one' ? ['a', 'b:c'] : name === 'two' ? ['a:b', 'c'] : ['a', 'b', 'c']),
      },
    });
    await rig.fail(10, 'one');
    await rig.login('right', 'one').expect(429);
    await rig.login('right', 'two').expect(200);
    await rig.login('right', 'three').expect(200);
    expect(rig.errors).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['undefined', () => undefined],
    ['an empty string', () => ''],
    ['a number', () => 7],
    ['an empty list', () => []],
    ['a list of numbers', () => [1, 2]],
    ['an object', () => ({ id: 'alice' })],
    ['true', () => true],
    ['an error', () => Promise.reject(new Error('the database is away'))],
    [
      'a throw',
      () => {
        throw new Error('the database is away');
      },
    ],
  ])('nobody where subject answers %s: 503, and the app is told', async (_, subject) => {
    const rig = mount({ options: { subject: subject as never } });
    const { body, headers } = await rig.login('right').expect(503);
    expect(body).toEqual({ error: 'store_unavailable', error_description: expect.any(String) });
    expect(headers['retry-after']).toBe('1');
    expect(rig.evaluated).toEqual([]);
    expect(rig.errors).toHaveLength(1);
  });

  it('nobody where subject is busy: 429', async () => {
    const rig = mount({ options: { subject: () => Promise.reject(new Busy(3)) } });
    const { headers } = await rig.login('right').expect(429);
    expect(headers['retry-after']).toBe('3');
    expect(rig.errors).toEqual([]);
  });

  it('an address over all names, and says which it was that locked', async () => {
    const rig = mount({
      core: { addressLimits: [{ failures: 3, withinSeconds: 60 }] },
      options: { readAddress: (ctx) => ctx.get('X-From') },
    });
    const from = (address: string, name: string): request.Test =>
      rig.login('wrong', name).set('X-From', address);
    await from('192.0.2.1', 'a').expect(401);
    await from('::ffff:192.0.2.1', 'b').expect(401);
    await from('192.0.2.1', 'c').expect(401);
    await from('192.0.2.1', 'd').expect(429);
    await from('192.0.2.2', 'd').expect(401);
    // Without an address that is one, only the name is counted.
    await from('unknown', 'd').expect(401);
    expect(names(rig.events).filter((name) => name.endsWith('.locked'))).toEqual(['address.locked']);
  });

  it.each([null, undefined, 7, {}, ''])('no address where readAddress answers %p', async (address) => {
    const rig = mount({
      core: { addressLimits: [{ failures: 1, withinSeconds: 60 }] },
      options: { readAddress: (() => address) as never },
    });
    for (const name of ['a', 'b', 'c']) await rig.login('wrong', name).expect(401);
    expect(rig.errors).toEqual([]);
  });

  it('the address of the socket, whatever X-Forwarded-For says (SIP-01)', async () => {
    const rig = mount({ core: { addressLimits: [{ failures: 3, withinSeconds: 60 }] } });
    for (let i = 1; i <= 3; i += 1)
      await rig.login('wrong', `user ${i}`).set('X-Forwarded-For', `192.0.2.${i}`).expect(401);
    await rig.login('right', 'bob').set('X-Forwarded-For', '192.0.2.9').expect(429);
    expect(rig.events.every(({ ip }) => ip === '127.0.0.1')).toBe(true);
  });

  it('no address that can be forged, and says so once (SIP-02)', async () => {
    const rig = mount({
      proxy: { proxy: true },
      core: { addressLimits: [{ failures: 1, withinSeconds: 60 }] },
    });
    for (let i = 1; i <= 3; i += 1)
      await rig.login('wrong', `user ${i}`).set('X-Forwarded-For', '192.0.2.1').expect(401);
    expect(names(rig.events)).toEqual(['config.weak', 'login.failed', 'login.failed', 'login.failed']);
    expect(rig.events.every(({ ip }) => ip === '127.0.0.1')).toBe(true);
  });

  it('the address that the proxies vouch for', async () => {
    const rig = mount({
      proxy: { proxy: true, maxIpsCount: 1 },
      core: { addressLimits: [{ failures: 1, withinSeconds: 60 }] },
    });
    await rig.login('wrong', 'a').set('X-Forwarded-For', '198.51.100.1, 192.0.2.1').expect(401);
    await rig.login('wrong', 'b').set('X-Forwarded-For', '198.51.100.2, 192.0.2.1').expect(429);
    await rig.login('wrong', 'c').set('X-Forwarded-For', '198.51.100.1, 192.0.2.2').expect(401);
    expect(rig.events[0]).toMatchObject({ name: 'login.failed', ip: '192.0.2.1' });
  });
});

async function toldBy(core: Partial<LockoutOptions>): Promise<unknown> {
  const rig = mount({ core });
  await rig.fail(1, 'Tr0ub4dor&3');
  return (rig.events[0] as { subject?: string }).subject;
}

describe('lockout tells', () => {
  it('each failure, the lock once, and each refusal, without the name (LCK-01, LOG-05)', async () => {
    const rig = mount();
    await rig.fail(10, 'c4nary');
    const [{ subject = '' } = {}] = rig.events as { subject?: string }[];
    expect(subject).toMatch(/^[0-9a-f]{64}$/);
    await rig.login('right', 'c4nary').expect(429);
    const failure = { name: 'login.failed', reason: 'wrong password', subject, ...told };
    expect(rig.events).toEqual([
      ...Array.from({ length: 10 }, () => failure),
      { name: 'account.locked', retryAfterSeconds: 60, subject, ...told },
      { name: 'login.refused', reason: 'locked out', subject, ...told },
    ]);
    expect(JSON.stringify(rig.events)).not.toContain('c4nary');
  });

  it('a name by what nobody can guess who has the log alone: it may be a password (LOG-05)', async () => {
    const eventKey = randomBytes(32);
    const bare = keyHash('password', standardPolicy, 'identifier', 'tr0ub4dor&3');
    const [one, other, same, random, random2] = [
      await toldBy({ eventKey }),
      await toldBy({ eventKey: randomBytes(32) }),
      await toldBy({ eventKey: eventKey.toString('hex') }),
      await toldBy({}),
      await toldBy({}),
    ];
    expect(new Set([bare, one, other, random, random2]).size).toBe(5);
    expect(one).toBe(same);
  });

  it('nothing of a right password', async () => {
    const rig = mount();
    await rig.login('right').expect(200);
    expect(rig.events).toEqual([]);
    expect(rig.state.auth).toBeUndefined();
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    await rig.fail(10);
    const { body } = await rig.login('right').expect(429);
    expect(rig.state.auth).toEqual({ refusal: body });
  });

  it('what its store is weak in, once', async () => {
    const rig = mount({ store: { weaknesses: () => ['it forgets'] } });
    await rig.fail(2);
    expect(names(rig.events)).toEqual(['config.weak', 'login.failed', 'login.failed']);
    expect(rig.events[0]).toEqual({ name: 'config.weak', reason: 'it forgets', ...told });
  });

  it('an error of a listener to the app, and answers as if there were none', async () => {
    const rig = mount();
    const broken = new Error('the mail server is away');
    rig.app.on('auth', () => {
      throw broken;
    });
    await rig.fail(1);
    expect(rig.errors).toEqual([broken]);
    expect((await rig.attempts.status('alice')).failures).toEqual([1, 1, 1]);
  });

  it('its own name', () => {
    expect(lockout(new Lockout({ store: memoryStore() })).name).toBe('lockout');
  });
});

describe('lockout rejects bad options', () => {
  const attempts = new Lockout({ store: memoryStore() });
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'lockout: the first argument must be made by new Lockout(), not undefined'],
    [{}, {}, 'lockout: the first argument must be made by new Lockout(), not an object'],
    [memoryStore(), {}, 'lockout: the first argument must be made by new Lockout(), not an object'],
    [Lockout, {}, 'lockout: the first argument must be made by new Lockout(), not a function'],
    [
      attempts,
      { readUserName: () => '' },
      'lockout: unknown option "readUserName"; it takes readUsername, subject, readAddress',
    ],
    [
      attempts,
      { readUsername: 'username' },
      'lockout: option readUsername must be a function, not "username"',
    ],
    [attempts, { subject: 'alice' }, 'lockout: option subject must be a function, not "alice"'],
    [attempts, { readAddress: null }, 'lockout: option readAddress must be a function, not null'],
    [attempts, 'username', 'lockout: options must be an object, not "username"'],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => lockout(core as never, options as never)).toThrow(new TypeError(message));
  });

  it.each(['readUsername', 'subject', 'readAddress', 'skip', 'allow'])(
    'and takes none from a polluted prototype (INP-06): %s',
    async (name) => {
      const value = jest.fn(() => 'someone else');
      Reflect.defineProperty(Object.prototype, name, { configurable: true, value });
      let rig;
      try {
        rig = mount({ options: {} });
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      await rig.fail(10);
      await rig.login('right').expect(429);
      expect(value).not.toHaveBeenCalled();
    },
  );

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    const options: { readUsername?: () => string } = { readUsername: () => 'alice' };
    const rig = mount({ options });
    options.readUsername = () => 'bob';
    await rig.fail(10, 'x');
    expect((await rig.attempts.status('alice')).locked).toBe(true);
    Object.freeze(options);
    expect(() => lockout(attempts, options)).not.toThrow();
    expect(Object.keys(options)).toEqual(['readUsername']);
  });
});

describe('Lockout rejects a key that is none (CFG-05)', () => {
  it.each([Buffer.alloc(32), Buffer.alloc(31, 'random?'), 'changeme', 'a'.repeat(64), 1, null])(
    '%p',
    (eventKey) => {
      const wrong = (): Lockout => new Lockout({ store: memoryStore(), eventKey: eventKey as string });
      expect(wrong).toThrow(
        /^Lockout: option eventKey must be 32 random bytes, or those in base64 or hexadecimal, not /,
      );
      expect(wrong).not.toThrow(/changeme|aaaa/);
    },
  );
});

describe('Lockout rejects limits that cannot be meant (LCK-18)', () => {
  const store = memoryStore();
  it.each<[unknown, RegExp]>([
    [[], /^Lockout: option limits must be a list of 1 to 8 limits, not an array of 0$/],
    [
      [
        { failures: 10, withinSeconds: 60 },
        { failures: 5, withinSeconds: 3600 },
      ],
      /^Lockout: limits\[1\]\.failures must be a whole number from 11 /,
    ],
    [
      [
        { failures: 10, withinSeconds: 3600 },
        { failures: 20, withinSeconds: 60 },
      ],
      /^Lockout: limits\[1\]\.withinSeconds must be/,
    ],
    ...['10', Number.NaN, 0, -1, 1.5, Number.POSITIVE_INFINITY, 2 ** 53, null, 1001].map(
      (failures): [unknown, RegExp] => [
        [{ failures, withinSeconds: 60 }],
        /^Lockout: limits\[0\]\.failures must be a whole number from 1 to 1000, not /,
      ],
    ),
    ...['60', Number.NaN, 0, -1, 1.5, Number.POSITIVE_INFINITY, 21_900 * 86_400].map(
      (withinSeconds): [unknown, RegExp] => [
        [{ failures: 10, withinSeconds }],
        /^Lockout: limits\[0\]\.withinSeconds must be a whole number from 1 to 1036800, not /,
      ],
    ),
    [
      [{ failures: 10, withinSeconds: 60, lockSeconds: 59 }],
      /^Lockout: limits\[0\]\.lockSeconds must be a whole number from 60 /,
    ],
    [
      [{ failures: 10, withinSeconds: 60, window: 1 }],
      /^Lockout: limits\[0\] has failures, withinSeconds and lockSeconds, not "window"$/,
    ],
    [[{ failures: 10 }], /^Lockout: limits\[0\]\.withinSeconds must be .*, not undefined$/],
    [['10/min'], /^Lockout: limits\[0\] must be an object, not "10\/min"$/],
    ['10/min', /^Lockout: option limits must be a list of limits, not "10\/min"$/],
  ])('%j', (limits, message) => {
    expect(() => new Lockout({ store, limits } as never)).toThrow(message);
    expect(() => new Lockout({ store, limits } as never)).toThrow(TypeError);
  });

  it.each<[unknown, RegExp]>([
    [{}, /^Lockout: option store must be an attempt store/],
    [{ store: { ...store, reserveAttempt: 1 } }, /^Lockout: option store must be an attempt store/],
    [
      { store, addressLimits: true },
      /^Lockout: option addressLimits must be a list of limits, or false, not true$/,
    ],
    [
      { store, addressLimits: [{ failures: 0, withinSeconds: 1 }] },
      /^Lockout address: limits\[0\]\.failures/,
    ],
    [
      { store, window: 60 },
      /^Lockout: unknown option "window"; it takes store, limits, addressLimits, devices, deviceLimits, eventKey$/,
    ],
  ])('and other bad options %#', (options, message) => {
    expect(() => new Lockout(options as never)).toThrow(message);
  });

  it.each(['failures', 'withinSeconds', 'lockSeconds', 'limits', 'addressLimits', 'window'])(
    'and takes none from a polluted prototype (INP-06): %s',
    async (name) => {
      Reflect.defineProperty(Object.prototype, name, { configurable: true, value: 1e12 });
      try {
        const lockouts = [
          new Lockout({ store }),
          new Lockout({ store, limits: [{ failures: 2, withinSeconds: 9 }] }),
        ];
        expect(lockouts).toHaveLength(2);
        expect(() => new Lockout({ store, limits: [{} as never] })).toThrow(TypeError);
        expect((await lockouts[0]?.status('nobody'))?.failures).toHaveLength(3);
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
    },
  );
});

describe('an operator', () => {
  it('unlocks one account, and nobody else; a second time changes nothing (LCK-17)', async () => {
    const rig = mount();
    await rig.fail(10, 'alice');
    await rig.fail(10, 'bob');
    expect(await rig.attempts.status('Alice')).toMatchObject({ locked: true, retryAfterSeconds: 60 });
    expect(await rig.attempts.unlock('Alice')).toBe(true);
    expect(await rig.attempts.unlock('alice')).toBe(false);
    expect(await rig.attempts.status('alice')).toEqual({
      locked: false,
      retryAfterSeconds: 0,
      failures: [0, 0, 0],
    });
    await rig.login('right', 'alice').expect(200);
    await rig.login('right', 'bob').expect(429);
  });

  it('unlocks by the account id that subject gives', async () => {
    const rig = mount({ options: { subject: () => 'user 1' } });
    await rig.fail(10);
    expect((await rig.attempts.status('user 1')).locked).toBe(true);
    expect(await rig.attempts.unlock('user 1')).toBe(true);
    await rig.login('right').expect(200);
  });
});
