import { EventEmitter, once } from 'node:events';
import { describe, expect, it, jest } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import type { Account } from '../../src/core/account.js';
import { Busy } from '../../src/core/errors.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import { requireEnrolment } from '../../src/middleware/require-enrolment.js';
import {
  resetSecondFactors,
  type FactorReset,
  type ResetSecondFactorsOptions,
} from '../../src/middleware/reset-second-factors.js';
import { secondFactorRoutes } from '../../src/routes/second-factor-routes.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import type { ServerOptions } from '../rig/software-authenticator.js';
import {
  anyFactors,
  device,
  faults,
  forgeState,
  loginApp,
  noFlags,
  refused,
  silentHook,
  stale,
  tokenFromCookie,
  withSilentHook,
} from '../rig/login-app.js';
import { told } from '../rig/told.js';

interface User {
  readonly id: string;
  readonly org: string;
  role: unknown;
}

interface Setup {
  readonly options?: Partial<ResetSecondFactorsOptions>;
  readonly guarded?: boolean;
  readonly first?: AuthMiddleware;
}

/** alice and carol own an organisation that bob is a member of; zed is somewhere else. */
function mount({ options, guarded = true, ...rest }: Setup = {}) {
  const users: User[] = [
    { id: 'alice', org: 'A', role: 'owner' },
    { id: 'carol', org: 'A', role: 'owner' },
    { id: 'bob', org: 'A', role: 'member' },
    { id: 'zed', org: 'B', role: 'member' },
  ];
  const find = (id: unknown): User | null => users.find((user) => user.id === id) ?? null;
  const audited: FactorReset[] = [];
  const rig = loginApp({
    ...rest,
    routes({ router, factors, tokens, guard, handler }) {
      const reset = resetSecondFactors(factors, {
        tokens,
        actor: (id) => find(id),
        target(ctx, actor) {
          const found = find((ctx as { params?: { name?: string } }).params?.name);
          return found?.org === (actor as User).org ? found : null;
        },
        mayReset: (actor) => (actor as User).role === 'owner',
        audit: (row) => void audited.push(row),
        ...options,
      });
      const steps = guarded ? [guard, reset] : [reset];
      router.delete('/users/:name/second-factors', ...steps, handler);
      router.post('/users/:name/second-factors/reset', ...steps, handler);
      router.use('/second-factors', guard, secondFactorRoutes(factors).routes());
      router.get('/work', guard, requireEnrolment(factors, { until: new Date(0) }), handler);
    },
  });
  const own = (name = 'alice'): Promise<string> => rig.logInStrongly(name);
  const reset = (name: string, token?: string) => rig.send('delete', `/users/${name}/second-factors`, token);
  const left = async (name: string): Promise<string[]> =>
    (await rig.factors.status({ id: name })).factors.map(({ type }) => type);
  return { ...rig, users, find, audited, own, reset, left };
}

type Rig = ReturnType<typeof mount>;

/** Nobody's factors or tokens changed, and no handler ran. */
async function expectNothingReset(rig: Rig, token: string, name = 'bob'): Promise<void> {
  expect(await rig.left(name)).toEqual(['totp']);
  expect(await rig.tokens.check(token)).not.toBeNull();
  expect(rig.reached).toEqual([]);
  expect(rig.events.map((event) => event.name)).not.toContain('factors.reset');
}

