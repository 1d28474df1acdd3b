// One model for dashboard, API and command line: whoever logs in gets a token, in a cookie or in the answer.
// Run it: npm run build && node build/examples/one-model.js
// curl -d 'username=alice' --data-urlencode 'password=correct horse' -d 'device=laptop' localhost:3000/tokens
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
  requireSecondFactor,
  requireToken,
  resumeLogin,
  revokeToken,
  safeBody,
  sessionOptions,
  tokenRoutes,
  verifyPassword,
  type AuthContext,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const hour = 3600;

/** @param origin - Where the pages of the dashboard come from. */
export function service(origin: string): Koa {
  const store = memoryStore();
  const attempts = new Lockout({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', origin, keys: [randomBytes(32)] });
  const tokens = new AccessTokens({ store });

  // Two doors, one count of wrong passwords, one second factor.
  const toDashboard = issueToken(tokens, { carry: 'session', name: 'dashboard', idleSeconds: hour });
  const toClient = issueToken(tokens, {
    name: deviceOf, // as the list of tokens shows it
    lifetimeSeconds: (_account, _ctx, { methods }) => (methods.length > 1 ? 12 * hour : 7 * 24 * hour),
  });
  const password = [lockout(attempts), verifyPassword(findAccount), requireSecondFactor(factors)] as const;
  const secondStep = [resumeLogin(factors), lockout(attempts), requireSecondFactor(factors)] as const;

  const router = new Router<AuthState>();
  router.post('/login', ...password, toDashboard);
  router.post('/login/second-factor', ...secondStep, toDashboard);
  router.post('/tokens', ...password, toClient);
  router.post('/tokens/second-factor', ...secondStep, toClient);

  // One guard: the cookie of a browser passes it, with checks against other sites, and the header of a client.
  const guard = requireToken(tokens);
  router.get('/reports', guard, (ctx) => {
    ctx.body = { reports: [], for: ctx.state.auth.account?.id, by: ctx.state.auth.token?.name };
  });
  router.post('/logout', guard, revokeToken(tokens));
  // One list: the dashboard shows the laptop's token and ends it, and the other way round.
  router.use('/own/tokens', guard, tokenRoutes(tokens).routes());

  const app = new Koa();
  app.use(session(sessionOptions(tokens, { store, origin }), app));
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
}

function deviceOf(_account: unknown, ctx: AuthContext): string {
  const device = bodyField('device')(ctx);
  return typeof device === 'string' ? device.slice(0, 60) : 'a client';
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

export const app = service(`http://localhost:${process.env['PORT'] ?? 3000}`);

serveIfRun(app, import.meta.url);
