import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  issueToken,
  lockout,
  memoryStore,
  passwordRefused,
  passwordVerified,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  revokeToken,
  safeBody,
  verifyPassword,
  type Account,
  type AuthContext,
  type AuthEvent,
  type AuthMiddleware,
  type AuthState,
  type LockoutMiddlewareOptions,
  type PasswordVerifier,
} from 'koa-portcullis';
import { generateSync } from 'otplib/functional';
import request from 'supertest';
import { added } from './rig/factor-rig.js';
import { fakeClock } from './rig/fake-clock.js';
import { SoftwareAuthenticator, type ServerOptions } from './rig/software-authenticator.js';
import { told } from './rig/told.js';

interface User extends Account {
  readonly name: string;
  readonly email: string;
  readonly password: string;
}

const keys = [randomBytes(32)];
const right = 'Correct horse 1';
const wrong = 'wrong';
const users: readonly User[] = [
  { id: 'u1', name: 'alice', email: 'alice@acme.example', password: right },
  { id: 'u2', name: 'bob', email: 'bob@acme.example', password: 'Battery staple 2' },
];
const bobsPassword = 'Battery staple 2';
const userOf = (name: string): User | undefined =>
  users.find((user) => user.name === name) ?? users.find((user) => user.email === name);

interface Body {
  readonly error: string;
  readonly pending: string;
  readonly access_token: string;
  readonly id: string;
  readonly methods: readonly string[];
}

interface Setup {
  readonly options?: LockoutMiddlewareOptions;
  readonly verify?: PasswordVerifier;
  readonly findAccount?: (id: string) => Account | null;
  readonly origin?: string;
  readonly proxy?: { proxy: boolean; maxIpsCount?: number };
  /** Stands before all routes. */
  readonly first?: AuthMiddleware;
  /** Takes the place of the body parser. */
  readonly parser?: AuthMiddleware;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** The chain of the README with two login doors, the second step, a re-authentication door and two routes. */
function mount(setup: Setup = {}) {
  const clock = fakeClock();
  const store = memoryStore({ now: clock.now });
  const attempts = new Lockout({ store });
  const { origin } = setup;
  const factors = new SecondFactors({
    store,
    issuer: 'Acme',
    keys,
    now: clock.now,
    ...(origin !== undefined && { origin }),
  });
  const tokens = new AccessTokens({ store });
  let evaluated = 0;
  let reached = 0;
  const verify: PasswordVerifier = (credentials, ctx) => {
    evaluated += 1;
    if (setup.verify !== undefined) return setup.verify(credentials, ctx);
    const user = userOf(credentials.identifier);
    return user?.password === credentials.password ? { id: user.id } : null;
  };
  const findAccount = setup.findAccount ?? ((id: string) => users.find((user) => user.id === id) ?? null);

  const router = new Router<AuthState>();
  const login = [
    lockout(attempts, setup.options),
    verifyPassword(verify),
    requireSecondFactor(factors),
    issueToken(tokens),
  ] as const;
  router.post('/tokens', ...login);
  router.post('/cli/login', ...login);
  router.post(
    '/tokens/second-factor',
    resumeLogin(factors, { findAccount }),
    lockout(attempts),
    requireSecondFactor(factors),
    issueToken(tokens),
  );
  router.post(
    '/re-authenticate',
    requireToken(tokens, { findAccount }),
    lockout(attempts, { ...setup.options, readUsername: (ctx) => (ctx.state.auth.account as User).name }),
    verifyPassword(verify),
    (ctx) => {
      reached += 1;
      ctx.body = 'changed';
    },
  );
  router.get('/reports', requireToken(tokens, { findAccount }), (ctx) => {
    reached += 1;
    ctx.body = { account: ctx.state.auth.account?.id };
  });
  router.delete('/tokens/current', requireToken(tokens), revokeToken(tokens));

  const app = new Koa(setup.proxy);
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  if (setup.first !== undefined) app.use(setup.first);
  app.use(setup.parser ?? safeBody(bodyParser()));
  app.use(router.routes()).use(router.allowedMethods());
  const server = app.listen(0);
  servers.push(server);

  const post = (path: string, body: object): request.Test => request(server).post(path).send(body);
  const logIn = (password = right, extra: object = {}, path = '/tokens'): request.Test =>
    post(path, { username: 'alice', password, ...extra });
  const second = (pending: unknown, otp_token?: unknown): request.Test =>
    post('/tokens/second-factor', { pending, otp_token });
  const failPassword = async (times: number, username = 'alice', path = '/tokens'): Promise<void> => {
    for (let i = 0; i < times; i += 1) await post(path, { username, password: wrong }).expect(401);
  };
  const code = (secret: string, steps = 0): string =>
    generateSync({ secret, strategy: 'hotp', counter: Math.floor(clock.now() / 30_000) + steps });
  const badCode = (secret: string): string =>
    ['000000', '000001', '000002'].find((one) => one !== code(secret) && one !== code(secret, -1)) ?? '';
  const enrol = async (id = 'u1'): Promise<string> => {
    const { secret } = await factors.beginTotp({ id }, { label: id });
    added(await factors.confirmTotp({ id }, code(secret)));
    clock.advance(90);
    return secret;
  };
  /** Codes for emergencies, in place of those that came with the factor. */
  const backupCodes = async (id = 'u1'): Promise<readonly string[]> =>
    (await factors.regenerateBackupCodes({ id })) ?? [];
  const pend = async (): Promise<string> => {
    const { body } = await logIn().expect(401);
    expect((body as Body).error).toBe('second_factor_required');
    return (body as Body).pending;
  };
  const token = async (): Promise<string> => ((await logIn().expect(200)).body as Body).access_token;
  const use = (bearer: string): request.Test =>
    request(server).get('/reports').set('Authorization', `Bearer ${bearer}`);
  const count = (name: AuthEvent['name']): number => events.filter((event) => event.name === name).length;
  return {
    app,
    server,
    clock,
    store,
    attempts,
    factors,
    tokens,
    events,
    errors,
    post,
    logIn,
    second,
    failPassword,
    code,
    badCode,
    enrol,
    backupCodes,
    pend,
    token,
    use,
    count,
    evaluated: () => evaluated,
    reached: () => reached,
  };
}

async function errorOf(test: request.Test, status: number): Promise<string> {
  const { body } = await test.expect(status);
  return (body as Body).error;
}

describe('a login, from a wrong password to a revocation', () => {
  it('takes every step once and in order', async () => {
    const rig = mount();
    const secret = await rig.enrol();

    expect(await errorOf(rig.logIn(wrong), 401)).toBe('invalid_credentials');
    const asked = await rig.logIn().expect(401);
    const methods = ['totp', 'backup_code'];
    expect(asked.body).toMatchObject({ error: 'second_factor_required', methods, expires_in: 300 });
    const { pending } = asked.body as Body;
    expect(await errorOf(rig.second(pending, rig.badCode(secret)), 401)).toBe('invalid_second_factor');
    const issued = await rig.second(pending, rig.code(secret)).expect(200);
    const { access_token, id } = issued.body as Body;
    await rig.use(access_token).expect(200, { account: 'u1' });
    await request(rig.server)
      .delete('/tokens/current')
      .set('Authorization', `Bearer ${access_token}`)
      .expect(204);
    expect(await errorOf(rig.use(access_token), 401)).toBe('invalid_token');

    const subject = expect.any(String);
    const local = { ...told, ip: '127.0.0.1' };
    expect(rig.events).toEqual([
      { name: 'login.failed', reason: 'wrong password', subject, ...local },
      { name: 'second_factor.requested', account: 'u1', ...local },
      { name: 'second_factor.failed', account: 'u1', reason: 'wrong', ...local },
      { name: 'token.issued', account: 'u1', token: id, scope: '', ...local },
      { name: 'login.succeeded', account: 'u1', methods: ['pwd', 'otp'], token: id, subject, ...local },
      { name: 'token.revoked', account: 'u1', token: id, ...local },
    ]);
    expect(rig.errors).toEqual([]);
  });

  it('takes a security key, which is asked for by ids and nothing else, after the right password only (PND-27)', async () => {
    const rig = mount({ origin: 'https://acme.example' });
    const key = new SoftwareAuthenticator({ origin: 'https://acme.example', rpId: 'acme.example' });
    const begun = await rig.factors.beginSecurityKey({ id: 'u1' }, { userName: 'alice@acme.example' });
    const registered = key.register(begun as ServerOptions);
    added(await rig.factors.confirmSecurityKey({ id: 'u1' }, registered, { name: 'CANARY' }));

    const stranger = await rig.post('/tokens', { username: 'nobody', password: wrong }).expect(401);
    expect((await rig.logIn(wrong).expect(401)).text).toBe(stranger.text);
    const { body, text } = await rig.logIn().expect(401);
    const { pending, webauthn } = body as Body & { webauthn: ServerOptions };
    expect(body).toMatchObject({
      error: 'second_factor_required',
      methods: ['webauthn', 'backup_code'],
      webauthn: {
        challenge: expect.any(String),
        rpId: 'acme.example',
        allowCredentials: [{ id: key.id, type: 'public-key', transports: ['usb'] }],
      },
    });
    expect(text).not.toMatch(/CANARY|alice|"u1"/);
    const answer = { pending, webauthn: key.authenticate(webauthn) };
    const issued = await rig.post('/tokens/second-factor', answer).expect(200);
    await rig.use((issued.body as Body).access_token).expect(200, { account: 'u1' });
    expect(rig.events.at(-1)).toMatchObject({ name: 'login.succeeded', methods: ['pwd', 'hwk'] });
    expect(await errorOf(rig.post('/tokens/second-factor', answer), 401)).toBe('pending_login_invalid');
    expect(rig.errors).toEqual([]);
  });

  it('takes one request where the code comes with the password', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    await rig.logIn(right, { otp_token: rig.code(secret) }).expect(200);
    expect(rig.count('login.succeeded')).toBe(1);
  });

  it('leaves tokens working when 2FA is switched on afterwards (TOK-13)', async () => {
    const rig = mount();
    const bearer = await rig.token();
    await rig.enrol();
    await rig.use(bearer).expect(200);
    expect(rig.errors).toEqual([]);
  });
});

