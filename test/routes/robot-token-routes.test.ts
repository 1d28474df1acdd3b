import { EventEmitter, once } from 'node:events';
import { describe, expect, it, jest } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import type { Account } from '../../src/core/account.js';
import { Busy } from '../../src/core/errors.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { RobotTokenChange } from '../../src/http/robot-tokens.js';
import { requireFreshLogin } from '../../src/middleware/require-fresh-login.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { revokeOtherTokens } from '../../src/middleware/revoke-other-tokens.js';
import { revokeToken } from '../../src/middleware/revoke-token.js';
import { resetSecondFactors } from '../../src/middleware/reset-second-factors.js';
import { robotTokenRoutes, type RobotTokenRoutesOptions } from '../../src/routes/robot-token-routes.js';
import { secondFactorRoutes } from '../../src/routes/second-factor-routes.js';
import { memoryStore } from '../../src/stores/memory.js';
import {
  anyFactors,
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

interface User extends Account {
  readonly org: string;
  role: unknown;
}

interface Setup {
  readonly options?: Partial<RobotTokenRoutesOptions>;
  readonly guarded?: boolean;
  readonly first?: AuthMiddleware;
}

const narrow = { name: 'Deploys', scope: 'deploy' };
const someId = 'A'.repeat(43);

/** alice and carol administer an organisation with the robots ci and bot; spy is another organisation's. */
function mount({ options, guarded = true, ...rest }: Setup = {}) {
  const users: User[] = [
    { id: 'alice', org: 'A', role: 'admin' },
    { id: 'carol', org: 'A', role: 'admin' },
    { id: 'bob', org: 'A', role: 'member' },
    { id: 'ci', org: 'A', role: 'robot' },
    { id: 'bot', org: 'A', role: 'robot' },
    { id: 'spy', org: 'B', role: 'robot' },
  ];
  const find = (id: unknown): User | null => users.find((user) => user.id === id) ?? null;
  const audited: RobotTokenChange[] = [];
  const rig = loginApp({
    ...rest,
    routes({ router, factors, tokens, guard, handler }) {
      const routes = robotTokenRoutes(tokens, {
        factors,
        actor: (id) => find(id),
        robot(ctx, actor) {
          const found = find((ctx as { params?: { id?: string } }).params?.id);
          return found?.role === 'robot' && found.org === (actor as User).org ? found : null;
        },
        mayManage: (actor) => (actor as User).role === 'admin',
        scopes: ['deploy', 'read'],
        audit: (row) => void audited.push(row),
        ...options,
      });
      const steps = guarded ? [guard] : [];
      router.use('/robots/:id/tokens', ...steps, routes.routes());
      router.get('/deploys', requireToken(tokens, { scope: 'deploy' }), handler);
      router.delete('/tokens', guard, revokeToken(tokens, { all: true }));
      router.delete('/tokens/current', guard, revokeToken(tokens));
      router.put('/profile', guard, revokeOtherTokens(tokens), handler);
      router.put('/password', guard, requireFreshLogin(factors, { factor: 'never' }), handler);
      router.use('/second-factors', guard, secondFactorRoutes(factors).routes());
      const hooks = { target: () => ({ id: 'bob' }), mayReset: () => true, audit: () => {} };
      const reset = resetSecondFactors(factors, { tokens, ...hooks, factor: 'never' });
      router.delete('/users/bob/second-factors', guard, reset);
    },
  });
  /** A token of an administrator who has just logged in with an authenticator. */
  const own = async (name = 'alice'): Promise<string> => {
    const token = await rig.logInStrongly(name);
    rig.events.splice(0);
    return token;
  };
  const issue = (token?: string, body: unknown = narrow, name = 'ci') =>
    rig.send('post', `/robots/${name}/tokens`, token).send(body as object);
  const list = (token?: string, name = 'ci') => rig.send('get', `/robots/${name}/tokens`, token);
  const end = (id: string, token?: string, name = 'ci') =>
    rig.send('delete', `/robots/${name}/tokens/${id}`, token);
  /** A token of a robot, past the routes. */
  const robot = (id = 'ci') => rig.tokens.issueToRobot({ id }, { ...narrow, issuer: 'carol' });
  const idsOf = async (id: string): Promise<string[]> =>
    (await rig.tokens.list({ id })).map((token) => token.id);
  return { ...rig, users, find, audited, own, issue, list, end, robot, idsOf };
}

type Rig = ReturnType<typeof mount>;

type Sent = (rig: Rig, token: string | undefined, id: string) => ReturnType<Rig['issue']>;

/** Each change, tried with the id of a token that is there. */
const everyChange: readonly (readonly [string, Sent])[] = [
  ['an issue', (rig, token) => rig.issue(token)],
  ['an end', (rig, token, id) => rig.end(id, token)],
];
const every: typeof everyChange = [...everyChange, ['a list', (rig, token) => rig.list(token)]];

/** Nothing was issued or ended, and nothing was written to the audit. */
async function expectNothingDone(rig: Rig, id: string): Promise<void> {
  expect(await rig.idsOf('ci')).toEqual([id]);
  expect(rig.audited).toEqual([]);
  expect(rig.events.map(({ name }) => name)).not.toContain('token.issued');
  expect(rig.events.map(({ name }) => name)).not.toContain('token.revoked');
}

describe('robotTokenRoutes let through', () => {
  it('an administrator, who issues a narrow token to a robot', async () => {
    const rig = mount();
    const token = await rig.own();
    const { body, headers } = await rig.issue(token, { ...narrow, lifetime_seconds: 3600 }).expect(201);
    const { access_token: robots, id } = body as { access_token: string; id: string };
    expect(body).toEqual({
      access_token: expect.stringMatching(/^pcat_/),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'deploy',
      id: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      name: 'Deploys',
      created_at: '2030-01-01T00:02:00.000Z',
      expires_at: '2030-01-01T01:02:00.000Z',
    });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    await rig.send('get', '/deploys', robots).expect(200);
    expect(await rig.tokens.check(robots)).toMatchObject({
      account: { id: 'ci' },
      methods: [],
      authTime: 0,
      token: { id, name: 'Deploys', scope: 'deploy', issuer: 'alice', address: expect.stringMatching(/\d/) },
    });
    rig.clock.advance(3600);
    await rig.send('get', '/deploys', robots).expect(401);
  });

  it('an administrator, who lists the tokens of one robot, also without a fresh login', async () => {
    const rig = mount();
    const token = await rig.own();
    const { body } = await rig.issue(token).expect(201);
    await rig.issue(token, narrow, 'bot').expect(201);
    rig.clock.advance(86_400);
    const listed = await rig.list(token).expect(200);
    const { id, created_at, expires_at } = body as Record<string, string>;
    expect(listed.headers['cache-control']).toBe('no-store');
    expect(listed.body).toEqual({
      tokens: [
        {
          id,
          name: 'Deploys',
          scope: 'deploy',
          created_at,
          last_used_at: null,
          expires_at,
          address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/),
          methods: [],
          carried_by: 'bearer',
          client: null,
          issued_by: 'alice',
          current: false,
        },
      ],
    });
  });

  it("an administrator, who ends a robot's token, also one that another has issued", async () => {
    const rig = mount();
    const { secret, facts } = await rig.robot();
    const other = await rig.robot();
    const { text, headers } = await rig.end(facts.token.id, await rig.own()).expect(204);
    expect([text, headers['cache-control']]).toEqual(['', 'no-store']);
    await rig.send('get', '/deploys', secret).expect(401);
    await rig.send('get', '/deploys', other.secret).expect(200);
  });

  it.each<[string, object, number]>([
    ['the longest time where it names none', {}, 7200],
    ['the longest time', { lifetime_seconds: 7200 }, 7200],
    ['a second', { lifetime_seconds: 1 }, 1],
  ])('a token of %s', async (_, more, expires_in) => {
    const rig = mount({ options: { longestSeconds: 7200 } });
    const { body } = await rig.issue(await rig.own(), { ...narrow, ...more }).expect(201);
    expect(body).toMatchObject({ expires_in });
  });

  it('several scope values of the list, and seven days without a limit of the app', async () => {
    const rig = mount();
    const { body } = await rig.issue(await rig.own(), { ...narrow, scope: 'read deploy' }).expect(201);
    expect(body).toMatchObject({ scope: 'read deploy', expires_in: 604_800 });
  });

  it('the account of the token as it is, where no actor is looked up', async () => {
    const asked: unknown[] = [];
    const mayManage: RobotTokenRoutesOptions['mayManage'] = (actor, robot, ctx) => {
      asked.push([actor, robot, ctx.method]);
      return true;
    };
    const rig = mount({
      options: { actor: undefined as never, mayManage, robot: async () => ({ id: 'ci' }) },
    });
    await rig.issue(await rig.own()).expect(201);
    expect(asked).toEqual([[{ id: 'alice' }, { id: 'ci' }, 'POST']]);
  });

  it('a login without a factor, where the options say so', async () => {
    const rig = mount({ options: { factor: 'if_enrolled', withinSeconds: 10 } });
    const token = await rig.logIn('alice');
    await rig.issue(token).expect(201);
    rig.clock.advance(11);
    await rig.issue(token).expect(401);
    expect(rig.audited).toHaveLength(1);
  });
});

