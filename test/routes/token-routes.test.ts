import { describe, expect, it, jest } from '@jest/globals';
import type { Response } from 'supertest';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import { tokenRoutes } from '../../src/routes/token-routes.js';
import type { Store } from '../../src/stores/memory.js';
import { memoryStore } from '../../src/stores/memory.js';
import { faults, forgeState, loginApp, refused, type LoginAppOptions } from '../rig/login-app.js';
import { password } from '../rig/login-chain.js';
import { told } from '../rig/told.js';

type Setup = Partial<LoginAppOptions>;

interface Row {
  readonly id: string;
  readonly current: boolean;
  readonly [field: string]: unknown;
}

/** The routes at `/own/tokens`, as the quick start has its login at `/tokens`. */
function mount(setup: Setup = {}) {
  const rig = loginApp({
    routes: ({ router, tokens, guard }) => router.use('/own/tokens', guard, tokenRoutes(tokens).routes()),
    ...setup,
  });
  const at = (method: 'get' | 'delete', path: string, token?: string) =>
    rig.send(method, `/own/tokens${path}`, token);
  const rows = async (token: string): Promise<Row[]> =>
    ((await at('get', '', token).expect(200)).body as { tokens: Row[] }).tokens;
  const idOf = async (token: string): Promise<string> => (await rig.tokens.check(token))?.token.id ?? '';
  const isLive = async (token: string): Promise<boolean> => (await rig.tokens.check(token)) !== null;
  const robot = async (id = 'alice'): Promise<string> => {
    const grant = { name: 'ci', scope: 'deploy', issuer: 'carol' };
    return (await rig.tokens.issueToRobot({ id }, grant)).secret;
  };
  /** The events so far are not what a test is about. */
  const quiet = (): void => void rig.events.splice(0);
  return { ...rig, at, rows, idOf, isLive, robot, quiet };
}

const someId = 'A'.repeat(43);
const all = [
  ['get', ''],
  ['delete', '/current'],
  ['delete', '/others'],
  ['delete', `/${someId}`],
] as const;

/** Of answers that race, in ascending order. */
function statusesOf(answers: readonly { readonly status: number }[]): number[] {
  return answers.map(({ status }) => status).toSorted((a, b) => a - b);
}

function headersOf({ headers }: Response): string[] {
  return Object.keys(headers).toSorted();
}

describe('tokenRoutes let through', () => {
  it('an account to see its live tokens, where each came from and which one asks', async () => {
    const rig = mount();
    const { secret } = await rig.enrol('alice');
    await rig.tokens.issueToRobot(
      { id: 'alice' },
      { name: 'ci', scope: 'deploy read', issuer: 'carol', lifetimeSeconds: 3600, address: '192.0.2.7' },
    );
    await rig.logIn('bob');
    rig.clock.advance(60);
    const token = await rig.logIn('alice', rig.code(secret));
    rig.clock.advance(60);
    const { body, headers } = await rig.at('get', '', token).expect(200);
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(body).toEqual({
      tokens: [
        {
          id: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
          name: 'ci',
          scope: 'deploy read',
          created_at: '2030-01-01T00:01:00.000Z',
          last_used_at: null,
          expires_at: '2030-01-01T01:01:00.000Z',
          address: '192.0.2.7',
          methods: [],
          carried_by: 'bearer',
          client: null,
          issued_by: 'carol',
          current: false,
        },
        {
          id: await rig.idOf(token),
          name: '',
          scope: '',
          created_at: '2030-01-01T00:02:00.000Z',
          last_used_at: '2030-01-01T00:03:00.000Z',
          expires_at: '2030-01-08T00:02:00.000Z',
          address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/),
          methods: ['pwd', 'otp'],
          carried_by: 'bearer',
          client: null,
          issued_by: null,
          current: true,
        },
      ],
    });
  });

  it('an account to log out, which ends one token and no other', async () => {
    const rig = mount();
    const [token, other] = [await rig.logIn('alice'), await rig.logIn('alice')];
    const { text, headers } = await rig.at('delete', '/current', token).expect(204);
    expect([text, headers['cache-control']]).toEqual(['', 'no-store']);
    expect([await rig.isLive(token), await rig.isLive(other)]).toEqual([false, true]);
    await rig.send('get', '/reports', token).expect(401);
  });

  it('an account to end its other tokens, and logins that are under way (TOK-12)', async () => {
    const rig = mount();
    const { secret } = await rig.enrol('alice');
    const others = [await rig.tokenOf('alice'), await rig.robot()];
    const [bobs, token] = [await rig.logIn('bob'), await rig.logIn('alice', rig.code(secret))];
    const pending = await rig.ask('alice');
    await rig.at('delete', '/others', token).expect(204);
    for (const other of others) expect(await rig.isLive(other)).toBe(false);
    expect([await rig.isLive(token), await rig.isLive(bobs)]).toEqual([true, true]);
    rig.clock.advance(30);
    const otp_token = rig.code(secret);
    const late = await rig.send('post', '/tokens/second-factor').send({ pending, otp_token }).expect(401);
    expect(late.body).toEqual(refused('pending_login_invalid'));
  });

  it('an account to end one of its tokens, the one that asks included', async () => {
    const rig = mount();
    const [token, other, robots] = [await rig.logIn('alice'), await rig.logIn('alice'), await rig.robot()];
    for (const one of [other, robots, token]) {
      const { headers } = await rig.at('delete', `/${await rig.idOf(one)}`, token).expect(204);
      expect(headers['cache-control']).toBe('no-store');
      expect(await rig.isLive(one)).toBe(false);
    }
  });

  it('a list of nothing but live tokens', async () => {
    const rig = mount();
    const [ended, token] = [await rig.logIn('alice'), await rig.logIn('alice')];
    expect(await rig.rows(token)).toHaveLength(2);
    await rig.at('delete', `/${await rig.idOf(ended)}`, token).expect(204);
    expect(await rig.rows(token)).toMatchObject([{ id: await rig.idOf(token), current: true }]);
  });
});