describe('ten wrong passwords', () => {
  it('lock the account for a minute from the tenth, and for everyone who knows the password (LCK-01)', async () => {
    const rig = mount();
    for (let i = 0; i < 10; i += 1) {
      await rig.failPassword(1);
      rig.clock.advance(1);
    }
    const { body, headers } = await rig.logIn().expect(429);
    expect((body as Body).error).toBe('locked_out');
    expect(headers['retry-after']).toBe('59');
    expect(rig.evaluated()).toBe(10);
    expect(rig.count('account.locked')).toBe(1);
    expect(rig.count('token.issued')).toBe(0);
  });

  it('are not reached by nine and a right one, after which nine remain (LCK-02)', async () => {
    const rig = mount();
    await rig.failPassword(9);
    await rig.logIn().expect(200);
    expect(rig.count('login.succeeded')).toBe(1);
    expect((await rig.attempts.status('alice')).failures).toEqual([9, 9, 9]);
  });

  it('are counted across a right one: a success clears nothing (LCK-07)', async () => {
    const rig = mount();
    await rig.failPassword(9);
    await rig.logIn().expect(200);
    await rig.failPassword(1);
    await rig.logIn().expect(429);
    expect(rig.evaluated()).toBe(11);
  });

  it('are counted across right ones without a second factor (LCK-08)', async () => {
    const rig = mount();
    await rig.enrol();
    await rig.failPassword(9);
    await rig.pend();
    await rig.failPassword(1);
    for (let i = 0; i < 5; i += 1) await rig.logIn().expect(429);
    expect(rig.evaluated()).toBe(11);
  });

  it('leave bob alone, at the same address (LCK-11)', async () => {
    const rig = mount();
    await rig.failPassword(10);
    await rig.post('/tokens', { username: 'bob', password: bobsPassword }).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('lock every door: another login route, re-authentication, the second step (LCK-12)', async () => {
    const rig = mount();
    const bearer = await rig.token();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    await rig.failPassword(5);
    await rig.failPassword(5, 'ALICE', '/cli/login');
    for (const test of [
      rig.logIn(),
      rig.logIn(right, {}, '/cli/login'),
      rig.post('/re-authenticate', { password: right }).set('Authorization', `Bearer ${bearer}`),
      rig.second(pending, rig.code(secret)),
      rig.logIn(right, { otp_token: rig.code(secret) }),
    ]) {
      expect(await errorOf(test, 429)).toBe('locked_out');
    }
    expect(rig.evaluated()).toBe(12);
  });

  it('may come by a stolen token at the re-authentication door, and the token works on (LCK-13, PWD-19)', async () => {
    const rig = mount();
    const bearer = await rig.token();
    const again = (password: string): request.Test =>
      rig.post('/re-authenticate', { password }).set('Authorization', `Bearer ${bearer}`);
    await again(right).expect(200, 'changed');
    for (let i = 0; i < 6; i += 1) expect(await errorOf(again(wrong), 401)).toBe('invalid_credentials');
    await rig.failPassword(4);
    expect(await errorOf(again(right), 429)).toBe('locked_out');
    expect(await errorOf(rig.logIn(), 429)).toBe('locked_out');
    await rig.use(bearer).expect(200);
    await rig.post('/re-authenticate', { password: right }).expect(401);
  });

  it('kill the pending login that was open before them, for good (LCK-14, LCK-15)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    rig.clock.advance(1);
    await rig.failPassword(10);
    expect(await errorOf(rig.second(pending, rig.code(secret)), 429)).toBe('locked_out');
    rig.clock.advance(60);
    expect(await errorOf(rig.second(pending, rig.code(secret)), 401)).toBe('pending_login_invalid');
    expect(rig.count('token.issued')).toBe(0);
    await rig.second(await rig.pend(), rig.code(secret)).expect(200);
  });

  it('are forgotten when an operator unlocks the account, and only its own (LCK-17)', async () => {
    const rig = mount();
    await rig.failPassword(10, 'alice');
    await rig.failPassword(10, 'bob');
    expect(await rig.attempts.unlock('alice')).toBe(true);
    expect(await rig.attempts.unlock('alice')).toBe(false);
    await rig.logIn().expect(200);
    await rig.post('/tokens', { username: 'bob', password: bobsPassword }).expect(429);
  });
});

describe('a pending login', () => {
  it.each<[string, (test: request.Test, handle: string) => request.Test, string]>([
    ['bearer token (PND-01)', (test, handle) => test.set('Authorization', `Bearer ${handle}`), '/reports'],
    [
      'cookie (PND-02)',
      (test, handle) => test.set('Cookie', `access_token=${handle}; pending=${handle}`),
      '/reports',
    ],
    ['query (PND-02)', (test, handle) => test.query({ access_token: handle, pending: handle }), '/reports'],
    ['other header (PND-02)', (test, handle) => test.set('X-Access-Token', handle), '/reports'],
  ])('opens nothing as %s', async (_, add, path) => {
    const rig = mount();
    await rig.enrol();
    const handle = await rig.pend();
    const before = rig.reached();
    expect(await errorOf(add(request(rig.server).get(path), handle), 401)).toBe('invalid_token');
    expect(rig.reached()).toBe(before);
  });

  it('re-authenticates nobody, with the right password too (PND-02, PND-13)', async () => {
    const rig = mount();
    await rig.enrol();
    const pending = await rig.pend();
    const body = { pending, username: 'alice', password: right, access_token: pending };
    await rig.post('/re-authenticate', body).expect(401);
    await rig.post('/re-authenticate', body).set('Authorization', `Bearer ${pending}`).expect(401);
    await request(rig.server).delete('/tokens/current').set('Authorization', `Bearer ${pending}`).expect(401);
    expect(rig.reached()).toBe(0);
  });

  it('is not an access token, its id or its hash (PND-03)', async () => {
    const rig = mount();
    const { body } = await rig.logIn().expect(200);
    const secret = await rig.enrol();
    const { access_token, id } = body as Body;
    const subject = Buffer.from(id, 'base64url').toString('hex');
    for (const handle of [access_token, id, subject, `pcpl_${access_token.slice(5)}`]) {
      expect(await errorOf(rig.second(handle, rig.code(secret)), 401)).toBe('pending_login_invalid');
    }
    expect(rig.count('token.issued')).toBe(1);
  });

  it("of alice takes no code of bob, and leaves bob's to him (PND-04)", async () => {
    const rig = mount();
    await rig.enrol('u1');
    const bobs = await rig.enrol('u2');
    const pending = await rig.pend();
    expect(await errorOf(rig.second(pending, rig.code(bobs)), 401)).toBe('invalid_second_factor');
    expect(rig.events.at(-1)).toMatchObject({ name: 'second_factor.failed', account: 'u1' });
    await rig
      .post('/tokens', { username: 'bob', password: bobsPassword, otp_token: rig.code(bobs) })
      .expect(200);
    expect(rig.events.filter(({ name }) => name === 'second_factor.failed')).toHaveLength(1);
  });

  it("of alice takes no emergency code of bob, and leaves bob's to him (PND-04)", async () => {
    const rig = mount();
    await rig.enrol('u1');
    await rig.enrol('u2');
    const [otp_token = ''] = await rig.backupCodes('u2');
    expect(await errorOf(rig.second(await rig.pend(), otp_token), 401)).toBe('invalid_second_factor');
    expect(rig.events.at(-1)).toMatchObject({ name: 'second_factor.failed', account: 'u1' });
    await rig.post('/tokens', { username: 'bob', password: bobsPassword, otp_token }).expect(200);
    expect(rig.events).toContainEqual(
      expect.objectContaining({ name: 'backup_code.used', account: 'u2', left: 9 }),
    );
  });

  it('is what an emergency code needs: it opens nothing alone, on a dead one or beside a wrong password (BKP-04)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const [otp_token = '', other = ''] = await rig.backupCodes();
    for (const pending of [undefined, '', null]) {
      expect(await errorOf(rig.second(pending, otp_token), 400)).toBe('invalid_request');
    }
    const dead = await rig.pend();
    await rig.second(dead, rig.code(secret)).expect(200);
    const late = await rig.pend();
    rig.clock.advance(300);
    for (const pending of [dead, late, 'x', otp_token, `pcpl_${otp_token}`]) {
      expect(await errorOf(rig.second(pending, otp_token), 401)).toBe('pending_login_invalid');
    }
    expect(await errorOf(rig.logIn(wrong, { otp_token }), 401)).toBe('invalid_credentials');
    expect(await errorOf(rig.post('/tokens', { username: 'alice', otp_token }), 400)).toBe('invalid_request');
    expect(rig.count('token.issued')).toBe(1);
    // None of that used it up.
    await rig.logIn(right, { otp_token }).expect(200);
    await rig.second(await rig.pend(), other).expect(200);
    expect(rig.count('backup_code.used')).toBe(2);
  });

  it('logs in its own account, whoever the body names (PND-05, I6)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    const others = { username: 'bob', userId: 'u2', sub: 'u2', user: { id: 'u2' }, account: { id: 'u2' } };
    const { body } = await rig
      .post('/tokens/second-factor', { pending, otp_token: rig.code(secret), ...others })
      .expect(200);
    await rig.use((body as Body).access_token).expect(200, { account: 'u1' });
    expect(await rig.tokens.list({ id: 'u2' })).toEqual([]);
  });

  it('is completed once, with a fresh code too (PND-06)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    await rig.second(pending, rig.code(secret)).expect(200);
    rig.clock.advance(30);
    expect(await errorOf(rig.second(pending, rig.code(secret)), 401)).toBe('pending_login_invalid');
    expect(rig.count('token.issued')).toBe(1);
  });

  it.each([
    [299.9, 200],
    [300, 401],
  ])('lives for five minutes: after %d s the answer is %d (PND-07)', async (seconds, status) => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    rig.clock.advance(seconds);
    await rig.second(pending, rig.code(secret)).expect(status);
    expect(rig.errors).toEqual([]);
  });

  it('works to its end where all clocks are one, though the password is a little older (PND-07)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const dateNow = jest.spyOn(Date, 'now').mockImplementation(rig.clock.now);
    try {
      const pending = await rig.pend();
      rig.clock.advance(299.99);
      dateNow.mockImplementation(() => rig.clock.now() + 50);
      await rig.second(pending, rig.code(secret)).expect(200);
      // A process whose clock is behind that of the one that took the password.
      const other = await rig.pend();
      rig.clock.advance(30);
      dateNow.mockImplementation(() => rig.clock.now() - 60_000);
      await rig.second(other, rig.code(secret)).expect(200);
    } finally {
      dateNow.mockRestore();
    }
    expect(rig.errors).toEqual([]);
  });

  it('dies of five wrong codes; the password is asked for again, and people are told (PND-07, PND-08)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    for (let i = 0; i < 5; i += 1) await rig.second(pending, rig.badCode(secret)).expect(401);
    expect(await errorOf(rig.second(pending, rig.code(secret)), 401)).toBe('pending_login_invalid');
    expect(rig.count('pending_login.exhausted')).toBe(1);
    rig.clock.advance(299);
    expect(await errorOf(rig.second(pending, rig.code(secret)), 401)).toBe('pending_login_invalid');
    await rig.second(await rig.pend(), rig.code(secret)).expect(200);
  });

  it('keeps nothing at the client: every byte of before the failures is dead after them (PND-09)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const first = await rig.logIn().expect(401);
    const { pending } = first.body as Body;
    expect(first.headers['set-cookie']).toBeUndefined();
    for (let i = 0; i < 5; i += 1) await rig.second(pending, rig.badCode(secret)).expect(401);
    const saved = { ...(first.body as object), otp_token: rig.code(secret) };
    expect(await errorOf(rig.post('/tokens/second-factor', saved), 401)).toBe('pending_login_invalid');
  });

  it('made anew gives no fresh guesses: the eleventh in a minute is refused (PND-10, I2)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    for (const _ of [1, 2]) {
      const pending = await rig.pend();
      for (let i = 0; i < 5; i += 1) await rig.second(pending, rig.badCode(secret)).expect(401);
    }
    expect(await errorOf(rig.second(await rig.pend(), rig.code(secret)), 429)).toBe('locked_out');
    expect(rig.count('second_factor.locked')).toBe(1);
    // The second factor's lock is not the password's.
    expect((await rig.attempts.status('alice')).locked).toBe(false);
  });

  it.each<[string, (rig: ReturnType<typeof mount>, gone: Set<string>) => Promise<unknown>]>([
    ['the password was changed', (rig) => rig.tokens.revokeAll({ id: 'u1' })],
    ['the account was disabled', async (_, gone) => gone.add('u1')],
    ['the factors were reset', (rig) => rig.factors.removeAll({ id: 'u1' })],
    ['a factor was added', (rig) => rig.enrol()],
    [
      'another factor was enrolled',
      async (rig) => {
        await rig.factors.removeAll({ id: 'u1' });
        await rig.enrol();
      },
    ],
  ])('is dead when %s (PND-11)', async (_, change) => {
    const gone = new Set<string>();
    const rig = mount({ findAccount: (id) => (gone.has(id) ? null : { id }) });
    const secret = await rig.enrol();
    const pending = await rig.pend();
    rig.clock.advance(1);
    await change(rig, gone);
    expect(await errorOf(rig.second(pending, rig.code(secret)), 401)).toBe('pending_login_invalid');
    expect(rig.count('token.issued')).toBe(0);
  });

  it('of someone who had no factor when the password was proven cannot exist, and one added later is asked for', async () => {
    const rig = mount();
    await rig.logIn().expect(200);
    await rig.enrol();
    await rig.pend();
    expect(rig.errors).toEqual([]);
  });

  it('is refused to a page of another site, which may have planted it (PND-22, INP-13)', async () => {
    const rig = mount({ origin: 'https://acme.example' });
    const secret = await rig.enrol();
    const pending = await rig.pend();
    const from = (headers: Record<string, string>): request.Test =>
      rig.second(pending, rig.code(secret)).set(headers);
    for (const headers of [
      { Origin: 'https://evil.example' },
      { Origin: 'https://evil.example', Host: 'evil.example' },
      { Origin: 'https://evil.example', 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example' },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'cross-site' },
    ]) {
      expect(await errorOf(from(headers), 403)).toBe('csrf_rejected');
    }
    await from({ Origin: 'https://acme.example' }).expect(200);
  });

  it('is one of five: a thousand abandoned ones harm neither tokens nor the next login (PND-24)', async () => {
    const rig = mount();
    const bearer = await rig.token();
    const secret = await rig.enrol();
    const handles: string[] = [];
    for (let i = 0; i < 1000; i += 1) handles.push(await rig.pend());
    const live = await Promise.all(handles.map((handle) => rig.factors.pending.find(handle)));
    expect(live.filter((login) => login !== null)).toHaveLength(5);
    await rig.use(bearer).expect(200);
    await rig.second(handles.at(-1), rig.code(secret)).expect(200);
  });

  it('and its methods are shown after the right password only (PND-27)', async () => {
    const rig = mount();
    await rig.enrol();
    const { body } = await rig.logIn(wrong).expect(401);
    expect(Object.keys(body as object).toSorted()).toEqual(['error', 'error_description']);
  });

  it.each(['head', 'options', 'put', 'get', 'patch', 'delete'] as const)(
    'is not moved by %s on the second step (PND-30)',
    async (method) => {
      const rig = mount();
      const secret = await rig.enrol();
      const pending = await rig.pend();
      const sent = request(rig.server)[method]('/tokens/second-factor');
      const { status } = await (method === 'head'
        ? sent
        : sent.send({ pending, otp_token: rig.code(secret) }));
      expect([200, 404, 405, 501]).toContain(status);
      expect(rig.count('token.issued')).toBe(0);
      await rig.second(pending, rig.code(secret)).expect(200);
    },
  );
});

