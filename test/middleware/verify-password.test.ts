import { bodyParser } from '@koa/bodyparser';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { Busy, StoreUnavailable } from '../../src/core/errors.js';
import { Lockout } from '../../src/core/lockout.js';
import type { AuthContext, AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { loginOf, passwordRefused, passwordVerified } from '../../src/http/login.js';
import { lockout } from '../../src/middleware/lockout.js';
import {
  verifyPassword,
  type Credentials,
  type PasswordVerifier,
  type VerifyPasswordOptions,
} from '../../src/middleware/verify-password.js';
import { memoryStore } from '../../src/stores/memory.js';
import { told } from '../rig/told.js';

const alice = { id: 'user 1', email: 'alice@acme.example' };

interface Setup {
  readonly options?: VerifyPasswordOptions;
  readonly verify?: PasswordVerifier;
  readonly before?: readonly AuthMiddleware[];
  readonly parser?: boolean;
}

async function shownAsPage(ctx: AuthContext, next: () => Promise<unknown>): Promise<void> {
  await next();
  ctx.status = 200;
  ctx.body = '"again"';
}

function verifyNobody(): null {
  return null;
}

function findAlice({ identifier, password }: Credentials): typeof alice | null {
  return identifier === 'alice' && password === 'Correct horse' ? alice : null;
}

function mount({ options, verify = findAlice, before = [], parser = true }: Setup = {}) {
  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const asked: Credentials[] = [];
  const reached: unknown[] = [];
  const state: { auth?: unknown } = {};
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  if (parser) app.use(bodyParser({ jsonLimit: '2mb' }));
  for (const one of before) app.use(one);
  const spy: PasswordVerifier = (credentials, ctx) => {
    asked.push(credentials);
    return verify(credentials, ctx);
  };
  app.use(verifyPassword(spy, options));
  app.use((ctx) => {
    reached.push(loginOf(ctx).account);
    ctx.body = 'welcome';
  });
  const send = (body: object): request.Test => request(app.callback()).post('/').send(body);
  const login = (password: string, username = 'alice'): request.Test => send({ username, password });
  return { app, events, errors, asked, reached, state, send, login };
}

const wrong = { error: 'invalid_credentials', error_description: expect.any(String) };

afterEach(() => {
  jest.useRealTimers();
});

describe('verifyPassword lets through', () => {
  it('the account that verify finds, with the name canonical and the password as it was sent (PWD-06)', async () => {
    const rig = mount({ verify: async () => alice });
    await rig.send({ username: ' ＡLICE ', password: ' Pass\tword ' }).expect(200, 'welcome');
    expect(rig.asked).toEqual([{ identifier: 'alice', password: ' Pass\tword ' }]);
    expect(rig.reached).toEqual([alice]);
    expect(rig.events).toEqual([]);
  });

  it('a form as well as JSON', async () => {
    const rig = mount();
    await rig.login('Correct horse').type('form').expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('1,024 bytes, and 255 of a name', async () => {
    const rig = mount({ verify: () => alice });
    await rig.login('é'.repeat(512), 'a'.repeat(255)).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('credentials from wherever the readers find them, without a body parser', async () => {
    const rig = mount({
      parser: false,
      options: { readUsername: (ctx) => ctx.get('X-Name'), readPassword: (ctx) => ctx.get('X-Password') },
    });
    await rig.send({}).set('X-Name', 'alice').set('X-Password', 'Correct horse').expect(200);
    await rig.send({}).set('X-Name', 'alice').set('X-Password', 'wrong').expect(401);
    expect(rig.errors).toEqual([]);
  });

  it('under lockout the name that was counted, whatever its own reader says (I6, INP-07)', async () => {
    const attempts = new Lockout({ store: memoryStore() });
    const rig = mount({
      before: [lockout(attempts, { readUsername: () => 'alice' })],
      options: { readUsername: () => 'bob' },
    });
    await rig.login('Correct horse', 'carol').expect(200);
    expect(rig.asked).toEqual([{ identifier: 'alice', password: 'Correct horse' }]);
  });

  it('the errors of what comes after it, as they are', async () => {
    const rig = mount();
    const broken = new Error('the database is away');
    rig.app.middleware.splice(-1, 1, () => Promise.reject(broken));
    await rig.login('Correct horse').expect(500);
    expect(rig.errors).toEqual([broken]);
  });
});

describe('verifyPassword refuses', () => {
  it('a wrong password and an unknown name alike (TIM-01, I11)', async () => {
    const rig = mount();
    const known = await rig.login('wrong').expect(401);
    const unknown = await rig.login('wrong', 'nobody').expect(401);
    expect(known.body).toEqual(wrong);
    expect(known.headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(unknown.text).toBe(known.text);
    expect({ ...unknown.headers, date: '' }).toEqual({ ...known.headers, date: '' });
    expect(rig.asked).toHaveLength(2);
    expect(rig.reached).toEqual([]);
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'an unknown name like any other: %s (IDN-11)',
    async (name) => {
      const users: Record<string, typeof alice> = { alice };
      const rig = mount({ verify: ({ identifier }) => (Object.hasOwn(users, identifier) ? alice : null) });
      await rig.login('Correct horse', name).expect(401);
      expect(rig.errors).toEqual([]);
    },
  );

  const values: [string, unknown][] = [
    ['number', 7],
    ['boolean', true],
    ['null', null],
    ['array', ['Correct horse']],
    ['object', { $gt: '' }],
    ['object with a length', { length: 5 }],
    ['missing', undefined],
    ['empty', ''],
    ['lone surrogate (PWD-13)', 'Aa1aaaaaaa\ud800'],
    ['1 MB (PWD-08)', 'a'.repeat(1_000_000)],
    ['400 KB of combining marks (PWD-09)', `A1a${'\u0300\u0316'.repeat(100_000)}`],
  ];
  it.each([
    ...values.map(([name, value]): [string, object] => [
      `password: ${name}`,
      { username: 'alice', password: value },
    ]),
    ...values.map(([name, value]): [string, object] => [
      `username: ${name}`,
      { username: value, password: 'x' },
    ]),
    ['password of 1,025 bytes', { username: 'alice', password: 'é'.repeat(513) }],
    ['both in a prototype (INP-05)', { constructor: { prototype: { username: 'alice', password: 'x' } } }],
  ])('as malformed what is no credential, and asks nobody (INP-01): %s', async (_, sent) => {
    const rig = mount();
    const { body, headers } = await rig.send(sent).expect(400);
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
    expect(headers['cache-control']).toBe('no-store');
    expect(rig.asked).toEqual([]);
    expect(rig.reached).toEqual([]);
    expect([...rig.errors, ...rig.events]).toEqual([]);
  });

  it.each([
    'username=alice&password[$ne]=',
    'username[]=alice&username[]=bob&password=x',
    'username=alice&password=a&password=b',
  ])('form fields that parse to arrays and objects (INP-02): %s', async (form) => {
    const rig = mount();
    await request(rig.app.callback()).post('/').type('form').send(form).expect(400);
    expect(rig.asked).toEqual([]);
  });

  it.each(['Correct horse\0', 'Correct horse\0x', '\0'])(
    'a password with a NUL as a wrong one, without asking: a hash may end there (PWD-12): %j',
    async (password) => {
      const rig = mount({ verify: () => alice });
      expect((await rig.login(password).expect(401)).body).toEqual(wrong);
      expect(rig.asked).toEqual([]);
      expect(rig.events).toHaveLength(1);
    },
  );

  it.each<[string, unknown]>([
    ['true', true],
    ['"false"', 'false'],
    ['1', 1],
    ['{}', {}],
    ['[]', []],
    ['undefined', undefined],
    ['false', false],
    ['an account without an id', { name: 'alice' }],
    ['an account with a number', { id: 1 }],
    ['an account with an empty id', { id: '' }],
    ['an account with an id of 256 bytes', { id: 'x'.repeat(256) }],
    ['an account with an ill-formed id', { id: '\ud800' }],
    ['an account that inherits its id', Object.create({ id: 'alice' })],
    ['a list of accounts', [alice]],
    ['a function', () => alice],
    ['a promise of true', Promise.resolve(true)],
  ])('where verify answers %s: 503, and the app is told (CFG-07, I9)', async (_, answer) => {
    const rig = mount({ verify: () => answer as never });
    const { body, headers } = await rig.login('Correct horse').expect(503);
    expect(body).toEqual({ error: 'store_unavailable', error_description: expect.any(String) });
    expect(headers).toMatchObject({
      'retry-after': '1',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(rig.reached).toEqual([]);
    expect(rig.errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('verifyPassword') }),
    ]);
  });

  it.each<[string, () => never]>([
    ['rejects', () => Promise.reject(new Error('the database is away')) as never],
    [
      'throws',
      () => {
        throw new Error('the database is away');
      },
    ],
    ['rejects with nothing', () => Promise.reject(null) as never],
    [
      'throws an error of 500',
      () => Promise.reject(Object.assign(new Error('x'), { status: 500, expose: true })) as never,
    ],
  ])('where verify %s: 503, the attempt is given back (RCE-12)', async (_, verify) => {
    const attempts = new Lockout({ store: memoryStore() });
    const rig = mount({ verify, before: [lockout(attempts)] });
    for (let i = 0; i < 11; i += 1) {
      expect((await rig.login('Correct horse').expect(503)).body).toMatchObject({
        error: 'store_unavailable',
      });
    }
    expect(rig.reached).toEqual([]);
    expect((await attempts.status('alice')).failures).toEqual([0, 0, 0]);
  });

  it('where verify never answers: 503 after five seconds, the attempt is given back (CFG-07)', async () => {
    const attempts = new Lockout({ store: memoryStore() });
    const rig = mount({ verify: () => new Promise(() => {}), before: [lockout(attempts)] });
    jest.useFakeTimers({
      doNotFake: [
        'Date',
        'hrtime',
        'nextTick',
        'performance',
        'queueMicrotask',
        'setImmediate',
        'clearImmediate',
      ],
    });
    const answer = rig.login('Correct horse').then(({ body, status }) => ({ body: body as object, status }));
    while (rig.asked.length === 0) await new Promise(setImmediate);
    await jest.advanceTimersByTimeAsync(4999);
    expect((await attempts.status('alice')).failures).toEqual([1, 1, 1]);
    await jest.advanceTimersByTimeAsync(1);
    expect(await answer).toMatchObject({ status: 503, body: { error: 'store_unavailable' } });
    expect((await attempts.status('alice')).failures).toEqual([0, 0, 0]);
    expect(rig.reached).toEqual([]);
  });

  it('where verify is busy or its store is away, as they say', async () => {
    const busy = mount({ verify: () => Promise.reject(new Busy(7)) });
    const answer = await busy.login('Correct horse').expect(429);
    expect(answer.body).toMatchObject({ error: 'busy' });
    expect(answer.headers['retry-after']).toBe('7');
    const away = mount({ verify: () => Promise.reject(new StoreUnavailable('gone')) });
    await away.login('Correct horse').expect(503);
    expect([...busy.errors, ...away.errors]).toEqual([]);
  });

  it.each([400, 401, 403, 409])('what verify throws for the client, as it is: %d', async (status) => {
    const attempts = new Lockout({ store: memoryStore() });
    const rig = mount({
      verify: (_, ctx) => ctx.throw(status, 'for the client'),
      before: [lockout(attempts)],
    });
    await rig.login('Correct horse').expect(status, 'for the client');
    expect((await attempts.status('alice')).failures[0]).toBe(status === 401 ? 1 : 0);
    expect(rig.reached).toEqual([]);
  });

  it('a wrong password as a failure, also where a page of 200 is made of its answer before lockout sees it', async () => {
    const attempts = new Lockout({ store: memoryStore() });
    const rig = mount({ before: [lockout(attempts), shownAsPage] });
    for (let i = 0; i < 10; i += 1) await rig.login('wrong').expect(200, '"again"');
    await rig.login('Correct horse').expect(429);
    expect(rig.asked).toHaveLength(10);
  });

  it('the whole request where no body parser ran (INP-11)', async () => {
    const rig = mount({ parser: false });
    await rig.login('Correct horse').expect(500);
    expect(rig.errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('body parser') }),
    ]);
    expect(rig.asked).toEqual([]);
  });

  it.each<[string, AuthMiddleware]>([
    [
      'a verified password',
      (ctx, next) => {
        passwordVerified(ctx, alice);
        return next();
      },
    ],
    [
      'a refused password',
      (ctx, next) => {
        passwordRefused(ctx);
        return next();
      },
    ],
    [
      'a resumed login',
      (ctx, next) => {
        const facts = {
          subject: 'x',
          startedAt: 1,
          methods: ['pwd'],
          provenAt: 1,
          handle: 'x',
          factors: 'x',
        };
        loginOf(ctx).resume({ ...facts, account: alice }, Date.now());
        return next();
      },
    ],
  ])('everything after %s (CFG-02)', async (_, before) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before: [before] });
    expect((await rig.login('Correct horse').expect(401)).body).toEqual(wrong);
    expect(rig.asked).toEqual([]);
    expect(rig.reached).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^verifyPassword is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });
});

