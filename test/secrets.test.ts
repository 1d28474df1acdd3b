import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  LoginLog,
  PasswordHashes,
  SecondFactors,
  breachCheck,
  issueToken,
  lockout,
  loginLogRoutes,
  memoryStore,
  passwordPolicy,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  revokeToken,
  safeBody,
  verifyPassword,
  type AuthEvent,
  type AuthState,
  type Store,
} from 'koa-portcullis';
import { generateSync } from 'otplib/functional';
import request from 'supertest';
import { added } from './rig/factor-rig.js';
import { fakeClock } from './rig/fake-clock.js';

const right = 'CANARY-right-Password-1';
const wrong = 'CANARY-wrong-Password-2';
const stranger = 'canary-password-typed-as-name';
const key = randomBytes(32);
const logKey = randomBytes(32);

const printed: string[] = [];

beforeEach(() => {
  printed.length = 0;
  const keep = (...args: unknown[]): true => {
    printed.push(args.map((arg) => (typeof arg === 'string' ? arg : inspect(arg, everything))).join(' '));
    return true;
  };
  jest.spyOn(process.stdout, 'write').mockImplementation(keep);
  jest.spyOn(process.stderr, 'write').mockImplementation(keep);
  jest.spyOn(process, 'emitWarning').mockImplementation(keep);
  for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
    jest.spyOn(console, method).mockImplementation(keep as never);
  }
});

afterEach(() => {
  jest.restoreAllMocks();
});

const everything = {
  depth: Infinity,
  showHidden: true,
  getters: true,
  maxArrayLength: null,
  maxStringLength: null,
} as const;

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

/** Every route of a login, watched: each answer, event and error is kept. */
function mount(fault: Partial<Store> = {}) {
  const clock = fakeClock();
  const store = memoryStore({ now: clock.now });
  const faulty: Store = { ...store };
  const attempts = new Lockout({ store: faulty });
  const factors = new SecondFactors({ store: faulty, issuer: 'Acme', keys: [key], now: clock.now });
  const tokens = new AccessTokens({ store: faulty });
  const hashes = new PasswordHashes({ memoryKiB: 7168, iterations: 1 });
  const stored = hashes.hash(right);
  const verify = verifyPassword(async ({ identifier, password }) => {
    const hash = identifier === 'alice' ? await stored : undefined;
    return (await hashes.verify(hash, password)) ? { id: 'u1' } : null;
  });
  const sources = [{ name: 'test', find: async (): Promise<number> => 1 }];

  const router = new Router<AuthState>();
  router.post('/tokens', lockout(attempts), verify, requireSecondFactor(factors), issueToken(tokens));
  router.post(
    '/tokens/second-factor',
    resumeLogin(factors),
    lockout(attempts),
    requireSecondFactor(factors),
    issueToken(tokens),
  );
  router.get('/reports', requireToken(tokens), (ctx) => {
    ctx.body = ctx.state.auth;
  });
  router.delete('/tokens/current', requireToken(tokens), revokeToken(tokens));
  router.put('/password', passwordPolicy(), breachCheck({ sources }), (ctx) => {
    ctx.status = 204;
  });

  const log = new LoginLog({ store: faulty, chain: { key: logKey }, now: clock.now });
  router.use('/log', requireToken(tokens), loginLogRoutes(log, { mayRead: () => true }).routes());

  const app = new Koa();
  app.on('auth', log.record);
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const answers: Answer[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(safeBody(bodyParser()));
  app.use(router.routes());

  const keep = async (test: request.Test): Promise<Answer> => {
    const { status, body, headers, text } = await test;
    const answer = { status, body: body as Record<string, unknown>, headers, text };
    answers.push(answer);
    return answer;
  };
  const post = (path: string, body: object | string): Promise<Answer> =>
    keep(request(app.callback()).post(path).type('json').send(body));
  const put = (body: object): Promise<Answer> => keep(request(app.callback()).put('/password').send(body));
  const get = (bearer: string, path = '/reports'): Promise<Answer> =>
    keep(request(app.callback()).get(path).set('Authorization', `Bearer ${bearer}`));
  const logOut = (bearer: string): Promise<Answer> =>
    keep(request(app.callback()).delete('/tokens/current').set('Authorization', `Bearer ${bearer}`));
  const code = (secret: string, steps = 0): string =>
    generateSync({ secret, strategy: 'hotp', counter: Math.floor(clock.now() / 30_000) + steps });
  /** From now on the store has its faults. */
  const breakStore = (): unknown => Object.assign(faulty, fault);
  return {
    app,
    clock,
    factors,
    attempts,
    tokens,
    hashes,
    log,
    store: faulty,
    events,
    errors,
    answers,
    post,
    put,
    get,
    logOut,
    code,
    breakStore,
  };
}

function failing(...args: unknown[]): Promise<never> {
  const error = new Error(`ERR CANARY script: ${JSON.stringify(args)}`);
  return Promise.reject(Object.assign(error, { command: { name: 'eval', args: ['CANARY', ...args] } }));
}

/** Spells a secret as an output might. */
function spellings(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret);
  return [
    bytes.toString(),
    bytes.toString('hex'),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    bytes.toString('latin1'),
  ];
}