describe('in parallel', () => {
  it('250 guesses over pending logins remade as they die: ten are evaluated in a minute (RCE-04)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    let pendings = await Promise.all(Array.from({ length: 5 }, rig.pend));
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(
        Array.from({ length: 25 }, (_, i) => rig.second(pendings[i % 5], rig.badCode(secret))),
      );
      pendings = await Promise.all(Array.from({ length: 5 }, rig.pend));
    }
    expect(rig.count('second_factor.failed')).toBe(10);
    expect(rig.count('second_factor.locked')).toBe(1);
    expect(rig.count('token.issued')).toBe(0);
    expect(await errorOf(rig.second(pendings[0], rig.code(secret)), 429)).toBe('locked_out');
  });

  it('one code on five pending logins, 100 times: one token (RCE-05)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pendings = await Promise.all(Array.from({ length: 5 }, rig.pend));
    const otp_token = rig.code(secret);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => rig.second(pendings[i % 5], otp_token)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.every(({ status }) => [200, 401, 429].includes(status))).toBe(true);
    expect(rig.count('token.issued')).toBe(1);
    expect(rig.count('totp.replayed')).toBeGreaterThan(0);
    expect(rig.count('second_factor.failed')).toBeLessThanOrEqual(10);
  });

  it('one code on one pending login, 100 times: one token (RCE-07)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const pending = await rig.pend();
    const otp_token = rig.code(secret);
    const answers = await Promise.all(Array.from({ length: 100 }, () => rig.second(pending, otp_token)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.every(({ status }) => [200, 401, 429].includes(status))).toBe(true);
    expect(rig.count('token.issued')).toBe(1);
    expect(rig.errors).toEqual([]);
  });

  it('1,000 wrong passwords: ten are evaluated (RCE-01 in one process)', async () => {
    const rig = mount({
      verify: async () => {
        await new Promise(setImmediate);
        return null;
      },
    });
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 100 }, () => rig.logIn(wrong)));
    }
    expect(rig.evaluated()).toBe(10);
    expect(rig.count('account.locked')).toBe(1);
  });

  it('30 right passwords: tokens or busy, no lock and no stamp (RCE-09)', async () => {
    const rig = mount({
      verify: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { id: 'u1' };
      },
    });
    const answers = await Promise.all(Array.from({ length: 30 }, () => rig.logIn()));
    const busy = answers.filter(({ status }) => status === 429);
    expect(answers.every(({ status }) => status === 200 || status === 429)).toBe(true);
    expect(
      busy.every(({ body, headers }) => (body as Body).error === 'busy' && headers['retry-after'] === '1'),
    ).toBe(true);
    expect(busy.length).toBeLessThan(30);
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
    expect(rig.count('account.locked') + rig.count('login.failed')).toBe(0);
  });
});

