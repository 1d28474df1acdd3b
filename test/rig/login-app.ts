import type { Server } from 'node:http';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach, expect, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import type { Account } from '../../src/core/account.js';
import { Lockout } from '../../src/core/lockout.js';
import { Login } from '../../src/core/login.js';
import type { SecondFactorsOptions } from '../../src/core/second-factor-options.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import { newTotpSecret } from '../../src/core/totp.js';
import type { AuthContext, AuthMiddleware, AuthState } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { added, origin, sealingKey, wideLimits } from './factor-rig.js';
import { fakeClock } from './fake-clock.js';
import { mountLogin, password } from './login-chain.js';
import { SoftwareAuthenticator, type ServerOptions } from './software-authenticator.js';
import { codeOf } from './totp-code.js';

/** What every event says beside its own facts. */

/** The body of a refusal. */
export const refused = (error: string, more: object = {}): object => ({
  error,
  error_description: expect.any(String),
  ...more,
});

export const stale = refused('insufficient_user_authentication', { max_age: 300 });

export interface Mounted {
  readonly router: Router<AuthState>;
  readonly factors: SecondFactors;
  readonly tokens: AccessTokens;
  /** `requireToken`, as it stands before every route of the app. */
  readonly guard: AuthMiddleware;
  /** Ends a route: notes the request as one that reached its handler. */
  readonly handler: AuthMiddleware;
}

export interface LoginAppOptions {
  /** Mounts what is under test. */
  readonly routes: (mounted: Mounted) => unknown;
  readonly factors?: Partial<SecondFactorsOptions>;
  /** Stands before everything, the body parser too. */
  readonly first?: AuthMiddleware;
  readonly findAccount?: (id: string, ctx: AuthContext) => Account | null;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  jest.restoreAllMocks();
});

/**
 * A whole app with the login chain of the README (`POST /tokens`, `POST /tokens/second-factor`), where everybody's name
 * is their account id, and the routes under test beside it. Time stands still in it, `Date.now` included.
 */