describe('robotTokenRoutes refuse', () => {
  it("a robot's token everywhere, and so does all that needs a login (I15)", async () => {
    const rig = mount();
    await rig.enrol('bob');
    // A robot that may do all that the app's own hooks decide.
    rig.users.push({ id: 'root', org: 'A', role: 'admin' });
    const { secret, facts } = await rig.robot();
    const root = (await rig.robot('root')).secret;
    for (const [, send] of every) {
      for (const token of [secret, root]) {
        rig.events.splice(0);
        const { body } = await send(rig, token, facts.token.id).expect(403);
        expect(body).toEqual(refused('forbidden'));
        expect(rig.events).toMatchObject([{ name: 'tokens.access_refused', reason: 'token of a robot' }]);
      }
    }
    await expectNothingDone(rig, facts.token.id);
    for (const [method, path] of [
      ['get', '/second-factors'],
      ['delete', '/tokens'],
      ['put', '/profile'],
    ] as const) {
      const { body } = await rig.send(method, path, root).expect(403);
      expect(body).toEqual(refused('forbidden'));
    }
    expect(rig.reached).toEqual([]);
    for (const [method, path] of [
      ['put', '/password'],
      ['post', '/second-factors/totp'],
      ['post', '/second-factors/backup-codes'],
      ['delete', `/second-factors/${someId}`],
      ['delete', '/users/bob/second-factors'],
    ] as const) {
      expect((await rig.send(method, path, root).expect(401)).body).toEqual(stale);
    }
    expect((await rig.factors.status({ id: 'bob' })).factors).toHaveLength(1);
    expect(rig.reached).toEqual([]);
    // What it may do is end itself.
    await rig.send('delete', '/tokens/current', root).expect(204);
    expect(await rig.tokens.check(root)).toBeNull();
    expect(await rig.tokens.check(secret)).not.toBeNull();
  });

  it('an issue that a revocation of its administrator overtook while the audit was asked (RCE-14)', async () => {
    const rig: Rig = mount({
      options: { audit: async () => void (await rig.tokens.revokeAll({ id: 'alice' })) },
    });
    const { body, headers } = await rig.issue(await rig.own()).expect(401);
    expect(body).toEqual(refused('invalid_token'));
    expect(headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    expect(await rig.tokens.list({ id: 'ci' })).toEqual([]);
  });

  it.each<[string, (rig: Rig) => Promise<string>]>([
    ['of six days ago', (rig) => rig.tokenOf('alice', { methods: ['otp'], agedSeconds: 518_400 })],
    ['of 301 seconds ago', (rig) => rig.tokenOf('alice', { methods: ['otp'], agedSeconds: 301 })],
    ['by the password alone', (rig) => rig.tokenOf('alice')],
  ])('a change by a login %s (OWN-06)', async (_, tokenFor) => {
    const rig = mount();
    const { facts } = await rig.robot();
    await rig.own();
    const token = await tokenFor(rig);
    for (const [, send] of everyChange) {
      const { body, headers } = await send(rig, token, facts.token.id).expect(401);
      expect(body).toEqual(stale);
      expect(headers['www-authenticate']).toContain('error="insufficient_user_authentication"');
    }
    await expectNothingDone(rig, facts.token.id);
  });

  it('a change by an administrator without a factor (OWN-06)', async () => {
    const rig = mount();
    const { facts } = await rig.robot();
    const token = await rig.logIn('alice');
    for (const [, send] of everyChange)
      expect((await send(rig, token, facts.token.id).expect(401)).body).toEqual(stale);
    expect([await rig.idsOf('ci'), rig.audited]).toEqual([[facts.token.id], []]);
  });

  const uuid = '7f0c1d3e-52a4-4b6f-9c8d-0e1f2a3b4c5d';
  it.each<[string, string, string]>([
    ['as she is', 'alice', 'alice'],
    ['in capitals', 'alice', 'ALICE'],
    ['by an upper-case UUID', uuid, uuid.toUpperCase()],
    ['padded', 'alice', ' alice\u00A0'],
    ['in full-width letters', 'alice', 'ａｌｉｃｅ'],
    ['decomposed', 'zoë', 'zoe\u0308'],
  ])('an administrator who names herself %s as a robot (OWN-02, I14)', async (_, self, found) => {
    const rig = mount({
      options: { actor: (id) => ({ id }), robot: () => ({ id: found }), mayManage: () => true },
    });
    const token = await rig.own(self);
    const before = await rig.idsOf(self);
    for (const [, send] of every) {
      rig.events.splice(0);
      expect((await send(rig, token, before[0] ?? '').expect(403)).body).toEqual(refused('forbidden'));
      expect(rig.events).toEqual([
        { name: 'tokens.access_refused', account: self, reason: 'own account', ...told },
      ]);
    }
    expect(await rig.idsOf(self)).toEqual(before);
    expect(rig.audited).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['a number', { id: 7 }],
    ['a list', { id: ['ci'] }],
    ['no id', {}],
    ['an inherited id', Object.create({ id: 'ci' })],
    ['true', true],
    ['undefined', undefined],
    ['text', 'ci'],
    ['[account]', [{ id: 'ci' }]],
  ])('a robot that the look-up answers as %s: 503 (OWN-02, I9)', async (_, found) => {
    const rig = mount({ options: { robot: () => found as never, mayManage: () => true } });
    const { facts } = await rig.robot();
    const token = await rig.own();
    for (const [, send] of every)
      expect((await send(rig, token, facts.token.id).expect(503)).body).toEqual(refused('store_unavailable'));
    await expectNothingDone(rig, facts.token.id);
    expect(rig.errors).toHaveLength(every.length);
  });

  it('a robot of others, a person and nobody alike (OWN-04)', async () => {
    const rig = mount();
    const spies = await rig.robot('spy');
    const token = await rig.own();
    const answers = [];
    for (const name of ['spy', 'bob', 'nobody']) {
      answers.push(await rig.issue(token, narrow, name).expect(404));
      answers.push(await rig.list(token, name).expect(404));
      answers.push(await rig.end(spies.facts.token.id, token, name).expect(404));
    }
    expect(answers[0]?.body).toEqual(refused('not_found'));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await rig.idsOf('spy')).toHaveLength(1);
    expect(rig.audited).toEqual([]);
  });

  it("a token that is not this robot's, unknown, ended or none: the same bytes (TOK-18)", async () => {
    const rig = mount();
    const [bots, alices] = [await rig.robot('bot'), await rig.tokenOf('alice')];
    const { facts } = await rig.robot();
    const token = await rig.own();
    const gone = facts.token.id;
    await rig.end(gone, token).expect(204);
    const notIts = (await rig.tokens.check(alices))?.token.id ?? '';
    const answers = [];
    for (const id of [gone, bots.facts.token.id, notIts, someId, 'x', '%00', '%E0%A4%A'])
      answers.push(await rig.end(id, token).expect(404));
    expect(answers[0]?.body).toEqual(refused('not_found'));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(rig.audited).toHaveLength(1);
    expect([await rig.idsOf('bot'), (await rig.idsOf('alice')).includes(notIts)]).toEqual([
      [bots.facts.token.id],
      true,
    ]);
  });

  it('an administrator who is none any more, or gone, by a token of before (OWN-07)', async () => {
    const rig = mount();
    const { facts } = await rig.robot();
    const token = await rig.own();
    (rig.find('alice') as User).role = 'member';
    for (const [, send] of every) {
      rig.events.splice(0);
      expect((await send(rig, token, facts.token.id).expect(403)).body).toEqual(refused('forbidden'));
      expect(rig.events).toEqual([
        { name: 'tokens.access_refused', account: 'alice', reason: 'not allowed', ...told },
      ]);
    }
    rig.users.splice(0, 1);
    for (const [, send] of every) await send(rig, token, facts.token.id).expect(403);
    await expectNothingDone(rig, facts.token.id);
  });

  it.each<readonly [string, () => unknown]>([
    ['"admin "', () => 'admin '],
    ['["admin"]', () => ['admin']],
    ...noFlags,
  ])('where mayManage answers %s: 503 (OWN-19, I9)', async (_, mayManage) => {
    const rig = mount({ options: { mayManage: mayManage as () => boolean } });
    const { facts } = await rig.robot();
    const token = await rig.own();
    for (const [, send] of every)
      expect((await send(rig, token, facts.token.id).expect(503)).body).toEqual(refused('store_unavailable'));
    await expectNothingDone(rig, facts.token.id);
    expect(rig.errors).toHaveLength(every.length);
  });

  it.each<[string, () => unknown]>([
    ['as somebody else', () => ({ id: 'carol', role: 'admin' })],
    ['as nothing', () => undefined],
    ['by an error', () => Promise.reject(new Error('away'))],
  ])('where the actor is answered %s: 503 (I6, I9)', async (_, actor) => {
    const rig = mount({ options: { actor: actor as () => null, mayManage: () => true } });
    const { facts } = await rig.robot();
    const token = await rig.own();
    for (const [, send] of every)
      expect((await send(rig, token, facts.token.id).expect(503)).body).toEqual(refused('store_unavailable'));
    await expectNothingDone(rig, facts.token.id);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('disk full');
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
  ])('where the audit %s: 503, and nothing is done (I14)', async (_, audit) => {
    const rig = mount({ options: { audit } });
    const { facts } = await rig.robot();
    const token = await rig.own();
    for (const [, send] of everyChange)
      expect((await send(rig, token, facts.token.id).expect(503)).body).toEqual(refused('store_unavailable'));
    await expectNothingDone(rig, facts.token.id);
    expect(rig.errors).toEqual([new Error('disk full'), new Error('disk full')]);
  });

  it.each(['actor', 'robot', 'mayManage', 'audit'] as const)(
    'where %s never answers: 503 after five seconds, and nothing is done (I9, I14)',
    async (name) => {
      for (const [, send] of everyChange) {
        const { hook, wasAsked } = silentHook();
        const rig = mount({ options: { [name]: hook } });
        const { facts } = await rig.robot();
        const test = send(rig, await rig.own(), facts.token.id);
        expect(await withSilentHook(test, wasAsked)).toEqual({
          status: 503,
          body: refused('store_unavailable'),
        });
        await expectNothingDone(rig, facts.token.id);
      }
    },
  );

  it('with what a hook throws for the client, and busy, as they say', async () => {
    const client = mount({ options: { robot: (ctx) => ctx.throw(400, 'a name is missing') } });
    expect((await client.issue(await client.own()).expect(400)).text).toBe('a name is missing');
    const busy = mount({ options: { audit: () => Promise.reject(new Busy(7)) } });
    const { headers } = await busy.issue(await busy.own()).expect(429);
    expect(headers['retry-after']).toBe('7');
    expect(await busy.idsOf('ci')).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['no name', { scope: 'deploy' }],
    ['an empty name', { name: '', scope: 'deploy' }],
    ['a blank name', { name: '  ', scope: 'deploy' }],
    ['a name of two lines', { name: 'a\nb', scope: 'deploy' }],
    ['half a character for a name', { name: '\uD800', scope: 'deploy' }],
    ['a name of 256 bytes', { name: '👩'.repeat(64), scope: 'deploy' }],
    ['a number for a name', { name: 7, scope: 'deploy' }],
    ['a list for a name', { name: ['x'], scope: 'deploy' }],
    ['no scope', { name: 'x' }],
    ['an empty scope', { name: 'x', scope: '' }],
    ['a scope that is not in the list', { name: 'x', scope: 'admin' }],
    ['a scope of which one value is not in the list', { name: 'x', scope: 'deploy admin' }],
    ['a scope in capitals', { name: 'x', scope: 'DEPLOY' }],
    ['a scope with two spaces', { name: 'x', scope: 'deploy  read' }],
    ['a scope with a space around', { name: 'x', scope: ' deploy' }],
    ['a scope with a tab', { name: 'x', scope: 'deploy\tread' }],
    ['a list for a scope', { name: 'x', scope: ['deploy'] }],
    ['an object for a scope', { name: 'x', scope: { includes: true } }],
    ['a lifetime of nothing', { ...narrow, lifetime_seconds: 0 }],
    ['a negative lifetime', { ...narrow, lifetime_seconds: -1 }],
    ['a lifetime over the limit', { ...narrow, lifetime_seconds: 7201 }],
    ['a lifetime over seven days', { ...narrow, lifetime_seconds: 604_801 }],
    ['a fraction of a second', { ...narrow, lifetime_seconds: 1.5 }],
    ['text for a lifetime', { ...narrow, lifetime_seconds: '60' }],
    ['null for a lifetime', { ...narrow, lifetime_seconds: null }],
    ['a list', [narrow]],
  ])('%s: 400, and nothing is issued (INP-01, TOK-01)', async (_, body) => {
    const rig = mount({ options: { longestSeconds: 7200 } });
    expect((await rig.issue(await rig.own(), body).expect(400)).body).toEqual(refused('invalid_request'));
    expect([await rig.idsOf('ci'), rig.audited]).toEqual([[], []]);
  });

  it('nothing that a body adds: it is ignored (ENR-15, INP-04, INP-05)', async () => {
    const rig = mount();
    const token = await rig.own();
    const more = {
      account: 'bob',
      robot: 'bot',
      issuer: 'carol',
      methods: ['otp'],
      authTime: 2e9,
      confirmed: true,
    };
    const { body } = await rig.issue(token, { ...more, ...narrow }).expect(201);
    const { access_token: robots } = body as { access_token: string };
    expect(await rig.tokens.check(robots)).toMatchObject({
      account: { id: 'ci' },
      methods: [],
      authTime: 0,
      token: { issuer: 'alice', scope: 'deploy' },
    });
  });

  it('what a lax parser makes of __proto__ and constructor (INP-04, INP-05)', async () => {
    const polluted = '{"__proto__":{"name":"x","scope":"deploy"},"constructor":{"prototype":{"x":1}}}';
    const rig = mount({
      first: (ctx, next) => {
        if (ctx.path.startsWith('/robots')) Object.assign(ctx.request, { body: JSON.parse(polluted) });
        return next();
      },
    });
    await rig.issue(await rig.own()).expect(400);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
    expect(await rig.idsOf('ci')).toEqual([]);
  });

  it('a pending handle, and whoever has none (PND-13)', async () => {
    const rig = mount();
    const { facts } = await rig.robot();
    await rig.own();
    const pending = await rig.ask('alice');
    for (const token of [undefined, pending]) {
      for (const [, send] of every)
        expect((await send(rig, token, facts.token.id).expect(401)).body).toEqual(refused('invalid_token'));
    }
    await expectNothingDone(rig, facts.token.id);
  });

  it('headers and state that name another actor: they are ignored (OWN-17)', async () => {
    const rig = mount({
      first: (ctx, next) => {
        Object.assign(ctx.state, { user: { id: 'alice' }, auth: { account: { id: 'alice' } } });
        return next();
      },
    });
    const { facts } = await rig.robot();
    const token = await rig.own('bob');
    const forged = { 'X-User-Id': 'alice', 'X-Original-User': 'alice', 'X-Forwarded-User': 'alice' };
    for (const [, send] of every) {
      const { body } = await send(rig, token, facts.token.id).set(forged).expect(403);
      expect(body).toEqual(refused('forbidden'));
    }
    await expectNothingDone(rig, facts.token.id);
  });

  it.each<[string, string]>([
    ['application/x-www-form-urlencoded', 'name=x&scope=deploy'],
    ['multipart/form-data; boundary=x', '--x--'],
    ['text/plain', JSON.stringify(narrow)],
    ['application/jsonx', JSON.stringify(narrow)],
    ['', JSON.stringify(narrow)],
  ])('a body of type %j (ENR-07)', async (type, body) => {
    const rig = mount();
    const token = await rig.own();
    const headers = { Authorization: `Bearer ${token}`, ...(type !== '' && { 'Content-Type': type }) };
    expect(await rig.sendRaw('POST', '/robots/ci/tokens', headers, body)).toBe(415);
    expect([await rig.idsOf('ci'), rig.audited]).toEqual([[], []]);
  });

  it.each<[string, Record<string, string>]>([
    ['another origin', { Origin: 'https://evil.example' }],
    ['no origin of its own', { Origin: 'null' }],
    ['another site', { 'Sec-Fetch-Site': 'cross-site' }],
  ])('a change by a token that a cookie carries, from %s (ENR-08)', async (_, headers) => {
    const rig = mount({ first: tokenFromCookie });
    const { facts } = await rig.robot();
    const token = await rig.own();
    const carried = { ...headers, Cookie: `token=${token}` };
    for (const [, send] of everyChange) {
      const { body } = await send(rig, undefined, facts.token.id).set(carried).expect(403);
      expect(body).toEqual(refused('csrf_rejected'));
    }
    await expectNothingDone(rig, facts.token.id);
    await rig.issue(token).set(headers).expect(201);
    await rig.end(facts.token.id, token).set(headers).expect(204);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    ['ctx.state.auth is forged', forgeState],
  ])('everything where %s (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ guarded: false, first });
    const { facts } = await rig.robot();
    const token = await rig.own();
    for (const [, send] of every)
      expect((await send(rig, token, facts.token.id).expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^robotTokenRoutes is out of order/), ...told },
    ]);
    await expectNothingDone(rig, facts.token.id);
    expect(warned).toHaveBeenCalledTimes(1);
  });

  const operations = [
    ['an issue', 'issueToken'],
    ['an end', 'listTokens'],
    ['an end', 'revokeToken'],
    ['a list', 'listTokens'],
  ] as const;
  const cases = operations.flatMap((one) => faults.map(([how, fault]) => [...one, how, fault] as const));
  it.each(cases)('%s, where %s %s: 503, and nothing is told as done (I9)', async (...given) => {
    const [what, operation, , fault] = given;
    const rig = mount();
    const { facts } = await rig.robot();
    const token = await rig.own();
    const send = every.find(([name]) => name === what)?.[1];
    Object.assign(rig.store, { [operation]: fault });
    const answer = await send?.(rig, token, facts.token.id);
    expect([answer?.status, answer?.body]).toEqual([503, refused('store_unavailable')]);
    expect(answer?.headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });
});

