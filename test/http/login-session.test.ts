import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import Koa from 'koa';
import session from 'koa-session';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { accountKey } from '../../src/core/account.js';
import { keyHash } from '../../src/core/key-hash.js';
import { sessionIdPattern } from '../../src/core/token-secret.js';
import { sessionOptions } from '../../src/http/login-session.js';
import { passwordVerified } from '../../src/http/login.js';
import { issueToken } from '../../src/middleware/issue-token.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { redisStore, type RedisStore } from '../../src/stores/redis.js';
import { added, alice } from '../rig/factor-rig.js';
import { password } from '../rig/login-chain.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { cookiesOf, sessionApp, type Jar, type SessionAppOptions } from '../rig/session-app.js';
import { codeOf } from '../rig/totp-code.js';

const refused = (error: string): object => ({ error, error_description: expect.any(String) });
const isId = expect.stringMatching(new RegExp(`^${sessionIdPattern}$`));

type App = Awaited<ReturnType<typeof sessionApp>>;
const apps: App[] = [];
afterEach(() => {
  for (const app of apps.splice(0)) app.close();
});

async function mount(options: SessionAppOptions): Promise<App> {
  const app = await sessionApp(options);
  apps.push(app);
  return app;
}

/** What is kept of a session. */
const keptOf = (store: Store, id: string) => store.readSession(keyHash('session', id));

async function when({ signal }: AbortController): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** Holds a request back until it is let go; `held` is settled once it waits. */
function gate() {
  const [arrived, opened] = [new AbortController(), new AbortController()];
  return {
    held: when(arrived),
    letGo: () => opened.abort(),
    async wait(): Promise<void> {
      arrived.abort();
      await when(opened);
    },
  };
}

/** The cookie opens nothing, and nothing is left of what it stood for. */
async function expectDead(app: App, { cookie }: Jar): Promise<void> {
  const browser = app.browser();
  browser.cookie = cookie;
  const me = await browser.send('get', '/me');
  expect(me.status).toBe(401);
  expect(me.body).toEqual(refused('invalid_token'));
  expect((await browser.send('get', '/remembered')).body).toEqual({});
  browser.cookie = cookie;
  expect(await app.tokens.check(browser.id, 'session')).toBeNull();
  expect(await keptOf(app.store, browser.id)).toBeNull();
  expect(await app.tokens.list(alice)).toEqual([]);
}

const fail = () => Promise.reject(new Error('CANARY'));

const stores: Record<string, () => Store> = {};
let server: RedisServer;
let client: Redis;
let shared: RedisStore;
beforeAll(async () => {
  server = await startRedis();
  client = new Redis(server.url, { disconnectTimeout: 50 });
  shared = redisStore(client);
  Object.assign(stores, { memoryStore: () => memoryStore(), redisStore: () => shared });
});
afterEach(() => client.flushall());
afterAll(async () => {
  shared.close();
  client.disconnect();
  await server.stop();
});