function shown(...values: unknown[]): string {
  return values
    .map((value) => {
      const json = JSON.stringify(value, (_, inner: unknown) =>
        inner instanceof Error
          ? Object.fromEntries(
              Object.getOwnPropertyNames(inner).map((name) => [name, Reflect.get(inner, name)]),
            )
          : inner,
      );
      return `${inspect(value, everything)} ${json} ${String(value)}`;
    })
    .join('\n');
}

describe('no secret is in any output', () => {
  it('of a whole login but the one answer that owns it (LOG-01, LOG-05, TOK-25, PWD-22)', async () => {
    const rig = mount();
    const { secret } = await rig.factors.beginTotp({ id: 'u1' }, { label: 'alice' });
    const first = rig.code(secret);
    const { backupCodes } = added(await rig.factors.confirmTotp({ id: 'u1' }, first));
    const [backupCode = '', unused = ''] = backupCodes ?? [];
    rig.clock.advance(60);

    await rig.post('/tokens', { username: stranger, password: wrong });
    await rig.post('/tokens', { username: 'alice', password: wrong });
    await rig.post('/tokens', { username: 'alice', password: [right] });
    await rig.post('/tokens', { username: { [wrong]: 1 }, password: right });
    await rig.post('/tokens', `{"username":"alice","password":"${right}",,}`);
    await rig.post('/tokens', { username: 'alice', password: right, otp_token: first });
    const { body } = await rig.post('/tokens', { username: 'alice', password: right });
    const pending = body['pending'] as string;
    const bad =
      ['000000', '000001', '000002'].find(
        (one) => one !== rig.code(secret) && one !== rig.code(secret, -1),
      ) ?? '';
    await rig.post('/tokens/second-factor', { pending, otp_token: bad });
    await rig.post('/tokens/second-factor', { pending, otp_token: `${rig.code(secret)} ` });
    const good = rig.code(secret);
    const issued = await rig.post('/tokens/second-factor', { pending, otp_token: good });
    const token = issued.body['access_token'] as string;
    await rig.post('/tokens/second-factor', { pending, otp_token: good });
    await rig.post('/tokens', { username: 'alice', password: right, otp_token: backupCode });
    await rig.post('/tokens', { username: 'alice', password: right, otp_token: backupCode.toLowerCase() });
    await rig.post('/tokens', { username: 'alice', password: wrong, otp_token: unused });
    await rig.get(token);
    await rig.get(`${token}x`);
    await rig.get(pending);
    await rig.put({ username: 'alice', password: wrong });
    await rig.put({ username: 'alice', password: 'canary-weak' });
    await rig.put({ username: stranger, password: `${stranger}-A1` });
    for (let i = 0; i < 10; i += 1) await rig.post('/tokens', { username: 'alice', password: wrong });
    await rig.log.flush();
    const { entries } = await rig.log.query({ limit: 200 });
    const stored = await rig.store.walkLog(1, 1000, 1e12);
    const csv = await rig.get(token, '/log?format=csv&limit=200');
    const json = await rig.get(token, '/log?limit=200');
    expect(csv.text.split('\r\n').length - 2).toBe(entries.length);
    expect([entries.length, stored.entries.length]).toEqual([rig.events.length, rig.events.length]);
    await rig.logOut(token);
    await rig.get(token);
    expect(issued.status).toBe(200);
    expect(rig.events.map(({ name }) => name)).toContain('backup_code.used');
    expect(rig.events.length).toBeGreaterThan(15);

    const secrets = {
      right,
      wrong,
      stranger,
      secret,
      pending,
      token,
      good,
      first,
      bad,
      backupCode,
      unused,
      'a code as it is hashed': backupCode.replaceAll('-', ''),
      'a code in lower case': backupCode.toLowerCase(),
      'canary-weak': 'canary-weak',
      key,
      logKey,
    };
    const outputs: Record<string, string> = {
      'what was printed or warned of': printed.join('\n'),
      events: shown(rig.events),
      'the log': shown(entries, stored) + csv.text + json.text,
      errors: shown(...rig.errors),
    };
    for (const [name, value] of Object.entries(secrets)) {
      for (const [place, text] of Object.entries(outputs)) {
        for (const spelling of spellings(value)) {
          if (text.includes(spelling)) throw new Error(`${name} is in ${place}`);
        }
      }
      const owners = rig.answers.filter(({ text, headers }) =>
        spellings(value).some((spelling) => (text + JSON.stringify(headers)).includes(spelling)),
      );
      const owned: Record<string, number> = { pending: 1, token: 1 };
      expect([name, owners.length]).toEqual([name, owned[name] ?? 0]);
    }
    expect(rig.errors).toEqual([]);
  });

  it('where the store fails with errors that carry the command and its arguments (LOG-10, RED-27)', async () => {
    for (const method of [
      'reserveAttempt',
      'releaseAttempt',
      'readFactors',
      'issueToken',
      'openPendingLogin',
    ] as const) {
      const rig = mount({ [method]: failing });
      const { secret } = await rig.factors.beginTotp({ id: 'u1' }, { label: 'alice' });
      if (method === 'openPendingLogin') added(await rig.factors.confirmTotp({ id: 'u1' }, rig.code(secret)));
      rig.breakStore();
      const { status, text } = await rig.post('/tokens', { username: 'alice', password: right });
      expect([method, status]).toEqual([method, 503]);
      expect(text + shown(rig.events, ...rig.errors) + printed.join()).not.toMatch(/CANARY|u1|eval/);
      expect(rig.errors).toEqual([]);
    }
  });

  it('where a body cannot be read: the error of the parser ends in our middleware (LOG-02)', async () => {
    const rig = mount();
    for (const body of ['{"password":"CANARY",,}', '{"password":"CANARY', '"CANARY"', 'CANARY']) {
      const { status, text } = await rig.post('/tokens', body);
      expect(status).toBe(400);
      expect(text).not.toContain('CANARY');
    }
    expect(rig.errors).toEqual([]);
    expect(printed.join()).not.toContain('CANARY');
  });
});