export function loginApp({ routes, factors: given, first, findAccount }: LoginAppOptions) {
  const clock = fakeClock();
  jest.spyOn(Date, 'now').mockImplementation(clock.now);
  const sound = memoryStore({ now: clock.now });
  // Its methods are looked up at each call, so a test can break one in the middle.
  const store: Store = { ...sound };
  const attempts = new Lockout({ store, limits: wideLimits, addressLimits: false });
  const settings = { store, issuer: 'Acme', keys: [sealingKey], origin, now: clock.now };
  const factors = new SecondFactors({ ...settings, ...given });
  const tokens = new AccessTokens({ store });

  const reached: unknown[] = [];
  const handler: AuthMiddleware = (ctx) => {
    reached.push(ctx.path);
    ctx.body = 'reached';
  };
  const guard = requireToken(tokens, findAccount === undefined ? {} : { findAccount });
  const router = new Router<AuthState>();
  mountLogin(router, { attempts, factors, tokens });
  router.get('/reports', guard, handler);
  routes({ router, factors, tokens, guard, handler });

  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const state: { auth?: unknown } = {};
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  if (first !== undefined) app.use(first);
  app.use(async (ctx, next) => {
    ctx.append('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  app.use(bodyParser());
  app.use(router.routes());
  const server = app.listen(0);
  servers.push(server);

  const code = (secret: string, steps = 0): string =>
    codeOf(secret, Math.floor(clock.now() / 30_000) + steps);

  /** A request with a token, if one is given. */
  const send = (
    method: 'get' | 'post' | 'put' | 'patch' | 'delete' | 'head' | 'options',
    path: string,
    token?: string,
  ): request.Test => {
    const test = request(server)[method](path);
    return token === undefined ? test : test.set('Authorization', `Bearer ${token}`);
  };

  /** A whole login; with a factor's code where one is given. */
  async function logIn(name: string, otp_token?: string): Promise<string> {
    const { body, status } = await send('post', '/tokens').send({ username: name, password, otp_token });
    const { access_token: token } = body as { access_token?: string };
    if (token === undefined) throw new Error(`no token, but ${status}: ${JSON.stringify(body)}`);
    return token;
  }

  /** The handle that a right password yields where a factor is outstanding. */
  async function ask(name: string): Promise<string> {
    const { body } = await send('post', '/tokens').send({ username: name, password }).expect(401);
    return (body as { pending: string }).pending;
  }

  /** Enrols an authenticator past all routes and without drawing it; a minute goes by, as people take one. */
  async function enrol(name: string): Promise<{ secret: string; id: string; codes: readonly string[] }> {
    const secret = newTotpSecret();
    const { id, backupCodes } = added(await factors.importTotp({ id: name }, { secret }));
    clock.advance(60);
    return { secret, id, codes: backupCodes ?? [] };
  }

  const secrets = new Map<string, string>();
  /** A token of somebody who has just logged in with an authenticator, which is enrolled where there was none. */
  async function logInStrongly(name: string): Promise<string> {
    const secret = secrets.get(name) ?? (await enrol(name)).secret;
    secrets.set(name, secret);
    clock.advance(60);
    return logIn(name, code(secret));
  }

  /** Enrols a security key past all routes. */
  async function enrolKey(name: string): Promise<SoftwareAuthenticator> {
    const begun = await factors.beginSecurityKey({ id: name }, { userName: name });
    const key = device();
    added(await factors.confirmSecurityKey({ id: name }, key.register(begun as ServerOptions)));
    return key;
  }

  /** A token of a login as it is told; for what no login of the app would come to. */
  async function tokenOf(
    name: string,
    { methods = [], agedSeconds = 0 }: { methods?: readonly string[]; agedSeconds?: number } = {},
  ): Promise<string> {
    const login = new Login();
    login.verifyPassword({ id: name }, clock.now() - agedSeconds * 1000);
    login.passFactor();
    for (const method of methods) login.passFactor(method);
    // Over five minutes old, a login gets no token: another clock issues it.
    const issuer = new AccessTokens({ store, now: () => clock.now() - agedSeconds * 1000 });
    const issued = await issuer.issue(login);
    if (issued === null) throw new Error('no token');
    return issued.secret;
  }

  /** Sends a path exactly as it is written; the answer's status. */
  async function sendRaw(method: string, path: string, headers: Record<string, string> = {}, body = '') {
    const { port } = server.address() as AddressInfo;
    return new Promise<number>((resolve, reject) => {
      const length = { 'Content-Length': Buffer.byteLength(body) };
      httpRequest({ port, method, path, headers: { ...length, ...headers } }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      })
        .on('error', reject)
        .end(body);
    });
  }

  return {
    app,
    clock,
    store,
    sound,
    factors,
    tokens,
    events,
    errors,
    reached,
    state,
    code,
    send,
    sendRaw,
    logIn,
    logInStrongly,
    ask,
    enrol,
    enrolKey,
    tokenOf,
  };
}

export type LoginApp = ReturnType<typeof loginApp>;

/** For what only looks at options. */
export function anyFactors(): SecondFactors {
  return new SecondFactors({ store: memoryStore(), issuer: 'Acme', keys: [sealingKey] });
}

export function device(): SoftwareAuthenticator {
  return new SoftwareAuthenticator({ origin, rpId: 'acme.example' });
}

/** Ways in which one operation of a store can fail. */
export const faults: readonly (readonly [how: string, fault: () => Promise<never>])[] = [
  ['fails', () => Promise.reject(new Error('CANARY'))],
  ['answers nonsense', async () => ({ CANARY: true }) as never],
  ['never answers', () => new Promise<never>(() => {})],
];

/** An app that keeps its token in a cookie, and writes it into the headers for `requireToken`. */
export const tokenFromCookie: AuthMiddleware = (ctx, next) => {
  const token = /(?:^|; )token=([^;]+)/.exec(ctx.req.headers.cookie ?? '')?.[1];
  if (token !== undefined) ctx.req.headers.authorization = `Bearer ${token}`;
  return next();
};

/** Sees a request through whose hook never answers: once that was asked, its five seconds go by. */
export async function withSilentHook(
  test: request.Test,
  wasAsked: () => boolean,
): Promise<{ status: number; body: unknown }> {
  jest.useFakeTimers({
    doNotFake: [
      'Date',
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'clearImmediate',
    ],
  });
  try {
    const answer = test.then(({ status, body }) => ({ status, body: body as unknown }));
    while (!wasAsked()) await new Promise(setImmediate);
    await jest.advanceTimersByTimeAsync(5000);
    return await answer;
  } finally {
    jest.useRealTimers();
  }
}

/** A hook that never answers, and says whether it was asked. */
export function silentHook(): { hook: () => Promise<never>; wasAsked: () => boolean } {
  let asked = false;
  return {
    hook: () => {
      asked = true;
      return new Promise<never>(() => {});
    },
    wasAsked: () => asked,
  };
}

/** Says of itself what only a verified token can prove. */
export const forgeState: AuthMiddleware = (ctx, next) => {
  const authTime = Math.floor(Date.now() / 1000);
  ctx.state.auth = { account: { id: 'alice' }, methods: ['pwd', 'otp'], authTime };
  return next();
};

/** What a hook that has to say yes or no may answer instead. */
export const noFlags: readonly (readonly [what: string, hook: () => unknown])[] = [
  ['1', () => 1],
  ['"true"', () => 'true'],
  ['nothing', () => undefined],
  ['null', () => null],
  ['{}', () => ({})],
  ['an error', () => Promise.reject(new Error('away'))],
  [
    'a throw',
    () => {
      throw new Error('away');
    },
  ],
];