describe('resetSecondFactors lets through', () => {
  it('an owner, who resets a member (OWN-08)', async () => {
    const rig = mount();
    const { secret, codes } = await rig.enrol('bob');
    const token = await rig.own();
    rig.clock.advance(60);
    const key = await rig.enrolKey('bob');
    const bobs = [await rig.logIn('bob', rig.code(secret)), await rig.tokenOf('bob')];
    const pending = await rig.ask('bob');
    const [first = ''] = bobs;
    const begun = await rig.send('post', '/second-factors/totp', first).send({}).expect(200);
    const asked = await rig.send('post', '/second-factors/security-keys/options', first).send({}).expect(200);

    const { text, headers } = await rig.reset('bob', token).expect(204);
    expect(text).toBe('');
    expect(headers).toMatchObject({ 'set-cookie': ['kept=1'] });
    expect(rig.reached).toEqual([]);
    expect(await rig.factors.status({ id: 'bob' })).toEqual({ factors: [], backupCodes: null });

    // What was gained with the factors has ended, and the actor's own token has not.
    for (const one of bobs) await rig.send('get', '/reports', one).expect(401);
    await rig.send('get', '/reports', token).expect(200);
    rig.clock.advance(30);
    for (const otp_token of [rig.code(secret), codes[0]]) {
      const { body } = await rig
        .send('post', '/tokens/second-factor')
        .send({ pending, otp_token })
        .expect(401);
      expect(body).toEqual(refused('pending_login_invalid'));
    }

    // What was begun before cannot be confirmed, with an old token or with a new one.
    const otp_token = rig.code((begun.body as { secret: string }).secret);
    const webauthn = device().register(asked.body as ServerOptions);
    await rig.send('post', '/second-factors/totp/confirm', first).send({ otp_token }).expect(401);
    await rig.send('post', '/second-factors/security-keys', first).send({ webauthn }).expect(401);
    const fresh = await rig.logIn('bob');
    const again = await rig
      .send('post', '/second-factors/totp/confirm', fresh)
      .send({ otp_token })
      .expect(401);
    expect(again.body).toEqual(refused('invalid_second_factor'));
    await rig.send('post', '/second-factors/security-keys', fresh).send({ webauthn }).expect(400);
    expect(await rig.left('bob')).toEqual([]);

    // The key is free for whoever holds it now.
    const options = await rig.factors.beginSecurityKey({ id: 'zed' }, { userName: 'zed' });
    const response = key.register(options as ServerOptions);
    expect(await rig.factors.confirmSecurityKey({ id: 'zed' }, response)).toMatchObject({ outcome: 'added' });
  });

  it('an owner, who resets another owner (OWN-05)', async () => {
    const rig = mount();
    await rig.enrol('carol');
    await rig.reset('carol', await rig.own()).expect(204);
    expect(await rig.left('carol')).toEqual([]);
    expect(await rig.left('alice')).toEqual(['totp']);
    expect(rig.audited).toMatchObject([{ actor: 'alice', target: 'carol' }]);
  });

  it('an owner, who resets somebody without a factor, twice (OWN-10)', async () => {
    const rig = mount();
    const token = await rig.own();
    const bobs = await rig.logIn('bob');
    await rig.reset('bob', token).expect(204);
    await rig.send('get', '/reports', bobs).expect(401);
    await rig.reset('bob', token).expect(204);
    expect(rig.audited).toMatchObject([
      { target: 'bob', factors: [] },
      { target: 'bob', factors: [] },
    ]);
  });

  it('a member by the password alone afterwards, and to enrolment only where that is demanded (OWN-18)', async () => {
    const rig = mount();
    await rig.enrol('bob');
    await rig.reset('bob', await rig.own()).expect(204);
    rig.events.splice(0);
    const token = await rig.logIn('bob');
    expect(rig.events).toMatchObject([
      { name: 'token.issued', account: 'bob' },
      { name: 'login.succeeded', account: 'bob', methods: ['pwd'] },
    ]);
    await rig.send('get', '/work', token).expect(403);
    await rig.send('post', '/second-factors/totp', token).send({}).expect(200);
  });

  it('a POST with a JSON body as well, and one with none at all', async () => {
    const rig = mount();
    await rig.enrol('bob');
    const token = await rig.own();
    await rig.send('post', '/users/bob/second-factors/reset', token).send({ any: 1 }).expect(204);
    const none = { Authorization: `Bearer ${token}` };
    expect(await rig.sendRaw('POST', '/users/bob/second-factors/reset', none)).toBe(204);
  });

  it('the account of the token as it is, where no actor is looked up', async () => {
    const asked: unknown[] = [];
    const mayReset: ResetSecondFactorsOptions['mayReset'] = (actor, target, ctx) => {
      asked.push([actor, target, ctx.method]);
      return true;
    };
    const bob: User = { id: 'bob', org: 'A', role: 'member' };
    const target = (): Promise<Account> => Promise.resolve(bob);
    const rig = mount({ options: { actor: undefined as never, mayReset, target } });
    await rig.reset('bob', await rig.own()).expect(204);
    expect(asked).toEqual([[{ id: 'alice' }, bob, 'DELETE']]);
  });

  it('a login without a factor, where the options say so', async () => {
    const rig = mount({ options: { factor: 'if_enrolled', withinSeconds: 10 } });
    const token = await rig.logIn('alice');
    await rig.reset('bob', token).expect(204);
    rig.clock.advance(11);
    await rig.reset('bob', token).expect(401);
    await rig.enrol('alice');
    await rig.reset('bob', await rig.tokenOf('alice')).expect(401);
    expect(rig.audited).toHaveLength(1);
  });
});

