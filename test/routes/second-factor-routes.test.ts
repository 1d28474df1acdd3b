import { EventEmitter, once } from 'node:events';
import { Router } from '@koa/router';
import { describe, expect, it, jest } from '@jest/globals';
import type { Account } from '../../src/core/account.js';
import { Busy } from '../../src/core/errors.js';
import type { AuthMiddleware, AuthState } from '../../src/http/auth-state.js';
import { requireFreshLogin } from '../../src/middleware/require-fresh-login.js';
import { resetSecondFactors } from '../../src/middleware/reset-second-factors.js';
import { secondFactorRoutes, type SecondFactorRoutesOptions } from '../../src/routes/second-factor-routes.js';
import type { Store } from '../../src/stores/memory.js';
import {
  anyFactors,
  device,
  faults,
  forgeState,
  loginApp,
  refused,
  silentHook,
  stale,
  tokenFromCookie,
  withSilentHook,
  type LoginAppOptions,
  type Mounted,
} from '../rig/login-app.js';
import { password } from '../rig/login-chain.js';
import type { ServerOptions, SoftwareAuthenticator } from '../rig/software-authenticator.js';
import { told } from '../rig/told.js';

interface Person extends Account {
  readonly email: string;
}

interface Setup extends Omit<LoginAppOptions, 'routes'> {
  readonly options?: SecondFactorRoutesOptions;
  /** Has other tokens end with a change. */
  readonly endsOthers?: boolean;
  /** Takes the place of the usual way to mount the routes. */
  readonly routes?: LoginAppOptions['routes'];
}

type Method = 'get' | 'post' | 'patch' | 'delete';

/** Everything that writes, of what the routes use. */
const writers = [
  'writeFactors',
  'saveChallenge',
  'takeChallenge',
  'claimCredential',
  'releaseCredential',
] as const;

/** The routes at `/second-factors`, with a password to change and a reset beside them. */
function mount({ options, endsOthers = false, routes, ...rest }: Setup = {}) {
  const usual = ({ router, factors, tokens, guard, handler }: Mounted): void => {
    const given = endsOthers ? { ...options, revokeOthers: tokens } : options;
    router.use('/second-factors', guard, secondFactorRoutes(factors, given).routes());
    router.put('/password', guard, requireFreshLogin(factors), handler);
    const hooks = { target: () => ({ id: 'bob' }), mayReset: () => true, audit: () => {} };
    router.delete('/users/:name/second-factors', guard, resetSecondFactors(factors, { tokens, ...hooks }));
  };
  const rig = loginApp({ ...rest, routes: routes ?? usual });
  /** Calls of the store that write, since it was last emptied. */
  const written: string[] = [];
  for (const name of writers) {
    const sound = rig.sound[name] as (...args: unknown[]) => unknown;
    Object.assign(rig.store, {
      [name](...args: unknown[]) {
        written.push(name);
        return sound(...args);
      },
    });
  }
  const at = (method: Method, path: string, token?: string, body?: object) => {
    const test = rig.send(method, `/second-factors${path}`, token);
    return body === undefined ? test : test.send(body);
  };
  const statusOf = (name: string) => rig.factors.status({ id: name });

  /** A token of somebody with an authenticator, who has just used it. */
  async function proved(name = 'alice') {
    const { secret, id, codes } = await rig.enrol(name);
    const token = await rig.logIn(name, rig.code(secret));
    rig.clock.advance(30);
    rig.events.splice(0);
    written.splice(0);
    return { secret, id, codes, token };
  }

  async function beginTotp(token: string, body: object = {}): Promise<string> {
    return ((await at('post', '/totp', token, body).expect(200)).body as { secret: string }).secret;
  }

  async function beginKey(token: string): Promise<ServerOptions> {
    return (await at('post', '/security-keys/options', token, {}).expect(200)).body as ServerOptions;
  }

  async function addKey(token: string, key: SoftwareAuthenticator = device(), body: object = {}) {
    const webauthn = key.register(await beginKey(token));
    return at('post', '/security-keys', token, { webauthn, ...body });
  }

  return { ...rig, written, at, statusOf, proved, beginTotp, beginKey, addKey };
}

type Rig = ReturnType<typeof mount>;

/** Of answers that race, in ascending order. */
function statusesOf(answers: readonly { readonly status: number }[]): number[] {
  return answers.map(({ status }) => status).toSorted((a, b) => a - b);
}

/** Every route that changes something. */
const changes: readonly (readonly [Method, string, object | undefined])[] = [
  ['post', '/totp', {}],
  ['post', '/totp/confirm', { otp_token: '123456' }],
  ['post', '/security-keys/options', {}],
  ['post', '/security-keys', { webauthn: {} }],
  ['post', '/backup-codes', {}],
  ['patch', '/7f0c1d3e-52a4-4b6f-9c8d-0e1f2a3b4c5d', { name: 'New' }],
  ['delete', '/7f0c1d3e-52a4-4b6f-9c8d-0e1f2a3b4c5d', undefined],
];
const all = [['get', '', undefined], ...changes] as const;

