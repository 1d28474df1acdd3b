import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import session from 'koa-session';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import type { AccessTokensOptions } from '../../src/core/token-options.js';
import { Lockout } from '../../src/core/lockout.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import type { AuthEvent, AuthState } from '../../src/index.js';
import { sessionOptions, type LoginSessionOptions } from '../../src/http/login-session.js';
import { issueToken, type IssueTokenOptions } from '../../src/middleware/issue-token.js';
import { lockout } from '../../src/middleware/lockout.js';
import { requireFreshLogin } from '../../src/middleware/require-fresh-login.js';
import { requireSecondFactor } from '../../src/middleware/require-second-factor.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { resetSecondFactors } from '../../src/middleware/reset-second-factors.js';
import { resumeLogin } from '../../src/middleware/resume-login.js';
import { revokeToken } from '../../src/middleware/revoke-token.js';
import { verifyPassword } from '../../src/middleware/verify-password.js';
import { secondFactorRoutes } from '../../src/routes/second-factor-routes.js';
import { tokenRoutes } from '../../src/routes/token-routes.js';
import type { Store } from '../../src/stores/memory.js';
import { sealingKey, wideLimits } from './factor-rig.js';
import { password } from './login-chain.js';

/** What koa-session gives to the routes. */
export interface AppSession {
  [field: string]: unknown;
  toJSON(): object;
  regenerate(): Promise<void>;
  save(): Promise<void>;
}

export type WithSession = AuthState & Koa.DefaultState;
export interface SessionContext {
  session: AppSession | object | null;
}

export interface SessionAppOptions extends Partial<LoginSessionOptions> {
  readonly store: Store;
  readonly core?: Partial<AccessTokensOptions>;
  readonly issue?: IssueTokenOptions;
  /** Runs on `ANY /own`, behind koa-session alone. */
  readonly own?: (ctx: Koa.Context & SessionContext) => unknown;
  /** Runs on `ANY /me`, between koa-session and `requireToken`. */
  readonly beforeGuard?: (ctx: Koa.Context & SessionContext) => unknown;
  /** Runs before `issueToken`. */
  readonly beforeIssue?: (ctx: Koa.Context & SessionContext) => unknown;
}

/** A browser as far as sessions go: it keeps one cookie, and sends it along. */
export class Jar {
  cookie: string | undefined;

  constructor(
    readonly server: Server,
    readonly name: string,
  ) {}

  get id(): string {
    return this.cookie?.slice(this.name.length + 1) ?? '';
  }

  set id(id: string) {
    this.cookie = `${this.name}=${id}`;
  }

  async send(
    method: 'get' | 'post' | 'put' | 'patch' | 'delete' | 'head' | 'options',
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<request.Response> {
    const test = request(this.server)[method](path).set(headers);
    if (this.cookie !== undefined) test.set('Cookie', this.cookie);
    const response = await (body === undefined ? test : test.send(body));
    this.take(response);
    return response;
  }

  take(response: request.Response): void {
    for (const line of cookiesOf(response)) {
      const [pair = ''] = line.split(';');
      if (!pair.startsWith(`${this.name}=`)) continue;
      this.cookie = pair === `${this.name}=` ? undefined : pair;
    }
  }

  logIn(username = 'alice', more: object = {}, headers: Record<string, string> = {}) {
    return this.send('post', '/login', { username, password, ...more }, headers);
  }
}

export function cookiesOf(response: request.Response): string[] {
  return (response.headers['set-cookie'] as string[] | undefined) ?? [];
}

/** An app with logins by session and by header on the same tokens, over a real koa-session. */
export async function sessionApp({
  store,
  origin = 'http://localhost',
  core,
  issue,
  own,
  beforeGuard,
  beforeIssue,
  ...options
}: SessionAppOptions) {
  const attempts = new Lockout({ store, limits: wideLimits, addressLimits: false });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [sealingKey], origin });
  const tokens = new AccessTokens({ store, ...core });
  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const reached: unknown[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error: unknown) => errors.push(error));
  const settings = sessionOptions(tokens, { store, origin, ...options });
  const { key } = settings;
  app.use(session(settings, app));
  app.use(bodyParser());

  const router = new Router<WithSession, SessionContext>();
  const chain = [lockout(attempts), requireSecondFactor(factors)] as const;
  const verify = verifyPassword((claim) => (claim.password === password ? { id: claim.identifier } : null));
  const before: Koa.Middleware = async (ctx, next) => {
    await beforeIssue?.(ctx as never);
    await next();
  };
  const bySession = issueToken(tokens, { carry: 'session', ...issue });
  router.post('/login', chain[0], verify, chain[1], before, bySession);
  router.post('/login/second-factor', resumeLogin(factors), ...chain, before, bySession);
  router.post('/tokens', chain[0], verify, chain[1], issueToken(tokens));
  const guard = requireToken(tokens);
  const handler: Koa.Middleware = (ctx) => {
    reached.push(ctx.path);
    const { account, token, methods } = ctx.state['auth'];
    const session = (ctx['session'] as AppSession | null)?.toJSON();
    ctx.body = { account: account.id, carry: token.carry, methods, session };
  };
  const wait: Koa.Middleware = async (ctx, next) => {
    await beforeGuard?.(ctx as never);
    await next();
  };
  router.all('/me', wait, guard, handler);
  router.post('/fresh', guard, requireFreshLogin(factors), handler);
  router.delete('/session', guard, revokeToken(tokens));
  router.delete('/sessions', guard, revokeToken(tokens, { all: true }));
  const reset = resetSecondFactors(factors, {
    tokens,
    factor: 'never',
    target: (ctx) => ({ id: String(ctx.query['id']) }),
    mayReset: () => true,
    audit: () => {},
  });
  router.post('/reset', guard, reset);
  router.use('/tokens', guard, tokenRoutes(tokens).routes());
  router.use('/factors', guard, secondFactorRoutes(factors).routes());
  router.post('/remember', (ctx) => {
    Object.assign(ctx.session as object, ctx.request.body);
    ctx.status = 204;
  });
  router.get('/remembered', (ctx) => {
    ctx.body = (ctx.session as AppSession).toJSON();
  });
  router.post('/forget', (ctx) => {
    ctx.session = null;
    ctx.status = 204;
  });
  router.post('/empty', (ctx) => {
    ctx.session = null;
    ctx.session = { emptied: true };
    ctx.status = 204;
  });
  router.post('/regenerate', async (ctx) => {
    await (ctx.session as AppSession).regenerate();
    ctx.status = 204;
  });
  router.all('/own', async (ctx) => {
    ctx.status = 204;
    await own?.(ctx);
  });
  app.use(router.routes());

  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    app,
    server,
    port,
    key,
    store,
    tokens,
    factors,
    events,
    errors,
    reached,
    browser: () => new Jar(server, key),
    /** A token for the header. */
    async bearer(username = 'alice'): Promise<string> {
      const { body } = await request(server).post('/tokens').send({ username, password });
      return (body as { access_token: string }).access_token;
    },
    close: () => server.close(),
  };
}