describe('resetSecondFactors refuses', () => {
  it('an owner who names herself (OWN-01, I14)', async () => {
    const rig = mount();
    const token = await rig.own();
    rig.events.splice(0);
    const { body, headers } = await rig.reset('alice', token).expect(403);
    expect(body).toEqual(refused('cannot_reset_self'));
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    await expectNothingReset(rig, token, 'alice');
    expect(rig.audited).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'factors.reset_refused', account: 'alice', reason: 'own account', ...told },
    ]);
  });

  const uuid = '7f0c1d3e-52a4-4b6f-9c8d-0e1f2a3b4c5d';
  it.each<[string, string, unknown]>([
    ['the same object', 'alice', { id: 'alice' }],
    ['in capitals', 'alice', { id: 'ALICE' }],
    ['an upper-case UUID', uuid, { id: uuid.toUpperCase() }],
    ['padded', 'alice', { id: ' alice ' }],
    ['padded by a tab and a no-break space', 'alice', { id: '\talice\u00A0' }],
    ['in full-width letters', 'alice', { id: 'ａｌｉｃｅ' }],
    ['in mathematical letters', 'alice', { id: '𝐚𝐥𝐢𝐜𝐞' }],
    ['as a ligature', 'fiona', { id: 'ﬁona' }],
    ['decomposed', 'zoë', { id: 'zoe\u0308' }],
  ])('an owner who names herself %s (OWN-02)', async (_, self, found) => {
    const rig = mount({
      options: { actor: (id) => ({ id }), target: () => found as never, mayReset: () => true },
    });
    const token = await rig.own(self);
    expect((await rig.reset('whoever', token).expect(403)).body).toEqual(refused('cannot_reset_self'));
    await expectNothingReset(rig, token, self);
    expect(rig.audited).toEqual([]);
  });

  it.each(['alice@acme.example', 'Alice', 'me', '%61lice', 'ALICE', '[alice]'])(
    'an owner who names herself as %s, which the look-up knows (OWN-02)',
    async (spelling) => {
      const rig = mount({ options: { target: () => ({ id: 'alice' }), mayReset: () => true } });
      const token = await rig.own();
      expect((await rig.reset(encodeURIComponent(spelling), token).expect(403)).body).toEqual(
        refused('cannot_reset_self'),
      );
      await expectNothingReset(rig, token, 'alice');
    },
  );

  it.each<[string, unknown]>([
    ['a number', { id: 7 }],
    ['a list', { id: ['alice'] }],
    ['a String object', { id: new String('alice') }],
    ['no id', {}],
    ['an inherited id', Object.create({ id: 'bob' })],
    ['an empty id', { id: '' }],
    ['true', true],
    ['undefined', undefined],
    ['text', 'bob'],
    ['[account]', [{ id: 'bob' }]],
  ])('a target that the look-up answers as %s: 503 (OWN-02, I9)', async (_, found) => {
    const rig = mount({ options: { target: () => found as never, mayReset: () => true } });
    await rig.enrol('bob');
    const token = await rig.own();
    expect((await rig.reset('bob', token).expect(503)).body).toEqual(refused('store_unavailable'));
    await expectNothingReset(rig, token);
    expect(rig.errors).toHaveLength(1);
    expect(rig.audited).toEqual([]);
  });

  it('a target of another organisation like one that does not exist (OWN-04)', async () => {
    const rig = mount();
    await rig.enrol('zed');
    const token = await rig.own();
    const other = await rig.reset('zed', token).expect(404);
    const nobody = await rig.reset('nobody', token).expect(404);
    expect(other.body).toEqual(refused('not_found'));
    expect(other.text).toBe(nobody.text);
    expect(Object.keys(other.headers).toSorted()).toEqual(Object.keys(nobody.headers).toSorted());
    expect(await rig.left('zed')).toEqual(['totp']);
    expect(rig.audited).toEqual([]);
  });

  it.each<[string, (rig: Rig) => Promise<string>]>([
    ['of six days ago', (rig) => rig.tokenOf('alice', { methods: ['otp'], agedSeconds: 518_400 })],
    ['of 301 seconds ago', (rig) => rig.tokenOf('alice', { methods: ['otp'], agedSeconds: 301 })],
    ['by the password alone', (rig) => rig.tokenOf('alice')],
  ])('a login %s (OWN-06)', async (_, tokenFor) => {
    const rig = mount();
    await rig.enrol('bob');
    await rig.own();
    const token = await tokenFor(rig);
    const { body, headers } = await rig.reset('bob', token).expect(401);
    expect(body).toEqual(stale);
    expect(headers['www-authenticate']).toContain('error="insufficient_user_authentication"');
    await expectNothingReset(rig, token);
  });

  it('an owner without a factor (OWN-06)', async () => {
    const rig = mount();
    await rig.enrol('bob');
    const token = await rig.logIn('alice');
    expect((await rig.reset('bob', token).expect(401)).body).toEqual(stale);
    await expectNothingReset(rig, token);
  });

  it('an owner who is none any more, by a token of before (OWN-07)', async () => {
    const rig = mount();
    await rig.enrol('bob');
    const token = await rig.own();
    const alice = rig.find('alice') as User;
    alice.role = 'member';
    rig.events.splice(0);
    expect((await rig.reset('bob', token).expect(403)).body).toEqual(refused('forbidden'));
    await expectNothingReset(rig, token);
    expect(rig.events).toEqual([
      { name: 'factors.reset_refused', account: 'alice', reason: 'not allowed', ...told },
    ]);
    expect(rig.audited).toEqual([]);
  });

  it('an owner who is gone, without asking what she may do', async () => {
    const [mayReset, target] = [jest.fn(() => true), jest.fn(() => ({ id: 'bob' }))];
    const rig = mount({ options: { mayReset, target } });
    await rig.enrol('bob');
    const token = await rig.own();
    rig.users.splice(0, 1);
    expect((await rig.reset('bob', token).expect(403)).body).toEqual(refused('forbidden'));
    expect([...mayReset.mock.calls, ...target.mock.calls]).toEqual([]);
    await expectNothingReset(rig, token);
  });

  it.each<readonly [string, () => unknown]>([
    ['"owner "', () => 'owner '],
    ['["owner"]', () => ['owner']],
    ...noFlags,
  ])('where mayReset answers %s: 503 (OWN-19, I9)', async (_, mayReset) => {
    const rig = mount({ options: { mayReset: mayReset as () => boolean } });
    await rig.enrol('bob');
    const token = await rig.own();
    const { body, headers } = await rig.reset('bob', token).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    await expectNothingReset(rig, token);
    expect(rig.errors).toHaveLength(1);
    expect(rig.audited).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['owner with a space', 'owner '],
    ['list', ['owner']],
    ['number', 1],
  ])('an actor whose role is an odd %s (OWN-19)', async (_, role) => {
    const rig = mount();
    await rig.enrol('bob');
    const token = await rig.own();
    const alice = rig.find('alice') as User;
    alice.role = role;
    await rig.reset('bob', token).expect(403);
    await expectNothingReset(rig, token);
    expect(rig.audited).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['as somebody else', () => ({ id: 'carol', role: 'owner' })],
    ['as a list', () => [{ id: 'alice', role: 'owner' }]],
    ['as nothing', () => undefined],
    ['by an error', () => Promise.reject(new Error('away'))],
  ])('where the actor is answered %s: 503 (I6, I9)', async (_, actor) => {
    const rig = mount({ options: { actor: actor as () => null, mayReset: () => true } });
    await rig.enrol('bob');
    const token = await rig.own();
    await rig.reset('bob', token).expect(503);
    await expectNothingReset(rig, token);
    expect(rig.errors).toHaveLength(1);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('disk full');
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
  ])('where the audit %s: 503, and nothing is reset (I14)', async (_, audit) => {
    const rig = mount({ options: { audit } });
    await rig.enrol('bob');
    const bobs = await rig.tokenOf('bob');
    const token = await rig.own();
    expect((await rig.reset('bob', token).expect(503)).body).toEqual(refused('store_unavailable'));
    await expectNothingReset(rig, token);
    expect(await rig.tokens.check(bobs)).not.toBeNull();
    expect(rig.errors).toEqual([new Error('disk full')]);
  });

  it.each(['actor', 'target', 'mayReset', 'audit'] as const)(
    'where %s never answers: 503 after five seconds, and nothing is reset (I9, I14)',
    async (name) => {
      const { hook, wasAsked } = silentHook();
      const rig = mount({ options: { [name]: hook } });
      await rig.enrol('bob');
      const bobs = await rig.tokenOf('bob');
      const token = await rig.own();
      expect(await withSilentHook(rig.reset('bob', token), wasAsked)).toEqual({
        status: 503,
        body: refused('store_unavailable'),
      });
      await expectNothingReset(rig, token);
      expect(await rig.tokens.check(bobs)).not.toBeNull();
    },
  );

  it('with what a hook throws for the client, as it is', async () => {
    const rig = mount({ options: { target: (ctx) => ctx.throw(400, 'a name is missing') } });
    await rig.enrol('bob');
    const token = await rig.own();
    const { text } = await rig.reset('bob', token).expect(400);
    expect(text).toBe('a name is missing');
    await expectNothingReset(rig, token);
  });

  it('where a hook is busy, as it says', async () => {
    const rig = mount({ options: { audit: () => Promise.reject(new Busy(7)) } });
    await rig.enrol('bob');
    const token = await rig.own();
    const { body, headers } = await rig.reset('bob', token).expect(429);
    expect(body).toEqual(refused('busy'));
    expect(headers['retry-after']).toBe('7');
    await expectNothingReset(rig, token);
  });

  it('a pending handle, and whoever has none (PND-13)', async () => {
    const rig = mount();
    await rig.enrol('bob');
    const token = await rig.own();
    const pending = await rig.ask('alice');
    for (const one of [undefined, pending, `${token}x`]) {
      expect((await rig.reset('bob', one).expect(401)).body).toEqual(refused('invalid_token'));
    }
    await rig.send('post', '/users/bob/second-factors/reset').send({ pending, token: pending }).expect(401);
    await rig.reset('bob').set('Cookie', `token=${pending}; portcullis_pending=${pending}`).expect(401);
    await expectNothingReset(rig, token);
  });

  it('headers and state that name another actor: they are ignored (OWN-17)', async () => {
    const rig = mount({
      first: (ctx, next) => {
        Object.assign(ctx.state, {
          user: { id: 'alice', role: 'owner' },
          auth: { account: { id: 'alice' } },
        });
        return next();
      },
    });
    await rig.enrol('carol');
    const token = await rig.own('bob');
    const forged = { 'X-User-Id': 'alice', 'X-Original-User': 'alice', 'X-Forwarded-User': 'alice' };
    for (const name of ['carol', 'alice']) await rig.reset(name, token).set(forged).expect(403);
    expect((await rig.reset('bob', token).set(forged).expect(403)).body).toEqual(
      refused('cannot_reset_self'),
    );
    expect(await rig.left('carol')).toEqual(['totp']);
    expect(rig.audited).toEqual([]);
  });

  it.each<[string, string]>([
    ['application/x-www-form-urlencoded', 'any=1'],
    ['multipart/form-data; boundary=x', '--x--'],
    ['text/plain', '{"any":1}'],
    ['application/jsonx', '{}'],
    ['', '{}'],
  ])('a body of type %j (ENR-07)', async (type, body) => {
    const rig = mount();
    await rig.enrol('bob');
    const token = await rig.own();
    const headers = { Authorization: `Bearer ${token}`, ...(type !== '' && { 'Content-Type': type }) };
    expect(await rig.sendRaw('POST', '/users/bob/second-factors/reset', headers, body)).toBe(415);
    await expectNothingReset(rig, token);
  });

  it.each<[string, Record<string, string>]>([
    ['another origin', { Origin: 'https://evil.example' }],
    ['no origin of its own', { Origin: 'null' }],
    ['another site', { 'Sec-Fetch-Site': 'cross-site' }],
  ])('a token that a cookie carries, from %s (ENR-08)', async (_, headers) => {
    const rig = mount({ first: tokenFromCookie });
    await rig.enrol('bob');
    const token = await rig.own();
    const carried = { ...headers, Cookie: `token=${token}` };
    expect((await rig.reset('bob').set(carried).expect(403)).body).toEqual(refused('csrf_rejected'));
    await expectNothingReset(rig, token);
    await rig.reset('bob', token).set(headers).expect(204);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    ['ctx.state.auth is forged', forgeState],
  ])('everything where %s (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ guarded: false, first });
    await rig.enrol('bob');
    const token = await rig.own();
    rig.events.splice(0);
    expect((await rig.reset('bob', token).expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^resetSecondFactors is out of order/), ...told },
    ]);
    await expectNothingReset(rig, token);
    expect(warned).toHaveBeenCalledTimes(1);
  });
});