/** Prepares a request, and gives what sends it. */
type Try = (
  rig: Rig,
  token: string,
  id: string,
) => Promise<() => PromiseLike<{ status: number; body: unknown }>>;
const confirm: Try = async (rig, token) => {
  const otp_token = rig.code(await rig.beginTotp(token));
  return () => rig.at('post', '/totp/confirm', token, { otp_token });
};
const register: Try = async (rig, token) => {
  const webauthn = device().register(await rig.beginKey(token));
  return () => rig.at('post', '/security-keys', token, { webauthn });
};
const sendAt =
  (method: Method, path: (id: string) => string, body?: (id: string) => object): Try =>
  async (rig, token, id) =>
  () =>
    rig.at(method, path(id), token, body?.(id));

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const codePattern = /^(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/;
const start = '2030-01-01T00:00:00.000Z';

describe('secondFactorRoutes let through', () => {
  it('an account to enrol an authenticator, which counts from then on', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const begun = await rig.at('post', '/totp', token, {}).expect(200);
    expect(begun.body).toEqual({
      secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
      uri: expect.stringMatching(/^otpauth:\/\/totp\/Acme:alice\?/),
      qr: expect.stringMatching(/^data:image\/svg\+xml;base64,/),
    });
    const { secret } = begun.body as { secret: string };
    expect((begun.body as { uri: string }).uri).toContain(`secret=${secret}&`);
    const otp_token = rig.code(secret);
    const done = await rig.at('post', '/totp/confirm', token, { otp_token }).expect(201);
    const { id, backup_codes: codes } = done.body as { id: string; backup_codes: string[] };
    expect(done.body).toEqual({ id: expect.stringMatching(uuid), backup_codes: expect.any(Array) });
    expect(new Set(codes).size).toBe(10);
    for (const code of codes) expect(code).toMatch(codePattern);
    expect((await rig.at('get', '', token).expect(200)).body).toEqual({
      factors: [{ id, type: 'totp', name: 'Authenticator app', created_at: start, last_used_at: null }],
      backup_codes: { left: 10, created_at: start, last_used_at: null },
    });
    rig.clock.advance(30);
    await expect(rig.logIn('alice')).rejects.toThrow('second_factor_required');
    await rig.logIn('alice', rig.code(secret));
    await rig.logIn('alice', codes[3]);
    const later = '2030-01-01T00:00:30.000Z';
    expect((await rig.at('get', '', token).expect(200)).body).toMatchObject({
      factors: [{ id, last_used_at: later }],
      backup_codes: { left: 9, created_at: start, last_used_at: later },
    });
  });

  it('an account to register a security key, which counts from then on', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const key = device();
    const begun = await rig.at('post', '/security-keys/options', token, {}).expect(200);
    expect(begun.body).toMatchObject({
      rp: { id: 'acme.example', name: 'Acme' },
      user: { name: 'alice' },
      excludeCredentials: [],
    });
    const webauthn = key.register(begun.body as ServerOptions);
    const done = await rig.at('post', '/security-keys', token, { webauthn, name: 'Blue key' }).expect(201);
    expect(done.body).toEqual({ id: key.id, backup_codes: expect.any(Array) });
    expect((done.body as { backup_codes: string[] }).backup_codes).toHaveLength(10);
    expect((await rig.at('get', '', token).expect(200)).body).toMatchObject({
      factors: [{ id: key.id, type: 'webauthn', name: 'Blue key' }],
    });
    const asked = await rig.send('post', '/tokens').send({ username: 'alice', password }).expect(401);
    const { pending, webauthn: options } = asked.body as { pending: string; webauthn: ServerOptions };
    const answer = { pending, webauthn: key.authenticate(options) };
    await rig.send('post', '/tokens/second-factor').send(answer).expect(200);
  });

  it('an account with a proven factor to add a second one, without new emergency codes', async () => {
    const rig = mount();
    const { token, id } = await rig.proved();
    const done = await rig.addKey(token);
    expect([done.status, done.body]).toEqual([201, { id: expect.any(String), backup_codes: null }]);
    const secret = await rig.beginTotp(token, { name: 'Tablet' });
    const again = await rig.at('post', '/totp/confirm', token, { otp_token: rig.code(secret) }).expect(201);
    expect(again.body).toEqual({ id: expect.stringMatching(uuid), backup_codes: null });
    const { factors } = await rig.statusOf('alice');
    expect(factors.map(({ name }) => name)).toEqual(['Authenticator app', 'Security key', 'Tablet']);
    expect(factors[0]?.id).toBe(id);
  });

  it('an account to replace an authenticator, which works until its successor is confirmed', async () => {
    const rig = mount();
    const { token, id, secret: old } = await rig.proved();
    const secret = await rig.beginTotp(token, { replaces: id, name: 'New phone' });
    await rig.logIn('alice', rig.code(old));
    await rig.at('post', '/totp/confirm', token, { otp_token: rig.code(secret) }).expect(201);
    const { factors, backupCodes } = await rig.statusOf('alice');
    expect(factors).toMatchObject([{ name: 'New phone' }]);
    expect(backupCodes?.left).toBe(10);
    rig.clock.advance(30);
    await expect(rig.logIn('alice', rig.code(old))).rejects.toThrow('invalid_second_factor');
    await rig.logIn('alice', rig.code(secret));
  });

  it('an account to rename and remove a factor, and with the last one its codes', async () => {
    const rig = mount();
    const { token, id } = await rig.proved();
    const named = await rig.at('patch', `/${id}`, token, { name: 'Telefon ☎' }).expect(204);
    expect([named.text, named.headers['cache-control']]).toEqual(['', 'no-store']);
    expect((await rig.statusOf('alice')).factors).toMatchObject([{ id, name: 'Telefon ☎' }]);
    const gone = await rig.at('delete', `/${id}`, token).expect(204);
    expect([gone.text, gone.headers['cache-control']]).toEqual(['', 'no-store']);
    expect(await rig.statusOf('alice')).toEqual({ factors: [], backupCodes: null });
    await rig.logIn('alice');
  });

  it('an account to make new emergency codes, which end the old ones', async () => {
    const rig = mount();
    const { token, codes } = await rig.proved();
    const { body } = await rig.at('post', '/backup-codes', token, {}).expect(200);
    const made = (body as { backup_codes: string[] }).backup_codes;
    expect(body).toEqual({ backup_codes: made });
    expect(new Set([...made, ...codes]).size).toBe(20);
    await expect(rig.logIn('alice', codes[0])).rejects.toThrow('invalid_second_factor');
    await rig.logIn('alice', made[0]);
  });

  it('an account to remove what it lost, by an emergency code', async () => {
    const rig = mount();
    const { id, codes } = await rig.enrol('alice');
    const token = await rig.logIn('alice', codes[9]);
    await rig.at('delete', `/${id}`, token).expect(204);
    expect((await rig.statusOf('alice')).factors).toEqual([]);
  });

  it('a login between start and confirmation, without a second factor (ENR-05)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    await rig.beginTotp(token);
    await rig.beginKey(token);
    await rig.logIn('alice');
    expect((await rig.at('get', '', token).expect(200)).body).toEqual({ factors: [], backup_codes: null });
  });

  it('a login without freshness to the list, and to nothing else', async () => {
    const rig = mount();
    const { token } = await rig.proved();
    rig.clock.advance(86_400);
    await rig.at('get', '', token).expect(200);
    await rig.at('post', '/totp', token, {}).expect(401);
    expect(rig.written).toEqual([]);
  });

  it('the user name that the app gives', async () => {
    const asked: unknown[] = [];
    const userName = async (account: Account): Promise<string> => {
      asked.push(account);
      return 'alice@acme.example: Ä';
    };
    const email = 'alice@acme.example';
    const rig = mount({ options: { userName }, findAccount: (id): Person => ({ id, email }) });
    const token = await rig.logIn('alice');
    const { body } = await rig.at('post', '/totp', token, {}).expect(200);
    expect((body as { uri: string }).uri).toContain('/Acme:alice%40acme.example%3A%20%C3%84?');
    expect(await rig.beginKey(token)).toMatchObject({ user: { name: 'alice@acme.example: Ä' } });
    const alice = { id: 'alice', email };
    expect(asked).toEqual([alice, alice]);
  });

  it.each([
    ['a', 'a'],
    ['100 characters', 'x'.repeat(100)],
    ['100 characters of two units', '👩'.repeat(100)],
    ['markup', '<b>"quoted" & more</b>'],
    ['another script', 'מפתח כחול'],
    ['spaces around', ' a '],
  ])('a name of %s', async (_, name) => {
    const rig = mount();
    const { token, id } = await rig.proved();
    await rig.at('patch', `/${id}`, token, { name }).expect(204);
    await rig.addKey(token, device(), { name });
    const secret = await rig.beginTotp(token, { name });
    await rig.at('post', '/totp/confirm', token, { otp_token: rig.code(secret) }).expect(201);
    const { body } = await rig.at('get', '', token).expect(200);
    const { factors } = body as { factors: { name: string }[] };
    expect(factors.map((factor) => factor.name)).toEqual([name, name, name]);
  });

  it.each(['/totp', '/security-keys/options', '/backup-codes'])(
    'a POST without body and type, as browsers send it: %s',
    async (path) => {
      const rig = mount();
      const { token } = await rig.proved();
      const headers = { Authorization: `Bearer ${token}` };
      expect(await rig.sendRaw('POST', `/second-factors${path}`, headers)).toBe(200);
      const type = { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' };
      expect(await rig.sendRaw('POST', `/second-factors${path}`, type)).toBe(415);
    },
  );

  it('JSON with a charset', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const type = 'application/json; charset=utf-8';
    await rig.at('post', '/totp', token).set('Content-Type', type).send('{}').expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('a login as old and as proven as the options say', async () => {
    const old = mount({ options: { withinSeconds: 10 } });
    const token = await old.logIn('alice');
    old.clock.advance(10);
    await old.at('post', '/totp', token, {}).expect(200);
    old.clock.advance(1);
    const { body } = await old.at('post', '/totp', token, {}).expect(401);
    expect(body).toEqual(refused('insufficient_user_authentication', { max_age: 10 }));

    const strict = mount({ options: { factor: 'always' } });
    expect((await strict.at('post', '/totp', await strict.logIn('bob'), {}).expect(401)).body).toEqual(stale);

    const lax = mount({ options: { factor: 'never' } });
    const early = await lax.logIn('alice');
    const { id } = await lax.enrol('alice');
    await lax.at('patch', `/${id}`, early, { name: 'New' }).expect(204);
    expect((await lax.addKey(early)).status).toBe(201);
    await lax.at('post', '/backup-codes', early, {}).expect(200);
    await lax.at('delete', `/${id}`, early).expect(204);
  });
});