describe('robotTokenRoutes, in parallel,', () => {
  it('end one token once: one answer is 204, the other 404 (TOK-18)', async () => {
    const both = new EventEmitter();
    let asked = 0;
    const rig = mount({
      options: {
        // Both have found the token before either ends it.
        async audit() {
          asked += 1;
          if (asked === 1) await once(both, 'asked');
          else both.emit('asked');
        },
      },
    });
    const { facts } = await rig.robot();
    const tokens = [await rig.own('alice'), await rig.own('carol')];
    const answers = await Promise.all(tokens.map((token) => rig.end(facts.token.id, token)));
    expect(asked).toBe(2);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 404]);
    expect(answers.find(({ status }) => status === 404)?.body).toEqual(refused('not_found'));
    expect(rig.events.map(({ name }) => name)).toEqual(['token.revoked']);
  });
});

describe('robotTokenRoutes tell', () => {
  it('the audit, before anything is done, who changes what, and never a secret (ENR-14, I10)', async () => {
    const then: unknown[] = [];
    const rig = mount({
      options: {
        async audit(row, ctx) {
          then.push(row, ctx.method, (await rig.idsOf('ci')).length);
        },
      },
    });
    const token = await rig.own();
    const { body } = await rig.issue(token).expect(201);
    const { id, access_token: robots } = body as { id: string; access_token: string };
    await rig.end(id, token).expect(204);
    const row = {
      actor: 'alice',
      robot: 'ci',
      name: 'Deploys',
      scope: 'deploy',
      time: rig.clock.now(),
      ip: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/),
    };
    expect(then).toEqual([
      { action: 'issue', token: null, ...row },
      'POST',
      0,
      { action: 'revoke', token: id, ...row },
      'DELETE',
      1,
    ]);
    expect(rig.events).toEqual([
      { name: 'token.issued', account: 'ci', token: id, scope: 'deploy', issuer: 'alice', ...told },
      { name: 'token.revoked', account: 'ci', token: id, actor: 'alice', ...told },
    ]);
    for (const secret of [token, robots]) expect(JSON.stringify([then, rig.events])).not.toContain(secret);
  });

  it('the secret once, and nothing to be kept or to go elsewhere (TOK-25, ENR-19, I10)', async () => {
    const rig = mount();
    const token = await rig.own();
    const issued = await rig.issue(token).expect(201);
    const listed = await rig.list(token).expect(200);
    expect(listed.text).not.toMatch(/pc(?:at|ss|pl)_/);
    for (const { headers } of [issued, listed]) {
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['location']).toBeUndefined();
    }
  });

  it('their refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.end(someId, await rig.own()).expect(404);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });
});

