import { describe, expect, it, jest } from '@jest/globals';
import type { Response } from 'supertest';
import type { Account } from '../../src/core/account.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import {
  auditSecondFactors,
  type AuditSecondFactorsOptions,
  type MemberPage,
} from '../../src/middleware/audit-second-factors.js';
import {
  anyFactors,
  faults,
  loginApp,
  noFlags,
  refused,
  silentHook,
  withSilentHook,
} from '../rig/login-app.js';
import { told } from '../rig/told.js';

interface Person extends Account {
  readonly name?: string;
  readonly [more: string]: unknown;
}

interface Setup {
  readonly options?: Partial<AuditSecondFactorsOptions>;
  readonly people?: readonly Person[];
  readonly guarded?: boolean;
  readonly first?: AuthMiddleware;
}

const few: readonly Person[] = [{ id: 'alice', name: 'Alice' }, { id: 'bob' }];

/** alice administers everybody in `people`; a cursor is the number of the next one. */
function mount({ options, people = few, guarded = true, ...rest }: Setup = {}) {
  const pages: MemberPage[] = [];
  const rig = loginApp({
    ...rest,
    routes({ router, factors, guard, handler }) {
      const audit = auditSecondFactors(factors, {
        async members(page) {
          pages.push(page);
          const start = Number(page.cursor ?? 0);
          const end = start + page.limit;
          return { members: people.slice(start, end), next: end < people.length ? String(end) : null };
        },
        mayRead: (actor) => actor.id === 'alice',
        ...options,
      });
      router.get('/audit', ...(guarded ? [guard, audit] : [audit]), handler);
    },
  });
  const get = (token?: string, query = '') => rig.send('get', `/audit${query}`, token);
  return { ...rig, pages, get };
}

interface Page {
  readonly members: readonly { readonly id: string }[];
  readonly next: string | null;
}