describe('secondFactorRoutes refuse', () => {
  it.each(all)('whoever has only a pending handle: %s %s (PND-02, PND-13)', async (method, path, body) => {
    const rig = mount();
    const { id } = await rig.proved();
    const pending = await rig.ask('alice');
    const before = await rig.statusOf('alice');
    rig.written.splice(0);
    const target = path.replace(/^\/7f.*/, `/${id}`);
    const handle = { access_token: pending, token: pending, pending };
    const answers = [
      await rig.at(method, target, undefined, body),
      await rig.at(method, target, pending, body),
      await rig.at(method, `${target}?access_token=${pending}&token=${pending}`, undefined, body),
      await rig
        .at(method, target, undefined, body)
        .set('Cookie', `token=${pending}; portcullis_pending=${pending}`),
      await rig.at(method, target, undefined, body && { ...body, ...handle }),
    ];
    for (const answer of answers) {
      expect([answer.status, answer.body]).toEqual([401, refused('invalid_token')]);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
    }
    expect(rig.written).toEqual([]);
    expect(await rig.statusOf('alice')).toEqual(before);
  });

  it('a pending handle at the password and at the reset, too (PND-13)', async () => {
    const rig = mount();
    await rig.proved();
    const pending = await rig.ask('alice');
    for (const [method, path] of [
      ['put', '/password'],
      ['delete', '/users/bob/second-factors'],
    ] as const)
      expect((await rig.send(method, path, pending).expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.reached).toEqual([]);
  });

  it.each(changes)('a login of 301 seconds ago: %s %s (I15)', async (method, path, body) => {
    const rig = mount();
    const { id, token } = await rig.proved();
    rig.clock.advance(271);
    const { body: answer, headers } = await rig
      .at(method, path.replace(/^\/7f.*/, `/${id}`), token, body)
      .expect(401);
    expect(answer).toEqual(stale);
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(headers['www-authenticate']).toMatch(
      /^Bearer error="insufficient_user_authentication", .*, max_age="300"$/,
    );
    expect(rig.written).toEqual([]);
    expect(rig.events).toEqual([]);
  });

  it.each(changes)(
    'the password alone once there is a factor: %s %s (ENR-02, I15)',
    async (method, path, body) => {
      const rig = mount();
      const token = await rig.logIn('alice');
      const { id } = await rig.proved();
      const target = path.replace(/^\/7f.*/, `/${id}`);
      expect((await rig.at(method, target, token, body).expect(401)).body).toEqual(stale);
      expect(rig.written).toEqual([]);
      await rig.at('post', '/totp', token, { replaces: id }).expect(401);
    },
  );

  it('two logins by the password alone that race to enrol: one factor (I15)', async () => {
    for (let run = 0; run < 10; run += 1) {
      const rig = mount();
      const [first, second] = [await rig.logIn('alice'), await rig.logIn('alice')];
      const key = device();
      const webauthn = key.register(await rig.beginKey(first));
      const secret = await rig.beginTotp(second);
      const answers = await Promise.all([
        rig.at('post', '/security-keys', first, { webauthn }),
        rig.at('post', '/totp/confirm', second, { otp_token: rig.code(secret) }),
      ]);
      expect(statusesOf(answers)).toEqual([201, 401]);
      expect(answers.find(({ status }) => status === 401)?.body).toEqual(stale);
      const { factors, backupCodes } = await rig.statusOf('alice');
      expect([factors.length, backupCodes?.left]).toEqual([1, 10]);
      expect(rig.errors).toEqual([]);
    }
  });

  it.each<[string, Method, (id: string) => string, object | undefined, number]>([
    ['makes no codes', 'post', () => '/backup-codes', {}, 409],
    ['renames nothing', 'patch', (id) => `/${id}`, { name: 'Mine' }, 404],
    ['removes nothing', 'delete', (id) => `/${id}`, undefined, 404],
  ])(
    'a login by the password alone, let in a moment before there was a factor: it %s (ENR-02, I15)',
    async (_, method, path, body, status) => {
      const rig = mount();
      const token = await rig.logIn('alice');
      const saving = jest.spyOn(rig.store, 'saveChallenge');
      const { secret } = await rig.factors.beginTotp({ id: 'alice' }, { label: 'alice' });
      const { id: known } = JSON.parse(saving.mock.calls[0]?.[1] ?? '') as { id: string };
      // The factor is there by the time that the store's answer "none" arrives.
      let id = '';
      rig.store.readFactors = async (account) => {
        const before = await rig.sound.readFactors(account);
        rig.store.readFactors = (key) => rig.sound.readFactors(key);
        const added = await rig.factors.confirmTotp({ id: 'alice' }, rig.code(secret));
        if (added.outcome === 'added') ({ id } = added);
        return before;
      };
      const answer = await rig.at(method, path(known), token, body);
      expect(id).toBe(known);
      expect(answer.status).toBe(status);
      expect(JSON.stringify(answer.body)).not.toMatch(/[0-9A-Z]{4}-[0-9A-Z]{4}/);
      expect((await rig.statusOf('alice')).factors).toMatchObject([{ id, name: 'Authenticator app' }]);
    },
  );

  it.each<[string, Try, (rig: Rig) => Promise<unknown>, string]>([
    ['authenticator', confirm, (rig) => rig.enrolKey('alice'), 'webauthn'],
    ['security key', register, (rig) => rig.enrol('alice'), 'totp'],
  ])(
    'a login by the password alone, let in a moment before there was a factor: it adds no %s (ENR-02, I15)',
    async (_, attempt, enrol, type) => {
      const rig = mount();
      const send = await attempt(rig, await rig.logIn('alice'), '');
      rig.store.readFactors = async (account) => {
        const before = await rig.sound.readFactors(account);
        rig.store.readFactors = (key) => rig.sound.readFactors(key);
        await enrol(rig);
        return before;
      };
      const { status, body } = await send();
      expect([status, body]).toEqual([401, stale]);
      expect((await rig.statusOf('alice')).factors).toMatchObject([{ type }]);
    },
  );

  it('a code of an enrolment that was begun anew, and keeps what is live (ENR-04)', async () => {
    const rig = mount();
    const { token, secret: live } = await rig.proved();
    const first = await rig.beginTotp(token);
    const second = await rig.beginTotp(token);
    const otp_token = rig.code(first);
    const { body } = await rig.at('post', '/totp/confirm', token, { otp_token }).expect(401);
    expect(body).toEqual(refused('invalid_second_factor'));
    await rig.logIn('alice', rig.code(live));
    await rig.at('post', '/totp/confirm', token, { otp_token: rig.code(second) }).expect(201);
  });

  it('a second confirmation, one too late, and one without a start', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    await rig.at('post', '/totp/confirm', token, { otp_token: '123456' }).expect(401);
    const secret = await rig.beginTotp(token);
    rig.clock.advance(601);
    const late = await rig.logIn('alice');
    await rig.at('post', '/totp/confirm', late, { otp_token: rig.code(secret) }).expect(401);
    const again = await rig.beginTotp(late);
    await rig.at('post', '/totp/confirm', late, { otp_token: rig.code(again) }).expect(201);
    await rig.at('post', '/totp/confirm', late, { otp_token: rig.code(again) }).expect(401);
    expect((await rig.statusOf('alice')).factors).toHaveLength(1);
  });

  it("another account's enrolment and challenge", async () => {
    const rig = mount();
    const [alices, bobs] = [await rig.logIn('alice'), await rig.logIn('bob')];
    const otp_token = rig.code(await rig.beginTotp(alices));
    const webauthn = device().register(await rig.beginKey(alices));
    await rig.at('post', '/totp/confirm', bobs, { otp_token }).expect(401);
    await rig.beginKey(bobs);
    await rig.at('post', '/security-keys', bobs, { webauthn }).expect(400);
    expect((await rig.statusOf('bob')).factors).toEqual([]);
    await rig.at('post', '/totp/confirm', alices, { otp_token }).expect(201);
  });

  it("another account's factors, and whatever names another account (ENR-06)", async () => {
    const rig = mount();
    const bobs = await rig.enrol('bob');
    const key = await rig.enrolKey('bob');
    const { token } = await rig.proved();
    const before = await rig.statusOf('bob');
    const bob = { userId: 'bob', user: { id: 'bob' }, account: 'bob', sub: 'bob', id: 'bob' };
    for (const id of [bobs.id, key.id]) {
      const answers = [
        await rig.at('delete', `/${id}?userId=bob`, token),
        await rig.at('patch', `/${id}`, token, { name: 'Mine', ...bob }),
        await rig.at('post', '/totp', token, { replaces: id, ...bob }),
      ];
      for (const { status, body } of answers) expect([status, body]).toEqual([404, refused('not_found')]);
    }
    expect(rig.written).toEqual([]);
    const refusal = { name: 'factor.change_refused', account: 'alice', reason: 'no such factor', ...told };
    expect(rig.events).toEqual(Array.from({ length: 6 }, () => refusal));
    const secret = await rig.beginTotp(token, bob);
    await rig.at('post', '/totp/confirm', token, { otp_token: rig.code(secret), ...bob }).expect(201);
    await rig.at('post', '/backup-codes', token, bob).expect(200);
    expect(await rig.statusOf('bob')).toEqual(before);
    expect((await rig.statusOf('alice')).factors).toHaveLength(2);
  });

  it.each([
    'nobody',
    'undefined',
    '',
    'totp',
    '__proto__',
    'constructor',
    '%00',
    '%FF',
    '%',
    'a'.repeat(2000),
  ])('an id that nothing has: %.20s', async (id) => {
    const rig = mount();
    const { token } = await rig.proved();
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    expect(await rig.sendRaw('DELETE', `/second-factors/${id}`, headers)).toBe(404);
    expect(await rig.sendRaw('PATCH', `/second-factors/${id}`, headers, '{"name":"x"}')).toBe(404);
    expect([...rig.written, ...rig.errors]).toEqual([]);
  });

  it('an authenticator in place of a security key', async () => {
    const rig = mount();
    const { token } = await rig.proved();
    const { id } = (await rig.addKey(token)).body as { id: string };
    await rig.at('post', '/totp', token, { replaces: id }).expect(404);
    expect(rig.events.map(({ name }) => name)).toEqual(['factor.enrolled', 'factor.change_refused']);
  });

  it('an authenticator in place of one that went before it was confirmed', async () => {
    const rig = mount();
    const { token, id } = await rig.proved();
    await rig.addKey(token);
    const secret = await rig.beginTotp(token, { replaces: id });
    await rig.at('delete', `/${id}`, token).expect(204);
    const otp_token = rig.code(secret);
    const { body } = await rig.at('post', '/totp/confirm', token, { otp_token }).expect(409);
    expect(body).toEqual(refused('conflict'));
    expect((await rig.statusOf('alice')).factors).toMatchObject([{ type: 'webauthn' }]);
  });

  it.each<unknown>([
    '',
    ' ',
    '\t',
    '\u00A0',
    'x'.repeat(101),
    '👩'.repeat(101),
    'x'.repeat(100_000),
    'a\nb',
    'a\u0000b',
    'a\u007Fb',
    'a\u0085b',
    'a\u2028b',
    '\uD800',
    'a\uDC00b',
    7,
    0,
    true,
    false,
    null,
    ['a'],
    [],
    { name: 'a' },
  ])('a name that is none: %.20j (INP-01)', async (name) => {
    const rig = mount();
    const { token, id } = await rig.proved();
    const options = await rig.beginKey(token);
    rig.written.splice(0);
    const answers = [
      await rig.at('patch', `/${id}`, token, { name }),
      await rig.at('post', '/totp', token, { name }),
      await rig.at('post', '/security-keys', token, { name, webauthn: device().register(options) }),
    ];
    for (const { status, body } of answers) expect([status, body]).toEqual([400, refused('invalid_request')]);
    expect([...rig.written, ...rig.errors, ...rig.events]).toEqual([]);
    await rig.at('patch', `/${id}`, token, {}).expect(400);
  });

  it.each<unknown>([
    undefined,
    '',
    '12345',
    '1234567',
    ' 123456',
    '123456\n',
    '１２３４５６',
    'AAAA-AAAA-AAAA-AAAA',
    123_456,
    true,
    null,
    ['123456'],
    { $gt: '' },
  ])('a code that is none: %j (INP-01)', async (otp_token) => {
    const rig = mount();
    const token = await rig.logIn('alice');
    await rig.beginTotp(token);
    rig.written.splice(0);
    const { body } = await rig.at('post', '/totp/confirm', token, { otp_token }).expect(400);
    expect(body).toEqual(refused('invalid_request'));
    expect([...rig.written, ...rig.errors]).toEqual([]);
  });

  it.each<unknown>([7, true, null, [], ['x'], {}])(
    'a factor to replace that is none: %j',
    async (replaces) => {
      const rig = mount();
      const { token } = await rig.proved();
      await rig.at('post', '/totp', token, { replaces }).expect(400);
      expect(rig.written).toEqual([]);
    },
  );

  it.each<[string, string]>([
    ['application/x-www-form-urlencoded', 'otp_token=123456&name=x'],
    [
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--x--',
    ],
    ['text/plain', '{"otp_token":"123456","name":"x"}'],
    ['text/plain;application/json', '{"name":"x"}'],
    ['text/json', '{"name":"x"}'],
    ['application/vnd.api+json', '{"name":"x"}'],
    ['application/octet-stream', '{"name":"x"}'],
    ['', '{"name":"x"}'],
  ])('a body of type %j: 415, wherever it comes from (ENR-07)', async (type, body) => {
    const rig = mount();
    const { token, id } = await rig.proved();
    const headers = { Authorization: `Bearer ${token}`, ...(type !== '' && { 'Content-Type': type }) };
    for (const [method, path] of changes) {
      const target = `/second-factors${path.replace(/^\/7f.*/, `/${id}`)}`;
      expect(await rig.sendRaw(method.toUpperCase(), target, headers, body)).toBe(415);
    }
    const { body: answer } = await rig.at('post', '/totp', token).type('form').send('a=1').expect(415);
    expect(answer).toEqual(refused('unsupported_media_type'));
    expect([...rig.written, ...rig.events, ...rig.errors]).toEqual([]);
  });

  it.each<[string, Record<string, string>]>([
    ['another origin', { Origin: 'https://evil.example' }],
    ['an origin that begins alike', { Origin: 'https://acme.example.evil.example' }],
    ['another scheme', { Origin: 'http://acme.example' }],
    ['another port', { Origin: 'https://acme.example:8443' }],
    ['a subdomain', { Origin: 'https://www.acme.example' }],
    ['the origin null', { Origin: 'null' }],
    ['another site, without an origin', { 'Sec-Fetch-Site': 'cross-site' }],
    ['another site, with a password of the browser', { Origin: 'null', Authorization: 'Basic YWxpY2U6eA==' }],
  ])('a token that a cookie carries, from %s (ENR-08)', async (_, headers) => {
    const rig = mount({ first: tokenFromCookie });
    const { token, id } = await rig.proved();
    for (const [method, path, body] of changes) {
      const target = path.replace(/^\/7f.*/, `/${id}`);
      const test = rig.at(method, target, undefined, body).set({ ...headers, Cookie: `token=${token}` });
      expect((await test.expect(403)).body).toEqual(refused('csrf_rejected'));
    }
    expect([...rig.written, ...rig.events]).toEqual([]);
    const { Authorization: _basic, ...others } = headers;
    await rig.at('post', '/totp', token, {}).set(others).expect(200);
  });

  it('none that a cookie carries from a page of the app, or from no browser (ENR-08)', async () => {
    const rig = mount({ first: tokenFromCookie });
    const { token } = await rig.proved();
    const own = [{ Origin: 'https://acme.example' }, { 'Sec-Fetch-Site': 'same-origin' }, {}];
    for (const headers of own)
      await rig
        .at('post', '/totp', undefined, {})
        .set({ ...headers, Cookie: `token=${token}` })
        .expect(200);
    const form = { Cookie: `token=${token}`, Origin: 'https://acme.example' };
    await rig.at('post', '/totp').set(form).type('form').send('name=x').expect(415);
    expect(rig.written).toEqual(['saveChallenge', 'saveChallenge', 'saveChallenge']);
  });

  it('no token in the header, whatever the other headers hold (ENR-08)', async () => {
    const rig = mount();
    const { token } = await rig.proved();
    const headers = {
      'X-Any': 'authorization',
      Origin: 'https://evil.example',
      Authorization: `Bearer ${token}`,
    };
    expect(await rig.sendRaw('POST', '/second-factors/totp', headers)).toBe(200);
  });

  it('an answer of a security key that is no object, and keep its challenge', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const options = await rig.beginKey(token);
    rig.written.splice(0);
    for (const webauthn of [undefined, 'x', 7, true])
      await rig.at('post', '/security-keys', token, { webauthn }).expect(400);
    expect(rig.written).toEqual([]);
    await rig.at('post', '/security-keys', token, { webauthn: device().register(options) }).expect(201);
  });

  it('a token that a cookie carries without a body or a type, which a page of another site can send', async () => {
    const rig = mount({ first: tokenFromCookie });
    const { token } = await rig.proved();
    const Cookie = `token=${token}`;
    expect(await rig.sendRaw('POST', '/second-factors/totp', { Cookie, 'Content-Length': '0' }, '')).toBe(
      415,
    );
    expect(await rig.sendRaw('POST', '/second-factors/backup-codes', { Cookie }, '')).toBe(415);
    const Authorization = `Bearer ${token}`;
    expect(await rig.sendRaw('POST', '/second-factors/totp', { Authorization }, '')).toBe(200);
    // A type of JSON, no page can send unasked.
    const json = { Cookie, 'Content-Type': 'application/json' };
    expect(await rig.sendRaw('POST', '/second-factors/totp', json, '')).toBe(200);
    expect(rig.written).toEqual(['saveChallenge', 'saveChallenge']);
  });

  it('nothing that a body adds: it is ignored (ENR-15, INP-04, INP-05)', async () => {
    const rig = mount();
    const more = {
      confirmed: true,
      verified: 1,
      isOwner: true,
      onlyFirst: false,
      keepLast: false,
      secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
      label: 'CANARY',
      userName: 'CANARY',
      issuer: 'CANARY',
      factor: 'never',
      withinSeconds: 1e9,
    };
    const token = await rig.logIn('alice');
    const { body } = await rig.at('post', '/totp', token, more).expect(200);
    expect((body as { secret: string }).secret).not.toBe(more.secret);
    expect(JSON.stringify(body)).not.toContain('CANARY');
    expect(await rig.statusOf('alice')).toEqual({ factors: [], backupCodes: null });
    await rig.at('post', '/totp/confirm', token, { ...more, otp_token: '000000' }).expect(401);
    expect(JSON.stringify(await rig.beginKey(token))).not.toContain('CANARY');
    await rig.at('post', '/totp', token).type('json').send('[]').expect(200);
    rig.clock.advance(301);
    await rig.at('post', '/totp', token, more).expect(401);
  });

  it('what a lax parser makes of __proto__ and constructor (INP-04, INP-05)', async () => {
    const polluted = '{"__proto__":{"name":"CANARY","otp_token":"1"},"constructor":{"prototype":{"x":1}}}';
    const rig = mount({
      first: (ctx, next) => {
        if (ctx.path.startsWith('/second-factors'))
          Object.assign(ctx.request, { body: JSON.parse(polluted) });
        return next();
      },
    });
    const { token, id } = await rig.proved();
    await rig.at('post', '/totp', token, {}).expect(200);
    await rig.at('post', '/totp/confirm', token, {}).expect(400);
    await rig.at('patch', `/${id}`, token, {}).expect(400);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
    expect((await rig.statusOf('alice')).factors).toMatchObject([{ name: 'Authenticator app' }]);
  });

  it('what the Host and its like say of the app: they are ignored (INP-13)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const evil = { Host: 'evil.example', 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example' };
    const keys = await rig.at('post', '/security-keys/options', token, {}).set(evil).expect(200);
    expect(keys.body).toMatchObject({ rp: { id: 'acme.example', name: 'Acme' } });
    const totp = await rig.at('post', '/totp', token, {}).set(evil).expect(200);
    expect(JSON.stringify([keys.body, totp.body])).not.toContain('evil');
  });

  it('a 21st factor', async () => {
    const rig = mount({ factors: { limits: [{ failures: 1000, withinSeconds: 60 }] } });
    const { token } = await rig.proved();
    for (let i = 1; i < 20; i += 1) expect((await rig.addKey(token)).status).toBe(201);
    const { status, body } = await rig.addKey(token);
    expect([status, body]).toEqual([409, refused('conflict')]);
    expect((await rig.statusOf('alice')).factors).toHaveLength(20);
  });

  it('an eleventh start in a minute, of 1,000 (ENR-20)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    for (let i = 0; i < 5; i += 1) {
      await rig.beginTotp(token);
      await rig.beginKey(token);
    }
    rig.written.splice(0);
    for (const path of ['/totp', '/security-keys/options']) {
      const { body, headers } = await rig.at('post', path, token, {}).expect(429);
      expect(body).toEqual(refused('busy'));
      expect(headers['retry-after']).toBe('60');
    }
    for (let i = 0; i < 988; i += 1)
      await expect(rig.factors.beginTotp({ id: 'alice' }, { label: 'alice' })).rejects.toThrow(Busy);
    expect([...rig.written, ...rig.errors]).toEqual([]);
    await rig.beginTotp(await rig.logIn('bob'));
    rig.clock.advance(60);
    await rig.beginTotp(token);
  });

  it('new codes for an account without a factor', async () => {
    const rig = mount();
    const { body } = await rig.at('post', '/backup-codes', await rig.logIn('alice'), {}).expect(409);
    expect(body).toEqual(refused('conflict'));
    expect(rig.written).toEqual([]);
    const strict = mount({ options: { factor: 'never' } });
    await strict.at('post', '/backup-codes', await strict.logIn('alice'), {}).expect(409);
    expect(strict.events).not.toContainEqual(expect.objectContaining({ name: 'backup_codes.regenerated' }));
  });

  it('security keys where the app has no origin', async () => {
    const rig = mount({ factors: { origin: undefined as never } });
    const token = await rig.logIn('alice');
    await rig.at('post', '/security-keys/options', token, {}).expect(404);
    await rig
      .at('post', '/security-keys', token, { webauthn: device().register({ challenge: 'x' }) })
      .expect(400);
    expect(rig.written).toEqual([]);
    await rig.at('post', '/totp', token, {}).expect(200);
  });

  it('everything without a body parser, as a fault of the app (INP-11)', async () => {
    const rig = mount({
      first: (ctx, next) => {
        ctx.disableBodyParser = ctx.path.startsWith('/second-factors');
        return next();
      },
    });
    const token = await rig.logIn('alice');
    await rig.at('post', '/totp', token, {}).expect(500);
    expect(rig.errors).toMatchObject([{ message: expect.stringContaining('mount a body parser') }]);
    expect(rig.written).toEqual([]);
  });
});

