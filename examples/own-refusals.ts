// An own format of refusals: RFC 9457 problem details, made from the refusal that is left on ctx.state.auth.
// Run it: npm run build && node build/examples/own-refusals.js
// curl -i localhost:3000/reports
import { Router } from '@koa/router';
import Koa from 'koa';
import { AccessTokens, memoryStore, requireToken, type AuthState } from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const tokens = new AccessTokens({ store: memoryStore() });

const router = new Router<AuthState>();
router.get('/reports', requireToken(tokens), (ctx) => {
  ctx.body = { reports: [] };
});

export const app = new Koa<AuthState>();
app.use(async (ctx, next) => {
  await next();
  const refusal = ctx.state.auth?.refusal;
  if (refusal === undefined) return;
  const { error, error_description: title, ...extras } = refusal;
  // Status and headers stay as they are: clients and proxies rely on them.
  ctx.body = { type: `https://errors.example/${error}`, title, status: ctx.status, ...extras };
  ctx.type = 'application/problem+json';
});
app.use(router.routes());

serveIfRun(app, import.meta.url);
