// An organisation: everybody needs a second factor, owners reset each other's, and read who has one.
// Run it: npm run build && node build/examples/organisation.js
// curl -H "Authorization: Bearer $TOKEN" 'localhost:3000/members/second-factors?format=csv'
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  auditSecondFactors,
  issueToken,
  lockout,
  memoryStore,
  requireEnrolment,
  requireSecondFactor,
  requireToken,
  resetSecondFactors,
  resumeLogin,
  safeBody,
  secondFactorRoutes,
  verifyPassword,
  type Account,
  type AuthState,
  type EnrolmentPolicy,
  type FactorReset,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

interface User extends Account {
  name: string;
  role: 'owner' | 'member' | 'robot';
}

/** Stands for the app's own table of users; each has the password "correct horse". */
export const users = new Map<string, User>([
  ['alice', { id: 'alice', name: 'Alice', role: 'owner' }],
  ['bob', { id: 'bob', name: 'Bob', role: 'member' }],
  ['ci', { id: 'ci', name: 'Build robot', role: 'robot' }],
]);
/** Stands for a durable table: what cannot be written here does not happen. */
export const resets: FactorReset[] = [];

const store = memoryStore();
const attempts = new Lockout({ store });
const tokens = new AccessTokens({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });

const findUser = (id: string) => users.get(id) ?? null; // the role as it is now, not as it was at the login
const isOwner = ({ id }: Account) => users.get(id)?.role === 'owner';
const policy: EnrolmentPolicy = {
  until: new Date('2026-01-01T00:00:00Z'),
  exempt: ({ id }) => users.get(id)?.role === 'robot',
};

const anyLogin = requireToken(tokens, { findAccount: findUser });
const enrolled = requireEnrolment(factors, policy);
const secondStep = [requireSecondFactor(factors), issueToken(tokens)];

const router = new Router<AuthState>();
router.post('/tokens', lockout(attempts), verifyPassword(findAccount), ...secondStep);
router.post('/tokens/second-factor', resumeLogin(factors), lockout(attempts), ...secondStep);
// The one place that works without a factor. Nobody under the policy removes the last one.
router.use('/second-factors', anyLogin, secondFactorRoutes(factors, { policy }).routes());
router.get('/reports', anyLogin, enrolled, (ctx) => {
  ctx.body = { reports: [] };
});
router.get(
  '/members/second-factors',
  anyLogin,
  enrolled,
  auditSecondFactors(factors, {
    mayRead: isOwner,
    async members({ cursor = '', limit }) {
      const ids = [...users.keys()].toSorted().filter((id) => id > cursor);
      const page = ids.slice(0, limit).flatMap((id) => users.get(id) ?? []);
      return { members: page, next: ids.length > limit ? (page.at(-1)?.id ?? null) : null };
    },
  }),
);
router.post(
  '/members/:id/second-factors/reset',
  anyLogin,
  resetSecondFactors(factors, {
    tokens,
    actor: findUser,
    target: (ctx) => users.get(String((ctx as { params?: { id?: string } }).params?.id)) ?? null,
    mayReset: isOwner,
    audit: (reset) => resets.push(reset),
  }),
);

export const app = new Koa();
app.use(safeBody(bodyParser()));
app.use(router.routes());

function findAccount({ identifier, password }: { identifier: string; password: string }): User | null {
  return password === 'correct horse' ? findUser(identifier) : null;
}

serveIfRun(app, import.meta.url);