describe('robotTokenRoutes reject bad options', () => {
  const tokens = new AccessTokens({ store: memoryStore() });
  const given = {
    factors: anyFactors(),
    robot: () => null,
    mayManage: () => false,
    scopes: ['deploy'],
    audit: () => {},
  };
  const owner = 'robotTokenRoutes:';
  const takes =
    'it takes withinSeconds, factor, factors, actor, robot, mayManage, scopes, audit, longestSeconds';
  const list = 'a list of one or more scope values';
  it.each<[unknown, unknown, string]>([
    [undefined, given, `${owner} the first argument must be made by new AccessTokens(), not undefined`],
    [tokens, undefined, `${owner} option factors must be made by new SecondFactors(), not undefined`],
    [
      tokens,
      { ...given, factors: {} },
      `${owner} option factors must be made by new SecondFactors(), not an object`,
    ],
    [tokens, { ...given, actor: 'alice' }, `${owner} option actor must be a function, not "alice"`],
    [tokens, { ...given, robot: undefined }, `${owner} option robot must be a function, not undefined`],
    [tokens, { ...given, mayManage: true }, `${owner} option mayManage must be a function, not true`],
    [
      tokens,
      { ...given, mayManage: undefined },
      `${owner} option mayManage must be a function, not undefined`,
    ],
    [tokens, { ...given, audit: undefined }, `${owner} option audit must be a function, not undefined`],
    [tokens, { ...given, scopes: undefined }, `${owner} option scopes must be ${list}, not undefined`],
    [tokens, { ...given, scopes: [] }, `${owner} option scopes must be ${list}, not an array of 0`],
    [tokens, { ...given, scopes: ['a b'] }, `${owner} option scopes must be ${list}, not an array of 1`],
    [tokens, { ...given, scopes: ['a', ''] }, `${owner} option scopes must be ${list}, not an array of 2`],
    [tokens, { ...given, scopes: 'deploy' }, `${owner} option scopes must be ${list}, not "deploy"`],
    [
      tokens,
      { ...given, longestSeconds: 604_801 },
      `${owner} option longestSeconds must be a whole number from 1 to 604800, not 604801`,
    ],
    [
      tokens,
      { ...given, withinSeconds: 0 },
      `${owner} option withinSeconds must be a whole number from 1 to 86400, not 0`,
    ],
    [
      tokens,
      { ...given, factor: 'no' },
      `${owner} option factor must be one of 'if_enrolled', 'always', 'never', not "no"`,
    ],
    [tokens, { ...given, allowSelf: true }, `${owner} unknown option "allowSelf"; ${takes}`],
  ])('by name, when they are made %#', (core, options, message) => {
    expect(() => robotTokenRoutes(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and take none from a polluted prototype (INP-06)', async () => {
    const polluted = {
      withinSeconds: 1e12,
      factor: 'never',
      longestSeconds: 5,
      actor: (id: string) => ({ id, role: 'admin' }),
      lifetime_seconds: 7,
      scope: 'deploy',
    };
    for (const [name, value] of Object.entries(polluted))
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    try {
      const rig = mount();
      const token = await rig.own();
      const { body } = await rig.issue(token).expect(201);
      expect(body).toMatchObject({ expires_in: 604_800 });
      await rig.issue(token, { name: 'x' }).expect(400);
      await rig.issue(await rig.tokenOf('alice')).expect(401);
      rig.clock.advance(301);
      await rig.issue(token).expect(401);
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('and leave them as they were, and are not changed by them afterwards (CFG-13)', async () => {
    const frozen = Object.freeze({ ...given, scopes: Object.freeze(['deploy']) });
    expect(() => robotTokenRoutes(tokens, frozen)).not.toThrow();
    const scopes = ['deploy'];
    const rig = mount({ options: { scopes } });
    scopes.push('admin');
    await rig.issue(await rig.own(), { name: 'x', scope: 'admin' }).expect(400);
  });
});