describe('tokenRoutes refuse', () => {
  it("a token that is unknown, ended, another account's or none: the same bytes (TOK-18)", async () => {
    const rig = mount();
    const [token, ended, bobs] = [await rig.logIn('alice'), await rig.logIn('alice'), await rig.logIn('bob')];
    const [gone, notMine] = [await rig.idOf(ended), await rig.idOf(bobs)];
    await rig.at('delete', `/${gone}`, token).expect(204);
    const ids = [
      gone,
      notMine,
      someId,
      'x',
      `${gone}A`,
      bobs,
      '__proto__',
      '%00',
      '%E0%A4%A',
      '..%2Fcurrent',
    ];
    const answers: Response[] = [];
    for (const id of ids) {
      rig.quiet();
      answers.push(await rig.at('delete', `/${id}`, token).expect(404));
      expect(rig.events).toEqual([]);
    }
    const [first] = answers;
    expect(first?.body).toEqual(refused('not_found'));
    for (const one of answers) {
      expect([one.text, one.headers['cache-control']]).toEqual([first?.text, 'no-store']);
      expect(headersOf(one)).toEqual(headersOf(first ?? one));
    }
    expect(await rig.isLive(bobs)).toBe(true);
  });

  it.each(all)("a robot's token: it neither sees nor ends any: %s %s", async (method, path) => {
    const rig = mount();
    const [token, robots] = [await rig.logIn('alice'), await rig.robot()];
    rig.quiet();
    for (const one of [path, path.replace(someId, await rig.idOf(token))]) {
      const { body, headers } = await rig.at(method, one, robots).expect(403);
      expect(body).toEqual(refused('forbidden'));
      expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    }
    expect([await rig.isLive(token), await rig.isLive(robots)]).toEqual([true, true]);
    const event = { name: 'tokens.access_refused', account: 'alice', reason: 'token of a robot', ...told };
    expect(rig.events).toEqual([event, event]);
  });

  it.each(all)('a pending handle, and whoever has none: %s %s (PND-13)', async (method, path) => {
    const rig = mount();
    await rig.enrol('alice');
    const pending = await rig.ask('alice');
    for (const one of [undefined, pending]) {
      expect((await rig.at(method, path, one).expect(401)).body).toEqual(refused('invalid_token'));
    }
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    ['ctx.state.auth is forged', forgeState],
  ])('everything where %s (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({
      first,
      routes: ({ router, tokens }) => router.use('/own/tokens', tokenRoutes(tokens).routes()),
    });
    const token = await rig.logIn('alice');
    rig.quiet();
    for (const [method, path] of all) {
      expect((await rig.at(method, path, token).expect(401)).body).toEqual(refused('invalid_token'));
    }
    expect(await rig.isLive(token)).toBe(true);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^tokenRoutes is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });

  it('nothing that a body or a query adds: it is ignored (ENR-15, INP-04, INP-05)', async () => {
    const rig = mount();
    const [token, bobs] = [await rig.logIn('alice'), await rig.logIn('bob')];
    const id = await rig.idOf(bobs);
    for (const body of [
      { account: 'bob', userId: 'bob', id, except: id },
      JSON.parse('{"__proto__":{"id":"bob","issuer":null}}') as object,
      { constructor: { prototype: { id: 'bob' } } },
    ]) {
      await rig.at('delete', '/others?account=bob&id=bob', token).send(body).expect(204);
      await rig.at('delete', `/${someId}`, token).send(body).expect(404);
    }
    expect([await rig.isLive(token), await rig.isLive(bobs)]).toEqual([true, true]);
    expect(({} as { id?: unknown }).id).toBeUndefined();
  });

  const fields = [
    ['get', '', 'listTokens'],
    ['delete', '/current', 'revokeToken'],
    ['delete', '/others', 'revokeTokens'],
    ['delete', '/:id', 'revokeToken'],
  ] as const satisfies readonly (readonly [string, string, keyof Store])[];
  const cases = fields.flatMap((one) => faults.map(([how, fault]) => [...one, how, fault] as const));
  it.each(cases)('%s %s, where %s %s: 503, and nothing is told as done (I9)', async (...given) => {
    const [method, path, operation, , fault] = given;
    const rig = mount();
    const [token, other] = [await rig.logIn('alice'), await rig.logIn('alice')];
    const id = await rig.idOf(other);
    rig.quiet();
    Object.assign(rig.store, { [operation]: fault });
    const began = performance.now();
    const { body, headers } = await rig.at(method, path.replace(':id', id), token).expect(503);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });
});