describe('verifyPassword tells', () => {
  it('who it is and how in ctx.state.auth', async () => {
    const rig = mount();
    await rig.login('Correct horse').expect(200);
    expect(rig.state.auth).toEqual({ account: alice, methods: ['pwd'] });
  });

  it('one event of a failure: its own without a lockout, else that of the lockout', async () => {
    const alone = mount();
    await alone.login('wrong').expect(401);
    expect(alone.events).toEqual([{ name: 'login.failed', reason: 'wrong password', ...told }]);
    const counted = mount({ before: [lockout(new Lockout({ store: memoryStore() }))] });
    await counted.login('wrong').expect(401);
    expect(counted.events).toEqual([
      {
        name: 'login.failed',
        reason: 'wrong password',
        subject: expect.stringMatching(/^[0-9a-f]{64}$/),
        ...told,
      },
    ]);
  });

  it('its refusal in ctx.state.auth, and no name or password anywhere (LOG-01, PWD-22)', async () => {
    const rig = mount();
    const { body, text } = await rig.login('c4nary-pw', 'c4nary').expect(401);
    expect(rig.state.auth).toEqual({ refusal: body });
    expect(text + JSON.stringify([rig.events, rig.errors])).not.toContain('c4nary');
  });

  it('nothing that an earlier middleware forged: what it found replaces it', async () => {
    const rig = mount({
      before: [
        (ctx, next) => {
          ctx.state.auth = { account: { id: 'admin' }, methods: ['hwk'] };
          return next();
        },
      ],
    });
    await rig.login('Correct horse').expect(200);
    expect(rig.state.auth).toEqual({ account: alice, methods: ['pwd'] });
  });

  it('its own name', () => {
    expect(verifyPassword(() => null).name).toBe('verifyPassword');
  });
});

