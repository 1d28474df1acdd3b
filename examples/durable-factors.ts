// Factors that outlive Redis: enrolments in SQL, counters, tokens and pending logins in a faster store.
// Run it: npm run build && node build/examples/durable-factors.js
// curl -d 'username=alice&password=correct horse&otp_token=123456' localhost:3000/tokens
import { randomBytes } from 'node:crypto';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import { Kysely, Migrator } from 'kysely';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  issueToken,
  lockout,
  memoryStore,
  requireSecondFactor,
  safeBody,
  sqlMigrations,
  sqlStore,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

/** A SQLite file: `file:factors.db`. For several processes take PostgreSQL: `new PostgresDialect({ pool })`. */
export async function openFactors(url: string): Promise<Kysely<unknown>> {
  const db = new Kysely<unknown>({ dialect: new LibsqlDialect({ url }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => sqlMigrations() },
    migrationTableName: 'portcullis_migrations', // apart from the app's own
    migrationLockTableName: 'portcullis_migrations_lock',
  });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
  return db;
}

/** @param oldSecrets - TOTP secrets by account id, from the system that the app used before. */
export async function appOn(
  db: Kysely<unknown>,
  keys: Uint8Array[],
  oldSecrets: ReadonlyMap<string, string> = new Map(),
): Promise<Koa> {
  const store = memoryStore(); // redisStore(redis) for several processes
  const attempts = new Lockout({ store });
  const tokens = new AccessTokens({ store });
  const factors = new SecondFactors({ store, factorStore: sqlStore(db), issuer: 'Acme', keys });

  for (const [id, secret] of oldSecrets) {
    const { factors: enrolled } = await factors.status({ id });
    if (enrolled.length === 0) await factors.importTotp({ id }, { secret, name: 'From before' });
  }

  const router = new Router<AuthState>();
  const secondFactor = [requireSecondFactor(factors), issueToken(tokens)];
  router.post('/tokens', lockout(attempts), verifyPassword(findAccount), ...secondFactor);

  const app = new Koa();
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
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

// In memory here; the key from your secret store.
export const app = await appOn(await openFactors(':memory:'), [randomBytes(32)]);

serveIfRun(app, import.meta.url);
