// Step-up (RFC 9470): a token opens the reports, but only a fresh login changes where the money goes.
// Run it: npm run build && node build/examples/step-up.js
// curl -X PUT -H "Authorization: Bearer $TOKEN" -d 'iban=XX00' localhost:3000/payout
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  issueToken,
  lockout,
  memoryStore,
  requireFreshLogin,
  requireSecondFactor,
  requireToken,
  safeBody,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const store = memoryStore();
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });

const anyLogin = requireToken(tokens);
const freshLogin = requireFreshLogin(factors, { withinSeconds: 120 }); // with a factor where there is one
const freshAndStrong = requireFreshLogin(factors, { withinSeconds: 120, factor: 'always' });

const router = new Router<AuthState>();
router.post(
  '/tokens',
  lockout(attempts),
  verifyPassword(findAccount),
  requireSecondFactor(factors),
  issueToken(tokens),
);
router.get('/reports', anyLogin, (ctx) => {
  ctx.body = { reports: [] };
});
router.put('/payout', anyLogin, freshLogin, (ctx) => {
  ctx.status = 204;
});
router.delete('/organisation', anyLogin, freshAndStrong, (ctx) => {
  ctx.status = 204;
});

export const app = new Koa();
app.use(safeBody(bodyParser()));
app.use(router.routes());

function findAccount({
  identifier,
  password,
}: {
  identifier: string;
  password: string;
}): { id: string } | null {
  return identifier === 'alice' && password === 'correct horse' ? { id: 'alice' } : null;
}

serveIfRun(app, import.meta.url);