describe('resetSecondFactors, where the store fails at one step,', () => {
  const steps: readonly (readonly [what: string, method: keyof Store, nth: number])[] = [
    ['reading what there is', 'readFactors', 1],
    ['ending the tokens', 'revokeTokens', 1],
    ['ending the first enrolment', 'takeChallenge', 1],
    ['ending the second enrolment', 'takeChallenge', 2],
    ['reading what to remove', 'readFactors', 2],
    ['removing the factors', 'writeFactors', 1],
    ['giving up a key', 'releaseCredential', 1],
    ['ending the tokens again', 'revokeTokens', 2],
  ];
  const cases = steps.flatMap((step) => faults.map(([how, fault]) => [...step, how, fault] as const));

  it.each(cases)('%s (%s, call %d, %s): 503, and no token outlives the factors', async (...given) => {
    const [, method, nth, , fault] = given;
    const rig = mount();
    await rig.enrol('bob');
    await rig.enrolKey('bob');
    const bobs = await rig.tokenOf('bob', { methods: ['otp'] });
    const token = await rig.own();
    rig.events.splice(0);
    let calls = 0;
    const sound = rig.sound[method] as (...args: unknown[]) => unknown;
    Object.assign(rig.store, {
      [method]: (...args: unknown[]) => {
        calls += 1;
        return calls === nth ? fault() : sound(...args);
      },
    });
    const start = performance.now();
    const { body, headers } = await rig.reset('bob', token).expect(503);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(calls).toBeGreaterThanOrEqual(nth);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
    const isAlive = (await rig.tokens.check(bobs)) !== null;
    expect(isAlive && (await rig.left('bob')).length === 0).toBe(false);

    Object.assign(rig.store, rig.sound);
    await rig.reset('bob', token).expect(204);
    expect(await rig.left('bob')).toEqual([]);
    expect(await rig.tokens.check(bobs)).toBeNull();
  });
});