it('no object of ours shows a secret when it is printed, in JSON, as text or in a template (LOG-06)', async () => {
  const rig = mount();
  const { secret } = await rig.factors.beginTotp({ id: 'u1' }, { label: 'alice' });
  const { backupCodes } = added(await rig.factors.confirmTotp({ id: 'u1' }, rig.code(secret)));
  rig.clock.advance(60);
  const { body } = await rig.post('/tokens', { username: 'alice', password: right });
  const pending = body['pending'] as string;
  const otp_token = rig.code(secret);
  const issued = await rig.post('/tokens/second-factor', { pending, otp_token });
  const token = issued.body['access_token'] as string;
  const objects = [
    rig.factors,
    rig.attempts,
    rig.tokens,
    rig.hashes,
    rig.log,
    rig.store,
    await rig.tokens.check(token),
    await rig.factors.enrolled({ id: 'u1' }),
    await rig.factors.status({ id: 'u1' }),
  ];
  const text = objects.map((one) => `${shown(one)} ${Object.prototype.toString.call(one)}`).join('\n');
  expect(backupCodes).toHaveLength(10);
  for (const value of [right, pending, token, secret, key, logKey, ...(backupCodes ?? [])]) {
    for (const spelling of spellings(value)) expect(text).not.toContain(spelling);
  }
});