describe('secondFactorRoutes, registering a security key,', () => {
  it('answer 409 for a key that this or another account has (RCE-20)', async () => {
    const rig = mount();
    const key = device();
    const alices = await rig.logIn('alice');
    expect((await rig.addKey(alices, key)).status).toBe(201);
    rig.events.splice(0);
    const taken = await rig.addKey(await rig.logIn('bob'), key);
    expect([taken.status, taken.body]).toEqual([409, refused('conflict')]);
    expect((await rig.statusOf('bob')).factors).toEqual([]);
    expect(rig.events).toContainEqual({
      name: 'factor.change_refused',
      account: 'bob',
      reason: 'in use, or too many',
      ...told,
    });
    const { token } = await rig.proved('carol');
    const carols = device();
    expect((await rig.addKey(token, carols)).status).toBe(201);
    expect((await rig.addKey(token, carols)).status).toBe(409);
    expect((await rig.statusOf('carol')).factors).toHaveLength(2);
  });

  it('take a key of two accounts at once for one of them (RCE-20)', async () => {
    const rig = mount();
    const key = device();
    const [alices, bobs] = [await rig.logIn('alice'), await rig.logIn('bob')];
    const answers = [key.register(await rig.beginKey(alices)), key.register(await rig.beginKey(bobs))];
    const [alice, bob] = await Promise.all([
      rig.at('post', '/security-keys', alices, { webauthn: answers[0] }),
      rig.at('post', '/security-keys', bobs, { webauthn: answers[1] }),
    ]);
    expect(statusesOf([alice, bob])).toEqual([201, 409]);
    const winner = alice.status === 201 ? 'alice' : 'bob';
    expect((await rig.statusOf(winner)).factors).toMatchObject([{ id: key.id }]);
  });

  it('free a removed key for another account', async () => {
    const rig = mount();
    const key = device();
    const { token } = await rig.proved();
    await rig.addKey(token, key);
    await rig.at('delete', `/${key.id}`, token).expect(204);
    expect((await rig.addKey(await rig.logIn('bob'), key)).status).toBe(201);
  });

  it('take each challenge once, and none of an earlier start', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const first = await rig.beginKey(token);
    const second = await rig.beginKey(token);
    await rig.at('post', '/security-keys', token, { webauthn: device().register(first) }).expect(400);
    // The failure used the challenge up.
    await rig.at('post', '/security-keys', token, { webauthn: device().register(second) }).expect(400);
    expect((await rig.statusOf('alice')).factors).toEqual([]);
  });

  it.each<[string, (key: SoftwareAuthenticator, options: ServerOptions) => unknown]>([
    ['an answer to a made-up challenge', (key) => key.register({ challenge: 'AAAA' })],
    ['a page of another origin', (key, options) => key.register(options, { origin: 'https://evil.example' })],
    ['a login in place of a registration', (key, options) => key.authenticate(options)],
    ['another type', (key, options) => key.register(options, { type: 'webauthn.get' })],
    ['another relying party', (key, options) => key.register(options, { rpIdHash: Buffer.alloc(32) })],
    ['nobody present', (key, options) => key.register(options, { flags: 0x40 })],
    ['two ids', (key, options) => key.register(options, { id: 'AAAA' })],
    ['a number as id', (key, options) => key.register(options, { id: 7 })],
    ['a key off the curve', (key, options) => key.register(options, { key: { [-2]: Buffer.alloc(32, 1) } })],
    ['an unknown algorithm', (key, options) => key.register(options, { alg: -65_535 })],
    ['an unknown format', (key, options) => key.register(options, { fmt: 'CANARY' })],
    ['no CBOR', (key, options) => key.register(options, { attestationObject: Buffer.from('CANARY') })],
    ['no client data', (key, options) => key.register(options, { clientData: 'CANARY' })],
    [
      'one byte of authenticator data',
      (key, options) => key.register(options, { authData: Buffer.alloc(1) }),
    ],
    [
      'a body that says what to expect',
      (key) =>
        key.register({ challenge: 'AAAA' }, { body: { expectedChallenge: 'AAAA', challenge: 'AAAA' } }),
    ],
    ['an empty object', () => ({})],
    ['an empty list', () => []],
    ['null', () => null],
    ['text', () => 'CANARY'],
    ['a number', () => 7],
    ['true', () => true],
    ['nothing', () => undefined],
    ['objects within', () => ({ id: {}, rawId: {}, type: 'public-key', response: { clientDataJSON: {} } })],
    ['half a million characters', () => ({ id: 'A'.repeat(500_000), response: {} })],
  ])('answer 400 to %s, without a word on why (WAN-03, WAN-08, WAN-22, WAN-32)', async (_, forge) => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const webauthn = forge(device(), await rig.beginKey(token));
    rig.events.splice(0);
    const { body } = await rig.at('post', '/security-keys', token, { webauthn }).expect(400);
    expect(body).toEqual(refused('invalid_request'));
    expect([...rig.errors, ...rig.events]).toEqual([]);
    expect((await rig.statusOf('alice')).factors).toEqual([]);
    // A key that was refused belongs to nobody.
    expect((await rig.addKey(token)).status).toBe(201);
  });
});