describe.each(['memoryStore', 'redisStore'])('a session on %s', (kind) => {
  const start = (options: Partial<SessionAppOptions> = {}) =>
    mount({ store: (stores[kind] as () => Store)(), ...options });

  async function loggedIn(options: Partial<SessionAppOptions> = {}) {
    const app = await start(options);
    const browser = app.browser();
    const { body } = await browser.logIn();
    await browser.send('post', '/remember', { private: 'CANARY' });
    const copy = app.browser();
    copy.cookie = browser.cookie;
    return { app, browser, copy, id: (body as { id: string }).id };
  }

  describe('carries a login so that', () => {
    it('its answer holds no secret, and the cookie is out of reach of scripts and of other sites', async () => {
      const app = await start();
      const browser = app.browser();
      const answer = await browser.logIn();
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({
        expires_in: 604_800,
        scope: '',
        id: expect.stringMatching(/^[\w-]{43}$/),
        created_at: expect.any(String),
        expires_at: expect.any(String),
      });
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(browser.id).toEqual(isId);
      const given = cookiesOf(answer).at(-1) ?? '';
      expect(given.split('; ').toSorted()).toEqual([
        expect.stringMatching(/^expires=/),
        'httponly',
        'path=/',
        `portcullis_session=${browser.id}`,
        'samesite=lax',
      ]);
      const ends = Date.parse(/expires=([^;]+)/.exec(given)?.[1] ?? '');
      expect(ends).toBeGreaterThan(Date.now() + 604_700_000);
      expect(ends).toBeLessThan(Date.now() + 604_801_000);
      expect(cookiesOf(answer)).toHaveLength(1);
      const me = await browser.send('get', '/me');
      expect(me.body).toEqual({ account: 'alice', carry: 'session', methods: ['pwd'], session: {} });
      expect(cookiesOf(me)).toEqual([]);
      expect(app.errors).toEqual([]);
    });

    it('behind a proxy that ends TLS the cookie is Secure and of this host alone', async () => {
      const app = await start({ origin: 'https://acme.example' });
      const browser = app.browser();
      const answer = await browser.logIn('alice', {}, { 'X-Forwarded-Host': 'evil.example' });
      expect(answer.status).toBe(200);
      const given = cookiesOf(answer).at(-1) ?? '';
      expect(given).toMatch(/^__Host-portcullis_session=pcss_/);
      expect(given).toMatch(/; path=\/; expires=[^;]+; samesite=lax; secure; httponly$/);
      expect((await browser.send('get', '/me')).status).toBe(200);
      const copy = browser.cookie;
      const out = await browser.send('delete', '/session', undefined, { Origin: 'https://acme.example' });
      expect(out.status).toBe(204);
      expect(cookiesOf(out)).toEqual([
        '__Host-portcullis_session=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; samesite=lax; secure; httponly',
      ]);
      browser.cookie = copy;
      expect((await browser.send('get', '/me')).status).toBe(401);
      expect(app.errors).toEqual([]);
    });

    it('its end is that of its token, not with the age of a visitor', async () => {
      const app = await start({ maxAgeSeconds: 60, issue: { lifetimeSeconds: 3600 } });
      const browser = app.browser();
      const given = cookiesOf(await browser.logIn()).at(-1) ?? '';
      const ends = Date.parse(/expires=([^;]+)/.exec(given)?.[1] ?? '');
      expect(ends).toBeGreaterThan(Date.now() + 3_500_000);
      expect(ends).toBeLessThan(Date.now() + 3_601_000);
      const visitor = cookiesOf(await app.browser().send('post', '/remember', { a: 1 })).at(-1) ?? '';
      expect(Date.parse(/expires=([^;]+)/.exec(visitor)?.[1] ?? '')).toBeLessThan(Date.now() + 61_000);
    });

    it('its id was no id before (session fixation), and the planted one is worth nothing', async () => {
      const app = await start();
      const [attacker, victim] = [app.browser(), app.browser()];
      await attacker.send('post', '/remember', { planted: true });
      victim.cookie = attacker.cookie;
      expect((await victim.logIn()).status).toBe(200);
      expect(victim.id).not.toBe(attacker.id);
      expect((await attacker.send('get', '/me')).status).toBe(401);
      expect((await attacker.send('get', '/remembered')).body).toEqual({});
      expect(await keptOf(app.store, attacker.id)).toBeNull();
    });

    it('an id that nobody gave out is not taken over', async () => {
      const app = await start();
      const browser = app.browser();
      const made = new AccessTokens({ store: memoryStore() });
      const other = await sessionApp({ store: memoryStore() });
      const elsewhere = other.browser();
      await elsewhere.logIn();
      browser.id = elsewhere.id;
      await browser.send('post', '/remember', { a: 1 });
      expect(browser.id).not.toBe(elsewhere.id);
      other.close();
      expect(await made.list(alice)).toEqual([]);
    });

    it('what a visitor had is kept, and what the same account had', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.send('post', '/remember', { cart: 1 });
      await browser.logIn();
      expect((await browser.send('get', '/me')).body).toMatchObject({ session: { cart: 1 } });
      await browser.send('post', '/remember', { seen: 2 });
      const before = browser.id;
      await browser.logIn();
      expect(browser.id).not.toBe(before);
      expect((await browser.send('get', '/me')).body).toMatchObject({ session: { cart: 1, seen: 2 } });
    });

    it('another account finds nothing of the one that was logged in before it', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      await browser.send('post', '/remember', { of: 'alice' });
      await browser.logIn('bob');
      expect((await browser.send('get', '/me')).body).toEqual({
        account: 'bob',
        carry: 'session',
        methods: ['pwd'],
        session: {},
      });
      expect(await app.tokens.list(alice)).toEqual([]);
    });

    it('another account finds nothing either where the app makes the session anew before its login', async () => {
      const app = await start({
        beforeIssue: (ctx) => (ctx.session as { regenerate(): Promise<void> }).regenerate(),
      });
      const browser = app.browser();
      await browser.logIn();
      await browser.send('post', '/remember', { of: 'alice' });
      expect((await browser.logIn('bob')).status).toBe(200);
      expect((await browser.send('get', '/me')).body).toHaveProperty('session', {});
    });

    it('a login ends the one that was in the session, and a copy of its cookie', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      const thief = app.browser();
      thief.cookie = browser.cookie;
      await browser.logIn();
      expect((await thief.send('get', '/me')).status).toBe(401);
      expect((await browser.send('get', '/me')).status).toBe(200);
      expect(await app.tokens.list(alice)).toHaveLength(1);
    });

    it('one that dropped its session in the same request logs in all the same', async () => {
      const app = await start({
        beforeIssue: (ctx) => {
          ctx.session = null;
        },
      });
      const browser = app.browser();
      await browser.send('post', '/remember', { a: 1 });
      expect((await browser.logIn()).status).toBe(200);
      expect((await browser.send('get', '/me')).body).toHaveProperty('session', {});
    });

    it('header and session are two logins, each of which ends alone', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      const token = await app.bearer();
      const byHeader = { Authorization: `Bearer ${token}` };
      const me = await browser.send('get', '/me', undefined, byHeader);
      expect(me.body).toMatchObject({ carry: 'bearer' });
      const out = await browser.send('delete', '/session', undefined, byHeader);
      expect(out.status).toBe(204);
      expect(cookiesOf(out)).toEqual([]);
      expect((await browser.send('get', '/me', undefined, byHeader)).status).toBe(401);
      expect((await browser.send('get', '/me')).status).toBe(200);
    });

    it('a second step completes it, and step-up is a login within it', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      await browser.send('post', '/remember', { kept: true });
      const first = browser.id;
      const { secret } = await app.factors.beginTotp(alice, { label: 'alice' });
      const step = Math.floor(Date.now() / 30_000);
      const { backupCodes } = added(await app.factors.confirmTotp(alice, codeOf(secret, step)));
      // The login proved no factor: it is too weak by now.
      const weak = await browser.send('post', '/fresh', {});
      expect(weak.body).toMatchObject({ error: 'insufficient_user_authentication' });

      const asked = await browser.logIn();
      expect(asked.status).toBe(401);
      expect(browser.id).toBe(first);
      const { pending } = asked.body as { pending: string };
      const again = await browser.send('post', '/login/second-factor', {
        pending,
        otp_token: backupCodes?.[0],
      });
      expect(again.status).toBe(200);
      expect(browser.id).not.toBe(first);
      const fresh = await browser.send('post', '/fresh', {});
      expect(fresh.body).toEqual({
        account: 'alice',
        carry: 'session',
        methods: ['pwd', 'otp'],
        session: { kept: true },
      });
      browser.id = first;
      expect((await browser.send('get', '/me')).status).toBe(401);
    });

    it('two tabs share it, and what either logs out is logged out', async () => {
      const app = await start();
      const [one, two] = [app.browser(), app.browser()];
      await one.logIn();
      two.cookie = one.cookie;
      await one.send('post', '/remember', { one: 1 });
      await two.send('post', '/remember', { two: 2 });
      expect((await one.send('get', '/me')).body).toMatchObject({ session: { one: 1, two: 2 } });
      await two.send('delete', '/session');
      expect((await one.send('get', '/me')).status).toBe(401);
      expect((await one.send('get', '/remembered')).body).toEqual({});
    });
  });

  describe('ends so that', () => {
    it('its token, revoked elsewhere, takes all that it held along (I7)', async () => {
      const { app, copy, id } = await loggedIn();
      expect(await app.tokens.revoke(id)).toBe(true);
      await expectDead(app, copy);
    });

    it('"revoke all" ends it', async () => {
      const { app, copy } = await loggedIn();
      expect(await app.tokens.revokeAll(alice)).toBe(1);
      await expectDead(app, copy);
    });

    it.each([
      ['revokeToken', 'delete', '/session'],
      ['revokeToken with all', 'delete', '/sessions'],
      ['ctx.session = null', 'post', '/forget'],
      ['ctx.session.regenerate()', 'post', '/regenerate'],
    ] as const)('%s ends it for copies of the cookie too', async (_, method, path) => {
      const { app, browser, copy } = await loggedIn();
      expect((await browser.send(method, path)).status).toBe(204);
      // Where it is made anew, the visitor has another one.
      expect(browser.cookie === undefined).toBe(path !== '/regenerate');
      expect(browser.cookie).not.toBe(copy.cookie);
      expect((await browser.send('get', '/me')).status).toBe(401);
      await expectDead(app, copy);
    });

    it.each(['/tokens/current', '/tokens/:id'])(
      'DELETE %s of tokenRoutes ends it, cookie and all',
      async (path) => {
        const { app, browser, copy } = await loggedIn();
        const { body } = await browser.send('get', '/tokens');
        const [row] = (body as { tokens: { id: string }[] }).tokens;
        expect(row).toMatchObject({ current: true, carried_by: 'session', address: '127.0.0.1' });
        const gone = await browser.send('delete', path.replace(':id', row?.id ?? ''));
        expect(gone.status).toBe(204);
        expect(browser.cookie).toBeUndefined();
        await expectDead(app, copy);
      },
    );

    it('tokenRoutes ends the sessions of other browsers, and none for a page of another site', async () => {
      const { app, browser, copy } = await loggedIn();
      const other = app.browser();
      await other.logIn();
      const evil = { Origin: 'https://evil.example' };
      expect((await other.send('delete', '/tokens/others', undefined, evil)).status).toBe(403);
      expect((await browser.send('get', '/me')).status).toBe(200);
      expect((await other.send('delete', '/tokens/others')).status).toBe(204);
      expect((await copy.send('get', '/me')).status).toBe(401);
      expect((await copy.send('get', '/remembered')).body).toEqual({});
      expect((await other.send('get', '/me')).status).toBe(200);
    });

    it('new content alone does not end it: the id is the same', async () => {
      const { browser } = await loggedIn();
      const before = browser.id;
      await browser.send('post', '/empty');
      expect(browser.id).toBe(before);
      expect((await browser.send('get', '/me')).body).toMatchObject({ session: { emptied: true } });
    });

    it('an id that has ended stays so where the app goes on with a new session in the same request', async () => {
      const { app, copy } = await loggedIn({
        own: async (ctx) => {
          const old = ctx.session as { save(): Promise<void> };
          ctx.session = null;
          await old.save();
          ctx.session = { late: 'CANARY' };
        },
      });
      await copy.send('post', '/own');
      expect(await app.tokens.list(alice)).toEqual([]);
      expect((await copy.send('get', '/remembered')).body).toEqual({});
    });

    it('within the request that drops it or makes it anew, it does not pass any more', async () => {
      let how = '';
      const { browser, copy } = await loggedIn({
        beforeGuard: async (ctx) => {
          if (how === 'null') ctx.session = null;
          if (how === 'regenerate') await (ctx.session as { regenerate(): Promise<void> }).regenerate();
        },
      });
      expect((await copy.send('get', '/me')).status).toBe(200);
      how = 'null';
      expect((await copy.send('get', '/me')).status).toBe(401);
      await browser.logIn();
      how = 'regenerate';
      expect((await browser.send('get', '/me')).status).toBe(401);
    });

    it.each([
      ['revokeToken', (browser: Jar) => browser.send('delete', '/session')],
      ['ctx.session = null', (browser: Jar) => browser.send('post', '/forget')],
      ['a login in another tab', (browser: Jar) => browser.logIn()],
    ])('a request under way during %s brings nothing back', async (_, endIt) => {
      const held = gate();
      const { app, browser, copy } = await loggedIn({
        own: async (ctx) => {
          await held.wait();
          Object.assign(ctx.session as object, { late: 'CANARY' });
        },
      });
      const late = copy.send('post', '/own');
      await held.held;
      await endIt(browser);
      held.letGo();
      const answer = await late;
      expect(answer.status).toBe(204);
      // A cookie of the old id could take the place of that of the new login.
      expect(cookiesOf(answer)).toEqual([]);
      expect(await keptOf(app.store, copy.id)).toBeNull();
      expect((await copy.send('get', '/me')).status).toBe(401);
      expect((await copy.send('get', '/remembered')).body).toEqual({});
    });

    it('a request under way while the token is revoked brings nothing back', async () => {
      const held = gate();
      const { app, copy, id } = await loggedIn({
        own: async (ctx) => {
          await held.wait();
          Object.assign(ctx.session as object, { late: 'CANARY' });
        },
      });
      const late = copy.send('post', '/own');
      await held.held;
      await app.tokens.revoke(id);
      held.letGo();
      expect((await late).status).toBe(204);
      await expectDead(app, copy);
    });

    it('a request that waited while the token was revoked does not pass', async () => {
      const held = gate();
      let isHeld = false;
      const { app, browser, id } = await loggedIn({ beforeGuard: () => (isHeld ? held.wait() : undefined) });
      isHeld = true;
      const late = browser.send('post', '/me');
      await held.held;
      await app.tokens.revoke(id);
      held.letGo();
      expect((await late).body).toEqual(refused('invalid_token'));
      expect(app.reached).toEqual([]);
    });

    it("a visitor's session that a login has ended is not brought back either", async () => {
      const held = gate();
      const app = await start({
        own: async (ctx) => {
          await held.wait();
          Object.assign(ctx.session as object, { late: true });
        },
      });
      const [one, two] = [app.browser(), app.browser()];
      await one.send('post', '/remember', { a: 1 });
      two.cookie = one.cookie;
      const late = two.send('post', '/own');
      await held.held;
      await one.logIn();
      held.letGo();
      expect(cookiesOf(await late)).toEqual([]);
      expect(await keptOf(app.store, two.id)).toBeNull();
    });

    it('a record of another account than its token is none', async () => {
      const { app, copy } = await loggedIn();
      const record = JSON.stringify({ v: 1, login: accountKey('bob'), content: {} });
      await app.store.saveSession(keyHash('session', copy.id), record, 60_000);
      expect((await copy.send('get', '/me')).status).toBe(401);
    });
  });

  describe('refuses', () => {
    const own = 'http://localhost';
    const foreign: readonly (readonly [string, Record<string, string>])[] = [
      ['a foreign Origin', { Origin: 'https://evil.example' }],
      ['Origin null', { Origin: 'null' }],
      ['Origin null from another site', { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' }],
      ['Origin null from the same site', { Origin: 'null', 'Sec-Fetch-Site': 'same-site' }],
      ['another scheme', { Origin: 'https://localhost' }],
      ['another port', { Origin: 'http://localhost:3000' }],
      ['a longer name', { Origin: 'http://localhost.evil.example' }],
      ['a sub-domain', { Origin: 'http://user.localhost' }],
      ['Origin null, asked for by no page', { Origin: 'null', 'Sec-Fetch-Site': 'none' }],
      ['a foreign Origin that says same-origin', { Origin: 'http://evil', 'Sec-Fetch-Site': 'same-origin' }],
      ['no Origin, Sec-Fetch-Site cross-site', { 'Sec-Fetch-Site': 'cross-site' }],
      ['no Origin, Sec-Fetch-Site same-site', { 'Sec-Fetch-Site': 'same-site' }],
      ['a forged Host (INP-13)', { Origin: 'http://evil', Host: 'evil', 'X-Forwarded-Host': 'evil' }],
    ];

    it.each(foreign)('a change sent by a page of another site: %s (ENR-08)', async (_, headers) => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      for (const method of ['post', 'put', 'patch', 'delete'] as const) {
        const answer = await browser.send(method, '/me', undefined, headers);
        expect(answer.status).toBe(403);
        expect(answer.body).toEqual(refused('csrf_rejected'));
      }
      expect((await browser.send('delete', '/sessions', undefined, headers)).status).toBe(403);
      expect(app.reached).toEqual([]);
      for (const method of ['get', 'head', 'options'] as const) {
        expect((await browser.send(method, '/me', undefined, headers)).status).toBe(200);
      }
      // A token in the header was put there by the client itself.
      const byHeader = { ...headers, Authorization: `Bearer ${await app.bearer()}` };
      expect((await browser.send('post', '/me', {}, byHeader)).status).toBe(200);
    });

    it.each(foreign)('a login sent by a page of another site: %s', async (_, headers) => {
      const app = await start();
      const victim = app.browser();
      const answer = await victim.logIn('mallory', {}, headers);
      expect(answer.status).toBe(403);
      expect(answer.body).toEqual(refused('csrf_rejected'));
      expect(cookiesOf(answer)).toEqual([]);
      expect(await app.tokens.list({ id: 'mallory' })).toEqual([]);
      expect(app.events.map(({ name }) => name)).not.toContain('token.issued');
    });

    it.each([
      ['its own Origin', { Origin: own }],
      ['its own Origin and Sec-Fetch-Site', { Origin: own, 'Sec-Fetch-Site': 'same-origin' }],
      ['Sec-Fetch-Site same-origin', { 'Sec-Fetch-Site': 'same-origin' }],
      ['Origin null of a page without referrer', { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }],
      ['neither', {}],
    ])('no page of its own: %s', async (_, headers) => {
      const app = await start();
      const browser = app.browser();
      expect((await browser.logIn('alice', {}, headers)).status).toBe(200);
      expect((await browser.send('post', '/me', {}, headers)).status).toBe(200);
    });

    it('one secret in the place of another (PND-01, PND-02, PND-03)', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      const id = browser.id;
      const token = await app.bearer();
      await app.factors.importTotp(alice, { secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ' });
      const { pending } = (await app.browser().logIn()).body as { pending: string };
      expect(pending).toMatch(/^pcpl_/);

      const asBearer = await request(app.server).get('/me').set('Authorization', `Bearer ${id}`);
      expect(asBearer.status).toBe(401);
      expect(asBearer.body).toEqual(refused('invalid_token'));
      for (const wrong of [
        token,
        pending,
        `${id}x`,
        id.toLowerCase(),
        `pcat_${id.slice(5)}`,
        '',
        'a'.repeat(9000),
      ]) {
        const other = app.browser();
        other.id = wrong;
        expect((await other.send('get', '/me')).status).toBe(401);
      }
      const resumed = await app.browser().send('post', '/login/second-factor', {
        pending: id,
        otp_token: '000000',
      });
      expect(resumed.body).toEqual(refused('pending_login_invalid'));
      expect((await browser.send('get', '/me')).status).toBe(200);
    });

    it('a session id anywhere but in its cookie, and a token anywhere but in the header (TOK-09)', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      const token = await app.bearer();
      const bare = () => request(app.server);
      for (const secret of [browser.id, token]) {
        expect((await bare().get(`/me?access_token=${secret}`)).status).toBe(401);
        expect((await bare().get(`/me?${app.key}=${secret}`)).status).toBe(401);
        expect(
          (
            await bare()
              .post('/me')
              .send({ access_token: secret, [app.key]: secret })
          ).status,
        ).toBe(401);
        expect((await bare().get('/me').set('X-Access-Token', secret)).status).toBe(401);
        for (const name of ['access_token', 'token', 'koa.sess', `__Host-${app.key}`]) {
          expect((await bare().get('/me').set('Cookie', `${name}=${secret}`)).status).toBe(401);
        }
      }
    });

    it.each(['Basic YWxpY2U6eA==', 'Bearer x', 'Bearer', ''])(
      'a request whose header is no token, whatever cookie comes with it: %j',
      async (authorization) => {
        const app = await start();
        const browser = app.browser();
        await browser.logIn();
        const answer = await browser.send('get', '/me', undefined, { Authorization: authorization });
        expect([400, 401]).toContain(answer.status);
        expect(app.reached).toEqual([]);
      },
    );

    it('a visitor, without a look at any token, whatever page asks', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.send('post', '/remember', { a: 1 });
      const answer = await browser.send('post', '/me', {}, { Origin: 'https://evil.example' });
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
    });

    it('whoever writes a login into the session', async () => {
      const app = await start();
      const forged = {
        v: 1,
        login: accountKey('alice'),
        account: { id: 'alice' },
        auth: { account: { id: 'alice' } },
        content: { login: accountKey('alice') },
        token: { carry: 'session' },
        _maxAge: 1e9,
        isNew: false,
      };
      const mallory = app.browser();
      await mallory.send('post', '/remember', forged);
      expect((await mallory.send('get', '/remembered')).body).toMatchObject({ login: accountKey('alice') });
      expect((await mallory.send('get', '/me')).status).toBe(401);
      await mallory.logIn('mallory');
      await mallory.send('post', '/remember', forged);
      expect((await mallory.send('get', '/me')).body).toMatchObject({ account: 'mallory' });
    });

    it('routes for own factors, where they are asked from another site or not as JSON (ENR-07, ENR-08)', async () => {
      const app = await start();
      const browser = app.browser();
      await browser.logIn();
      const evil = await browser.send('post', '/factors/totp', {}, { Origin: 'https://evil.example' });
      expect(evil.body).toEqual(refused('csrf_rejected'));
      for (const type of ['application/x-www-form-urlencoded', 'text/plain']) {
        const form = await browser.send('post', '/factors/totp', undefined, { 'Content-Type': type });
        expect(form.body).toEqual(refused('unsupported_media_type'));
      }
      // What has neither body nor type, a page of another site can send in an old browser.
      expect((await browser.send('post', '/factors/totp')).body).toEqual(refused('unsupported_media_type'));
      const begun = await browser.send('post', '/factors/totp', {}, { Origin: own });
      expect(begun.status).toBe(200);
    });

    it('a reset that is asked from another site or not as JSON; one of its own ends sessions of the target', async () => {
      const app = await start();
      const [owner, target] = [app.browser(), app.browser()];
      await owner.logIn();
      await target.logIn('bob');
      const evil = await owner.send('post', '/reset?id=bob', {}, { Origin: 'https://evil.example' });
      expect(evil.body).toEqual(refused('csrf_rejected'));
      expect((await owner.send('post', '/reset?id=bob')).body).toEqual(refused('unsupported_media_type'));
      expect((await target.send('get', '/me')).status).toBe(200);
      const typed = { 'Content-Type': 'application/json', Origin: own };
      expect((await owner.send('post', '/reset?id=bob', undefined, typed)).status).toBe(204);
      expect((await target.send('get', '/me')).status).toBe(401);
      expect((await owner.send('get', '/me')).status).toBe(200);
    });
  });

  describe('tells', () => {
    it('no id and no secret, in no event, error or answer (LOG-01, TOK-25)', async () => {
      const app = await start();
      const browser = app.browser();
      const seen: string[] = [];
      seen.push(JSON.stringify((await browser.logIn()).body));
      const { id } = browser;
      seen.push(JSON.stringify((await browser.send('get', '/me')).body));
      seen.push(JSON.stringify((await browser.send('post', '/me', {}, { Origin: 'http://evil' })).body));
      await browser.send('delete', '/session');
      expect(app.events.map(({ name }) => name)).toEqual([
        'token.issued',
        'login.succeeded',
        'token.revoked',
      ]);
      expect(JSON.stringify([seen, app.events, app.errors])).not.toContain(id);
      expect(JSON.stringify([seen, app.events])).not.toContain('pcss_');
    });
  });
});