describe('in production', () => {
  const before = process.env['NODE_ENV'];
  beforeEach(() => {
    process.env['NODE_ENV'] = 'production';
  });
  afterEach(() => {
    process.env['NODE_ENV'] = before;
  });

  it('every refusal has the fields of the contract and nothing of the machine (LOG-09)', async () => {
    const rig = mount();
    const { secret } = await rig.factors.beginTotp({ id: 'u1' }, { label: 'alice' });
    added(await rig.factors.confirmTotp({ id: 'u1' }, rig.code(secret)));
    const broken = mount({ reserveAttempt: () => Promise.reject(new Error('SELECT * FROM users')) });
    broken.breakStore();
    const answers = [
      await rig.post('/tokens', { username: 'alice', password: wrong }),
      await rig.post('/tokens', { username: 'alice' }),
      await rig.post('/tokens', { username: 'alice', password: right }),
      await rig.post('/tokens', { username: 'alice', password: right, otp_token: '000000' }),
      await rig.post('/tokens', `{"password":"${'x'.repeat(1_100_000)}"}`),
      await rig.post('/tokens/second-factor', { pending: 'x' }),
      await rig.get('x'),
      await rig.put({ password: 'weak' }),
      await broken.post('/tokens', { username: 'alice', password: right }),
    ];
    for (let i = 0; i < 10; i += 1)
      answers.push(await rig.post('/tokens', { username: 'alice', password: wrong }));
    const fields: Record<string, string[]> = {
      second_factor_required: ['expires_in', 'methods', 'pending'],
      password_policy: ['violations'],
    };
    for (const { body, text, headers } of answers) {
      const { error } = body as { error: string };
      expect(Object.keys(body).toSorted()).toEqual(
        ['error', 'error_description', ...(fields[error] ?? [])].toSorted(),
      );
      expect(text + JSON.stringify(headers)).not.toMatch(
        /node_modules|\/src\/|\.[jt]s\b|\n +at |SELECT|stack|TypeError|otplib|argon2|redis/i,
      );
      expect(headers['cache-control']).toBe('no-store');
    }
    const codes = new Set(answers.map(({ body }) => body['error']));
    expect([...codes].map(String).toSorted()).toEqual([
      'content_too_large',
      'invalid_credentials',
      'invalid_request',
      'invalid_second_factor',
      'invalid_token',
      'locked_out',
      'password_policy',
      'pending_login_invalid',
      'second_factor_required',
      'store_unavailable',
    ]);
  });

  it('an error of the app says nothing either', async () => {
    const app = new Koa();
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    app.use(bodyParser());
    app.use(verifyPassword(() => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:5432'))));
    const { text } = await request(app.callback())
      .post('/')
      .send({ username: 'alice', password: right })
      .expect(503);
    expect(text).not.toMatch(/ECONNREFUSED|10\.0/);
    expect(shown(...errors)).not.toContain(right);
  });
});