describe('verifyPassword rejects bad options', () => {
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'verifyPassword: the first argument must be a function, not undefined'],
    [{ find: verifyNobody }, {}, 'verifyPassword: the first argument must be a function, not an object'],
    [
      verifyNobody,
      { readUserName: verifyNobody },
      'verifyPassword: unknown option "readUserName"; it takes readUsername, readPassword',
    ],
    [
      verifyNobody,
      { readPassword: 'pw' },
      'verifyPassword: option readPassword must be a function, not "pw"',
    ],
    [
      verifyNobody,
      { readUsername: {} },
      'verifyPassword: option readUsername must be a function, not an object',
    ],
    [verifyNobody, [], 'verifyPassword: options must be an object, not an array of 0'],
  ])('by name, when it is made %#', (first, options, message) => {
    expect(() => verifyPassword(first as never, options as never)).toThrow(new TypeError(message));
  });

  it.each(['readUsername', 'readPassword', 'verified', 'skip'])(
    'and takes none from a polluted prototype (INP-06): %s',
    async (name) => {
      const value = jest.fn(() => 'Correct horse');
      Reflect.defineProperty(Object.prototype, name, { configurable: true, value });
      let rig;
      try {
        rig = mount({ options: {} });
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      await rig.login('wrong').expect(401);
      expect(value).not.toHaveBeenCalled();
    },
  );

  it('and takes no credential or account from one either (INP-06)', async () => {
    const rig = mount({ verify: () => ({}) as never });
    for (const [name, value] of [
      ['username', 'alice'],
      ['password', 'Correct horse'],
      ['id', 'alice'],
    ] as const) {
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    }
    try {
      await rig.send({}).expect(400);
      await rig.login('Correct horse').expect(503);
    } finally {
      for (const name of ['username', 'password', 'id']) Reflect.deleteProperty(Object.prototype, name);
    }
    expect(rig.reached).toEqual([]);
  });

  it('and leaves them as they were (CFG-13)', () => {
    const options = Object.freeze({ readPassword: () => 'x' });
    expect(() => verifyPassword(verifyNobody, options)).not.toThrow();
    expect(Object.keys(options)).toEqual(['readPassword']);
  });
});