/** alice's user name is bob's e-mail address. */
const resolve = (name: string): string | null =>
  name === 'bob@acme.example' ? 'u1' : (userOf(name)?.id ?? null);

describe('a name', () => {
  it('in 40 spellings is one account: ten wrong passwords are evaluated (IDN-01)', async () => {
    const rig = mount();
    const spellings = Array.from({ length: 32 }, (_, bits) =>
      'alice'.replaceAll(/./g, (letter, i: number) => ((bits >> i) & 1 ? letter.toUpperCase() : letter)),
    );
    spellings.push(
      ' alice',
      'alice ',
      'ａｌｉｃｅ',
      '𝐚𝐥𝐢𝐜𝐞',
      'ⓐⓛⓘⓒⓔ',
      '\u00a0alice',
      'ALICE\u3000',
      'ａLICE',
    );
    expect(spellings).toHaveLength(40);
    for (const username of spellings) await rig.post('/tokens', { username, password: wrong });
    expect(rig.evaluated()).toBe(10);
    await rig.logIn().expect(429);
  });

  it('and an e-mail address of one account share one count, by the subject option (IDN-06)', async () => {
    const rig = mount({ options: { subject: (name) => userOf(name)?.id ?? null } });
    for (let i = 0; i < 5; i += 1) {
      await rig.failPassword(1, 'alice');
      await rig.failPassword(1, 'Alice@acme.example');
    }
    await rig.logIn().expect(429);
    await rig.post('/tokens', { username: 'alice@acme.example', password: right }).expect(429);
    expect(rig.evaluated()).toBe(10);
  });

  it("that is bob's e-mail address counts for the one account that it resolves to (IDN-07)", async () => {
    const rig = mount({
      options: { subject: resolve },
      verify: ({ identifier, password }) => {
        const id = resolve(identifier);
        return users.find((user) => user.id === id)?.password === password && id !== null ? { id } : null;
      },
    });
    await rig.failPassword(10, 'bob@acme.example');
    await rig.post('/tokens', { username: 'bob', password: bobsPassword }).expect(200);
    await rig.logIn().expect(429);
    expect(rig.errors).toEqual([]);
  });

  it('of one tenant is not the same name of another (IDN-09)', async () => {
    const rig = mount({
      options: { subject: (name, ctx) => [(ctx.request.body as { tenant: string }).tenant, name] },
      verify: () => null,
    });
    const fail = (tenant: string, username: string): request.Test =>
      rig.post('/tokens', { tenant, username, password: wrong });
    for (let i = 0; i < 10; i += 1) await fail('a', 'b:c').expect(401);
    await fail('a', 'b:c').expect(429);
    await fail('a:b', 'c').expect(401);
    expect(rig.errors).toEqual([]);
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a:60', 'a}{b', '{x}', '*', '../x'])(
    'like %s is a plain unknown user (IDN-08, IDN-11)',
    async (username) => {
      const rig = mount();
      await rig.failPassword(10, username);
      await rig.post('/tokens', { username, password: wrong }).expect(429);
      expect(rig.errors).toEqual([]);
    },
  );
});

describe('a source address', () => {
  it("is the socket's, whatever X-Forwarded-For says (SIP-01)", async () => {
    const rig = mount();
    for (let i = 0; i < 10; i += 1) await rig.logIn(wrong).set('X-Forwarded-For', `192.0.2.${i}`).expect(401);
    await rig.logIn().set('X-Forwarded-For', '192.0.2.99').expect(429);
    expect(new Set(rig.events.map(({ ip }) => ip))).toEqual(new Set(['127.0.0.1']));
  });

  it('that can be forged is not counted, and the operator is told (SIP-02)', async () => {
    const rig = mount({ proxy: { proxy: true } });
    await rig.logIn(wrong).set('X-Forwarded-For', '192.0.2.1, 192.0.2.2').expect(401);
    expect(rig.events[0]).toMatchObject({ name: 'config.weak', ip: '127.0.0.1' });
    expect(rig.events[1]).toMatchObject({ name: 'login.failed', ip: '127.0.0.1' });
  });

  it('is one source as IPv4 and as IPv4 in IPv6 (SIP-05)', async () => {
    const rig = mount({ options: { readAddress: (ctx) => ctx.get('X-From') } });
    for (let i = 0; i < 100; i += 1) {
      const address = i % 2 === 0 ? '192.0.2.1' : '::ffff:192.0.2.1';
      await rig
        .post('/tokens', { username: `user ${i}`, password: wrong })
        .set('X-From', address)
        .expect(401);
    }
    await rig.logIn().set('X-From', '192.0.2.1').expect(429);
    await rig.logIn().set('X-From', '192.0.2.2').expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('gains nothing by logins of its own between its guesses (SIP-06)', async () => {
    const rig = mount();
    for (let i = 0; i < 10; i += 1) {
      await rig.failPassword(1);
      await rig.post('/tokens', { username: 'bob', password: bobsPassword }).expect(200);
    }
    await rig.logIn().expect(429);
    expect(rig.errors).toEqual([]);
  });
});

describe('a field of the wrong type', () => {
  const values: [string, unknown][] = [
    ['number', 7],
    ['boolean', true],
    ['null', null],
    ['array', ['alice']],
    ['object', { $gt: '' }],
    ['empty string', ''],
    ['missing', undefined],
    ['string', 'Zürich'],
  ];
  const cases = ['username', 'password', 'otp_token', 'pending'].flatMap((field) =>
    values.map(([type, value]): [string, string, unknown] => [field, type, value]),
  );
  it.each(cases)('passes no guard (INP-01): %s as %s', async (field, type, value) => {
    const rig = mount();
    const secret = await rig.enrol();
    const isSecondStep = field === 'pending';
    const valid = isSecondStep
      ? { pending: await rig.pend(), otp_token: rig.code(secret) }
      : { username: 'alice', password: right, otp_token: rig.code(secret) };
    const before = rig.evaluated();
    const { body, status } = await rig.post(isSecondStep ? '/tokens/second-factor' : '/tokens', {
      ...valid,
      [field]: value,
    });
    const isCode = field === 'otp_token';
    let expected: object = { status: 400, error: 'invalid_request' };
    if (isCode && type === 'missing') expected = { status: 401, error: 'second_factor_required' };
    if (!isCode && type === 'string')
      expected = { status: 401, error: isSecondStep ? 'pending_login_invalid' : 'invalid_credentials' };
    expect({ status, error: (body as Body).error }).toEqual(expected);
    expect(rig.evaluated() - before).toBe(status === 401 || isCode ? Number(!isSecondStep) : 0);
    expect(rig.count('token.issued')).toBe(0);
    expect(rig.errors).toEqual([]);
    // Nothing was used up.
    await rig.logIn(right, { otp_token: rig.code(secret) }).expect(200);
  });

  it.each([
    ['username=alice&password[$ne]=', 400],
    ['username[]=alice&username[]=bob&password=x', 400],
    ['username[$gt]=&password[$gt]=', 400],
    ['username=alice&username=bob&password=x', 400],
  ])('in a form passes none either (INP-02): %s', async (form, status) => {
    const rig = mount();
    await request(rig.server).post('/tokens').type('form').send(form).expect(status);
    await rig.post('/tokens', { username: { $gt: '' }, password: { $gt: '' } }).expect(400);
    expect(rig.evaluated()).toBe(0);
  });

  it('in a body of another type is none at all (INP-02)', async () => {
    const rig = mount();
    for (const type of [
      'text/plain',
      'application/xml',
      'multipart/form-data; boundary=x',
      'application/octet-stream',
    ]) {
      const body = JSON.stringify({ username: 'alice', password: right });
      const { status } = await request(rig.server).post('/tokens').set('Content-Type', type).send(body);
      expect([400, 415]).toContain(status);
    }
    expect(rig.evaluated()).toBe(0);
    expect(rig.errors).toEqual([]);
  });
});

const lax: AuthMiddleware = async (ctx, next) => {
  const chunks: Buffer[] = [];
  for await (const chunk of ctx.req) chunks.push(chunk as Buffer);
  const body = {};
  // The prototype of the body is what the client says.
  const parsed = JSON.parse(Buffer.concat(chunks).toString() || '{}') as { proto?: object };
  Object.setPrototypeOf(body, parsed.proto ?? null);
  Object.assign(ctx.request, { body });
  await next();
};

describe('a body', () => {
  it('with __proto__ in it is read by its own fields, after a lax parser too (INP-04)', async () => {
    const rig = mount({ parser: lax });
    await rig.post('/tokens', { proto: { username: 'alice', password: right, isOwner: true } }).expect(400);
    expect(rig.evaluated()).toBe(0);
    const strict = mount();
    const raw = '{"__proto__":{"isOwner":true,"username":"alice"},"password":"x"}';
    await request(strict.server).post('/tokens').type('json').send(raw).expect(400);
    expect(({} as { isOwner?: boolean }).isOwner).toBeUndefined();
  });

  it('with constructor and prototype in it is ignored (INP-05)', async () => {
    const rig = mount();
    const extra = { constructor: { prototype: { x: 1, username: 'bob' } }, prototype: { y: 1 } };
    await rig.logIn(right, extra).expect(200);
    expect(({} as { x?: number }).x).toBeUndefined();
    await rig
      .post('/tokens', { constructor: { prototype: { username: 'alice', password: right } } })
      .expect(400);
  });

  it('that names two users logs in one: counted, verified and named in the token (INP-07, I6)', async () => {
    const rig = mount();
    const twice = `{"username":"bob","username":"alice","password":"${right}"}`;
    const { body } = await request(rig.server).post('/tokens').type('json').send(twice).expect(200);
    await rig.use((body as Body).access_token).expect(200, { account: 'u1' });
    const wrongTwice = '{"username":"bob","username":"alice","password":"wrong"}';
    await request(rig.server).post('/tokens').type('json').send(wrongTwice).expect(401);
    expect((await rig.attempts.status('alice')).failures[0]).toBe(1);
    expect((await rig.attempts.status('bob')).failures[0]).toBe(0);
  });

  it.each<[string, number, string]>([
    ['of 1 MB and a byte', 413, JSON.stringify({ username: 'alice', password: 'x'.repeat(1_048_576) })],
    [
      'of 100,000 keys',
      400,
      JSON.stringify(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [i.toString(36), 1]))),
    ],
    ['5,000 deep', 400, `{"username":${'['.repeat(5000)}${']'.repeat(5000)},"password":"x"}`],
    ['cut short', 400, '{"username":"alice","password":"'],
  ])('%s is answered with %d (INP-09)', async (_, status, raw) => {
    const rig = mount();
    const { body } = await request(rig.server).post('/tokens').type('json').send(raw).expect(status);
    expect(Object.keys(body as object).toSorted()).toEqual(['error', 'error_description']);
    expect(rig.evaluated()).toBe(0);
    expect(rig.errors).toEqual([]);
  });

  it('of junk that says it is gzip is malformed (INP-10)', async () => {
    const rig = mount();
    const { status, body } = await request(rig.server)
      .post('/tokens')
      .set({ 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' })
      .serialize((raw: unknown) => raw as string)
      .send(Buffer.from('junk'));
    expect({ status, error: (body as Body).error }).toEqual({ status: 400, error: 'invalid_request' });
  });

  it('that nobody parsed is a fault of the app, told at first use: 5xx, no token (INP-11)', async () => {
    const rig = mount({ parser: (_, next) => next() });
    await rig.logIn().expect(500);
    await rig.second('x', '123456').expect(500);
    expect(rig.errors.map(String).join()).toMatch(/body parser/);
    expect(rig.evaluated()).toBe(0);
  });
});

describe('a request', () => {
  it.each<Record<string, string>>([
    { Host: 'evil.example' },
    { Host: 'evil:x@good' },
    { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'javascript' },
    { Forwarded: 'host=evil.example;proto=https' },
    { Referer: 'https://evil.example', 'X-Original-Url': '/reports' },
  ])('that lies about its host changes no answer (INP-13, INP-12): %j', async (headers) => {
    const rig = mount();
    const { status, headers: got, text } = await rig.logIn(wrong, { next: '//evil.example' }).set(headers);
    expect([400, 401]).toContain(status);
    expect(got['location']).toBeUndefined();
    expect(text).not.toContain('evil');
  });

  it('of another method counts nothing (INP-14)', async () => {
    const rig = mount();
    for (const method of ['options', 'head', 'get', 'put'] as const) {
      const sent = request(rig.server)[method]('/tokens').set('X-HTTP-Method-Override', 'POST');
      await (method === 'head' ? sent : sent.send({ username: 'alice', password: wrong }));
    }
    await request(rig.server).trace('/tokens');
    expect(rig.evaluated()).toBe(0);
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
    await request(rig.server).get('/reports').set('X-HTTP-Method-Override', 'DELETE').expect(401);
  });

  it('with a forged ctx.state gets no token and reaches nothing', async () => {
    const rig = mount({
      first: async (ctx, next) => {
        const auth = { account: { id: 'u1' }, methods: ['pwd', 'otp'], authTime: 1, satisfied: true };
        Object.assign(ctx.state, {
          auth,
          user: auth.account,
          login: { password: 'verified', factorPassed: true },
        });
        await next();
      },
    });
    await rig.enrol();
    expect(await errorOf(rig.logIn(wrong), 401)).toBe('invalid_credentials');
    expect(await errorOf(rig.logIn(), 401)).toBe('second_factor_required');
    await request(rig.server).get('/reports').expect(401);
    await request(rig.server).delete('/tokens/current').expect(401);
    expect(rig.count('token.issued') + rig.reached()).toBe(0);
  });
});

describe('a token', () => {
  it('that expired is not revived when the clock goes back (CLK-05)', async () => {
    const rig = mount();
    const bearer = await rig.token();
    rig.clock.advance(604_800);
    await rig.use(bearer).expect(401);
    rig.clock.advance(-3600);
    await rig.use(bearer).expect(401);
    expect(rig.errors).toEqual([]);
  });
});

const names = ['resumeLogin', 'lockout', 'verifyPassword', 'requireSecondFactor', 'issueToken'] as const;
type Name = (typeof names)[number];

function steps(rig: ReturnType<typeof mount>): Record<Name, () => AuthMiddleware> {
  return {
    resumeLogin: () => resumeLogin(rig.factors),
    lockout: () => lockout(rig.attempts),
    verifyPassword: () => verifyPassword(({ password }) => (password === right ? { id: 'u1' } : null)),
    requireSecondFactor: () => requireSecondFactor(rig.factors),
    issueToken: () => issueToken(rig.tokens),
  };
}

function permutations(items: readonly Name[]): Name[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((one) => one !== item)).map((rest) => [item, ...rest]),
  );
}

function appOf(rig: ReturnType<typeof mount>, order: readonly Name[]): Koa {
  const app = new Koa();
  app.on('error', () => {});
  app.use(bodyParser());
  for (const name of order) app.use(steps(rig)[name]());
  return app;
}

const yields = (order: readonly Name[]): boolean =>
  [
    'lockout,verifyPassword,requireSecondFactor,issueToken',
    'resumeLogin,lockout,requireSecondFactor,issueToken',
  ].some((good) => order.join().startsWith(good));

describe('the order of middleware (CFG-02)', () => {
  const subsets = Array.from({ length: 32 }, (_, bits) => names.filter((__, i) => (bits >> i) & 1));
  const orders = subsets.flatMap(permutations);

  it(`yields a token in the right one only, of ${orders.length} orders of five and fewer`, async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    expect(orders).toHaveLength(326);
    const surprises: string[] = [];
    for (const order of orders) {
      const rig = mount();
      const secret = await rig.enrol();
      const pending = await rig.pend();
      const body = { username: 'alice', password: right, otp_token: rig.code(secret), pending };
      const answer = await request(appOf(rig, order).callback()).post('/').send(body);
      const hasToken = (answer.body as Body).access_token !== undefined;
      if (hasToken !== yields(order)) surprises.push(`${order.join(', ')}: ${answer.status}`);
      if (!hasToken && (await rig.tokens.list({ id: 'u1' })).length > 0)
        surprises.push(`${order.join(', ')}: issued`);
      servers.pop()?.close();
    }
    warned.mockRestore();
    expect(surprises).toEqual([]);
  });

  it('yields none where a wrong one opened the pending login that a right one completes', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const surprises: string[] = [];
    for (const order of orders.filter((one) => !one.includes('resumeLogin') && !yields(one))) {
      const rig = mount();
      const secret = await rig.enrol();
      const app = appOf(rig, order);
      const { pending } = (
        await request(app.callback()).post('/').send({ username: 'alice', password: right })
      ).body as Body;
      if (pending !== undefined) {
        const { status } = await rig.second(pending, rig.code(secret));
        // Only the last step may be missing: then the password was counted all the same.
        const isCounted = order.join().startsWith('lockout,verifyPassword,requireSecondFactor');
        if ((status === 200) !== isCounted) surprises.push(`${order.join(', ')}: ${status}`);
      }
      servers.pop()?.close();
    }
    warned.mockRestore();
    expect(surprises).toEqual([]);
  });

  it('without lockout still holds the second factor to its own windows (CFG-01, I2)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    const app = new Koa();
    app.use(bodyParser());
    const chain: readonly AuthMiddleware[] = [
      verifyPassword(({ password }) => (password === right ? { id: 'u1' } : null)),
      requireSecondFactor(rig.factors),
      issueToken(rig.tokens, { dangerouslyWithoutLockout: true }),
    ];
    for (const step of chain) app.use(step);
    const send = (otp_token: string): request.Test =>
      request(app.callback()).post('/').send({ username: 'alice', password: right, otp_token });
    for (let i = 0; i < 10; i += 1) await send(rig.badCode(secret)).expect(401);
    expect(await errorOf(send(rig.code(secret)), 429)).toBe('locked_out');
    rig.clock.advance(60);
    await send(rig.code(secret)).expect(200);
  });
});

