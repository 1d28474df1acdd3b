import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { inspect } from 'node:util';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import Koa from 'koa';
import session from 'koa-session';
import request from 'supertest';
import {
  AccessTokens,
  Lockout,
  PasswordHashes,
  SecondFactors,
  issueToken,
  lockout,
  memoryStore,
  oauthRoutes,
  redisStore,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  robotTokenRoutes,
  safeBody,
  secondFactorRoutes,
  sessionOptions,
  sqlStore,
  verifyPassword,
  type AuthEvent,
  type AuthState,
  type Store,
} from '../../src/index.js';
import { fakeClock } from '../rig/fake-clock.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { bytesOf, codeOf } from '../rig/totp-code.js';
import { migrate, startDatabases, type Databases, type Db } from '../stores/databases.js';

const origin = 'https://acme.example';
const right = 'CANARY-right-Password-1';
const wrong = 'CANARY-wrong-Password-2';
const stranger = 'canary-password-typed-as-name';
const webSecret = 'CANARY-client-secret-0123456789-abcdef';

let redis: RedisServer;
let client: Redis;
let databases: Databases;
beforeAll(async () => {
  [redis, databases] = await Promise.all([startRedis(), startDatabases()]);
  client = new Redis(redis.url);
}, 60_000);
afterAll(async () => {
  client.disconnect();
  await Promise.all([redis.stop(), databases.end()]);
});

const servers: Server[] = [];
const printed: string[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  jest.restoreAllMocks();
  printed.length = 0;
});

/** A store, and all that it was ever given or holds. */
interface Kept {
  readonly store: Store;
  readonly dump: () => Promise<string>;
  readonly end: () => void;
}

const kinds: Record<string, () => Promise<Kept>> = {
  async memory() {
    const store = memoryStore();
    const given: unknown[] = [];
    // What it holds is out of reach, and can be no more than what it was given.
    const watched = Object.entries(store).map(([name, method]) => [
      name,
      (...args: unknown[]) => {
        given.push(args);
        return (method as (...all: unknown[]) => unknown)(...args);
      },
    ]);
    return {
      store: Object.fromEntries(watched) as Store,
      dump: async () => inspect(given, { depth: Infinity, maxArrayLength: null, maxStringLength: null }),
      end: () => {},
    };
  },
  async Redis() {
    const store = redisStore(client);
    return { store, dump: dumpRedis, end: () => store.close() };
  },
  PostgreSQL: async () => inSql(databases.openPostgres()),
  SQLite: async () => inSql(databases.openSqlite()),
};

