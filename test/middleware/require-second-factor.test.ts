import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import type { SecondFactorsOptions } from '../../src/core/second-factor-options.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { loginOf, passwordVerified } from '../../src/http/login.js';
import {
  requireSecondFactor,
  type RequireSecondFactorOptions,
} from '../../src/middleware/require-second-factor.js';
import type { Store } from '../../src/stores/memory.js';
import { alice, bob, factorRig, wideLimits } from '../rig/factor-rig.js';
import type { ServerOptions } from '../rig/software-authenticator.js';
import { told } from '../rig/told.js';

interface Setup {
  readonly options?: RequireSecondFactorOptions;
  readonly core?: Partial<SecondFactorsOptions>;
  readonly store?: Partial<Store>;
  /** What has happened to the login before. */
  readonly before?: AuthMiddleware;
  readonly parser?: boolean;
}

/** What `second_factor_required` asks for. */
interface Asked {
  readonly pending: string;
  readonly methods: readonly string[];
  readonly webauthn: ServerOptions & { readonly allowCredentials: readonly object[] };
}

/** Behind a password step that has just proven alice's password, or behind the handle in `X-Pending`. */
function mount({ options, core = {}, store = {}, before, parser = true }: Setup = {}) {
  const rig = factorRig({ store, options: core });
  const { factors } = rig;
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
  const enrol = async (): Promise<string> => (await rig.addTotp()).secret;
  const send = (body: object, pending = ''): request.Test =>
    request(app.callback()).post('/').set('X-Pending', pending).send(body);
  const begin = async (): Promise<Asked> => (await send({}).expect(401)).body as Asked;
  const ask = async (): Promise<string> => (await begin()).pending;
  return { ...rig, app, events, errors, reached, state, enrol, send, begin, ask };
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

  it('an emergency code, beside the password and on a pending login, each once', async () => {
    const rig = mount();
    const [first = '', second = ''] = (await rig.addTotp()).backupCodes;
    await rig.send({ otp_token: first }).expect(200, 'passed');
    await rig.send({ otp_token: second }, await rig.ask()).expect(200, 'passed');
    const passed = { account: alice, factorPassed: true, methods: ['pwd', 'otp'] };
    expect(rig.reached).toEqual([passed, passed]);
    await rig.send({ otp_token: first }).expect(401);
    await rig.send({ otp_token: second }, await rig.ask()).expect(401);
    expect(rig.reached).toHaveLength(2);
  });

  it('the answer of a security key on a pending login, once', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const asked = await rig.begin();
    expect(asked.methods).toEqual(['webauthn', 'backup_code']);
    const webauthn = authenticator.authenticate(asked.webauthn);
    await rig.send({ webauthn }, asked.pending).expect(200, 'passed');
    expect(rig.reached).toEqual([{ account: alice, factorPassed: true, methods: ['pwd', 'hwk'] }]);
    expect(rig.events).toEqual([{ name: 'second_factor.requested', account: 'alice', ...told }]);
    await rig.send({ webauthn }, asked.pending).expect(410);
    await rig.send({ webauthn }, await rig.ask()).expect(401);
  });

  it('whichever factor its owner chooses, in one pending login after another has failed', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const secret = await rig.enrol();
    const asked = await rig.begin();
    expect(asked.methods).toEqual(['webauthn', 'totp', 'backup_code']);
    await rig.send({ otp_token: rig.wrong(secret) }, asked.pending).expect(401);
    await rig.send({ otp_token: '0000-0000-0000-0000' }, asked.pending).expect(401);
    await rig.send({ webauthn: authenticator.authenticate(asked.webauthn) }, asked.pending).expect(200);
  });

  it('a code and an answer from wherever their readers find them, without a body parser', async () => {
    const options: RequireSecondFactorOptions = {
      readOtpToken: (ctx) => ctx.get('X-Code') || undefined,
      readWebauthn: (ctx) => (ctx.get('X-Key') === '' ? undefined : JSON.parse(ctx.get('X-Key'))),
    };
    const rig = mount({ parser: false, options });
    const secret = await rig.enrol();
    const { authenticator } = await rig.addKey();
    await rig.send({}).set('X-Code', rig.code(secret)).expect(200);
    const { pending, webauthn } = await rig.begin();
    const answer = JSON.stringify(authenticator.authenticate(webauthn));
    await rig.send({}, pending).set('X-Key', answer).expect(200);
    expect(rig.reached).toHaveLength(2);
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
      methods: ['totp', 'backup_code'],
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
    // Whoever sends this knows the password: it is no silent way to try one.
    const told = rig.events.filter(({ name }) => name !== 'second_factor.requested');
    expect(told).toHaveLength(13);
    expect(told[0]).toMatchObject({ name: 'second_factor.failed', account: 'alice', reason: 'malformed' });
    await rig.send({ otp_token: rig.code(secret) }, pending).expect(200);
  });

  it.each<[string, object]>([
    ['a security key without a pending login', { webauthn: { id: 'x' } }],
    ['two factors at once', { webauthn: { id: 'x' }, otp_token: '123456' }],
    ['a security key of text', { webauthn: '{"id":"x"}' }],
    ['a security key of null', { webauthn: null }],
    ['a security key of a number', { webauthn: 7 }],
    ['a security key of true', { webauthn: true }],
    ['a security key in a list', { webauthn: [{ id: 'x' }] }],
    ['an empty list', { webauthn: [] }],
  ])('as malformed and uncounted %s', async (name, body) => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const { pending, webauthn } = await rig.begin();
    const handle = name.includes('without') ? '' : pending;
    for (let i = 0; i < 12; i += 1) {
      expect((await rig.send(body, handle).expect(400)).body).toEqual(refused('invalid_request'));
    }
    expect([...rig.reached, ...rig.errors]).toEqual([]);
    // Neither the pending login nor its challenge was touched.
    await rig.send({ webauthn: authenticator.authenticate(webauthn) }, pending).expect(200);
  });

  it.each([
    ['lower case', (code: string) => code.toLowerCase()],
    ['no hyphens', (code: string) => code.replaceAll('-', '')],
    ['spaces', (code: string) => code.replaceAll('-', ' ')],
    ['O for 0', (code: string) => code.replaceAll('0', 'O')],
    [
      'full width',
      (code: string) => code.replaceAll(/[!-~]/g, (one) => String.fromCodePoint(one.charCodeAt(0) + 0xfee0)),
    ],
  ])('an emergency code that was used, in another spelling (BKP-03): %s', async (_, spell) => {
    const rig = mount();
    const [used = '', unused = ''] = (await rig.addTotp()).backupCodes;
    await rig.send({ otp_token: used }).expect(200);
    const { body } = await rig.send({ otp_token: spell(used) }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(rig.reached).toHaveLength(1);
    await rig.send({ otp_token: spell(unused) }).expect(200);
  });

  it('a wrong answer, with a fresh challenge for the next try, but not after the last', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const { pending, webauthn } = await rig.begin();
    const challenges = new Set([webauthn.challenge]);
    let asked: ServerOptions = webauthn;
    for (let i = 1; i <= 4; i += 1) {
      const wrong = authenticator.authenticate(asked, { origin: 'https://evil.example' });
      const { body } = await rig.send({ webauthn: wrong }, pending).expect(401);
      const next = (body as Asked).webauthn;
      expect(body).toEqual({
        ...refused('invalid_second_factor'),
        webauthn: { ...webauthn, challenge: next.challenge },
      });
      challenges.add(next.challenge);
      asked = next;
    }
    expect(challenges.size).toBe(5);
    // The first challenge is used up, and the fifth try is the last: there is nothing left to answer.
    const late = await rig.send({ webauthn: authenticator.authenticate(webauthn) }, pending).expect(401);
    expect(late.body).toEqual(refused('invalid_second_factor'));
    const dead = await rig.send({ webauthn: authenticator.authenticate(asked) }, pending).expect(401);
    expect(dead.body).toEqual(refused('pending_login_invalid'));
    expect(rig.reached).toEqual([]);
    expect(rig.events.filter(({ name }) => name === 'pending_login.exhausted')).toHaveLength(1);
  });

  it('a wrong answer, of which the fresh challenge then works', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const { pending } = await rig.begin();
    const { body } = await rig.send({ webauthn: { id: 'x' } }, pending).expect(401);
    const webauthn = authenticator.authenticate((body as Asked).webauthn);
    await rig.send({ webauthn }, pending).expect(200);
    expect(rig.reached).toHaveLength(1);
  });

  it('a wrong code without a challenge: that of the pending login still stands', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const secret = await rig.enrol();
    const { pending, webauthn } = await rig.begin();
    for (const otp_token of [rig.wrong(secret), '0000-0000-0000-0000']) {
      const { body } = await rig.send({ otp_token }, pending).expect(401);
      expect(body).toEqual(refused('invalid_second_factor'));
    }
    await rig.send({ webauthn: authenticator.authenticate(webauthn) }, pending).expect(200);
  });

  it('an answer of an account without a key: nothing to answer is given', async () => {
    const rig = mount();
    await rig.enrol();
    const asked = await rig.begin();
    expect(asked).not.toHaveProperty('webauthn');
    const given = rig.device().authenticate({ challenge: 'x' });
    const { body } = await rig.send({ webauthn: given }, asked.pending).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(rig.reached).toEqual([]);
  });

  it('a key of which the counter went back, which works on afterwards (WAN-18)', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    authenticator.counter = 8;
    expect(await rig.touch(authenticator)).toBe('verified');
    const { pending, webauthn } = await rig.begin();
    rig.events.length = 0;
    const copied = authenticator.authenticate(webauthn, { counter: 2 });
    const { body } = await rig.send({ webauthn: copied }, pending).expect(401);
    expect(body).toMatchObject(refused('invalid_second_factor'));
    expect(rig.events).toEqual([
      { name: 'second_factor.failed', account: 'alice', reason: 'cloned', ...told },
      { name: 'security_key.cloned', account: 'alice', ...told },
    ]);
    const right = authenticator.authenticate((body as Asked).webauthn);
    await rig.send({ webauthn: right }, pending).expect(200);
  });

  it('whatever the body says besides the answer: it decides nothing (WAN-03)', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const { pending } = await rig.begin();
    const mine = Buffer.alloc(32, 1).toString('base64url');
    const said = {
      challenge: mine,
      expectedChallenge: mine,
      origin: 'x',
      rpID: 'x',
      counter: 0,
      verified: true,
    };
    const webauthn = authenticator.authenticate({ challenge: mine }, { body: said });
    await rig.send({ webauthn, ...said, account: alice }, pending).expect(401);
    expect(rig.reached).toEqual([]);
  });

  it("bob's code, emergency code and security key on alice's login; all three stay good for him (PND-04)", async () => {
    const rig = mount();
    await rig.addKey(alice);
    const bobs = await rig.addTotp(bob);
    const key = await rig.addKey(bob);
    const bobsHandle = await rig.open(bob);
    const answer = key.authenticator.authenticate(await rig.challenge(bobsHandle, bob));
    const before = await rig.record(bob);
    const pending = await rig.ask();
    rig.events.length = 0;
    const code = rig.code(bobs.secret);
    for (const body of [{ otp_token: code }, { otp_token: bobs.backupCodes[0] }, { webauthn: answer }]) {
      const answered = await rig.send(body, pending).expect(401);
      expect(answered.body).toMatchObject(refused('invalid_second_factor'));
    }
    const failure = { name: 'second_factor.failed', account: 'alice', reason: 'wrong', ...told };
    expect(rig.events).toEqual([failure, failure, failure]);
    expect(rig.reached).toEqual([]);
    expect(await rig.record(bob)).toEqual(before);
    expect(await rig.judge(answer, bob, bobsHandle)).toBe('verified');
    expect(await rig.judge(code, bob)).toBe('verified');
    expect(await rig.judge(bobs.backupCodes[0] ?? '', bob)).toBe('verified');
  });

  it('five wrong codes of every kind mixed on one pending login end it (BKP-07)', async () => {
    const rig = mount();
    const { authenticator } = await rig.addKey();
    const { secret, backupCodes } = { ...(await rig.addTotp()), backupCodes: ['0000-0000-0000-0000'] };
    const [right = ''] = (await rig.factors.regenerateBackupCodes(alice)) ?? [];
    const { pending } = await rig.begin();
    const wrongs = [
      { otp_token: rig.wrong(secret) },
      { otp_token: backupCodes[0] },
      { webauthn: { id: 'x' } },
      { otp_token: backupCodes[0] },
      { otp_token: rig.wrong(secret) },
    ];
    for (const body of wrongs) {
      expect((await rig.send(body, pending).expect(401)).body).toMatchObject(
        refused('invalid_second_factor'),
      );
    }
    for (const body of [{ otp_token: right }, { otp_token: rig.code(secret) }, { webauthn: { id: 'x' } }]) {
      expect((await rig.send(body, pending).expect(401)).body).toEqual(refused('pending_login_invalid'));
    }
    expect(rig.reached).toEqual([]);
    // What was right was not used up by a login that had ended.
    await rig.send({ otp_token: right }).expect(200);
    await rig.send({ otp_token: rig.code(secret) }).expect(200);
    expect(await rig.touch(authenticator)).toBe('verified');
  });

  it('a record that claims emergency codes alone: 503, never the password alone (PND-15)', async () => {
    const rig = mount();
    const { backupCodes } = await rig.addTotp();
    await rig.tamper((record) => ({ ...record, list: [] }));
    for (const body of [{}, { otp_token: backupCodes[0] }]) {
      expect((await rig.send(body).expect(503)).body).toEqual(refused('store_unavailable'));
    }
    expect([...rig.reached, ...rig.errors]).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: 'a factor record that makes no sense', ...told },
    ]);
  });

  it.each([undefined, '37037036', -1, 2 ** 53])(
    'a last step of %p that the store answers: 503 (TOT-13)',
    async (lastStep) => {
      const rig = mount();
      const secret = await rig.enrol();
      await rig.tamper((record) => ({ ...record, list: [{ ...record.list[0], lastStep }] }));
      expect((await rig.send({ otp_token: rig.code(secret) }).expect(503)).body).toEqual(
        refused('store_unavailable'),
      );
      expect(rig.reached).toEqual([]);
      expect(rig.events).toMatchObject([{ name: 'store.failed' }]);
    },
  );

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

  it.each<[string, (rig: ReturnType<typeof mount>, id: string) => Promise<unknown>]>([
    ['reset', (rig) => rig.factors.removeAll(alice)],
    ['removed', (rig, id) => rig.factors.remove(alice, id)],
    ['replaced', (rig, id) => rig.addTotp(alice, { replaces: id })],
    ['joined by another', (rig) => rig.addTotp()],
    ['joined by a security key', (rig) => rig.addKey()],
    [
      'removed and enrolled anew',
      async (rig) => {
        await rig.factors.removeAll(alice);
        await rig.enrol();
      },
    ],
  ])('a pending login whose factor was %s since (PND-11)', async (_, change) => {
    const rig = mount();
    const { secret, id, backupCodes } = await rig.addTotp();
    const pending = await rig.ask();
    await change(rig, id);
    for (const otp_token of [rig.code(secret), backupCodes[0] ?? '']) {
      const { body } = await rig.send({ otp_token }, pending).expect(401);
      expect(body).toEqual(refused('pending_login_invalid'));
    }
    expect(rig.reached).toEqual([]);
  });

  it('a secret sealed under another key, and says so to the operator (CFG-10)', async () => {
    const first = mount();
    const { secret, backupCodes } = await first.addTotp();
    const odd = mount({ store: first.store, core: { keys: [randomBytes(32)] } });
    const { body } = await odd.send({ otp_token: first.code(secret) }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(odd.events).toEqual([
      { name: 'second_factor.unreadable', account: 'alice', reason: expect.any(String), ...told },
    ]);
    expect(odd.reached).toEqual([]);
    await odd.send({ otp_token: backupCodes[0] }).expect(200);
  });

  it('a code of an account without an authenticator, as any wrong one: no key is missing', async () => {
    const rig = mount();
    await rig.addKey();
    const { body } = await rig.send({ otp_token: '123456' }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(rig.events).toEqual([
      { name: 'second_factor.failed', account: 'alice', reason: 'wrong', ...told },
    ]);
  });

  it.each<[string, Partial<Store>]>([
    ['factors that cannot be read', { readFactors: () => Promise.reject(new Error('CANARY')) }],
    ['factors that are undefined', { readFactors: async () => undefined as never }],
    ['factors that are {}', { readFactors: async () => ({}) as never }],
    ['factors that are text', { readFactors: async () => 'none' as never }],
    ['factors that never come', { readFactors: () => new Promise(() => {}) }],
    ['an attempt that cannot be reserved', { reserveAttempt: () => Promise.reject(new Error('CANARY')) }],
    ['a step that cannot be accepted', { writeFactors: () => Promise.reject(new Error('CANARY')) }],
    ['a step that is accepted with 1', { writeFactors: async () => 1 as never }],
    ['a record of {}', { readFactors: async () => ({ revision: 1, record: '{}' }) }],
    ['a list of factors', { readFactors: async () => [] as never }],
    ['a rejection of nothing', { readFactors: () => Promise.reject(undefined) }],
    ['an attempt that is not given back', { releaseAttempt: async () => 'OK' as never }],
    [
      'a pending login that cannot be opened',
      { openPendingLogin: () => Promise.reject(new Error('CANARY')) },
    ],
  ])('where the store answers with %s: 503 within a second (PND-16, I9)', async (name, store) => {
    const sound = mount();
    const secret = await sound.enrol();
    const odd = mount({ store: { ...sound.store, ...store } });
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

  it('where no change of the factors gets through: 429 busy, and the code stays good', async () => {
    const sound = mount();
    const otp_token = sound.code(await sound.enrol());
    const odd = mount({ store: { ...sound.store, writeFactors: async () => false } });
    const { body, headers } = await odd.send({ otp_token }).expect(429);
    expect(body).toEqual(refused('busy'));
    expect(headers['retry-after']).toBe('1');
    expect(odd.reached).toEqual([]);
    await sound.send({ otp_token }).expect(200);
  });

  it.each<[string, Partial<Store>]>([
    ['saved', { saveChallenge: () => Promise.reject(new Error('CANARY')) }],
    ['taken', { takeChallenge: () => Promise.reject(new Error('CANARY')) }],
  ])('where a challenge cannot be %s: 503, and no challenge is lost to it (I9)', async (_, store) => {
    const sound = mount();
    const { authenticator } = await sound.addKey();
    const { pending, webauthn } = await sound.begin();
    const odd = mount({ store: { ...sound.store, ...store } });
    const isSaved = store.saveChallenge !== undefined;
    const given = authenticator.authenticate(webauthn);
    const answer = await odd.send(isSaved ? {} : { webauthn: given }, isSaved ? '' : pending).expect(503);
    expect(answer.body).toEqual(refused('store_unavailable'));
    expect(odd.reached).toEqual([]);
    await sound.send({ webauthn: given }, pending).expect(200);
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
        const counted = { identifier: 'alice', account: undefined, subject: 'x', told: 'told', startedAt: 1 };
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
      { name: 'login.refused', account: 'alice', reason: 'second factor locked out', ...told },
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

  it('an emergency code that was used, and from two left on that they run out (BKP-01, BKP-13)', async () => {
    const rig = mount();
    const { backupCodes } = await rig.addTotp();
    for (const otp_token of backupCodes) await rig.send({ otp_token }).expect(200);
    const used = rig.events.filter(({ name }) => name === 'backup_code.used');
    expect(used).toEqual(
      Array.from({ length: 10 }, (_, i) => ({
        name: 'backup_code.used',
        account: 'alice',
        left: 9 - i,
        ...told,
      })),
    );
    const depleted = rig.events.filter(({ name }) => name === 'backup_codes.depleted');
    expect(depleted).toEqual(
      [2, 1, 0].map((left) => ({ name: 'backup_codes.depleted', account: 'alice', left, ...told })),
    );
    expect(rig.events).toHaveLength(13);
    // Used up, they are offered no more.
    expect((await rig.begin()).methods).toEqual(['totp']);
  });

  it('a wrong emergency code as a failure, and nothing more', async () => {
    const rig = mount();
    await rig.addTotp();
    await rig.send({ otp_token: '0000-0000-0000-0000' }).expect(401);
    expect(rig.events).toEqual([
      { name: 'second_factor.failed', account: 'alice', reason: 'wrong', ...told },
    ]);
  });

  it('a clock that was set back, until time has caught up (TOT-14)', async () => {
    const rig = mount();
    const secret = await rig.enrol();
    await rig.send({ otp_token: rig.code(secret) }).expect(200);
    rig.clock.advance(-300);
    await rig.send({ otp_token: rig.code(secret) }).expect(401);
    expect(rig.events).toEqual([
      { name: 'second_factor.failed', account: 'alice', reason: 'clock', ...told },
      { name: 'clock.turned_back', account: 'alice', ...told },
    ]);
    expect(rig.errors).toEqual([]);
    rig.clock.advance(330);
    await rig.send({ otp_token: rig.code(secret) }).expect(200);
  });

  it('authenticators that are suspended after a hundred wrong codes, right ones too (TOT-16)', async () => {
    const rig = mount({ core: { limits: wideLimits } });
    const { secret, backupCodes } = await rig.addTotp();
    for (let i = 0; i < 99; i += 1) await rig.judge(rig.wrong(secret));
    await rig.send({ otp_token: rig.wrong(secret) }).expect(401);
    const suspended = [
      { name: 'second_factor.failed', account: 'alice', reason: 'suspended', ...told },
      { name: 'totp.suspended', account: 'alice', ...told },
    ];
    expect(rig.events).toEqual(suspended);
    const { body } = await rig.send({ otp_token: rig.code(secret) }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    expect(rig.events).toEqual([...suspended, ...suspended]);
    expect(rig.reached).toEqual([]);
    await rig.send({ otp_token: backupCodes[0] }).expect(200);
    await rig.send({ otp_token: rig.code(secret) }).expect(200);
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

  it('never an emergency code, an answer or a challenge in an event (LOG-01)', async () => {
    const rig = mount();
    const { authenticator, backupCodes } = await rig.addKey();
    const { pending, webauthn } = await rig.begin();
    const answer = authenticator.authenticate(webauthn, { origin: 'https://evil.example' });
    await rig.send({ webauthn: answer }, pending).expect(401);
    await rig.send({ otp_token: backupCodes[0] }, pending).expect(200);
    await rig.send({ otp_token: backupCodes[0] }).expect(401);
    const text = JSON.stringify([rig.events, rig.errors]);
    const { signature, clientDataJSON } = answer.response as Record<string, unknown>;
    const hidden = [backupCodes[0], backupCodes[0]?.replaceAll('-', ''), pending, webauthn.challenge];
    for (const one of [...hidden, signature, clientDataJSON, authenticator.id]) {
      expect(text).not.toContain(String(one));
    }
  });

  it('its own name', () => {
    expect(requireSecondFactor(mount().factors).name).toBe('requireSecondFactor');
  });
});

describe('requireSecondFactor rejects bad options', () => {
  const { factors } = mount();
  it.each<[unknown, unknown, string]>([
    [
      undefined,
      {},
      'requireSecondFactor: the first argument must be made by new SecondFactors(), not undefined',
    ],
    [{}, {}, 'requireSecondFactor: the first argument must be made by new SecondFactors(), not an object'],
    [
      factors,
      { readCode: () => '' },
      'requireSecondFactor: unknown option "readCode"; it takes readOtpToken, readWebauthn',
    ],
    [
      factors,
      { readWebauthn: {} },
      'requireSecondFactor: option readWebauthn must be a function, not an object',
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

  it.each([
    'readOtpToken',
    'readWebauthn',
    'otp_token',
    'webauthn',
    'satisfied',
    'verified',
    'skip',
    'outcome',
    'method',
    'handle',
    'methods',
  ])('and nothing passes by a polluted prototype (INP-06): %s', async (name) => {
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
  });

  it('and leaves them as they were (CFG-13)', () => {
    const options = Object.freeze({ readOtpToken: () => 'x' });
    expect(() => requireSecondFactor(factors, options)).not.toThrow();
    expect(Object.keys(options)).toEqual(['readOtpToken']);
  });
});
