import type { AttemptStore } from '../core/attempt-store.js';
import type { DocumentStore } from '../core/document-store.js';
import type { ChallengeStore, FactorStore } from '../core/factor-store.js';
import type { LogStore } from '../core/log-store.js';
import { describe, readOptions } from '../core/options.js';
import type { PendingLoginStore } from '../core/pending-store.js';
import type { SessionStore } from '../core/session-store.js';
import type { InspectedStore } from '../core/store-facts.js';
import type { TokenStore } from '../core/token-store.js';
import { sqlAttempts } from './sql-attempts.js';
import { sqlChallenges } from './sql-challenges.js';
import { SqlConnection, type Database } from './sql-connection.js';
import { sqlCutoffs } from './sql-cutoffs.js';
import { dialectOf, type SqlDialect } from './sql-dialect.js';
import { sqlDocuments } from './sql-documents.js';
import { sqlFactors } from './sql-factors.js';
import { inspectSql } from './sql-inspection.js';
import { sqlLog } from './sql-log.js';
import { defaultSqlPrefix, sqlPrefix, type SqlDatabase } from './sql-migrations.js';
import { sqlPending } from './sql-pending.js';
import { sqlSessions } from './sql-sessions.js';
import { tableNames } from './sql-tables.js';
import { sqlTokens } from './sql-tokens.js';

export interface SqlStoreOptions {
  /**
   * First part of the name of every table: a lower-case letter and up to 31 more, digits or `_`.
   *
   * @default 'portcullis'
   */
  readonly prefix?: string;
}

export interface SqlStore
  extends
    AttemptStore,
    TokenStore,
    PendingLoginStore,
    FactorStore,
    ChallengeStore,
    SessionStore,
    DocumentStore,
    LogStore,
    InspectedStore {}

/**
 * Keeps everything in PostgreSQL or SQLite, in the tables of `sqlMigrations`. Time is the database's own. Its
 * connections are the caller's: a pool should give up a connection and a statement after about a second
 * (`connectionTimeoutMillis`, `query_timeout` of pg), or a database that is silent holds all of them.
 *
 * @param kysely - A `Kysely` instance, not a transaction.
 */
export function sqlStore(kysely: SqlDatabase, options: SqlStoreOptions = {}): SqlStore {
  const { prefix = defaultSqlPrefix } = readOptions<SqlStoreOptions>('sqlStore', options, {
    prefix: sqlPrefix,
  });
  const names = tableNames(prefix);
  const connection = new SqlConnection(kysely as Database, names, readDialect(kysely));
  const cutoffs = sqlCutoffs(connection);
  return {
    ...sqlAttempts(connection),
    ...sqlTokens(connection, cutoffs),
    ...sqlPending(connection, cutoffs),
    ...sqlFactors(connection),
    ...sqlChallenges(connection),
    ...sqlSessions(connection),
    ...sqlDocuments(connection),
    inspectStore: () => inspectSql(connection),
    ...sqlLog(connection),
  };
}

/** @throws {TypeError} for what is no Kysely, or one of another database. */
function readDialect(kysely: SqlDatabase): SqlDialect {
  const isKysely =
    typeof kysely === 'object' &&
    kysely !== null &&
    typeof kysely.selectFrom === 'function' &&
    typeof kysely.transaction === 'function';
  if (!isKysely) throw new TypeError(`sqlStore: kysely must be a Kysely instance, not ${describe(kysely)}`);
  if (kysely.isTransaction) throw new TypeError('sqlStore: kysely must not be a transaction');
  const probe = (kysely as Database).selectFrom('tokens').select('id').where('id', '=', '').compile();
  const dialect = dialectOf(probe.sql);
  if (dialect === null) throw new TypeError('sqlStore: kysely must speak to PostgreSQL or SQLite');
  return dialect;
}
