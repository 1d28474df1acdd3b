import { describe, expect, it, jest } from '@jest/globals';
import type { Response } from 'supertest';
import type { Account } from '../../src/core/account.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { LoginLog } from '../../src/core/login-log.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { LogFilter } from '../../src/http/log-requests.js';
import { loginLogRoutes, type LoginLogRoutesOptions } from '../../src/routes/login-log-routes.js';
import { memoryStore } from '../../src/stores/memory.js';
import { faults, loginApp, noFlags, refused, silentHook, withSilentHook } from '../rig/login-app.js';
import { told } from '../rig/told.js';

interface Setup {
  readonly options?: Partial<LoginLogRoutesOptions>;
  readonly guarded?: boolean;
  readonly first?: AuthMiddleware;
}

const start = Date.UTC(2030, 0, 1);
const whole: LogFilter = {
  account: undefined,
  organisation: undefined,
  outcome: undefined,
  since: undefined,
  until: undefined,
};

/** alice may read everything; `asked` holds the filters that were asked for. */
function mount({ options, guarded = true, ...rest }: Setup = {}) {
  const asked: LogFilter[] = [];
  const logs: LoginLog[] = [];
  const rig = loginApp({
    ...rest,
    routes({ router, guard }) {
      // Its store is that of the app, which exists by the first request.
      const log = new LoginLog({
        store: {
          appendLog: (batch) => rig.store.appendLog(batch),
          searchLog: (search) => rig.store.searchLog(search),
          walkLog: (...args) => rig.store.walkLog(...args),
        },
        organisation: (account) => (account === 'carol' ? 'other' : 'acme'),
        now: () => start,
      });
      logs.push(log);
      const routes = loginLogRoutes(log, {
        mayRead(actor, filter) {
          asked.push(filter);
          return actor.id === 'alice';
        },
        ...options,
      });
      if (guarded) router.use('/log', guard);
      router.use('/log', routes.routes());
    },
  });
  const [log] = logs;
  if (log === undefined) throw new Error('no log');
  const get = (token?: string, query = '') => rig.send('get', `/log${query}`, token);
  /** 12 entries, one a minute, of three accounts. */
  async function fill(): Promise<void> {
    for (let i = 0; i < 12; i += 1) {
      const account = ['alice', 'bob', 'carol'][i % 3] ?? '';
      const outcome = i % 2 === 0 ? 'failed' : 'changed';
      await log?.append({ name: 'a.b', outcome, account, time: start + i * 60_000, requestId: `r${i}` });
    }
  }
  return { ...rig, log, asked, get, fill };
}

interface Page {
  readonly entries: readonly { readonly request_id: string }[];
  readonly next: string | null;
}

const idsOf = ({ body }: Response): string[] => (body as Page).entries.map((one) => one.request_id);

