// Metrics: logins, locks, token checks and the pace of the store, for Prometheus, on a port that is not public.
// Run it: npm run build && node build/examples/metrics.js
// curl -d 'username=alice&password=guess' localhost:3000/tokens; curl localhost:9464/metrics
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  issueToken,
  lockout,
  measuredStore,
  memoryStore,
  prometheusMetrics,
  requireToken,
  safeBody,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import * as client from 'prom-client';
import { serveIfRun } from './run-directly.js';

const register = new client.Registry(); // or client.register, where your other metrics are
const metrics = prometheusMetrics(client, { register });
const store = measuredStore(memoryStore(), metrics.observeStore);
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });

const router = new Router<AuthState>();
router.post(
  '/tokens',
  lockout(attempts),
  verifyPassword(({ identifier, password }) =>
    identifier === 'alice' && password === 'correct horse' ? { id: 'alice' } : null,
  ),
  issueToken(tokens, { dangerouslyWithoutSecondFactor: true }), // this app offers none
);
router.get('/reports', requireToken(tokens), (ctx) => {
  ctx.body = { reports: [] };
});

export const app = new Koa();
app.on('auth', metrics.observe);
app.use(safeBody(bodyParser()));
app.use(router.routes());

// How a company is attacked is nobody else's business: let only Prometheus reach this port.
export const metricsApp = new Koa();
metricsApp.use(async (ctx) => {
  if (ctx.path !== '/metrics') return;
  ctx.type = register.contentType;
  ctx.body = await register.metrics();
});

serveIfRun(app, import.meta.url);
serveIfRun(metricsApp, import.meta.url, Number(process.env['METRICS_PORT'] ?? 9464));
