// A login log: every login and security change, for administrators to read and for auditors to verify.
// Run it: npm run build && node build/examples/login-log.js
// curl -H "Authorization: Bearer $TOKEN" 'localhost:3000/log?outcome=failed&format=csv'
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  LoginLog,
  SecondFactors,
  StoreUnavailable,
  canonicalIdentifier,
  issueToken,
  lockout,
  loginLogRoutes,
  memoryStore,
  refuse,
  requireSecondFactor,
  requireToken,
  safeBody,
  verifyPassword,
  type Account,
  type AuthContext,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

interface User extends Account {
  name: string;
  tenant: string;
  role: 'owner' | 'member';
}

/** Stands for the app's own table of users; each has the password "correct horse". */
const users = new Map<string, User>([
  ['u1', { id: 'u1', name: 'alice', tenant: 'acme', role: 'owner' }],
  ['u2', { id: 'u2', name: 'bob', tenant: 'acme', role: 'member' }],
  ['u3', { id: 'u3', name: 'carol', tenant: 'globex', role: 'member' }],
]);
const findByName = (name: unknown) => {
  const canonical = canonicalIdentifier(name);
  return [...users.values()].find((user) => user.name === canonical) ?? null;
};

const store = memoryStore();
const attempts = new Lockout({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });
const tokens = new AccessTokens({ store });

export const log = new LoginLog({
  store, // in production sqlStore(kysely): a year of logins is long
  organisation: (account) => users.get(account)?.tenant ?? null,
  chain: { key: randomBytes(32) }, // in a real app from your secret store, and nowhere near the log's store
  onLost: ({ count }) => console.error(`the login log has lost ${count} entries`),
});

const logRoutes = loginLogRoutes(log, {
  actor: (id) => users.get(id) ?? null, // the role as it is now, not as it was at the login
  // An owner reads what happened in the own organisation, and nothing else.
  mayRead: (actor, { organisation }) => {
    const { role, tenant } = actor as User;
    return role === 'owner' && organisation === tenant;
  },
});

/** What must be in the log before it is done: otherwise it is not done. */
async function unlock(ctx: AuthContext): Promise<void> {
  const actor = ctx.state.auth.account as User;
  const user = findByName(ctx.query['name']);
  if (actor.role !== 'owner' || user?.tenant !== actor.tenant) return refuse(ctx, 'forbidden');
  try {
    await log.append({ name: 'account.unlocked', outcome: 'changed', account: user.id, actor: actor.id });
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    return refuse(ctx, 'store_unavailable', { retryAfterSeconds: 1 });
  }
  await attempts.unlock(user.id);
  ctx.status = 204;
}

const guard = requireToken(tokens, { findAccount: (id) => users.get(id) ?? null });
const router = new Router<AuthState>();
router.post(
  '/tokens',
  // With `subject` failures of an account stand under its id; without it, under a hash of the name.
  lockout(attempts, { subject: (name) => findByName(name)?.id ?? null }),
  verifyPassword(({ identifier, password }) =>
    password === 'correct horse' ? findByName(identifier) : null,
  ),
  requireSecondFactor(factors),
  issueToken(tokens),
);
router.use('/log', guard, logRoutes.routes());
router.delete('/locks', guard, unlock);

export const app = new Koa();
app.on('auth', log.record);
app.use(safeBody(bodyParser()));
app.use(router.routes());

serveIfRun(app, import.meta.url);
// At the end of a process, after the server has closed: await log.close().
