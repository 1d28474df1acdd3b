// A dashboard for browsers: a login by form, its second step, and a session in a cookie that no script can read.
// Run it: npm run build && node build/examples/dashboard.js
// curl -i -d 'username=alice' --data-urlencode 'password=correct horse' localhost:3000/login
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import session from 'koa-session';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  bodyField,
  issueToken,
  lockout,
  memoryStore,
  refuse,
  requireFreshLogin,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  revokeToken,
  safeBody,
  sessionOptions,
  verifyPassword,
  type AuthContext,
  type AuthMiddleware,
  type AuthState,
} from 'koa-portcullis';
import { codesPage, enrolPage, homePage, loginPage, secondStepPage } from './dashboard-pages.js';
import { serveIfRun } from './run-directly.js';

interface WithSession {
  session: { views?: number } | null;
}

/** @param origin - Where its pages come from: `https://…`, or `http://localhost:…` while developing. */
export function dashboard(origin: string): Koa<AuthState> {
  const store = memoryStore();
  const attempts = new Lockout({ store });
  const tokens = new AccessTokens({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', origin, keys: [randomBytes(32)] });

  const guard = requireToken(tokens);
  const fresh = requireFreshLogin(factors);
  const logIn = [requireSecondFactor(factors), issueToken(tokens, { carry: 'session' })] as const;

  const router = new Router<AuthState, WithSession>();
  router.get('/login', (ctx) => {
    ctx.body = loginPage();
  });
  router.post('/login', thenTo('/'), lockout(attempts), verifyPassword(findAccount), ...logIn);
  router.post('/login/second-factor', thenTo('/'), resumeLogin(factors), lockout(attempts), ...logIn);
  router.post('/logout', thenTo('/login'), guard, revokeToken(tokens));
  router.post('/logout/everywhere', thenTo('/login'), guard, revokeToken(tokens, { all: true }));
  router.get('/', guard, async (ctx) => {
    const { account, token } = ctx.state.auth;
    if (account === undefined || token === undefined) return refuse(ctx, 'invalid_token');
    const views = (ctx.session?.views ?? 0) + 1;
    ctx.session = { ...ctx.session, views };
    ctx.body = homePage(account.id, views, token.id, await tokens.list(account));
  });
  router.post('/totp', guard, fresh, async (ctx) => {
    const { account } = ctx.state.auth;
    if (account === undefined) return refuse(ctx, 'invalid_token');
    const { qr, secret } = await factors.beginTotp(account, { label: account.id });
    ctx.body = enrolPage(qr, secret);
  });
  router.post('/totp/confirm', guard, fresh, async (ctx) => {
    const { account, methods } = ctx.state.auth;
    const code = bodyField('otp_token')(ctx);
    if (account === undefined || typeof code !== 'string') return refuse(ctx, 'invalid_request');
    const added = await factors.confirmTotp(account, code, { onlyFirst: methods?.length === 1 });
    if (added.outcome !== 'added') return refuse(ctx, 'invalid_second_factor');
    ctx.body = codesPage(added.backupCodes ?? []);
  });

  const app = new Koa<AuthState>();
  app.use(asPages);
  app.use(session(sessionOptions(tokens, { store, origin }), app));
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
}

/** A form wants a page afterwards, not JSON. Cookies and other headers stay. */
function thenTo(path: string): AuthMiddleware {
  return async (ctx, next) => {
    await next();
    if (ctx.state.auth?.refusal !== undefined) return;
    ctx.status = 303;
    ctx.redirect(path);
  };
}

/** Shows refusals as pages, each with its status. */
async function asPages(ctx: AuthContext, next: () => Promise<unknown>): Promise<void> {
  ctx.set(
    'Content-Security-Policy',
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'",
  );
  ctx.set('Cache-Control', 'no-store');
  await next();
  const refusal = ctx.state.auth?.refusal;
  if (refusal === undefined) return;
  const { error, error_description: said, pending } = refusal;
  ctx.type = 'html';
  if (error === 'invalid_token' && ctx.method === 'GET') ctx.redirect('/login');
  else if (typeof pending === 'string') ctx.body = secondStepPage(pending);
  else if (error === 'invalid_second_factor') ctx.body = secondStepPage(textIn(ctx, 'pending'), said);
  else ctx.body = loginPage(said);
}

function textIn(ctx: AuthContext, field: string): string {
  const given = bodyField(field)(ctx);
  return typeof given === 'string' ? given : '';
}

function findAccount({
  identifier,
  password,
}: {
  identifier: string;
  password: string;
}): { id: string } | null {
  return identifier === 'alice' && password === 'correct horse' ? { id: 'alice' } : null;
}

export const app = dashboard(process.env['ORIGIN'] ?? `http://localhost:${process.env['PORT'] ?? 3000}`);

serveIfRun(app, import.meta.url);