describe('secondFactorRoutes under a policy', () => {
  const policy = { until: new Date(0) };

  it('keep the last factor, with its codes (ENR-18)', async () => {
    const rig = mount({ options: { policy } });
    const { token, id } = await rig.proved();
    const { body } = await rig.at('delete', `/${id}`, token).expect(409);
    expect(body).toEqual(refused('conflict'));
    expect(await rig.statusOf('alice')).toMatchObject({ factors: [{ id }], backupCodes: { left: 10 } });
    expect(rig.events).toEqual([
      { name: 'factor.change_refused', account: 'alice', reason: 'last factor', ...told },
    ]);
    const { id: key } = (await rig.addKey(token)).body as { id: string };
    await rig.at('delete', `/${id}`, token).expect(204);
    await rig.at('delete', `/${key}`, token).expect(409);
    await rig.at('delete', '/nobody', token).expect(404);
  });

  it('keep one of two that are removed at once (RCE-17)', async () => {
    for (let run = 0; run < 10; run += 1) {
      const rig = mount({ options: { policy } });
      const { token, id } = await rig.proved();
      const { id: key } = (await rig.addKey(token)).body as { id: string };
      const answers = await Promise.all([
        rig.at('delete', `/${id}`, token),
        rig.at('delete', `/${key}`, token),
      ]);
      expect(statusesOf(answers)).toEqual([204, 409]);
      expect((await rig.statusOf('alice')).factors).toHaveLength(1);
    }
  });

  it('let it go without a policy, and from an account that is exempt', async () => {
    const asked: unknown[] = [];
    const exempt = (account: Account): boolean => asked.push(account) > 0;
    for (const options of [{}, { policy: { ...policy, exempt } }]) {
      const rig = mount({ options });
      const { token, id } = await rig.proved();
      await rig.at('delete', `/${id}`, token).expect(204);
    }
    expect(asked).toEqual([{ id: 'alice' }]);
  });

  it.each<[string, () => unknown]>([
    ['1', () => 1],
    ['nothing', () => undefined],
    ['an error', () => Promise.reject(new Error('away'))],
  ])('remove nothing where the exemption is %s: 503', async (_, exempt) => {
    const rig = mount({ options: { policy: { ...policy, exempt: exempt as () => boolean } } });
    const { token, id } = await rig.proved();
    expect((await rig.at('delete', `/${id}`, token).expect(503)).body).toEqual(refused('store_unavailable'));
    expect(rig.written).toEqual([]);
    expect(rig.errors).toHaveLength(1);
  });
});