describe('tokenRoutes, in parallel,', () => {
  it('end one token once: one answer is 204, the others are 404 (TOK-18)', async () => {
    for (let run = 0; run < 20; run += 1) {
      const rig = mount();
      const [token, other] = [await rig.logIn('alice'), await rig.logIn('alice')];
      const id = await rig.idOf(other);
      rig.quiet();
      const answers = await Promise.all([1, 2, 3].map(() => rig.at('delete', `/${id}`, token)));
      expect(statusesOf(answers)).toEqual([204, 404, 404]);
      expect(rig.events).toEqual([{ name: 'token.revoked', account: 'alice', token: id, ...told }]);
    }
  });

  it('list what is live while tokens end, and never one after its end was answered (I7)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const ids = await Promise.all(Array.from({ length: 20 }, async () => rig.idOf(await rig.logIn('alice'))));
    const ended = new Set<string>();
    const seen: [ReadonlySet<string>, readonly Row[]][] = [];
    await Promise.all([
      ...ids.map(async (id) => {
        await rig.at('delete', `/${id}`, token).expect(204);
        ended.add(id);
      }),
      ...ids.map(async () => {
        const before = new Set(ended);
        seen.push([before, await rig.rows(token)]);
      }),
    ]);
    for (const [before, rows] of seen) {
      expect(rows.filter(({ id }) => before.has(id))).toEqual([]);
      expect(rows.filter(({ current }) => current)).toHaveLength(1);
    }
    expect(await rig.rows(token)).toHaveLength(1);
  });

  it('end others twice at once, from both sides: at most one token is left (RCE-14)', async () => {
    const rig = mount();
    const both = [await rig.logIn('alice'), await rig.logIn('alice')];
    const answers = await Promise.all(both.map((token) => rig.at('delete', '/others', token)));
    expect(answers.map(({ status }) => status)).toContain(204);
    const live = await Promise.all(both.map((token) => rig.isLive(token)));
    expect(live.filter(Boolean).length).toBeLessThan(2);
  });
});

describe('tokenRoutes tell', () => {
  it('each end, by account and id, and nothing where nothing ended', async () => {
    const rig = mount();
    const [first, second, third] = [
      await rig.logIn('alice'),
      await rig.logIn('alice'),
      await rig.logIn('alice'),
    ];
    const [a, b] = [await rig.idOf(first), await rig.idOf(second)];
    rig.quiet();
    await rig.at('delete', `/${b}`, first).expect(204);
    await rig.at('delete', '/others', first).expect(204);
    await rig.at('delete', '/others', first).expect(204);
    await rig.at('delete', '/current', first).expect(204);
    expect(rig.events).toEqual([
      { name: 'token.revoked', account: 'alice', token: b, ...told },
      { name: 'tokens.revoked', account: 'alice', count: 1, ...told },
      { name: 'token.revoked', account: 'alice', token: a, ...told },
    ]);
    for (const secret of [first, second, third]) expect(JSON.stringify(rig.events)).not.toContain(secret);
  });

  it('no secret in a list, and nothing to be kept or to go elsewhere (TOK-25, ENR-19, I10)', async () => {
    const rig = mount();
    const secrets = [await rig.logIn('alice'), await rig.robot(), await rig.logIn('alice')];
    const { text, headers } = await rig.at('get', '', secrets[0]).expect(200);
    for (const secret of [...secrets, password]) expect(text).not.toContain(secret);
    expect(text).not.toMatch(/pc(?:at|ss|pl)_/);
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['location']).toBeUndefined();
  });

  it('their refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.at('delete', `/${someId}`, await rig.logIn('alice')).expect(404);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });
});

describe('tokenRoutes reject', () => {
  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [memoryStore(), 'an object'],
  ])('what is no AccessTokens, when they are made %#', (given, found) => {
    const message = `tokenRoutes: the first argument must be made by new AccessTokens(), not ${found}`;
    expect(() => tokenRoutes(given as never)).toThrow(new TypeError(message));
  });
});