describe('what Redis keeps of sessions', () => {
  it('opens nothing: neither id nor token is in it, and all of it ends (RED-25, LOG-01)', async () => {
    const app = await mount({ store: shared });
    const browsers = [app.browser(), app.browser()] as const;
    await browsers[0].logIn();
    await browsers[0].send('post', '/remember', { a: 1 });
    await browsers[1].send('post', '/remember', { b: 2 });
    const token = await app.bearer();
    const keys = await client.keys('*');
    const dump: string[] = [...keys];
    for (const key of keys) {
      expect(await client.pttl(key)).toBeGreaterThan(0);
      const isSet = (await client.type(key)) === 'zset';
      dump.push(String(await (isSet ? client.call('ZRANGE', key, 0, -1) : client.call('GET', key))));
    }
    const text = dump.join('\n');
    expect(keys.filter((key) => /^portcullis:session:\{[0-9a-f]{64}\}$/.test(key))).toHaveLength(2);
    for (const secret of [browsers[0].id, browsers[1].id, token]) {
      expect(text).not.toContain(secret.slice(5, -6));
      expect(text).not.toContain(Buffer.from(secret.slice(5, -6), 'base64url').toString('hex'));
    }
    expect(text).not.toMatch(/alice(?!")/);
    // What the token is filed under does not lead to the session.
    const [id = ''] = (await app.tokens.list(alice)).map((one) => one.id);
    expect(text).not.toContain(`session:{${Buffer.from(id, 'base64url').toString('hex')}`);
  });

  it('tokens that are kept in the process carry sessions too, and end at once', async () => {
    const app = await mount({ store: shared, core: { cache: {} } });
    const browser = app.browser();
    const { id } = (await browser.logIn()).body as { id: string };
    do expect((await browser.send('get', '/me')).status).toBe(200);
    while (app.tokens.recall(browser.id, 'session') === undefined);
    const asBearer = await request(app.server).get('/me').set('Authorization', `Bearer ${browser.id}`);
    expect(asBearer.status).toBe(401);
    await app.tokens.revoke(id);
    expect((await browser.send('get', '/me')).status).toBe(401);
    expect(await keptOf(shared, browser.id)).toBeNull();
  });

  it('a session ends some seconds after its cookie', async () => {
    const app = await mount({ store: shared, maxAgeSeconds: 60 });
    const browser = app.browser();
    await browser.send('post', '/remember', { a: 1 });
    const left = await client.pttl(`portcullis:session:{${keyHash('session', browser.id)}}`);
    expect(left).toBeGreaterThan(60_000);
    expect(left).toBeLessThanOrEqual(70_000);
  });

  it.each(['session', '1', 1e300, 1.5])(
    'an age that the app sets to %s is that of a visitor instead',
    async (maxAge) => {
      const app = await mount({
        store: shared,
        maxAgeSeconds: 60,
        own: (ctx) => {
          Object.assign(ctx.session as object, { a: 1, maxAge });
        },
      });
      const browser = app.browser();
      expect((await browser.send('post', '/own')).status).toBe(204);
      const left = await client.pttl(`portcullis:session:{${keyHash('session', browser.id)}}`);
      expect(left).toBeGreaterThan(50_000);
      expect(left).toBeLessThanOrEqual(70_000);
    },
  );

  it('a Redis that hangs refuses, and lets in nobody; what was there is there again afterwards', async () => {
    const app = await mount({ store: shared });
    const browser = app.browser();
    await browser.logIn();
    server.freeze();
    try {
      const answers = await Promise.all([browser.send('get', '/me'), app.browser().logIn()]);
      expect(answers.map(({ status }) => status)).toEqual([503, 503]);
      expect(answers.flatMap(cookiesOf)).toEqual([]);
    } finally {
      server.thaw();
    }
    expect(app.events.map(({ name }) => name)).toContain('store.failed');
    await expect(browser.send('get', '/me')).resolves.toMatchObject({ status: 200 });
  });
});

describe('where the store fails', () => {
  it.each([
    ['cannot save', { saveSession: fail }],
    ['answers nonsense to a save', { saveSession: async () => 'OK' as never }],
    ['cannot remove', { removeSession: fail }],
    ['never answers', { saveSession: () => new Promise<never>(() => {}) }],
  ])('a login is refused when it %s, and its token ends', async (_, faults) => {
    const sound = memoryStore();
    const store: Store = { ...sound };
    const app = await mount({ store });
    const browser = app.browser();
    await browser.send('post', '/remember', { a: 1 });
    const before = browser.cookie;
    Object.assign(store, faults);
    const answer = await browser.logIn();
    expect(answer.status).toBe(503);
    expect(answer.body).toEqual(refused('store_unavailable'));
    expect(answer.headers['retry-after']).toBe('1');
    expect(cookiesOf(answer).filter((line) => !line.startsWith(`${app.key}=;`))).toEqual([]);
    expect(app.events.map(({ name }) => name)).toEqual(['store.failed']);
    expect(JSON.stringify(app.events)).not.toContain('CANARY');
    expect(app.errors).toEqual([]);
    expect(await app.tokens.list(alice)).toEqual([]);
    Object.assign(store, sound);
    const other = app.browser();
    other.cookie = before;
    expect((await other.send('get', '/me')).status).toBe(401);
  });

  it('a login is refused when the old login cannot be ended; one of a visitor has none to end', async () => {
    const sound = memoryStore();
    const store: Store = { ...sound, revokeToken: fail };
    const app = await mount({ store });
    const browser = app.browser();
    await browser.send('post', '/remember', { a: 1 });
    expect((await browser.logIn()).status).toBe(200);
    const answer = await browser.logIn();
    expect(answer.status).toBe(503);
    expect(cookiesOf(answer).filter((line) => !line.startsWith(`${app.key}=;`))).toEqual([]);
    // As tokens cannot be revoked, the new one is left, and nobody has its secret.
    expect(await app.tokens.list(alice)).toHaveLength(2);
    expect((await app.browser().send('post', '/forget')).status).toBe(204);
  });

  it.each<[string, Partial<Store>]>([
    ['the session cannot be read', { readSession: fail }],
    ['the session is nonsense', { readSession: async () => 'CANARY' }],
    ['the session is another record', { readSession: async () => '{"v":2,"login":null,"content":{}}' }],
    ['the login is no text', { readSession: async () => '{"v":1,"login":1,"content":{}}' }],
    ['the content is none', { readSession: async () => '{"v":1,"login":null,"content":null}' }],
    ['the answer is no text', { readSession: async () => ({}) as never }],
    ['the token cannot be read', { readToken: fail }],
  ])('a request is refused with 503 when %s, and told as store.failed', async (_, faults) => {
    const store: Store = { ...memoryStore() };
    const app = await mount({ store });
    const browser = app.browser();
    await browser.logIn();
    Object.assign(store, faults);
    const answer = await browser.send('get', '/me');
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.text).not.toContain('CANARY');
    expect(cookiesOf(answer)).toEqual([]);
    expect(app.events.at(-1)).toMatchObject({ name: 'store.failed' });
    expect(app.reached).toEqual([]);
  });

  it('an id that is none costs no call', async () => {
    const store: Store = { ...memoryStore() };
    const app = await mount({ store });
    const browser = app.browser();
    await browser.logIn();
    Object.assign(store, { readSession: fail, readToken: fail });
    for (const id of [`${browser.id.slice(0, -1)}_`, 'pcss_', 'x', `pcat_${browser.id.slice(5)}`]) {
      browser.id = id;
      expect((await browser.send('get', '/me')).status).toBe(401);
    }
  });

  it('a dead session whose record cannot be removed lets nobody in', async () => {
    const store: Store = { ...memoryStore() };
    const app = await mount({ store });
    const browser = app.browser();
    await browser.logIn();
    await app.tokens.revokeAll(alice);
    Object.assign(store, { removeSession: fail });
    expect((await browser.send('get', '/me')).status).toBe(503);
    expect(app.reached).toEqual([]);
  });
});

describe('a session of which koa-session itself says that it has ended', () => {
  it('carries no login, though its token lives', async () => {
    const app = await mount({
      store: memoryStore(),
      own: (ctx) => Object.assign(ctx.session as object, { maxAge: 1 }),
    });
    const browser = app.browser();
    await browser.logIn();
    await browser.send('post', '/own');
    const { id } = browser;
    await new Promise((resolve) => setTimeout(resolve, 20));
    browser.id = id;
    expect((await browser.send('get', '/me')).status).toBe(401);
    expect(await app.tokens.check(id, 'session')).not.toBeNull();
  });
});

function mountIssue(
  tokens: AccessTokens,
  settings?: ReturnType<typeof sessionOptions>,
  after?: (ctx: { session: { regenerate(): Promise<void> } }) => Promise<void>,
) {
  const app = new Koa();
  const errors: Error[] = [];
  app.on('error', (error: Error) => errors.push(error));
  if (settings !== undefined) app.use(session(settings, app));
  app.use(async (ctx, next) => {
    passwordVerified(ctx, alice);
    await next();
    await after?.(ctx as never);
  });
  const both = { dangerouslyWithoutLockout: true, dangerouslyWithoutSecondFactor: true };
  app.use(issueToken(tokens, { carry: 'session', ...both }));
  return { errors, send: () => request(app.callback()).post('/') };
}

describe('issueToken with carry session', () => {
  it.each(['without koa-session', 'with a koa-session of other tokens'])(
    'is an error of the app %s, before anything is issued',
    async (where) => {
      const store = memoryStore();
      const tokens = new AccessTokens({ store });
      const other = sessionOptions(new AccessTokens({ store }), { store, origin: 'http://localhost' });
      const { errors, send } = mountIssue(tokens, where === 'without koa-session' ? undefined : other);
      const answer = await send();
      expect(answer.status).toBe(500);
      expect(errors.map(({ message }) => message)).toEqual([
        expect.stringMatching(
          /^issueToken: carry 'session' needs koa-session with sessionOptions of the same tokens/,
        ),
      ]);
      expect(await tokens.list(alice)).toEqual([]);
    },
  );

  it('gives its id once: a session that is made anew after it is that of a visitor', async () => {
    const store = memoryStore();
    const tokens = new AccessTokens({ store });
    const settings = sessionOptions(tokens, { store, origin: 'http://localhost' });
    let issued = '';
    const { send, errors } = mountIssue(tokens, settings, async ({ session: own }) => {
      issued = (await tokens.list(alice))[0]?.id ?? '';
      await own.regenerate();
    });
    const given = cookiesOf(await send());
    expect(issued).toMatch(/^[\w-]{43}$/);
    const id = /portcullis_session=(pcss_[\w-]+)/.exec(given.at(-1) ?? '')?.[1] ?? '';
    expect(await tokens.list(alice)).toEqual([]);
    expect(await keptOf(store, id)).toMatch(/"login":null/);
    expect(errors).toEqual([]);
  });

  it('is not let through by requireToken of other tokens', async () => {
    const store = memoryStore();
    const app = await mount({ store });
    const browser = app.browser();
    await browser.logIn();
    const other = new Koa();
    const settings = sessionOptions(app.tokens, { store, origin: 'http://localhost' });
    other.use(session(settings, other));
    other.use(requireToken(new AccessTokens({ store })));
    const answer = await request(other.callback())
      .get('/')
      .set('Cookie', browser.cookie ?? '');
    expect(answer.status).toBe(401);
  });

  it('takes no function for carry', () => {
    const tokens = new AccessTokens({ store: memoryStore() });
    expect(() => issueToken(tokens, { carry: (() => 'session') as never })).toThrow(
      new TypeError("issueToken: option carry must be one of 'bearer', 'session', not a function"),
    );
    expect(() => issueToken(tokens, { carry: 'cookie' as never })).toThrow(TypeError);
  });
});

describe('sessionOptions', () => {
  const store = memoryStore();
  const tokens = new AccessTokens({ store });
  const origin = 'https://acme.example';

  it('answers another object each time, and changes none of its own', () => {
    const options = Object.freeze({ store, origin });
    const [one, two] = [sessionOptions(tokens, options), sessionOptions(tokens, options)];
    expect(one).not.toBe(two);
    session(one, new Koa());
    expect(Object.keys(two)).toEqual(Object.keys(sessionOptions(tokens, options)));
  });

  it('needs no app.keys', async () => {
    const app = await mount({ store: memoryStore() });
    expect(app.app.keys).toBeUndefined();
    expect((await app.browser().logIn('alice', { password })).status).toBe(200);
  });

  it.each<[unknown, unknown, string]>([
    [
      {},
      { store, origin },
      'sessionOptions: the first argument must be made by new AccessTokens(), not an object',
    ],
    [
      tokens,
      { origin },
      'sessionOptions: option store must be a session store such as memoryStore() or redisStore(redis), not undefined',
    ],
    [
      tokens,
      { store: {}, origin },
      'sessionOptions: option store must be a session store such as memoryStore() or redisStore(redis), not an object',
    ],
    [
      tokens,
      { store },
      'sessionOptions: option origin must be an origin such as https://acme.example (http for localhost only), not undefined',
    ],
    [
      tokens,
      { store, origin, maxAgeSeconds: 59 },
      'sessionOptions: option maxAgeSeconds must be a whole number from 60 to 604800, not 59',
    ],
    [
      tokens,
      { store, origin, secure: false },
      'sessionOptions: unknown option "secure"; it takes store, origin, maxAgeSeconds',
    ],
  ])('rejects bad options by name, when it is made %#', (core, options, message) => {
    expect(() => sessionOptions(core as never, options as never)).toThrow(new TypeError(message));
  });

  it.each([
    'http://acme.example',
    'https://acme.example/',
    'https://ACME.example',
    'http://127.0.0.1',
    'acme.example',
    'null',
    '',
  ])('takes no origin of %j', (wrong) => {
    expect(() => sessionOptions(tokens, { store, origin: wrong })).toThrow(
      /^sessionOptions: option origin must be/,
    );
  });
});