/** One that acts, another of the account, one of another account, and a pending login. */
async function logins(rig: Rig) {
  const { token, id, secret } = await rig.proved();
  const [other, bobs] = [await rig.tokenOf('alice'), await rig.tokenOf('bob')];
  const pending = await rig.ask('alice');
  rig.events.splice(0);
  const live = async (): Promise<boolean[]> => {
    const found = [token, other, bobs].map(async (one) => (await rig.tokens.check(one)) !== null);
    return Promise.all(found);
  };
  return { token, other, id, secret, pending, live };
}

describe('secondFactorRoutes and the other tokens of the account', () => {
  /** Each change of factors, prepared and then sent. */
  const everyChange: readonly (readonly [string, Try])[] = [
    ['an authenticator is added', confirm],
    ['a key is added', register],
    [
      'an authenticator is replaced',
      async (rig, token, id) => {
        const otp_token = rig.code(await rig.beginTotp(token, { replaces: id }));
        return () => rig.at('post', '/totp/confirm', token, { otp_token });
      },
    ],
    ['a factor is removed', sendAt('delete', (id) => `/${id}`)],
  ];
  /** What leaves factors as they are. */
  const noChange: readonly (readonly [string, Try])[] = [
    [
      'an authenticator is begun',
      sendAt(
        'post',
        () => '/totp',
        () => ({}),
      ),
    ],
    [
      'a key is begun',
      sendAt(
        'post',
        () => '/security-keys/options',
        () => ({}),
      ),
    ],
    [
      'a factor is renamed',
      sendAt(
        'patch',
        (id) => `/${id}`,
        () => ({ name: 'x' }),
      ),
    ],
    [
      'codes are made anew',
      sendAt(
        'post',
        () => '/backup-codes',
        () => ({}),
      ),
    ],
    [
      'a code is wrong',
      async (rig, token) => {
        const right = rig.code(await rig.beginTotp(token));
        const otp_token = right === '000000' ? '000001' : '000000';
        return () => rig.at('post', '/totp/confirm', token, { otp_token });
      },
    ],
    [
      'an answer of a key is wrong',
      sendAt(
        'post',
        () => '/security-keys',
        () => ({ webauthn: {} }),
      ),
    ],
    ['what is removed is unknown', sendAt('delete', () => '/7f0c1d3e-52a4-4b6f-9c8d-0e1f2a3b4c5d')],
  ];

  it.each(everyChange)('live on where %s, by default (TOK-13)', async (_, change) => {
    const rig = mount();
    const { token, id, live } = await logins(rig);
    expect([201, 204]).toContain((await (await change(rig, token, id))()).status);
    expect(await live()).toEqual([true, true, true]);
    expect(rig.events.map(({ name }) => name)).not.toContain('tokens.revoked');
  });

  it.each(everyChange)(
    'end where %s, if the app wants it, and so do pending logins (TOK-13)',
    async (...given) => {
      const [, change] = given;
      const rig = mount({ endsOthers: true });
      const { token, id, secret, pending, live } = await logins(rig);
      expect([201, 204]).toContain((await (await change(rig, token, id))()).status);
      expect(await live()).toEqual([true, false, true]);
      expect(rig.events.filter(({ name }) => name === 'tokens.revoked')).toEqual([
        { name: 'tokens.revoked', account: 'alice', count: 1, ...told },
      ]);
      const late = await rig
        .send('post', '/tokens/second-factor')
        .send({ pending, otp_token: rig.code(secret) });
      expect([late.status, late.body]).toEqual([401, refused('pending_login_invalid')]);
    },
  );

  it('end with the first factor, whose codes are answered', async () => {
    const rig = mount({ endsOthers: true });
    const [token, other] = [await rig.logIn('alice'), await rig.logIn('alice')];
    const otp_token = rig.code(await rig.beginTotp(token));
    const { body } = await rig.at('post', '/totp/confirm', token, { otp_token }).expect(201);
    expect((body as { backup_codes: string[] }).backup_codes).toHaveLength(10);
    expect(await rig.tokens.check(other)).toBeNull();
    expect(await rig.tokens.check(token)).not.toBeNull();
  });

  it.each(noChange)('live on where %s', async (_, attempt) => {
    const rig = mount({ endsOthers: true });
    const { token, id, live } = await logins(rig);
    await (
      await attempt(rig, token, id)
    )();
    expect(await live()).toEqual([true, true, true]);
  });

  it('live on where the last factor is kept (ENR-18)', async () => {
    const rig = mount({ endsOthers: true, options: { policy: { until: new Date(0) } } });
    const { token, id, live } = await logins(rig);
    await rig.at('delete', `/${id}`, token).expect(409);
    expect(await live()).toEqual([true, true, true]);
  });

  const cases = everyChange.flatMap(([what, change]) =>
    faults.map(([how, fault]) => [what, how, change, fault] as const),
  );
  it.each(cases)('cannot end where %s and the store %s: 503, and nothing changed (I9)', async (...given) => {
    const [, , change, fault] = given;
    const rig = mount({ endsOthers: true });
    const { token, id } = await logins(rig);
    const before = await rig.statusOf('alice');
    const send = await change(rig, token, id);
    rig.store.revokeTokens = fault;
    const { status, body } = await send();
    expect([status, body]).toEqual([503, refused('store_unavailable')]);
    expect(await rig.statusOf('alice')).toEqual(before);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it('can end at a second try with the same code, which no failure used up', async () => {
    const rig = mount({ endsOthers: true });
    const token = await rig.logIn('alice');
    const otp_token = rig.code(await rig.beginTotp(token));
    rig.store.revokeTokens = () => Promise.reject(new Error('away'));
    await rig.at('post', '/totp/confirm', token, { otp_token }).expect(503);
    Object.assign(rig.store, rig.sound);
    const { body } = await rig.at('post', '/totp/confirm', token, { otp_token }).expect(201);
    expect((body as { backup_codes: string[] }).backup_codes).toHaveLength(10);
  });

  it('of a login by the password alone, made while the first factor is added, end too (I3)', async () => {
    const rig = mount({ endsOthers: true });
    const token = await rig.logIn('alice');
    const otp_token = rig.code(await rig.beginTotp(token));
    const login = new EventEmitter();
    const waiting = once(login, 'done');
    const isWriting = new Promise<void>((resolve) => {
      rig.store.writeFactors = async (...change) => {
        resolve();
        await waiting;
        return rig.sound.writeFactors(...change);
      };
    });
    const confirmed = rig.at('post', '/totp/confirm', token, { otp_token }).then(({ status }) => status);
    await isWriting;
    const late = await rig.logIn('alice');
    login.emit('done');
    expect(await confirmed).toBe(201);
    expect(await rig.tokens.check(late)).toBeNull();
  });

  it.each(everyChange)('where they cannot end after %s: 503, and the change stands', async (_, change) => {
    const rig = mount({ endsOthers: true });
    const { token, id, live } = await logins(rig);
    const before = await rig.statusOf('alice');
    const send = await change(rig, token, id);
    let calls = 0;
    rig.store.revokeTokens = (...given) => {
      calls += 1;
      return calls === 2 ? Promise.reject(new Error('away')) : rig.sound.revokeTokens(...given);
    };
    rig.events.splice(0);
    const { status, body } = await send();
    expect([status, body]).toEqual([503, refused('store_unavailable')]);
    expect(await rig.statusOf('alice')).not.toEqual(before);
    expect(rig.events.map(({ name }) => name)).toEqual([
      'tokens.revoked',
      expect.stringMatching(/^factor\.(?:enrolled|removed)$/),
      'store.failed',
    ]);
    // Those from before ended all the same, and emergency codes that were not shown can be made anew.
    expect(await live()).toEqual([true, false, true]);
    if ((await rig.statusOf('alice')).factors.length > 0)
      await rig.at('post', '/backup-codes', token, {}).expect(200);
  });
});

describe('secondFactorRoutes, wherever they are mounted,', () => {
  const mounts: readonly (readonly [string, string, LoginAppOptions['routes']])[] = [
    [
      'by router.use',
      '/second-factors',
      ({ router, factors, guard }) =>
        router.use('/second-factors', guard, secondFactorRoutes(factors).routes()),
    ],
    [
      'under a prefix',
      '/api/v1/second-factors',
      ({ router, factors, guard }) => {
        const api = new Router<AuthState>({ prefix: '/api/v1' });
        api.use('/second-factors', guard, secondFactorRoutes(factors).routes());
        router.use(api.routes());
      },
    ],
    [
      'within routers',
      '/outer/inner/second-factors',
      ({ router, factors, guard }) => {
        const inner = new Router<AuthState>();
        inner.use(
          '/second-factors',
          secondFactorRoutes(factors).routes(),
          secondFactorRoutes(factors).allowedMethods(),
        );
        const outer = new Router<AuthState>();
        outer.use('/inner', guard, inner.routes());
        router.use('/outer', outer.routes());
      },
    ],
  ];
  const spellings = [
    '/totp',
    '/totp/',
    '//totp',
    '/%74otp',
    '/TOTP',
    '/totp;x=1',
    '/totp%00',
    '/totp%2F',
    '/totp%2Fconfirm',
    '/./totp',
    '/x/../totp',
    '/%2e%2e/totp',
    '/totp?x=1',
    '/totp?access_token=x',
    '/totp#x',
    '\\totp',
    '/totp/confirm/',
    '/backup-codes/',
    '',
    '/',
    '?x=1',
  ];
  const variants = (prefix: string): string[] => [
    ...spellings.map((spelling) => `${prefix}${spelling}`),
    `/${prefix}/totp`,
    `${prefix.toUpperCase()}/totp`,
    `${prefix.replace('second', '%73econd')}/totp`,
    `${prefix}x/totp`,
    `${prefix};x=1/totp`,
    `http://other.example${prefix}/totp`,
  ];

  it.each(mounts)('%s: no spelling of a path gets past the token (ENR-16)', async (_, prefix, routes) => {
    const rig = mount({ routes });
    const { token, id } = await rig.proved();
    const json = { 'Content-Type': 'application/json' };
    const paths = [
      ...variants(prefix),
      `${prefix}/${id}`,
      `${prefix}/${id}/`,
      `${prefix}/${id.toUpperCase()}`,
    ];
    for (const path of paths) {
      for (const method of ['GET', 'POST', 'PATCH', 'DELETE']) {
        for (const headers of [json, { ...json, Authorization: 'Bearer x' }]) {
          const status = await rig.sendRaw(method, path, headers, method === 'GET' ? '' : '{"name":"x"}');
          expect([400, 401, 404, 405, 501]).toContain(status);
        }
      }
    }
    expect(rig.written).toEqual([]);
    expect((await rig.statusOf('alice')).factors).toMatchObject([{ id, name: 'Authenticator app' }]);
    expect(rig.events.filter(({ name }) => name === 'config.weak')).toEqual([]);
    // With the token the same spellings reach a route or nothing; none is an error.
    for (const path of variants(prefix)) {
      const authorized = { ...json, Authorization: `Bearer ${token}` };
      expect([200, 400, 401, 404, 405, 429]).toContain(await rig.sendRaw('POST', path, authorized, '{}'));
    }
    expect(rig.errors).toEqual([]);
    rig.clock.advance(60);
    expect(
      await rig.sendRaw('POST', `${prefix}/totp`, { ...json, Authorization: `Bearer ${token}` }, '{}'),
    ).toBe(200);
  });

  it.each(mounts)(
    '%s: HEAD, OPTIONS and other methods change nothing (PND-30)',
    async (_, prefix, routes) => {
      const rig = mount({ routes });
      const { token, id } = await rig.proved();
      const headers = { Authorization: `Bearer ${token}`, 'X-HTTP-Method-Override': 'DELETE' };
      for (const [, path] of changes) {
        const target = `${prefix}${path.replace(/^\/7f.*/, `/${id}`)}`;
        for (const method of ['HEAD', 'OPTIONS', 'PUT', 'TRACE', 'GET'])
          expect([200, 404, 405, 501]).toContain(await rig.sendRaw(method, target, headers));
      }
      expect(await rig.sendRaw('HEAD', prefix, headers)).toBe(200);
      expect([...rig.written, ...rig.events, ...rig.errors]).toEqual([]);
    },
  );

  it.each<[string, AuthMiddleware]>([
    ['without requireToken', (_, next) => next()],
    ['behind a forged ctx.state', forgeState],
  ])('%s: they refuse everything, and say so once (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({
      first,
      routes: ({ router, factors }) => router.use('/second-factors', secondFactorRoutes(factors).routes()),
    });
    const { token } = await rig.proved();
    for (const [method, path, body] of all) {
      const answer = await rig.at(method, path, token, body).expect(401);
      expect(answer.body).toEqual(refused('invalid_token'));
    }
    expect(rig.written).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^secondFactorRoutes is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });
});