describe('loginLogRoutes lets through', () => {
  it('an administrator, who sees the logins of the app, newest first', async () => {
    const rig = mount();
    rig.app.on('auth', rig.log.record);
    const token = await rig.logIn('alice');
    await rig
      .send('post', '/tokens')
      .set('User-Agent', 'curl/8')
      .send({ username: 'bob', password: 'wrong' });
    await rig.log.flush();
    const { body, headers } = await rig.get(token).expect(200);
    const common = {
      time: '2030-01-01T00:00:00.000Z',
      written_at: '2030-01-01T00:00:00.000Z',
      actor: null,
      address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/),
      request_id: expect.stringMatching(/^[\w.-]{1,64}$/),
      retry_after_seconds: null,
    };
    expect(body).toEqual({
      entries: [
        {
          ...common,
          position: 3,
          name: 'login.failed',
          outcome: 'failed',
          account: null,
          organisation: null,
          subject: expect.stringMatching(/^[0-9a-f]{64}$/),
          methods: [],
          user_agent: 'curl/8',
          reason: expect.any(String),
          details: {},
        },
        expect.objectContaining({ position: 2, account: 'alice', organisation: 'acme' }),
        expect.objectContaining({ position: 1, account: 'alice', organisation: 'acme' }),
      ],
      next: null,
    });
    const names = (body as { entries: { name: string }[] }).entries.map(({ name }) => name);
    expect(names.toSorted()).toEqual(['login.failed', 'login.succeeded', 'token.issued']);
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(rig.asked).toEqual([whole]);
    expect(rig.errors).toEqual([]);
  });

  it.each<[string, Partial<LogFilter>, number[]]>([
    ['account=bob', { account: 'bob' }, [10, 7, 4, 1]],
    ['organisation=other', { organisation: 'other' }, [11, 8, 5, 2]],
    ['outcome=failed', { outcome: 'failed' }, [10, 8, 6, 4, 2, 0]],
    ['account=bob&outcome=failed', { account: 'bob', outcome: 'failed' }, [10, 4]],
    ['since=2030-01-01T00:10:00Z', { since: start + 600_000 }, [11, 10]],
    ['since=2030-01-01T01:10%2B01:00', { since: start + 600_000 }, [11, 10]],
    ['until=2030-01-01T00:01:30.500Z', { until: start + 90_500 }, [1, 0]],
    ['since=2030-01-01&until=2030-01-01T00:01Z', { since: start, until: start + 60_000 }, [0]],
    ['account=Bob', { account: 'Bob' }, []],
    ['account=%C3%A9', { account: 'é' }, []],
  ])('a request for %s', async (query, filter, found) => {
    const rig = mount();
    await rig.fill();
    const answer = await rig.get(await rig.logIn('alice'), `?${query}`).expect(200);
    expect(idsOf(answer)).toEqual(found.map((i) => `r${i}`));
    expect(rig.asked).toEqual([{ ...whole, ...filter }]);
  });

  it('all entries once each, in pages of both forms, with the filter in the Link (RFC 8288)', async () => {
    const rig = mount();
    await rig.fill();
    const token = await rig.logIn('alice');
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const next: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const answer = await rig.get(token, `?outcome=failed&limit=4${next}`).expect(200);
      seen.push(...idsOf(answer));
      cursor = (answer.body as Page).next;
    }
    expect(seen).toEqual([10, 8, 6, 4, 2, 0].map((i) => `r${i}`));
    const lines: string[] = [];
    let query: string | undefined =
      '?format=csv&limit=4&outcome=failed&organisation=acme&since=2030-01-01T00:00:00Z';
    while (query !== undefined) {
      const answer: Response = await rig.get(token, query).expect(200);
      lines.push(...answer.text.split('\r\n').slice(1, -1));
      query = /^<(\?[^>]+)>; rel="next"$/.exec((answer.headers as { link?: string }).link ?? '')?.[1];
    }
    expect(lines).toHaveLength(4);
    const filter = { ...whole, outcome: 'failed', organisation: 'acme', since: start };
    expect(rig.asked.slice(2)).toEqual(rig.asked.slice(2).map(() => filter));
  });

  it.each<[string, string, string]>([
    ['?format=csv', '*/*', 'csv'],
    ['?format=json', 'text/csv', 'json'],
    ['', 'text/csv', 'csv'],
    ['', '*/*', 'json'],
  ])('a request for %j that accepts %j, and answers with %s', async (query, accept, format) => {
    const rig = mount();
    const { headers, text } = await rig
      .get(await rig.logIn('alice'), query)
      .set('Accept', accept)
      .expect(200);
    const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/json; charset=utf-8';
    expect(headers).toMatchObject({ 'content-type': type, 'cache-control': 'no-store' });
    expect(headers['content-disposition']).toBe(
      format === 'csv' ? 'attachment; filename="login-log.csv"' : undefined,
    );
    expect(text.startsWith(format === 'csv' ? '"position","time",' : '{"entries":[')).toBe(true);
  });

  it('a spreadsheet, in which nothing is a formula, breaks a line or moves a cursor (OWN-15, LOG-04)', async () => {
    const rig = mount();
    rig.app.on('auth', rig.log.record);
    const token = await rig.logIn('alice');
    const evil = '=HYPERLINK("https://evil.example");+1\u009B2J\u202E';
    await rig.log.append({ name: 'a.b', outcome: 'changed', account: evil, actor: '@x' });
    const { text } = await rig.get(token, '?format=csv').expect(200);
    expect(text.split('\r\n')[1]).toBe(
      `"3","2030-01-01T00:00:00.000Z","a.b","changed","'=HYPERLINK(""https://evil.example"");'+1 2J ","","'@x","acme","","","","","","","","2030-01-01T00:00:00.000Z"`,
    );
    const json = await rig.get(token).expect(200);
    expect(json.text).toMatch(/^[ -~]*$/);
    expect((json.body as { entries: { account: string }[] }).entries[0]?.account).toBe(evil);
  });

  it('what a client wrote into its headers as one line, cut and escaped (LOG-04, LOG-05)', async () => {
    const rig = mount();
    rig.app.on('auth', rig.log.record);
    rig.app.proxy = true;
    rig.app.maxIpsCount = 1;
    const agent = `=1\u001B[2J\u009B31m \\ "${'x'.repeat(10_000)}`;
    const status = await rig.sendRaw(
      'POST',
      '/tokens',
      {
        'Content-Type': 'application/json',
        'User-Agent': agent.replaceAll('\u001B', '\u0080'),
        'X-Forwarded-For': `=cmd\u0080${'9'.repeat(4000)}`,
        'X-Request-Id': '=1+1',
      },
      JSON.stringify({ username: 'canary-typed-as-name', password: 'canary-password' }),
    );
    expect(status).toBe(401);
    await rig.log.flush();
    const { entries } = await rig.log.query({ outcome: 'failed' });
    expect(entries).toMatchObject([
      { account: null, ip: null, requestId: expect.stringMatching(/^[\w-]{36}$/) },
    ]);
    expect(entries[0]?.userAgent).toMatch(/^=1(?:\\u00c2)?\\u0080\[2J(?:\\u00c2)?\\u009b31m \\u005c "x+$/);
    expect(entries[0]?.userAgent).toHaveLength(256);
    const token = await rig.logIn('alice');
    for (const query of ['', '?format=csv']) {
      const { text } = await rig.get(token, query).expect(200);
      expect(text).toMatch(/^[ -~\r\n]*$/);
      expect(text).not.toContain('canary');
      if (query !== '') expect(text).not.toMatch(/"[=+@-]/);
    }
  });
});

describe('loginLogRoutes refuses', () => {
  it.each([
    '?limit=0',
    '?limit=201',
    '?limit=5&limit=6',
    '?cursor=x',
    '?cursor=1.1&cursor=1.1',
    '?cursor=',
    '?format=xml',
    '?account=',
    `?account=${'x'.repeat(256)}`,
    '?account=a&account=b',
    '?organisation=',
    '?outcome=won',
    '?outcome=failed&outcome=locked',
    '?outcome=constructor',
    '?since=1893456000000',
    '?since=yesterday',
    '?since=2030-01-01T00:00:00',
    '?since=2030-01-01T00:00:00+01:00',
    '?since=2030-06-31',
    '?since=2030-13-01',
    '?since=1969-12-31',
    '?until=',
    '?until=2030-01-01&until=2031-01-01',
  ])('%s as malformed, before anybody is asked (INP-02)', async (query) => {
    const rig = mount();
    await rig.fill();
    const { body, headers } = await rig.get(await rig.logIn('alice'), query).expect(400);
    expect(body).toEqual(refused('invalid_request'));
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect([...rig.asked, ...rig.errors]).toEqual([]);
  });

  it('whoever may not read, and says nothing of the log', async () => {
    const rig = mount();
    await rig.fill();
    const { body } = await rig.get(await rig.logIn('bob')).expect(403);
    expect(body).toEqual(refused('forbidden'));
  });

  it('what lies outside of that which an administrator may read', async () => {
    const rig = mount({ options: { mayRead: (_actor, { organisation }) => organisation === 'acme' } });
    await rig.fill();
    const token = await rig.logIn('bob');
    await rig.get(token).expect(403);
    await rig.get(token, '?organisation=other').expect(403);
    await rig.get(token, '?account=carol').expect(403);
    const crossed = await rig.get(token, '?organisation=acme&account=carol').expect(200);
    expect(idsOf(crossed)).toEqual([]);
    expect(idsOf(await rig.get(token, '?organisation=acme').expect(200))).toHaveLength(8);
  });

  it.each(noFlags)('everybody where mayRead answers %s: 503 (OWN-19, I9)', async (_, mayRead) => {
    const rig = mount({ options: { mayRead: mayRead as () => boolean } });
    const { body } = await rig.get(await rig.logIn('alice')).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(rig.errors).toHaveLength(1);
  });

  it('an administrator who is none any more, by a token of before (OWN-07)', async () => {
    const people = new Set(['alice']);
    const actor = (id: string): Account | null => (people.has(id) ? { id } : null);
    const rig = mount({ options: { actor } });
    const token = await rig.logIn('alice');
    await rig.get(token).expect(200);
    people.clear();
    expect((await rig.get(token).expect(403)).body).toEqual(refused('forbidden'));
    expect(rig.asked).toHaveLength(1);
  });

  it.each(['actor', 'mayRead'] as const)('where %s never answers: 503 after five seconds', async (name) => {
    const { hook, wasAsked } = silentHook();
    const rig = mount({ options: { [name]: hook } });
    const token = await rig.logIn('alice');
    expect(await withSilentHook(rig.get(token), wasAsked)).toMatchObject({ status: 503 });
  });

  it.each(faults)('where the store %s: 503 (I9)', async (_, fault) => {
    const rig = mount();
    const token = await rig.logIn('alice');
    rig.events.splice(0);
    rig.store.searchLog = fault;
    const { body, headers } = await rig.get(token, '?format=csv').expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers['content-disposition']).toBeUndefined();
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
    expect(rig.errors).toEqual([]);
  });

  it('whoever has no token, and a pending handle (PND-13)', async () => {
    const rig = mount();
    await rig.enrol('alice');
    const pending = await rig.ask('alice');
    for (const one of [undefined, pending])
      expect((await rig.get(one).expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.asked).toEqual([]);
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
    expect(rig.asked).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^loginLogRoutes is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });

  it.each(['post', 'put', 'patch', 'delete'] as const)(
    '%s: nothing in the log is changed',
    async (method) => {
      const rig = mount();
      await rig.fill();
      const token = await rig.logIn('alice');
      expect((await rig.send(method, '/log', token)).status).toBe(404);
      expect(idsOf(await rig.get(token))).toHaveLength(12);
    },
  );
});

describe('loginLogRoutes tells', () => {
  it('its hooks who asks, for what and by which request', async () => {
    const asked: unknown[] = [];
    const rig = mount({
      options: {
        actor: (id) => ({ id, role: 'owner' }),
        mayRead: (actor, filter, ctx) => asked.push([actor, filter, ctx.path]) > 0,
      },
    });
    await rig.get(await rig.logIn('bob'), '?account=carol').expect(200);
    expect(asked).toEqual([[{ id: 'bob', role: 'owner' }, { ...whole, account: 'carol' }, '/log']]);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.get(await rig.logIn('bob')).expect(403);
    expect(rig.state.auth).toMatchObject({ account: { id: 'bob' }, refusal: body });
  });
});

describe('loginLogRoutes rejects bad options', () => {
  const log = new LoginLog({ store: memoryStore() });
  const owner = 'loginLogRoutes:';
  it.each<[unknown, unknown, string]>([
    [undefined, {}, `${owner} the first argument must be made by new LoginLog(), not undefined`],
    [log, undefined, `${owner} option mayRead must be a function, not undefined`],
    [log, { mayRead: true }, `${owner} option mayRead must be a function, not true`],
    [log, { mayRead() {}, actor: null }, `${owner} option actor must be a function, not null`],
    [log, { mayRead() {}, limit: 10 }, `${owner} unknown option "limit"; it takes mayRead, actor`],
  ])('by name, when they are made %#', (core, options, message) => {
    expect(() => loginLogRoutes(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and leaves them as they were, and is not changed by them afterwards (CFG-13)', async () => {
    const options: { mayRead: () => boolean } = { mayRead: () => false };
    expect(() => loginLogRoutes(log, Object.freeze({ ...options }))).not.toThrow();
    const rig = mount({ options });
    options.mayRead = () => true;
    await rig.get(await rig.logIn('alice')).expect(403);
  });

  it('and the events of an app whose log is down are answered as ever', async () => {
    const rig = mount();
    rig.app.on('auth', rig.log.record);
    rig.store.appendLog = () => new Promise(() => {});
    const events: AuthEvent[] = [];
    rig.app.on('auth', (event: AuthEvent) => events.push(event));
    for (let i = 0; i < 5; i += 1) await rig.logIn('alice');
    expect(events.filter(({ name }) => name === 'login.succeeded')).toHaveLength(5);
    expect(rig.errors).toEqual([]);
  });
});