describe('auditSecondFactors lets through', () => {
  it('an administrator, who sees what each member has enrolled', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    await rig.enrol('alice');
    await rig.enrolKey('alice');
    const { body, headers } = await rig.get(token).expect(200);
    expect(body).toEqual({
      members: [
        {
          id: 'alice',
          name: 'Alice',
          enrolled: true,
          factors: [
            {
              type: 'totp',
              name: 'Authenticator app',
              created_at: '2030-01-01T00:00:00.000Z',
              last_used_at: null,
            },
            {
              type: 'webauthn',
              name: 'Security key',
              created_at: '2030-01-01T00:01:00.000Z',
              last_used_at: null,
            },
          ],
          backup_codes_left: 10,
        },
        { id: 'bob', name: '', enrolled: false, factors: [], backup_codes_left: 0 },
      ],
      next: null,
    });
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(rig.pages).toEqual([{ cursor: undefined, limit: 100 }]);
    expect([...rig.reached, ...rig.errors]).toEqual([]);
  });

  it('an administrator who does not have the login of this moment', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    rig.clock.advance(86_400);
    await rig.get(token).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['?format=csv', '*/*', 'csv'],
    ['?format=csv', 'application/json', 'csv'],
    ['?format=json', 'text/csv', 'json'],
    ['', 'text/csv', 'csv'],
    ['', 'text/csv, application/json;q=0.5', 'csv'],
    ['', 'application/json, text/csv;q=0.5', 'json'],
    ['', 'application/json', 'json'],
    ['', '*/*', 'json'],
    ['', 'text/html', 'json'],
    ['', '', 'json'],
  ])('a request for %j that accepts %j, and answers with %s', async (query, accept, format) => {
    const rig = mount();
    const answer = await rig
      .get(await rig.logIn('alice'), query)
      .set('Accept', accept)
      .expect(200);
    const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/json; charset=utf-8';
    expect(answer.headers['content-type']).toBe(type);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['content-disposition']).toBe(
      format === 'csv' ? 'attachment; filename="second-factors.csv"' : undefined,
    );
    expect(answer.text.startsWith(format === 'csv' ? '"id","name",' : '{"members":[')).toBe(true);
  });

  it('a spreadsheet, in which no name is a formula or breaks a line (OWN-15)', async () => {
    const name = '=HYPERLINK("https://evil.example")\r\n<b>';
    const rig = mount({ people: [{ id: '+alice', name }] });
    const { text } = await rig.get(await rig.logIn('alice'), '?format=csv').expect(200);
    expect(text.split('\r\n')).toEqual([
      '"id","name","factor","factor_name","since","last_used","backup_codes_left"',
      `"'+alice","'=HYPERLINK(""https://evil.example"")  <b>","","","","","0"`,
      '',
    ]);
  });

  it.each([1, 7, 200])('all of 1,000 members once each, in pages of %d', async (limit) => {
    const people = Array.from({ length: 1000 }, (_, i) => ({ id: `user ${i}` }));
    const rig = mount({ people: people.slice(0, limit === 1 ? 20 : 1000) });
    const token = await rig.logIn('alice');
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = `?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const { body } = await rig.get(token, query).expect(200);
      const page = body as Page;
      expect(page.members.length).toBeLessThanOrEqual(limit);
      seen.push(...page.members.map(({ id }) => id));
      cursor = page.next;
    }
    expect(seen).toEqual(people.slice(0, limit === 1 ? 20 : 1000).map(({ id }) => id));
  });

  it('a spreadsheet page by page, by the Link of each (RFC 8288)', async () => {
    const people = Array.from({ length: 5 }, (_, i) => ({ id: `user ${i}` }));
    const rig = mount({ people });
    const token = await rig.logIn('alice');
    const seen: string[] = [];
    let query: string | undefined = '?format=csv&limit=2';
    while (query !== undefined) {
      const answer: Response = await rig.get(token, query).expect(200);
      seen.push(...answer.text.split('\r\n').slice(1, -1));
      query = /^<(\?[^>]+)>; rel="next"$/.exec((answer.headers as { link?: string }).link ?? '')?.[1];
    }
    expect(seen).toHaveLength(5);
    expect(rig.pages.map(({ cursor }) => cursor)).toEqual([undefined, '2', '4']);
  });

  it('a cursor as the app wrote it, whatever is in it', async () => {
    const cursor = 'a&limit=1>; rel="x",<\r\nX: 1 é%';
    const members: AuditSecondFactorsOptions['members'] = async (page) => ({
      members: [],
      next: page.cursor === cursor ? null : cursor,
    });
    const rig = mount({ options: { members } });
    const token = await rig.logIn('alice');
    const { headers } = await rig.get(token, '?format=csv').expect(200);
    const link = (headers as { link: string }).link;
    expect(link).toMatch(/^<\?format=csv&limit=100&cursor=[\w.!~*'()%-]+>; rel="next"$/);
    const last = await rig.get(token, /<(.+)>/.exec(link)?.[1]).expect(200);
    expect(last.headers['link']).toBeUndefined();
  });

  it('HEAD, with no body', async () => {
    const rig = mount();
    const { text } = await rig.send('head', '/audit', await rig.logIn('alice')).expect(200);
    expect(text).toBeUndefined();
  });
});

describe('auditSecondFactors refuses', () => {
  it.each([
    '?limit=0',
    '?limit=201',
    '?limit=1000',
    '?limit=abc',
    '?limit=',
    '?limit=-1',
    '?limit=1.5',
    '?limit=1e2',
    '?limit=+5',
    '?limit=%205',
    '?limit=05',
    '?limit=0x10',
    '?limit=٥',
    '?limit=5&limit=6',
    '?cursor=a&cursor=b',
    '?format=xml',
    '?format=CSV',
    '?format=',
    '?format=csv&format=json',
  ])('%s as malformed, without asking for members (INP-02)', async (query) => {
    const rig = mount();
    const { body, headers } = await rig
      .get(await rig.logIn('alice'), encodeURI(decodeURI(query)))
      .expect(400);
    expect(body).toEqual(refused('invalid_request'));
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect([...rig.pages, ...rig.errors]).toEqual([]);
  });

  it('whoever may not read, before anything of the request is looked at', async () => {
    const rig = mount();
    const { body } = await rig.get(await rig.logIn('bob'), '?limit=0').expect(403);
    expect(body).toEqual(refused('forbidden'));
    expect(rig.pages).toEqual([]);
  });

  it.each(noFlags)('everybody where mayRead answers %s: 503 (OWN-19, I9)', async (_, mayRead) => {
    const rig = mount({ options: { mayRead: mayRead as () => boolean } });
    const { body, headers } = await rig.get(await rig.logIn('alice')).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.errors).toHaveLength(1);
    expect(rig.pages).toEqual([]);
  });

  it('an administrator who is none any more, by a token of before (OWN-07)', async () => {
    const roles = new Map<string, string>([['alice', 'owner']]);
    const actor = (id: string): Person | null => (roles.has(id) ? { id, role: roles.get(id) } : null);
    const rig = mount({ options: { actor, mayRead: (who) => (who as Person)['role'] === 'owner' } });
    const token = await rig.logIn('alice');
    await rig.get(token).expect(200);
    roles.set('alice', 'member');
    await rig.get(token).expect(403);
    roles.delete('alice');
    expect((await rig.get(token).expect(403)).body).toEqual(refused('forbidden'));
    expect(rig.pages).toHaveLength(1);
  });

  it('where the actor is answered as somebody else: 503 (I6)', async () => {
    const rig = mount({ options: { actor: () => ({ id: 'alice' }) } });
    await rig.get(await rig.logIn('bob')).expect(503);
    expect(rig.pages).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a list', [{ id: 'alice' }]],
    ['{}', {}],
    ['no next', { members: [] }],
    ['an undefined next', { members: [], next: undefined }],
    ['a number as next', { members: [], next: 2 }],
    ['half a character as next', { members: [], next: '\uD800' }],
    ['no members', { next: null }],
    ['members that are no list', { members: { 0: { id: 'alice' }, length: 1 }, next: null }],
    ['inherited members', Object.create({ members: [], next: null })],
    ['a member that is a name', { members: ['alice'], next: null }],
    ['a member without an id', { members: [{ name: 'Alice' }], next: null }],
    ['a member with a number as id', { members: [{ id: 7 }], next: null }],
    ['a member with an inherited id', { members: [Object.create({ id: 'alice' })], next: null }],
    ['a member with a number as name', { members: [{ id: 'alice', name: 7 }], next: null }],
    ['a member with null as name', { members: [{ id: 'alice', name: null }], next: null }],
    ['a member with an object as name', { members: [{ id: 'alice', name: {} }], next: null }],
    ['one null among members', { members: [{ id: 'alice' }, null], next: null }],
    ['an error', Promise.reject(new Error('away'))],
  ])('where members are answered as %s: 503 (I9)', async (_, answer) => {
    const rig = mount({ options: { members: () => answer as never } });
    for (const query of ['', '?format=csv']) {
      const { body, headers } = await rig.get(await rig.logIn('alice'), query).expect(503);
      expect(body).toEqual(refused('store_unavailable'));
      expect(headers['content-type']).toMatch(/^application\/json/);
    }
    expect(rig.errors).toHaveLength(2);
  });

  it.each(['actor', 'mayRead', 'members'] as const)(
    'where %s never answers: 503 after five seconds',
    async (name) => {
      const { hook, wasAsked } = silentHook();
      const rig = mount({ options: { [name]: hook } });
      const token = await rig.logIn('alice');
      expect(await withSilentHook(rig.get(token), wasAsked)).toMatchObject({ status: 503 });
    },
  );

  it.each(faults)('where the store %s: 503, and no list with gaps (I9)', async (_, fault) => {
    const rig = mount({ people: Array.from({ length: 20 }, (__, i) => ({ id: `user ${i}` })) });
    const token = await rig.logIn('alice');
    rig.events.splice(0);
    let reads = 0;
    rig.store.readFactors = (account) => {
      reads += 1;
      return reads === 15 ? fault() : rig.sound.readFactors(account);
    };
    const { body, headers } = await rig.get(token, '?format=csv').expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(headers['content-disposition']).toBeUndefined();
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it('a pending handle, and whoever has no token (PND-13)', async () => {
    const rig = mount();
    await rig.enrol('alice');
    const pending = await rig.ask('alice');
    for (const one of [undefined, pending])
      expect((await rig.get(one).expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.pages).toEqual([]);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    [
      'ctx.state.auth is forged',
      (ctx, next) => {
        ctx.state.auth = { account: { id: 'alice' }, methods: ['pwd', 'otp'] };
        return next();
      },
    ],
  ])('everything where %s (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ guarded: false, first });
    expect((await rig.get('any').expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.pages).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^auditSecondFactors is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });
});

describe('auditSecondFactors tells', () => {
  it('nothing of a factor that opens it, in either form (I10)', async () => {
    const rig = mount();
    const token = await rig.logIn('alice');
    const { secret, id, codes } = await rig.enrol('alice');
    const key = await rig.enrolKey('alice');
    for (const query of ['', '?format=csv']) {
      const { text } = await rig.get(token, query).expect(200);
      for (const kept of [secret, id, key.id, ...codes]) expect(text).not.toContain(kept);
    }
  });

  it('its hooks who asks, and by which request', async () => {
    const asked: unknown[] = [];
    const rig = mount({
      options: {
        actor: (id) => ({ id, role: 'owner' }),
        mayRead: (actor, ctx) => asked.push([actor, ctx.path]) > 0,
        async members(page, actor, ctx) {
          asked.push([page, actor, ctx.path]);
          return { members: [], next: null };
        },
      },
    });
    await rig.get(await rig.logIn('bob'), '?limit=3&cursor=x').expect(200);
    const bob = { id: 'bob', role: 'owner' };
    expect(asked).toEqual([
      [bob, '/audit'],
      [{ cursor: 'x', limit: 3 }, bob, '/audit'],
    ]);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.get(await rig.logIn('bob')).expect(403);
    expect(rig.state.auth).toMatchObject({ account: { id: 'bob' }, refusal: body });
  });

  it('its own name', () => {
    expect(auditSecondFactors(anyFactors(), hooks).name).toBe('auditSecondFactors');
  });
});

const hooks: AuditSecondFactorsOptions = {
  members: async () => ({ members: [], next: null }),
  mayRead: () => false,
};

describe('auditSecondFactors rejects bad options', () => {
  const factors = anyFactors();
  const owner = 'auditSecondFactors:';
  it.each<[unknown, unknown, string]>([
    [undefined, hooks, `${owner} the first argument must be made by new SecondFactors(), not undefined`],
    [factors, undefined, `${owner} option members must be a function, not undefined`],
    [factors, { ...hooks, members: [] }, `${owner} option members must be a function, not an array of 0`],
    [factors, { members: hooks.members }, `${owner} option mayRead must be a function, not undefined`],
    [factors, { ...hooks, mayRead: true }, `${owner} option mayRead must be a function, not true`],
    [factors, { ...hooks, actor: null }, `${owner} option actor must be a function, not null`],
    [factors, { ...hooks, limit: 10 }, `${owner} unknown option "limit"; it takes members, mayRead, actor`],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => auditSecondFactors(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and takes none from a polluted prototype (INP-06)', async () => {
    const polluted = { actor: () => ({ id: 'alice' }), limit: '1', cursor: 'x' };
    for (const [name, value] of Object.entries(polluted))
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
    try {
      const rig = mount();
      await rig.get(await rig.logIn('bob')).expect(403);
      const { headers } = await rig.get(await rig.logIn('alice')).expect(200);
      expect(headers['content-type']).toMatch(/^application\/json/);
      expect(rig.pages).toEqual([{ cursor: undefined, limit: 100 }]);
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    expect(() => auditSecondFactors(factors, Object.freeze({ ...hooks }))).not.toThrow();
    const options: { mayRead: () => boolean } = { mayRead: () => false };
    const rig = mount({ options });
    options.mayRead = () => true;
    await rig.get(await rig.logIn('alice')).expect(403);
    expect(rig.pages).toEqual([]);
  });
});