describe('resetSecondFactors, in parallel with its target,', () => {
  it('confirming an authenticator: a whole factor or none, 50 times (RCE-16)', async () => {
    const outcomes = new Set<string>();
    for (let run = 0; run < 50; run += 1) {
      const rig = mount({ options: { factor: 'if_enrolled' } });
      const bobs = await rig.logIn('bob');
      const owners = await rig.logIn('alice');
      const begun = await rig.send('post', '/second-factors/totp', bobs).send({}).expect(200);
      const otp_token = rig.code((begun.body as { secret: string }).secret);
      const confirm = rig.send('post', '/second-factors/totp/confirm', bobs).send({ otp_token });
      const answers =
        run % 2 === 0 ? [rig.reset('bob', owners), confirm] : [confirm, rig.reset('bob', owners)];
      const [first, second] = await Promise.all(answers);
      const confirmed = run % 2 === 0 ? second : first;
      expect([201, 401]).toContain(confirmed?.status);
      expect([first?.status, second?.status]).toContain(204);
      const { factors, backupCodes } = await rig.factors.status({ id: 'bob' });
      expect(backupCodes === null).toBe(factors.length === 0);
      expect(await rig.tokens.check(bobs)).toBeNull();
      expect(rig.audited).toHaveLength(1);
      // A factor that is there now was confirmed after the reset, and the events say so in that order.
      const names = rig.events.map(({ name }) => name).filter((name) => name.startsWith('factor'));
      expect(names).toContain('factors.reset');
      expect(names.includes('factor.enrolled')).toBe(confirmed?.status === 201);
      outcomes.add(`${confirmed?.status} ${factors.length}`);
      expect(rig.errors).toEqual([]);
    }
    expect([...outcomes].filter((outcome) => !/^(?:401 0|201 [01])$/.test(outcome))).toEqual([]);
  });

  it('confirming an authenticator whose write comes after it: none is there afterwards (RCE-16)', async () => {
    const rig = mount({ options: { factor: 'if_enrolled' } });
    const [bobs, owners] = [await rig.logIn('bob'), await rig.logIn('alice')];
    const begun = await rig.send('post', '/second-factors/totp', bobs).send({}).expect(200);
    const otp_token = rig.code((begun.body as { secret: string }).secret);
    const reset = new EventEmitter();
    const waiting = once(reset, 'done');
    const isWriting = new Promise<void>((resolve) => {
      rig.store.writeFactors = async (...change) => {
        rig.store.writeFactors = (...later) => rig.sound.writeFactors(...later);
        resolve();
        await waiting;
        return rig.sound.writeFactors(...change);
      };
    });
    const confirm = rig.send('post', '/second-factors/totp/confirm', bobs).send({ otp_token });
    const confirmed = confirm.then(({ status }) => status);
    await isWriting;
    await rig.reset('bob', owners).expect(204);
    reset.emit('done');
    expect(await confirmed).toBe(401);
    expect(await rig.left('bob')).toEqual([]);
    expect((await rig.factors.status({ id: 'bob' })).backupCodes).toBeNull();
    expect(rig.events.map(({ name }) => name).filter((name) => name.startsWith('factor'))).toEqual([
      'factors.reset',
    ]);
    await rig.send('get', '/second-factors', bobs).expect(401);
  });

  it('logging in: no token from before the answer works after it (I7, RCE-14)', async () => {
    for (let run = 0; run < 20; run += 1) {
      const rig = mount({ options: { factor: 'if_enrolled' } });
      const { secret } = await rig.enrol('bob');
      const owners = await rig.logIn('alice');
      const pending = await rig.ask('bob');
      const otp_token = rig.code(secret);
      const [{ body, status }] = await Promise.all([
        rig.send('post', '/tokens/second-factor').send({ pending, otp_token }),
        rig.reset('bob', owners).expect(204),
      ]);
      expect([200, 401]).toContain(status);
      const { access_token: token = '' } = body as { access_token?: string };
      expect(await rig.tokens.check(token)).toBeNull();
    }
  });

  it('being reset by two owners: both are audited, and it ends well', async () => {
    const rig = mount();
    await rig.enrol('bob');
    const tokens = [await rig.own('alice'), await rig.own('carol')];
    await Promise.all(tokens.map((token) => rig.reset('bob', token).expect(204)));
    expect(await rig.left('bob')).toEqual([]);
    expect(rig.audited.map(({ actor }) => actor).toSorted()).toEqual(['alice', 'carol']);
  });

  it('two owners who reset each other: at most both, and each is audited', async () => {
    const rig = mount();
    const [alices, carols] = [await rig.own('alice'), await rig.own('carol')];
    const answers = await Promise.all([rig.reset('carol', alices), rig.reset('alice', carols)]);
    const done = answers.filter(({ status }) => status === 204);
    expect(done.length).toBeGreaterThan(0);
    expect(rig.audited.length).toBeGreaterThanOrEqual(done.length);
  });
});