describe.each(['test', 'development', 'production', undefined])('with NODE_ENV %s (CFG-06)', (env) => {
  const before = process.env['NODE_ENV'];
  afterEach(() => {
    process.env['NODE_ENV'] = before;
  });

  it('the same checks hold', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    if (env === undefined) delete process.env['NODE_ENV'];
    else process.env['NODE_ENV'] = env;
    const rig = mount();
    const secret = await rig.enrol();
    expect(await errorOf(rig.logIn(), 401)).toBe('second_factor_required');
    await rig.logIn(right, { otp_token: rig.code(secret) }).expect(200);
    await rig.failPassword(10);
    await rig.logIn().expect(429);
    await request(rig.server).get('/reports').expect(401);
    expect(() => new SecondFactors({ store: rig.store, issuer: 'Acme', keys: ['changeme'] })).toThrow(
      TypeError,
    );
    warned.mockRestore();
  });
});

describe('what verifyPassword may answer (CFG-07)', () => {
  it.each<[string, unknown]>([
    ['"false"', 'false'],
    ['1', 1],
    ['true', true],
    ['{}', {}],
    ['[]', []],
    ['undefined', undefined],
  ])('is an account or null; %s is 503, and the slot goes back', async (_, answer) => {
    const rig = mount({ verify: () => answer as never });
    for (let i = 0; i < 11; i += 1) expect(await errorOf(rig.logIn(), 503)).toBe('store_unavailable');
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
    expect(rig.count('token.issued')).toBe(0);
    expect(rig.errors).toHaveLength(11);
  });
});