describe('secondFactorRoutes, where something fails,', () => {
  const tries: readonly (readonly [string, Try, readonly (keyof Store)[]])[] = [
    ['the list', sendAt('get', () => ''), ['readFactors']],
    [
      'a start',
      sendAt(
        'post',
        () => '/totp',
        () => ({}),
      ),
      ['reserveAttempt', 'saveChallenge'],
    ],
    [
      'a replacement',
      sendAt(
        'post',
        () => '/totp',
        (id) => ({ replaces: id }),
      ),
      ['readFactors'],
    ],
    ['a confirmation', confirm, ['readChallenge', 'takeChallenge', 'readFactors', 'writeFactors']],
    [
      'the start of a key',
      sendAt(
        'post',
        () => '/security-keys/options',
        () => ({}),
      ),
      ['reserveAttempt', 'readFactors', 'saveChallenge'],
    ],
    ['a key', register, ['takeChallenge', 'claimCredential', 'readFactors', 'writeFactors']],
    [
      'new codes',
      sendAt(
        'post',
        () => '/backup-codes',
        () => ({}),
      ),
      ['readFactors', 'writeFactors'],
    ],
    [
      'a new name',
      sendAt(
        'patch',
        (id) => `/${id}`,
        () => ({ name: 'x' }),
      ),
      ['readFactors', 'writeFactors'],
    ],
    ['a removal', sendAt('delete', (id) => `/${id}`), ['readFactors', 'writeFactors']],
  ];
  const cases = tries.flatMap(([what, attempt, methods]) =>
    methods.flatMap((method) => faults.map(([how, fault]) => [what, method, how, attempt, fault] as const)),
  );

  it.each(cases)('%s: 503 where %s %s, and no factor changed (I9)', async (...given) => {
    const [, method, , attempt, fault] = given;
    const rig = mount();
    const { token, id } = await rig.proved();
    const before = await rig.statusOf('alice');
    const send = await attempt(rig, token, id);
    rig.events.splice(0);
    Object.assign(rig.store, { [method]: fault });
    const began = performance.now();
    const { status, body } = await send();
    expect(performance.now() - began).toBeLessThan(1000);
    expect([status, body]).toEqual([503, refused('store_unavailable')]);
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
    Object.assign(rig.store, rig.sound);
    expect(await rig.statusOf('alice')).toEqual(before);
  });

  it.each<[string, () => unknown]>([
    ['nothing', () => undefined],
    ['empty', () => ''],
    ['7', () => 7],
    ['half a character', () => '\uD800'],
    ['too long for a QR code', () => 'x'.repeat(256)],
    ['an error', () => Promise.reject(new Error('away'))],
    [
      'a throw',
      () => {
        throw new Error('away');
      },
    ],
  ])('a user name that is %s: 503, and nothing is begun', async (_, userName) => {
    const rig = mount({ options: { userName: userName as () => string } });
    const token = await rig.logIn('alice');
    for (const path of ['/totp', '/security-keys/options']) {
      const { body } = await rig.at('post', path, token, {}).expect(503);
      expect(body).toEqual(refused('store_unavailable'));
    }
    expect(rig.written).toEqual([]);
    expect(rig.errors).toHaveLength(2);
  });

  it('a user name that never comes: 503 after five seconds', async () => {
    const { hook, wasAsked } = silentHook();
    const rig = mount({ options: { userName: hook } });
    const test = rig.at('post', '/totp', await rig.logIn('alice'), {});
    expect(await withSilentHook(test, wasAsked)).toMatchObject({ status: 503 });
    expect(rig.written).toEqual([]);
  });
});

