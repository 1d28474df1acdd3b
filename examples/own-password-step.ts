// Mounting on an existing app that keeps its own login handler: lockout before it, a token after it.
// Run it: npm run build && node build/examples/own-password-step.js
// curl -d 'username=alice&password=correct horse' localhost:3000/login
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  issueToken,
  lockout,
  memoryStore,
  passwordVerified,
  requireToken,
  safeBody,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const store = memoryStore();
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });

const router = new Router<AuthState>();

// The old handler, unchanged: it answers 401 to a wrong password, and lockout counts that.
router.post('/legacy-login', lockout(attempts), async (ctx) => {
  const { username, password } = ctx.request.body as { username: string; password: unknown };
  if (!isPasswordOf(username, password)) ctx.throw(401);
  ctx.body = { hello: username };
});

// The same handler with one line more goes on to a token.
router.post(
  '/login',
  lockout(attempts),
  async (ctx, next) => {
    const { username, password } = ctx.request.body as { username: string; password: unknown };
    if (!isPasswordOf(username, password)) return ctx.throw(401);
    passwordVerified(ctx, { id: username });
    return next();
  },
  issueToken(tokens, { dangerouslyWithoutSecondFactor: true }), // this app offers none
);
router.get('/reports', requireToken(tokens), (ctx) => {
  ctx.body = { reports: [], for: ctx.state.auth.account?.id };
});

export const app = new Koa();
app.use(safeBody(bodyParser()));
app.use(router.routes());

function isPasswordOf(username: string, password: unknown): boolean {
  return username === 'alice' && password === 'correct horse'; // stands for the app's own check
}

serveIfRun(app, import.meta.url);
