import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { Login } from '../../src/core/login.js';
import type { TokenStore } from '../../src/core/token-store.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { requireToken, type RequireTokenOptions } from '../../src/middleware/require-token.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { heardOn } from '../rig/heard.js';
import { told } from '../rig/told.js';

function mount(options?: RequireTokenOptions, store?: Partial<TokenStore>) {
  const clock = fakeClock();
  const kept = memoryStore({ now: clock.now });
  let reads = 0;
  const watched: TokenStore = {
    ...kept,
    readToken: (key) => {
      reads += 1;
      return kept.readToken(key);
    },
    ...store,
  };
  const tokens = new AccessTokens({ store: watched });
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
  app.use(bodyParser());
  app.use(requireToken(tokens, options));
  app.use((ctx) => {
    reached.push(ctx.state['auth']);
    ctx.body = 'report';
  });
  const issue = async (id = 'alice', grant = {}) => {
    const login = new Login();
    login.verifyPassword({ id }, Date.now());
    login.passFactor('otp');
    const issued = await tokens.issue(login, grant);
    if (issued === null) throw new Error('no token');
    return issued;
  };
  const get = (authorization?: string, path = '/reports'): request.Test => {
    const test = request(app.callback()).get(path);
    return authorization === undefined ? test : test.set('Authorization', authorization);
  };
  return { app, clock, tokens, events, errors, reached, state, issue, get, reads: () => reads };
}

const refused = (error: string): object => ({ error, error_description: expect.any(String) });
const challenge = {
  invalid_token: 'Bearer error="invalid_token"',
  invalid_request: 'Bearer error="invalid_request"',
};

describe('requireToken lets through', () => {
  it.each(['Bearer', 'bearer', 'BEARER'])(
    'a live token, however the scheme is written: %s (TOK-07)',
    async (scheme) => {
      const rig = mount();
      const { secret } = await rig.issue();
      await rig.get(`${scheme} ${secret}`).expect(200, 'report');
      expect(rig.reached).toHaveLength(1);
    },
  );

  it('every method, GET and POST alike', async () => {
    const rig = mount();
    const { secret } = await rig.issue();
    for (const method of ['get', 'post', 'put', 'patch', 'delete'] as const) {
      await request(rig.app.callback())[method]('/').set('Authorization', `Bearer ${secret}`).expect(200);
    }
    expect(rig.errors).toEqual([]);
  });

  it('a token that has every scope demanded', async () => {
    const rig = mount({ scope: 'read write' });
    for (const scope of ['read write', 'write read', 'admin write read']) {
      await rig.get(`Bearer ${(await rig.issue('alice', { scope })).secret}`).expect(200);
    }
    expect(rig.errors).toEqual([]);
  });

  it('with the account as findAccount knows it now', async () => {
    const rig = mount({ findAccount: async (id) => ({ id, role: 'owner' }) });
    await rig.get(`Bearer ${(await rig.issue()).secret}`).expect(200);
    expect(rig.reached).toMatchObject([{ account: { id: 'alice', role: 'owner' } }]);
  });

  it('a query that only looks like a token', async () => {
    const rig = mount();
    await rig.get(`Bearer ${(await rig.issue()).secret}`, '/reports?my_access_token=1').expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('whose handlers may change what they were told, and nothing else by it', async () => {
    const rig = mount();
    const { secret } = await rig.issue();
    await rig.get(`Bearer ${secret}`).expect(200);
    const told = rig.state.auth as { account: { id: string; role?: string }; token: { scope: string } };
    told.account.id = 'bob';
    told.account.role = 'owner';
    expect(() => {
      told.token.scope = 'admin';
    }).toThrow(TypeError);
    await rig.get(`Bearer ${secret}`).expect(200);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, token: { scope: '' } });
    expect((rig.state.auth as typeof told).account).toEqual({ id: 'alice' });
  });

  it('the errors of what comes after it, as they are', async () => {
    const rig = mount();
    const broken = new Error('away');
    rig.app.middleware.splice(-1, 1, () => Promise.reject(broken));
    await rig.get(`Bearer ${(await rig.issue()).secret}`).expect(500);
    expect(rig.errors).toEqual([broken]);
  });
});