function own(step: (ctx: AuthContext, password: string, next: () => Promise<unknown>) => unknown) {
  const rig = mount();
  const app = new Koa();
  const errors: unknown[] = [];
  const events: AuthEvent[] = [];
  app.on('error', (error) => errors.push(error));
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.use(bodyParser());
  const password: AuthMiddleware = async (ctx, next) => {
    await step(ctx, (ctx.request.body as { password: string }).password, next);
  };
  const chain = [lockout(rig.attempts), password, requireSecondFactor(rig.factors), issueToken(rig.tokens)];
  for (const one of chain) app.use(one);
  const send = (given: string, extra = {}): request.Test =>
    request(app.callback())
      .post('/login')
      .send({ username: 'alice', password: given, ...extra });
  return { ...rig, send, errors, events };
}

describe("an app's own password step under lockout", () => {
  it('vouches with passwordVerified, and the chain goes on to a token', async () => {
    const rig = own(async (ctx, password, next) => {
      if (password !== right) return ctx.throw(401, 'wrong');
      passwordVerified(ctx, { id: 'u1' });
      return next();
    });
    await rig.send(right).expect(200);
    const secret = await rig.enrol();
    expect(await errorOf(rig.send(right), 401)).toBe('second_factor_required');
    await rig.send(right, { otp_token: rig.code(secret) }).expect(200);
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
  });

  it('that only calls next has proven nothing', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = own((_, __, next) => next());
    await rig.send(right).expect(401);
    expect(await rig.tokens.list({ id: 'u1' })).toEqual([]);
    warned.mockRestore();
  });

  it.each<[string, (ctx: AuthContext) => unknown, number]>([
    [
      'a plain 401',
      (ctx) => {
        ctx.status = 401;
        ctx.body = 'wrong';
      },
      401,
    ],
    ['a thrown 401', (ctx) => ctx.throw(401, 'wrong'), 401],
    [
      'a thrown object with status 401',
      () => {
        throw Object.assign(new Error('wrong'), { status: 401, expose: true });
      },
      401,
    ],
    [
      'passwordRefused and a page',
      (ctx) => {
        passwordRefused(ctx);
        ctx.body = '<form>';
      },
      200,
    ],
    [
      'passwordRefused and a redirect',
      (ctx) => {
        passwordRefused(ctx);
        ctx.redirect('/login');
      },
      302,
    ],
  ])('refuses by %s, and is locked after ten', async (_, refuseIt, status) => {
    const rig = own((ctx) => refuseIt(ctx));
    for (let i = 0; i < 10; i += 1) await rig.send(wrong).expect(status);
    expect(await errorOf(rig.send(right), 429)).toBe('locked_out');
    expect(rig.events.filter(({ name }) => name === 'account.locked')).toHaveLength(1);
  });

  it('that breaks counts nothing', async () => {
    const rig = own(() => Promise.reject(new Error('away')));
    for (let i = 0; i < 12; i += 1) await rig.send(wrong).expect(500);
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
    expect(rig.errors).toHaveLength(12);
  });
});

describe("an app's own format of refusals", () => {
  it('is written upstream from ctx.state.auth.refusal; status and headers stay', async () => {
    const rig = mount({
      first: async (ctx, next) => {
        await next();
        const refusal = (ctx.state as Partial<AuthState>).auth?.refusal;
        if (refusal !== undefined)
          ctx.body = {
            title: refusal.error_description,
            type: `urn:acme:${refusal.error}`,
            pending: refusal['pending'],
          };
      },
    });
    const secret = await rig.enrol();
    const wrongOne = await rig.logIn(wrong).expect(401);
    expect(wrongOne.body).toEqual({ type: 'urn:acme:invalid_credentials', title: expect.any(String) });
    expect(wrongOne.headers['cache-control']).toBe('no-store');
    const { body } = await rig.logIn().expect(401);
    await rig.second((body as Body).pending, rig.code(secret)).expect(200);
    await rig.failPassword(9);
    const locked = await rig.logIn().expect(429);
    expect(locked.body).toMatchObject({ type: 'urn:acme:locked_out' });
    expect(locked.headers['retry-after']).toBe('60');
  });
});