describe('resetSecondFactors tells', () => {
  it('the audit, before anything is done, what there was, and never a secret (OWN-08, I10)', async () => {
    const then: unknown[] = [];
    const rig = mount({
      options: {
        async audit(row, ctx) {
          then.push(row, ctx.path, await rig.left('bob'));
        },
      },
    });
    const { secret, id, codes } = await rig.enrol('bob');
    const token = await rig.own();
    const createdAt = (await rig.factors.status({ id: 'bob' })).factors[0]?.createdAt;
    await rig.reset('bob', token).expect(204);
    expect(then).toEqual([
      {
        actor: 'alice',
        target: 'bob',
        factors: [{ id, type: 'totp', name: 'Authenticator app', createdAt, lastUsedAt: null }],
        time: rig.clock.now(),
        ip: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/),
      },
      '/users/bob/second-factors',
      ['totp'],
    ]);
    for (const kept of [secret, ...codes, token])
      expect(JSON.stringify([then, rig.events])).not.toContain(kept);
  });

  it('who reset whom, and how many factors went', async () => {
    const rig = mount();
    await rig.enrol('bob');
    await rig.enrolKey('bob');
    const token = await rig.own();
    rig.events.splice(0);
    await rig.reset('bob', token).expect(204);
    expect(rig.events).toEqual([
      { name: 'factors.reset', account: 'bob', actor: 'alice', count: 2, ...told },
    ]);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.reset('alice', await rig.own()).expect(403);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });

  it('its own name', () => {
    expect(resetSecondFactors(anyFactors(), { ...hooks, tokens: anyTokens }).name).toBe('resetSecondFactors');
  });
});

