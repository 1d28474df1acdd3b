// Robots: an administrator issues a narrow token to the build robot, sees its tokens and ends them.
// Run it: npm run build && node build/examples/robots.js
// curl -H "Authorization: Bearer $TOKEN" --json '{"name":"nightly","scope":"deploy"}' localhost:3000/robots/ci/tokens
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
  robotTokenRoutes,
  safeBody,
  secondFactorRoutes,
  tokenRoutes,
  verifyPassword,
  type Account,
  type AuthState,
  type RobotTokenChange,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

interface User extends Account {
  role: 'administrator' | 'robot';
}

/** Stands for the app's own table of users; alice has the password "correct horse", the robot has none. */
const users = new Map<string, User>([
  ['alice', { id: 'alice', role: 'administrator' }],
  ['ci', { id: 'ci', role: 'robot' }],
]);
/** Stands for a durable table: what cannot be written here does not happen. */
export const changes: RobotTokenChange[] = [];

const store = memoryStore();
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });

const anyToken = requireToken(tokens);
const robots = robotTokenRoutes(tokens, {
  factors,
  // Nobody but robots: a token of a person would be a login without a password.
  robot(ctx) {
    const found = users.get(String((ctx as { params?: { robot?: string } }).params?.robot));
    return found?.role === 'robot' ? found : null;
  },
  mayManage: ({ id }) => users.get(id)?.role === 'administrator', // the role as it is now
  scopes: ['deploy'],
  longestSeconds: 86_400,
  audit: (change) => changes.push(change),
});

const router = new Router<AuthState>();
router.post(
  '/tokens',
  lockout(attempts),
  verifyPassword(({ identifier, password }) =>
    identifier === 'alice' && password === 'correct horse' ? { id: 'alice' } : null,
  ),
  requireSecondFactor(factors),
  issueToken(tokens, { scope: 'deploy' }),
);
router.use('/second-factors', anyToken, secondFactorRoutes(factors).routes());
router.use('/own/tokens', anyToken, tokenRoutes(tokens).routes());
router.use('/robots/:robot/tokens', anyToken, robots.routes());
router.post('/deploys', requireToken(tokens, { scope: 'deploy' }), (ctx) => {
  ctx.body = { deployed: true, by: ctx.state.auth.account?.id };
});

export const app = new Koa();
app.use(safeBody(bodyParser()));
app.use(router.routes());

serveIfRun(app, import.meta.url);