describe('secondFactorRoutes tell', () => {
  it('each change, by account and kind and nothing else (ENR-14, I10)', async () => {
    const rig = mount();
    const { token, id } = await rig.proved();
    const secret = await rig.beginTotp(token);
    const otp_token = rig.code(secret);
    await rig.at('post', '/totp/confirm', token, { otp_token }).expect(201);
    const key = device();
    await rig.addKey(token, key, { name: 'CANARY' });
    await rig.at('patch', `/${key.id}`, token, { name: 'CANARY' }).expect(204);
    const { body } = await rig.at('post', '/backup-codes', token, {}).expect(200);
    await rig.at('delete', `/${id}`, token).expect(204);
    await rig.at('delete', `/${key.id}`, token).expect(204);
    expect(rig.events).toEqual([
      { name: 'factor.enrolled', account: 'alice', factor: 'totp', ...told },
      { name: 'factor.enrolled', account: 'alice', factor: 'webauthn', ...told },
      { name: 'factor.renamed', account: 'alice', factor: 'webauthn', ...told },
      { name: 'backup_codes.regenerated', account: 'alice', ...told },
      { name: 'factor.removed', account: 'alice', factor: 'totp', ...told },
      { name: 'factor.removed', account: 'alice', factor: 'webauthn', ...told },
    ]);
    const { backup_codes: codes } = body as { backup_codes: string[] };
    for (const kept of ['CANARY', secret, otp_token, key.id, token, ...codes])
      expect(JSON.stringify(rig.events)).not.toContain(kept);
  });

  it('no secret after the answer that owns it (ENR-03, I10)', async () => {
    const rig = mount();
    const { token, secret: live, codes } = await rig.proved();
    const begun = await rig.beginTotp(token);
    const key = device();
    await rig.addKey(token, key);
    const { text } = await rig.at('get', '', token).expect(200);
    for (const kept of [
      live,
      begun,
      ...codes,
      'otpauth',
      'svg',
      'publicKey',
      'public_key',
      'counter',
      'hash',
    ])
      expect(text).not.toContain(kept);
    const { factors, backup_codes: left } = JSON.parse(text) as { factors: object[]; backup_codes: object };
    for (const factor of factors)
      expect(Object.keys(factor)).toEqual(['id', 'type', 'name', 'created_at', 'last_used_at']);
    expect(Object.keys(left)).toEqual(['left', 'created_at', 'last_used_at']);
    for (const path of ['/totp', '/totp/confirm', '/totp/qr', '/backup-codes', '/security-keys'])
      await rig.at('get', path, token).expect(404);
  });

  it('every answer not to be kept, and none to go anywhere else (ENR-19)', async () => {
    const rig = mount();
    const { token, id } = await rig.proved();
    const secret = await rig.beginTotp(token);
    const answers = [
      await rig.at('get', '', token),
      await rig.at('post', '/totp', token, { replaces: id }),
      await rig.at('post', '/totp/confirm', token, { otp_token: rig.code(secret) }),
      await rig.at('post', '/security-keys/options', token, {}),
      await rig.at('post', '/security-keys', token, { webauthn: {} }),
      await rig.addKey(token),
      await rig.at('post', '/backup-codes', token, {}),
      await rig.at('patch', `/${id}`, token, { name: 'x' }),
      await rig.at('delete', `/${id}`, token),
      await rig.at('delete', `/${id}`, token),
      await rig.at('post', '/totp', token).type('form').send('a=1'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([
      200, 200, 401, 200, 400, 201, 200, 204, 204, 404, 415,
    ]);
    for (const { headers } of answers) {
      expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
      expect(headers['location']).toBeUndefined();
    }
  });

  it('their refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { token } = await rig.proved();
    const { body } = await rig.at('delete', '/nobody', token).expect(404);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });
});

describe('secondFactorRoutes reject bad options', () => {
  const factors = anyFactors();
  const owner = 'secondFactorRoutes:';
  it.each<[unknown, unknown, string]>([
    [undefined, {}, `${owner} the first argument must be made by new SecondFactors(), not undefined`],
    [
      factors,
      { prefix: '/x' },
      `${owner} unknown option "prefix"; it takes withinSeconds, factor, userName, policy, revokeOthers`,
    ],
    [factors, { userName: 'alice' }, `${owner} option userName must be a function, not "alice"`],
    [
      factors,
      { withinSeconds: 0 },
      `${owner} option withinSeconds must be a whole number from 1 to 86400, not 0`,
    ],
    [
      factors,
      { factor: 'no' },
      `${owner} option factor must be one of 'if_enrolled', 'always', 'never', not "no"`,
    ],
    [
      factors,
      { policy: true },
      `${owner} option policy must be a policy as requireEnrolment takes it, not true`,
    ],
    [
      factors,
      { policy: null },
      `${owner} option policy must be a policy as requireEnrolment takes it, not null`,
    ],
    [
      factors,
      { revokeOthers: true },
      `${owner} option revokeOthers must be made by new AccessTokens(), not true`,
    ],
    [factors, { policy: {} }, `${owner} option until must be a valid Date, not undefined`],
    [factors, { policy: [] }, `${owner} options must be an object, not an array of 0`],
    [
      factors,
      { policy: { until: new Date(), grace: 1 } },
      `${owner} unknown option "grace"; it takes until, exempt`,
    ],
  ])('by name, when they are made %#', (core, options, message) => {
    expect(() => secondFactorRoutes(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and take none from a polluted prototype (INP-06)', async () => {
    const polluted = { withinSeconds: 1e12, factor: 'never', userName: () => 'CANARY', exempt: () => true };
    for (const [name, value] of Object.entries(polluted))
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    try {
      const rig = mount({ options: { policy: { until: new Date(0) } } });
      const early = await rig.logIn('alice');
      const { token, id } = await rig.proved();
      await rig.at('post', '/totp', early, {}).expect(401);
      const { body } = await rig.at('post', '/totp', token, {}).expect(200);
      expect(JSON.stringify(body)).not.toContain('CANARY');
      await rig.at('delete', `/${id}`, token).expect(409);
      rig.clock.advance(301);
      await rig.at('post', '/totp', token, {}).expect(401);
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('and leave them as they were, and are not changed by them afterwards (CFG-13)', async () => {
    const policy = { until: new Date(0) };
    expect(() => secondFactorRoutes(factors, Object.freeze({ policy: Object.freeze(policy) }))).not.toThrow();
    const options: { factor: 'always' | 'never' } = { factor: 'always' };
    const rig = mount({ options });
    options.factor = 'never';
    await rig.at('post', '/totp', await rig.logIn('alice'), {}).expect(401);
  });
});