async function inSql(db: Db): Promise<Kept> {
  await migrate(db);
  const dump = async (): Promise<string> => {
    const tables = (await db.introspection.getTables()).filter(({ name }) => name.startsWith('portcullis_'));
    const rows = tables.map(async ({ name }) => [name, await db.selectFrom(name).selectAll().execute()]);
    return JSON.stringify(await Promise.all(rows), (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
  };
  return { store: sqlStore(db), dump, end: () => {} };
}

async function dumpRedis(): Promise<string> {
  const lines = (await client.keys('*')).map(async (key): Promise<unknown> => {
    const type = await client.type(key);
    if (type === 'hash') return [key, await client.hgetall(key)];
    if (type === 'zset') return [key, await client.zrange(key, '0', '-1')];
    return [key, (await client.getBuffer(key))?.toString('latin1')];
  });
  return JSON.stringify(await Promise.all(lines));
}

/** Every way in that the package has, on one store. */
async function serve(store: Store) {
  const clock = fakeClock(Date.now());
  const key = randomBytes(32);
  const hashes = new PasswordHashes({ memoryKiB: 7168, iterations: 1 });
  const stored = await hashes.hash(right);
  const attempts = new Lockout({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [key], origin, now: clock.now });
  const tokens = new AccessTokens({ store });
  const verify = verifyPassword(async ({ identifier, password }) =>
    (await hashes.verify(identifier === 'alice' ? stored : undefined, password)) ? { id: 'u1' } : null,
  );
  const login = [lockout(attempts), verify, requireSecondFactor(factors)] as const;
  const guard = requireToken(tokens);

  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(session(sessionOptions(tokens, { store, origin: 'http://localhost' }), app));
  app.use(safeBody(bodyParser()));
  const router = new Router<AuthState>();
  router.post('/tokens', ...login, issueToken(tokens));
  router.post(
    '/tokens/second-factor',
    resumeLogin(factors),
    lockout(attempts),
    requireSecondFactor(factors),
    issueToken(tokens),
  );
  router.post('/login', ...login, issueToken(tokens, { carry: 'session' }));
  router.get('/reports', guard, (ctx) => (ctx.body = ctx.state.auth));
  router.use('/factors', guard, secondFactorRoutes(factors).routes());
  const robots = robotTokenRoutes(tokens, {
    factors,
    robot: () => ({ id: 'robot' }),
    mayManage: () => true,
    scopes: ['reports'],
    audit: () => {},
  });
  router.use('/robots', guard, robots.routes());
  app.use(router.routes());
  const clients = [{ id: 'web', secret: webSecret }];
  app.use(oauthRoutes(tokens, { issuer: origin, clients, scopes: ['reports'], login }).routes());
  const server = app.listen(0);
  servers.push(server);
  await once(server, 'listening');

  const post = (path: string, body: object, token?: string): request.Test => {
    const sent = request(server).post(path).send(body);
    return token === undefined ? sent : sent.set('Authorization', `Bearer ${token}`);
  };
  const code = (secret: string): string => codeOf(secret, Math.floor(clock.now() / 30_000));
  return {
    server,
    clock,
    key,
    events,
    errors,
    post,
    code,
    objects: [store, attempts, factors, tokens, hashes],
  };
}

/** As an output or a record might spell it. */
function spellings(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret);
  const encodings = ['utf8', 'hex', 'base64', 'base64url', 'latin1'] as const;
  return encodings.map((encoding) => bytes.toString(encoding).replace(/=+$/, ''));
}

async function bodyOf(sent: request.Test, status: number): Promise<Record<string, string>> {
  return (await sent.expect(status)).body as Record<string, string>;
}

it.each(Object.entries(kinds))(
  'no secret of any way in is kept, told or printed (LOG-01, LOG-05, RED-25, TOK-25): %s',
  async (_, open) => {
    const keep = (text: unknown): boolean => printed.push(String(text)) > 0;
    jest.spyOn(process.stdout, 'write').mockImplementation(keep);
    jest.spyOn(process.stderr, 'write').mockImplementation(keep);
    jest.spyOn(process, 'emitWarning').mockImplementation((text) => void keep(text));
    const { store, dump, end } = await open();
    const app = await serve(store);
    const claim = { username: 'alice', password: right };

    // Guesses, one of them with the password in the wrong field.
    await app.post('/tokens', { ...claim, password: wrong }).expect(401);
    await app.post('/tokens', { username: stranger, password: wrong }).expect(401);
    const first = String((await bodyOf(app.post('/tokens', claim), 200))['access_token']);
    const dropped = String((await bodyOf(app.post('/factors/totp', {}, first), 200))['secret']);
    const begun = String((await bodyOf(app.post('/factors/totp', {}, first), 200))['secret']);
    const confirmed = await app
      .post('/factors/totp/confirm', { otp_token: app.code(begun) }, first)
      .expect(201);
    const codes = (confirmed.body as { backup_codes: string[] }).backup_codes;
    app.clock.advance(60);
    const { pending = '' } = await bodyOf(app.post('/tokens', claim), 401);
    const { pending: left = '' } = await bodyOf(app.post('/tokens', claim), 401);
    await app.post('/tokens/second-factor', { pending, otp_token: codes[0] }).expect(200);
    const strong = await bodyOf(app.post('/tokens', { ...claim, otp_token: app.code(begun) }), 200);
    const token = String(strong['access_token']);
    const robot = await bodyOf(app.post('/robots', { name: 'ci', scope: 'reports' }, token), 201);
    app.clock.advance(60);
    const byForm = await request(app.server)
      .post('/oauth/token')
      .type('form')
      .auth('web', webSecret)
      .send({ grant_type: 'password', ...claim, otp_token: app.code(begun) })
      .expect(200);
    const byCookie = await app.post('/login', { ...claim, otp_token: codes[1] }).expect(200);
    const cookie = (byCookie.headers['set-cookie'] as unknown as string[]).join(';');
    const id = /=([^;]{20,})/.exec(cookie)?.[1] ?? '';
    await request(app.server).get('/reports').set('Authorization', `Bearer ${token}`).expect(200);
    for (let i = 0; i < 10; i += 1) await app.post('/tokens', { ...claim, password: wrong });
    await app.post('/tokens', claim).expect(429);

    const secrets: Record<string, string | Buffer> = {
      right,
      wrong,
      stranger,
      webSecret,
      key: app.key,
      dropped,
      begun,
      'begun as bytes': bytesOf(begun),
      pending,
      left,
      first,
      token,
      robot: String(robot['access_token']),
      'token of a client': String((byForm.body as Record<string, string>)['access_token']),
      'id of a session': id,
      ...Object.fromEntries(codes.map((one, index) => [`code ${index}`, one])),
      ...Object.fromEntries(codes.map((one, index) => [`code ${index} as typed`, one.replaceAll('-', '')])),
    };
    const outputs: Record<string, string> = {
      events: inspect(app.events, { depth: Infinity, showHidden: true }),
      errors: inspect(app.errors, { depth: Infinity, showHidden: true }),
      'what was printed': printed.join('\n'),
      'what the store has': await dump(),
      objects: inspect(app.objects, { depth: Infinity, showHidden: true, getters: true }),
    };
    end();
    const found: string[] = [];
    for (const [name, secret] of Object.entries(secrets)) {
      expect(`${name}: ${secret.length >= 10}`).toBe(`${name}: true`);
      // Of tokens and handles the part that nobody else could know, too.
      const parts = [secret, ...(/^pc\w+_/.test(String(secret)) ? [String(secret).slice(5, -6)] : [])];
      for (const spelled of parts.flatMap(spellings)) {
        for (const [place, text] of Object.entries(outputs))
          if (text.toLowerCase().includes(spelled.toLowerCase())) found.push(`${name} is in ${place}`);
      }
    }
    expect(found).toEqual([]);
    // The scan sees what is there.
    expect(outputs['what the store has']?.length).toBeGreaterThan(5000);
    expect(outputs['what the store has']).toContain('u1');
    expect(app.errors).toEqual([]);
    expect(app.events.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['backup_code.used', 'factor.enrolled', 'account.locked', 'token.issued']),
    );
  },
  30_000,
);