describe('requireToken refuses', () => {
  it('a request without a token, with a bare challenge', async () => {
    const rig = mount();
    const { body, headers } = await rig.get().expect(401);
    expect(body).toEqual(refused('invalid_token'));
    expect(headers).toMatchObject({
      'www-authenticate': 'Bearer',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(rig.reached).toEqual([]);
  });

  it.each([
    ['Bearer', 400, challenge.invalid_request],
    ['Bearer ', 400, challenge.invalid_request],
    ['Bearer  T', 400, challenge.invalid_request],
    ['Bearer\tT', 400, challenge.invalid_request],
    ['Bearer T,Bearer U', 400, challenge.invalid_request],
    ['Bearer,T', 400, challenge.invalid_request],
    ['Bearer T U', 400, challenge.invalid_request],
    ['Bearer "T"', 400, challenge.invalid_request],
    ['Basic T', 401, 'Bearer'],
    ['T', 401, 'Bearer'],
    ['"T"', 401, 'Bearer'],
    ['BearerT', 401, 'Bearer'],
    ['Bearer T9', 401, challenge.invalid_token],
  ])('%j with %d (TOK-07, TOK-10)', async (form, status, header) => {
    const rig = mount();
    const { secret } = await rig.issue();
    const given = form === 'Bearer T9' ? 'Bearer x9' : form.replace('T', secret).replace('U', secret);
    const { body, headers } = await rig.get(given).expect(status);
    expect(body).toEqual(refused(status === 400 ? 'invalid_request' : 'invalid_token'));
    expect(headers).toMatchObject({ 'www-authenticate': header, 'cache-control': 'no-store' });
    expect(JSON.stringify(headers) + JSON.stringify(body)).not.toContain(secret);
    expect([...rig.reached, ...rig.errors, ...rig.events]).toEqual([]);
    expect(rig.reads()).toBe(0);
  });

  it.each([
    [9_000, 401],
    [16_400, 431],
  ])('a token of %d characters with %d (TOK-07)', async (length, status) => {
    const rig = mount();
    await rig.get(`Bearer ${'x'.repeat(length)}`).expect(status);
    expect([...rig.reached, ...rig.errors]).toEqual([]);
  });

  it('two Authorization headers, in either order (TOK-08)', async () => {
    const rig = mount();
    const good = `Bearer ${(await rig.issue()).secret}`;
    const server = rig.app.listen(0);
    const { port } = server.address() as AddressInfo;
    for (const pair of [
      [good, 'Bearer x'],
      ['Bearer x', good],
      [good, good],
    ]) {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const headers = pair.flatMap((value, i) => [i === 0 ? 'Authorization' : 'authorization', value]);
        const sent = httpRequest({ port, headers: ['Host', 'localhost', ...headers] }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        sent.on('error', reject).end();
      });
      expect(status).toBe(400);
    }
    server.close();
    expect(rig.reached).toEqual([]);
  });

  it('a token in the query, the body, a cookie or another header (TOK-09)', async () => {
    const rig = mount();
    const { secret } = await rig.issue();
    await rig.get(undefined, `/reports?access_token=${secret}`).expect(401);
    await request(rig.app.callback()).post('/reports').send({ access_token: secret }).expect(401);
    await rig.get().set('Cookie', `access_token=${secret}`).expect(401);
    await rig.get().set('X-Access-Token', secret).expect(401);
    await rig.get().set('Proxy-Authorization', `Bearer ${secret}`).expect(401);
    await rig.get(`Bearer ${secret}`, `/reports?access_token=${secret}`).expect(400);
    await rig.get(`Bearer ${secret}`, `/reports?a=1&access_token=`).expect(400);
    expect(rig.reached).toEqual([]);
  });

  it('unknown, malformed, revoked and expired tokens with one answer (TOK-24)', async () => {
    const rig = mount();
    const unknown = (await mount().issue()).secret;
    const revoked = await rig.issue();
    await rig.tokens.revoke(revoked.facts.token.id);
    const expired = await rig.issue('alice', { lifetimeSeconds: 1 });
    const { secret } = await rig.issue();
    rig.clock.advance(1);
    const answers = [];
    for (const token of [unknown, revoked.secret, expired.secret, `${secret.slice(0, -1)}~`, 'x']) {
      const { text, headers } = await rig.get(`Bearer ${token}`).expect(401);
      answers.push({ text, headers: { ...headers, date: '' } });
    }
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]?.headers).toMatchObject({ 'www-authenticate': challenge.invalid_token });
    expect(rig.reached).toEqual([]);
    await rig.get(`Bearer ${secret}`).expect(200);
  });

  it('a token that lacks a scope, and says which are needed', async () => {
    const rig = mount({ scope: 'read write' });
    for (const scope of ['', 'read', 'readwrite', 'read:write', 'READ WRITE']) {
      const { secret } = await rig.issue('alice', { scope });
      const { body, headers } = await rig.get(`Bearer ${secret}`).expect(403);
      expect(body).toEqual(refused('insufficient_scope'));
      expect(headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="read write"');
      expect(headers['cache-control']).toBe('no-store');
    }
    expect(rig.reached).toEqual([]);
  });

  it('a token whose account is disabled, deleted or moved: on the next request (TOK-11)', async () => {
    const alive = new Set(['alice']);
    const rig = mount({ findAccount: (id) => (alive.has(id) ? { id } : null) });
    const { secret } = await rig.issue();
    await rig.get(`Bearer ${secret}`).expect(200);
    alive.clear();
    const { body, headers } = await rig.get(`Bearer ${secret}`).expect(401);
    expect(body).toEqual(refused('invalid_token'));
    expect(headers['www-authenticate']).toBe(challenge.invalid_token);
    expect(rig.reached).toHaveLength(1);
  });

  it.each<[string, () => unknown]>([
    ['another account', () => ({ id: 'bob' })],
    ['true', () => true],
    ['undefined', () => undefined],
    ['{}', () => ({})],
    ['an error', () => Promise.reject(new Error('away'))],
  ])('where findAccount answers %s: 503, and the app is told (I6, I9)', async (_, findAccount) => {
    const rig = mount({ findAccount: findAccount as never });
    const { body, headers } = await rig.get(`Bearer ${(await rig.issue()).secret}`).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.reached).toEqual([]);
    expect(rig.errors).toHaveLength(1);
  });

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('CANARY'))],
    ['answers true', () => Promise.resolve(true) as Promise<never>],
    ['answers nothing', () => Promise.resolve(undefined) as Promise<never>],
    [
      'answers a broken record',
      () => Promise.resolve({ key: '', createdAt: 1, expiresAt: 1, record: '{' }) as Promise<never>,
    ],
  ])('where the store %s: 503, never a pass (I9)', async (_, readToken) => {
    const rig = mount({}, { readToken });
    const { body, headers } = await rig.get(`Bearer ${(await rig.issue()).secret}`).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({
      'retry-after': '1',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect([...rig.reached, ...rig.errors]).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it('a forged ctx.state and headers that name a user (OWN-17)', async () => {
    const rig = mount();
    rig.app.middleware.splice(0, 0, async (ctx, next) => {
      ctx.state['auth'] = { account: { id: 'admin' }, token: {} };
      ctx.state['user'] = { id: 'admin' };
      await next();
    });
    await rig.get().set('X-User-Id', 'admin').set('X-Forwarded-User', 'admin').expect(401);
    await rig
      .get(`Bearer ${(await rig.issue()).secret}`)
      .set('X-User-Id', 'admin')
      .expect(200);
    expect(rig.reached).toMatchObject([{ account: { id: 'alice' } }]);
  });
});

const heard = (work: () => Promise<unknown>) => heardOn('koa-portcullis:token-check', work);

describe('requireToken tells', () => {
  it('whose token it is, how and when it was got, in ctx.state.auth; never its secret', async () => {
    const rig = mount();
    const { secret, facts } = await rig.issue('alice', { scope: 'read', name: 'cli' });
    await rig.get(`Bearer ${secret}`).expect(200);
    expect(rig.reached).toEqual([
      {
        account: { id: 'alice' },
        methods: ['pwd', 'otp'],
        authTime: expect.any(Number),
        token: facts.token,
      },
    ]);
    expect(JSON.stringify(rig.state)).not.toContain(secret);
    expect(rig.events).toEqual([]);
  });

  it('1,000 parallel requests each their own user (TOK-15)', async () => {
    const rig = mount();
    const secrets: string[] = [];
    for (let i = 0; i < 1000; i += 1) secrets.push((await rig.issue(`user ${i}`)).secret);
    rig.app.middleware.splice(-1, 1, async (ctx) => {
      await new Promise(setImmediate);
      ctx.body = (ctx.state['auth'] as { account: object }).account;
    });
    const server = rig.app.listen(0);
    const wrong: unknown[] = [];
    for (let from = 0; from < 1000; from += 100) {
      const batch = secrets.slice(from, from + 100).map(async (secret, i) => {
        const { body } = await request(server).get('/').set('Authorization', `Bearer ${secret}`);
        if ((body as { id?: string }).id !== `user ${from + i}`) wrong.push(body);
      });
      await Promise.all(batch);
    }
    server.close();
    expect(wrong).toEqual([]);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.get().expect(401);
    expect(rig.state.auth).toEqual({ refusal: body });
  });

  it('its own name', () => {
    expect(requireToken(mount().tokens).name).toBe('requireToken');
  });

  it('whoever counts checks what became of each, once, and not whose it was', async () => {
    const rig = mount({ scope: 'read' });
    const { secret } = await rig.issue('alice', { scope: 'read' });
    const narrow = await rig.issue('alice');
    expect(await heard(() => rig.get(`Bearer ${secret}`).expect(200))).toEqual([{ outcome: 'passed' }]);
    for (const sent of [undefined, 'Bearer nope', `Bearer ${secret}, x`, `Bearer ${narrow.secret}`]) {
      expect(await heard(async () => rig.get(sent))).toEqual([{ outcome: 'refused' }]);
    }

    const gone = mount({ findAccount: () => null });
    const token = await gone.issue();
    expect(await heard(() => gone.get(`Bearer ${token.secret}`).expect(401))).toEqual([
      { outcome: 'refused' },
    ]);

    const down = mount({}, { readToken: () => Promise.reject(new Error('down')) });
    const lost = await down.issue();
    expect(await heard(() => down.get(`Bearer ${lost.secret}`).expect(503))).toEqual([
      { outcome: 'undecided' },
    ]);
    const silent = mount({ findAccount: () => Promise.reject(new Error('down')) });
    const unknown = await silent.issue();
    const told = await heard(() => silent.get(`Bearer ${unknown.secret}`).expect(503));
    expect(told).toEqual([{ outcome: 'undecided' }]);
  });
});

describe('requireToken rejects bad options', () => {
  const { tokens } = mount();
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'requireToken: the first argument must be made by new AccessTokens(), not undefined'],
    [{}, {}, 'requireToken: the first argument must be made by new AccessTokens(), not an object'],
    [tokens, { scopes: 'read' }, 'requireToken: unknown option "scopes"; it takes scope, findAccount'],
    [
      tokens,
      { scope: 'read  write' },
      'requireToken: option scope must be scope values separated by single spaces, not "read  write"',
    ],
    [
      tokens,
      { scope: 'read"' },
      'requireToken: option scope must be scope values separated by single spaces, not "read\\""',
    ],
    [
      tokens,
      { scope: ['read'] },
      'requireToken: option scope must be scope values separated by single spaces, not an array of 1',
    ],
    [tokens, { findAccount: 'alice' }, 'requireToken: option findAccount must be a function, not "alice"'],
    [tokens, null, 'requireToken: options must be an object, not null'],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => requireToken(core as never, options as never)).toThrow(new TypeError(message));
  });

  it.each(['findAccount', 'scope', 'allow', 'skip', 'verified'])(
    'and takes none from a polluted prototype (INP-06): %s',
    async (name) => {
      const value = name === 'scope' ? 'admin' : jest.fn(() => ({ id: 'admin' }));
      Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value });
      let rig;
      try {
        rig = mount({});
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      await rig.get().expect(401);
      await rig.get(`Bearer ${(await rig.issue()).secret}`).expect(200);
      expect(rig.reached).toMatchObject([{ account: { id: 'alice' } }]);
    },
  );

  it('and leaves them as they were (CFG-13)', () => {
    const options = Object.freeze({ scope: 'read' });
    expect(() => requireToken(tokens, options)).not.toThrow();
    expect(options).toEqual({ scope: 'read' });
  });
});
