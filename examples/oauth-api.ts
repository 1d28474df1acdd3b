// An OAuth API for clients of your own: a command line logs in by password and code, a server introspects its token.
// Run it: npm run build && REPORTS_SECRET=$(openssl rand -hex 32) node build/examples/oauth-api.js
// curl -d 'grant_type=password&client_id=cli&scope=reports&username=alice&password=correct horse' localhost:3000/oauth/token
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  lockout,
  memoryStore,
  oauthRoutes,
  requireSecondFactor,
  requireToken,
  safeBody,
  secondFactorRoutes,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const store = memoryStore();
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });

export function api(issuer: string, reportsSecret: string): Koa {
  const oauth = oauthRoutes(tokens, {
    issuer,
    scopes: ['reports', 'factors'],
    clients: [
      { id: 'cli' }, // in everybody's hands, so a secret in it would be none
      { id: 'reports-server', secret: reportsSecret, introspects: true },
    ],
    login: [lockout(attempts), verifyPassword(findAccount), requireSecondFactor(factors)],
    lifetimeSeconds: 3600,
  });

  const router = new Router<AuthState>();
  router.get('/reports', requireToken(tokens, { scope: 'reports' }), (ctx) => {
    ctx.body = { reports: [], for: ctx.state.auth.account?.id };
  });
  const manage = requireToken(tokens, { scope: 'factors' });
  router.use('/second-factors', manage, secondFactorRoutes(factors).routes());

  const app = new Koa();
  app.use(safeBody(bodyParser()));
  app.use(oauth.routes());
  app.use(router.routes());
  return app;
}

/** What a command line does: it sends the password, asks for a code where one is needed, and sends both. */
export async function logIn(
  server: string,
  credentials: { readonly username: string; readonly password: string; readonly scope: string },
  askForCode: (methods: readonly string[]) => Promise<string>,
): Promise<string> {
  const form = { grant_type: 'password', client_id: 'cli', ...credentials };
  let answer = await send(`${server}/oauth/token`, form);
  if (answer['reason'] === 'second_factor_required') {
    const code = await askForCode(answer['methods'] as string[]);
    answer = await send(`${server}/oauth/token`, { ...form, otp_token: code });
  }
  const { access_token: token, error_description: problem } = answer;
  if (typeof token !== 'string') throw new Error(String(problem));
  return token;
}

/** And at the end of the day. */
export async function logOut(server: string, token: string): Promise<void> {
  await send(`${server}/oauth/revoke`, { client_id: 'cli', token });
}

async function send(url: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  return (await response.json()) as Record<string, unknown>;
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

const { PORT: port = '3000', REPORTS_SECRET: reportsSecret = randomBytes(32).toString('hex') } = process.env;

export const app = api(`http://localhost:${port}`, reportsSecret);

serveIfRun(app, import.meta.url);
