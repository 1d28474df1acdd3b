// Own thresholds: a stricter lockout on an admin login, no limit by address, short tokens with a scope.
// Run it: npm run build && node build/examples/own-thresholds.js
// curl -d 'username=root&password=guess' localhost:3000/admin/tokens
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  issueToken,
  lockout,
  memoryStore,
  requireToken,
  safeBody,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const store = memoryStore();
const attempts = new Lockout({
  store,
  limits: [
    { failures: 3, withinSeconds: 60, lockSeconds: 300 }, // 3 in a minute lock for 5 minutes
    { failures: 6, withinSeconds: 3600, lockSeconds: 86_400 }, // 6 in an hour lock for a day
  ],
  addressLimits: false,
});
const tokens = new AccessTokens({ store, lifetimeSeconds: 3600 });
const admin = issueToken(tokens, {
  scope: 'admin reports',
  lifetimeSeconds: 900,
  dangerouslyWithoutSecondFactor: true, // this app offers none
});

const router = new Router<AuthState>();
router.post('/admin/tokens', lockout(attempts), verifyPassword(findAdmin), admin);
router.get('/admin', requireToken(tokens, { scope: 'admin' }), (ctx) => {
  ctx.body = { scope: ctx.state.auth.token?.scope };
});
router.get('/billing', requireToken(tokens, { scope: 'billing' }), (ctx) => {
  ctx.body = { invoices: [] };
});

export const app = new Koa();
app.use(safeBody(bodyParser()));
app.use(router.routes());

function findAdmin({
  identifier,
  password,
}: {
  identifier: string;
  password: string;
}): { id: string } | null {
  return identifier === 'root' && password === 'correct horse' ? { id: 'root' } : null;
}

serveIfRun(app, import.meta.url);
