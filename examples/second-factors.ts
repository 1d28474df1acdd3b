// Second factors with a page: enrol an authenticator app and a security key, log in with them, manage them.
// Run it: npm run build && node build/examples/second-factors.js
// curl localhost:3000 shows the page; a browser at http://localhost:3000 uses it (alice, correct horse)
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
  requireSecondFactor,
  requireToken,
  resumeLogin,
  safeBody,
  secondFactorRoutes,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';
import { page } from './second-factors-page.js';

const store = memoryStore();
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });
const factors = new SecondFactors({
  store,
  issuer: 'Acme',
  origin: `http://localhost:${process.env['PORT'] ?? 3000}`, // https://… of your pages
  keys: [randomBytes(32)], // from your secret store: a new one at each start makes old factors unreadable
});

const router = new Router<AuthState>();
router.get('/', (ctx) => {
  ctx.type = 'html';
  ctx.body = page;
});

const secondStep = [requireSecondFactor(factors), issueToken(tokens)];
router.post('/tokens', lockout(attempts), verifyPassword(findAccount), ...secondStep);
router.post('/tokens/second-factor', resumeLogin(factors), lockout(attempts), ...secondStep);
router.use('/second-factors', requireToken(tokens), secondFactorRoutes(factors).routes());

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