const anyTokens = new AccessTokens({ store: memoryStore() });
const hooks = { target: () => null, mayReset: () => false, audit: () => {} };

describe('resetSecondFactors rejects bad options', () => {
  const factors = anyFactors();
  const given = { ...hooks, tokens: anyTokens };
  const takes = 'it takes withinSeconds, factor, tokens, devices, actor, target, mayReset, audit';
  const owner = 'resetSecondFactors:';
  it.each<[unknown, unknown, string]>([
    [undefined, given, `${owner} the first argument must be made by new SecondFactors(), not undefined`],
    [factors, undefined, `${owner} option tokens must be made by new AccessTokens(), not undefined`],
    [
      factors,
      { ...given, tokens: {} },
      `${owner} option tokens must be made by new AccessTokens(), not an object`,
    ],
    [factors, { ...given, target: undefined }, `${owner} option target must be a function, not undefined`],
    [factors, { ...given, mayReset: true }, `${owner} option mayReset must be a function, not true`],
    [
      factors,
      { ...given, mayReset: undefined },
      `${owner} option mayReset must be a function, not undefined`,
    ],
    [factors, { ...given, audit: undefined }, `${owner} option audit must be a function, not undefined`],
    [factors, { ...given, actor: 'alice' }, `${owner} option actor must be a function, not "alice"`],
    [
      factors,
      { ...given, withinSeconds: 0 },
      `${owner} option withinSeconds must be a whole number from 1 to 86400, not 0`,
    ],
    [
      factors,
      { ...given, factor: 'no' },
      `${owner} option factor must be one of 'if_enrolled', 'always', 'never', not "no"`,
    ],
    [factors, { ...given, allowSelf: true }, `${owner} unknown option "allowSelf"; ${takes}`],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => resetSecondFactors(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and takes none from a polluted prototype (INP-06)', async () => {
    const polluted = { withinSeconds: 1e12, factor: 'never', actor: (id: string) => ({ id, role: 'owner' }) };
    for (const [name, value] of Object.entries(polluted))
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    try {
      const rig = mount();
      await rig.enrol('bob');
      const token = await rig.own();
      await rig.reset('bob', await rig.tokenOf('alice')).expect(401);
      expect(rig.audited).toEqual([]);
      rig.clock.advance(301);
      await rig.reset('bob', token).expect(401);
      await expectNothingReset(rig, token);
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    expect(() => resetSecondFactors(factors, Object.freeze({ ...given }))).not.toThrow();
    const options: Partial<ResetSecondFactorsOptions> & { mayReset?: () => boolean } = {
      mayReset: () => false,
    };
    const rig = mount({ options });
    options.mayReset = () => true;
    await rig.enrol('bob');
    const token = await rig.own();
    await rig.reset('bob', token).expect(403);
    await expectNothingReset(rig, token);
  });
});
