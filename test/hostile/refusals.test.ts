import { bodyParser } from '@koa/bodyparser';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import request from 'supertest';
import { Busy } from '../../src/core/errors.js';
import { Lockout } from '../../src/core/lockout.js';
import { refusals, type RefusalCode } from '../../src/http/refusals.js';
import { breachCheck } from '../../src/middleware/breach-check.js';
import { lockout } from '../../src/middleware/lockout.js';
import { passwordPolicy } from '../../src/middleware/password-policy.js';
import { requireEnrolment } from '../../src/middleware/require-enrolment.js';
import { requireFreshLogin } from '../../src/middleware/require-fresh-login.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { resetSecondFactors } from '../../src/middleware/reset-second-factors.js';
import { safeBody } from '../../src/middleware/safe-body.js';
import { verifyPassword } from '../../src/middleware/verify-password.js';
import { secondFactorRoutes } from '../../src/routes/second-factor-routes.js';
import { loginApp, tokenFromCookie, type LoginApp } from '../rig/login-app.js';

/** What a machine says of itself: paths, stacks, statements, scripts, libraries, addresses. */
const ofTheMachine =
  /node_modules|\/src\/|\/srv\/|file:|\.[jt]s\b|\n\s+at |stack|SELECT|INSERT|portcullis_|EVALSHA|redis\.call|KEYS\[|ERR |TypeError|SyntaxError|Unexpected token|position \d|otplib|argon2|ioredis|kysely|simplewebauthn|co-body|koa|ECONN|10\.0\.0\.7|CANARY/i;

const canary = 'CANARY connect ECONNREFUSED 10.0.0.7:5432 at /srv/app/db.ts: SELECT * FROM users';
const json = 'application/json';

const parse = safeBody(bodyParser());

function mount(): LoginApp {
  return loginApp({
    first: (ctx, next) => tokenFromCookie(ctx, async () => parse(ctx, next)),
    routes({ router, factors, tokens, guard, handler }) {
      const store = { ...loginAppStore };
      const attempts = new Lockout({ store: store as never, addressLimits: false });
      const nobody = verifyPassword(() => null);
      router.post('/wrong', nobody, handler);
      router.post('/locked', lockout(new Lockout({ store: locked as never })), nobody);
      router.post(
        '/busy',
        verifyPassword(() => Promise.reject(new Busy(1))),
      );
      router.post('/away', lockout(attempts), nobody);
      router.put('/password', passwordPolicy(), handler);
      router.put('/breached', breachCheck({ sources: [{ name: 'x', find: async () => 1 }] }), handler);
      const silent = { name: 'x', find: () => Promise.reject(new Error(canary)) };
      router.put('/unchecked', breachCheck({ sources: [silent], whenUnavailable: 'refuse' }), handler);
      router.post('/fresh', guard, requireFreshLogin(factors), handler);
      router.get('/scoped', requireToken(tokens, { scope: 'admin' }), handler);
      router.get('/enrolled', guard, requireEnrolment(factors, { until: new Date(0) }), handler);
      const reset = resetSecondFactors(factors, {
        tokens,
        factor: 'never',
        target: (ctx) => ({ id: String(ctx.query['id']) }),
        mayReset: ({ id }) => id === 'owner',
        audit: () => {},
      });
      router.post('/reset', guard, reset);
      router.use('/factors', guard, secondFactorRoutes(factors).routes());
    },
  });
}

/** A store that fails with all that the drivers of stores say. */
const failure = (): Promise<never> =>
  Promise.reject(
    Object.assign(new Error(canary), { command: { name: 'EVALSHA', args: ['CANARY', 'redis.call'] } }),
  );
const loginAppStore = Object.fromEntries(
  ['reserveAttempt', 'releaseAttempt', 'lockAttempts', 'readAttempts', 'clearAttempts'].map((name) => [
    name,
    failure,
  ]),
);
const locked = {
  ...loginAppStore,
  reserveAttempt: async () => ({ granted: false, subject: 0, busy: false, closedForMs: 60_000 }),
};

/** Each refusal as a client meets it. */
const ways: Record<RefusalCode, (app: LoginApp) => Promise<request.Response>> = {
  invalid_request: async (app) =>
    app.send('post', '/wrong').send({ username: ['alice'], password: 'CANARY' }),
  invalid_credentials: async (app) =>
    app.send('post', '/wrong').send({ username: 'CANARY', password: 'CANARY' }),
  async second_factor_required(app) {
    await app.enrol('alice');
    return app.send('post', '/tokens').send({ username: 'alice', password: 'Correct horse 1' });
  },
  async invalid_second_factor(app) {
    await app.enrol('alice');
    const pending = await app.ask('alice');
    return app.send('post', '/tokens/second-factor').send({ pending, otp_token: 'ABCD-EFGH-JKMN-PQRS' });
  },
  pending_login_invalid: async (app) =>
    app.send('post', '/tokens/second-factor').send({ pending: 'CANARY', otp_token: '123456' }),
  invalid_token: async (app) => app.send('get', '/reports', 'CANARY'),
  insufficient_user_authentication: async (app) =>
    app.send('post', '/fresh', await app.tokenOf('alice', { agedSeconds: 4000 })).send({}),
  forbidden: async (app) => app.send('post', '/reset?id=CANARY', await app.logIn('alice')).send({}),
  insufficient_scope: async (app) => app.send('get', '/scoped', await app.logIn('alice')),
  cannot_reset_self: async (app) => app.send('post', '/reset?id=owner', await app.logIn('owner')).send({}),
  csrf_rejected: async (app) =>
    app
      .send('post', '/factors/totp')
      .set({ Cookie: `token=${await app.logIn('alice')}`, Origin: 'https://CANARY.example' })
      .send({}),
  enrolment_required: async (app) => app.send('get', '/enrolled', await app.logIn('alice')),
  not_found: async (app) => app.send('delete', '/factors/CANARY', await app.logInStrongly('alice')),
  conflict: async (app) => app.send('post', '/factors/backup-codes', await app.logIn('alice')).send({}),
  content_too_large: async (app) => app.send('post', '/wrong').send({ password: 'CANARY'.repeat(200_000) }),
  unsupported_media_type: async (app) =>
    app
      .send('post', '/factors/totp', await app.logIn('alice'))
      .type('form')
      .send({ otp_token: 'CANARY' }),
  password_policy: async (app) => app.send('put', '/password').send({ password: 'canary' }),
  password_breached: async (app) => app.send('put', '/breached').send({ password: 'CANARY-Passw0rd' }),
  locked_out: async (app) => app.send('post', '/locked').send({ username: 'CANARY', password: 'CANARY' }),
  busy: async (app) => app.send('post', '/busy').send({ username: 'CANARY', password: 'CANARY' }),
  store_unavailable: async (app) => app.send('post', '/away').send({ username: 'CANARY', password: 'x' }),
  breach_check_unavailable: async (app) => app.send('put', '/unchecked').send({ password: 'CANARY-1' }),
};

/** What a body has beside `error` and `error_description`. */
const extras: Partial<Record<RefusalCode, readonly string[]>> = {
  second_factor_required: ['expires_in', 'methods', 'pending'],
  insufficient_user_authentication: ['max_age'],
  password_policy: ['violations'],
};

const environment = process.env['NODE_ENV'];
beforeEach(() => {
  process.env['NODE_ENV'] = 'production';
  jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  process.env['NODE_ENV'] = environment;
});

it.each(Object.keys(refusals) as RefusalCode[])(
  '%s has the fields of the contract in production and nothing of the machine (LOG-09)',
  async (code) => {
    const app = mount();
    const { status, body, text, headers, type } = await ways[code](app);
    const [expected, description] = refusals[code];
    expect(body).toMatchObject({ error: code, error_description: description });
    expect(status).toBe(expected);
    expect(type).toBe(json);
    expect(Object.keys(body as object).toSorted()).toEqual(
      ['error', 'error_description', ...(extras[code] ?? [])].toSorted(),
    );
    expect(headers['cache-control']).toBe('no-store');
    // A pending handle is random: any word could be in it.
    const shown = text.replace(/"pending":"[^"]+"/, '') + JSON.stringify(headers);
    expect(shown).not.toMatch(ofTheMachine);
    expect(JSON.stringify(app.events)).not.toMatch(ofTheMachine);
    const waits = expected === 429 || expected === 503;
    expect(headers['retry-after'] ?? 'none').toMatch(waits ? /^[1-9]\d*$/ : /^none$/);
  },
);

/** Bodies of which a parser may say what it could not read. */
const unreadable: readonly (readonly [what: string, type: string, body: string | Buffer])[] = [
  ['a comma too many', json, '{"password":"CANARY",,}'],
  ['a byte order mark', json, '\uFEFF{"password":"CANARY",,}'],
  ['a byte order mark before what is right', json, '\uFEFF{"password":"CANARY"}'],
  ['nesting of 100,000', json, `${'{"CANARY":'.repeat(40_000)}1${'}'.repeat(40_000)}`],
  ['arrays in arrays', json, `${'['.repeat(100_000)}"CANARY"${']'.repeat(100_000)}`],
  ['arrays that do not end', json, '["CANARY",'.repeat(50_000)],
  ['a cut escape', json, '{"password":"CANARY\\u00'],
  ['a control character', json, '{"password":"CANARY\u0000\n"}'],
  ['no UTF-8', json, Buffer.from([...Buffer.from('{"password":"CANARY'), 0xff, 0xfe, 0x22])],
  ['two values', json, '{"password":"CANARY"}{"password":"CANARY"}'],
  ['single quotes', json, "{'password':'CANARY'}"],
  ['a form that says it is JSON', json, 'username=alice&password=CANARY'],
  ['a password as the only key', json, '{"CANARY":{"CANARY":'],
  ['another charset', `${json}; charset=utf-16le`, Buffer.from('{"password":"CANARY",,}', 'utf16le')],
  ['a charset that does not exist', `${json}; charset=CANARY`, '{"password":"CANARY"}'],
  ['a charset twice', `${json}; charset=utf-8; charset=utf-7`, '{"password":"CANARY",,}'],
  ['a form of 5,000 fields', 'application/x-www-form-urlencoded', 'CANARY=1&'.repeat(5000)],
  ['a form nested deeply', 'application/x-www-form-urlencoded', `a${'[CANARY]'.repeat(5000)}=1`],
  ['a form with a bad escape', 'application/x-www-form-urlencoded', 'password=CANARY%'],
  ['a form without a value', 'application/x-www-form-urlencoded', 'CANARY'],
  ['a form in another charset', 'application/x-www-form-urlencoded; charset=CANARY', 'password=CANARY'],
];

it.each(unreadable)(
  'a login that is sent as %s reaches no answer, event, error or output (LOG-02)',
  async (_, type, body) => {
    const app = loginApp({
      first: safeBody(bodyParser()),
      routes: ({ router, handler }) =>
        router.post('/login', lockout(new Lockout({ store: locked as never })), handler),
    });
    const printed: unknown[] = [];
    const outputs = [process.stdout, process.stderr].map((stream) =>
      jest.spyOn(stream, 'write').mockImplementation((text) => printed.push(String(text)) > 0),
    );
    const answer = await app
      .send('post', '/login')
      .set('Content-Type', type)
      .serialize((raw: unknown) => raw as string)
      .send(body as string);
    for (const output of outputs) output.mockRestore();
    expect([400, 413, 415]).toContain(answer.status);
    expect(Object.keys(answer.body as object)).toEqual(['error', 'error_description']);
    const { text, headers } = answer;
    expect(text + JSON.stringify([headers, app.events, printed])).not.toMatch(ofTheMachine);
    expect(app.errors).toEqual([]);
    expect(app.reached).toEqual([]);
  },
);