describe('passwordVerified', () => {
  it.each([undefined, null, 'alice', true, {}, { id: '' }, { id: 7 }])(
    'needs an account: %j',
    async (account) => {
      const rig = mount({
        before: [
          (ctx) => {
            expect(() => passwordVerified(ctx, account as never)).toThrow(
              /^passwordVerified: account.id must be/,
            );
            expect(loginOf(ctx).password).toBe('open');
            ctx.body = 'checked';
          },
        ],
      });
      await rig.login('x').expect(200, 'checked');
    },
  );

  it('is said once, and never after passwordRefused', async () => {
    const rig = mount({
      before: [
        (ctx) => {
          passwordVerified(ctx, alice);
          expect(() => passwordVerified(ctx, { id: 'bob' })).toThrow(TypeError);
          passwordRefused(ctx);
          expect(loginOf(ctx)).toMatchObject({ password: 'verified', account: alice });
          ctx.body = 'checked';
        },
      ],
    });
    await rig.login('x').expect(200, 'checked');
    const other = mount({
      before: [
        (ctx) => {
          passwordRefused(ctx);
          expect(() => passwordVerified(ctx, alice)).toThrow(TypeError);
          ctx.body = 'checked';
        },
      ],
    });
    await other.login('x').expect(200, 'checked');
  });
});
