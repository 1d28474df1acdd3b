import type { Expression, InsertQueryBuilder, OperationNode } from 'kysely';
import { own } from '../core/store-call.js';

/**
 * All that differs between databases. One more needs an entry below and, where it has no `on conflict`, its own
 * words for the statements that have one.
 */
export interface SqlDialect {
  readonly kind: 'postgresql' | 'sqlite';
  /** The database's clock, at the moment of evaluation, in whole microseconds since the epoch. */
  readonly clockUs: string;
  /** The same in whole milliseconds: not every database keeps a quotient of integers whole. */
  readonly clockMs: string;
  /** Steps of that clock, in microseconds. */
  readonly resolutionUs: number;
  /** Rows are locked one by one. Otherwise a writing transaction is alone in the database. */
  readonly locksRows: boolean;
  /** How many files hold the data: none for a database in memory. */
  readonly files: string;
  /** Error codes after which the statement or the transaction is known to be undone. */
  readonly undone: RegExp;
}

const postgres: SqlDialect = {
  kind: 'postgresql',
  // Not now(): that is the time at which the transaction began, before it waited for its locks.
  clockUs: `cast(floor(extract(epoch from clock_timestamp()) * 1000000) as bigint)`,
  clockMs: `cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)`,
  resolutionUs: 1,
  locksRows: true,
  files: 'select 1',
  // Serialization failure and deadlock.
  undone: /^(?:40001|40P01)$/,
};

const sqlite: SqlDialect = {
  kind: 'sqlite',
  clockUs: `cast(round((julianday('now') - 2440587.5) * 86400000) as integer) * 1000`,
  clockMs: `cast(round((julianday('now') - 2440587.5) * 86400000) as integer)`,
  resolutionUs: 1000,
  locksRows: false,
  files: `select count(*) from pragma_database_list where name = 'main' and file <> ''`,
  undone: /^SQLITE_BUSY(?:_[A-Z]+)?$/,
};

/**
 * Told by the marks that the instance writes for a parameter: many a driver has a dialect class of its own, yet
 * all for one database write the same SQL. Null for a database that is not supported.
 */
export function dialectOf(statement: string): SqlDialect | null {
  if (statement.includes('"id" = $1')) return postgres;
  return statement.includes('"id" = ?') ? sqlite : null;
}

/**
 * SQL text as a part of a query. Kysely's own `sql` would have to be imported while running, and kysely is the
 * app's; what it takes is any object that can show its node.
 */
export function fragment(text: string): Expression<number> {
  const node: OperationNode & { sqlFragments: readonly string[]; parameters: readonly OperationNode[] } = {
    kind: 'RawNode',
    sqlFragments: [text],
    parameters: [],
  };
  return { expressionType: undefined, toOperationNode: () => node };
}

/** A row whose key is taken is left as it is, and does not count as affected. */
export function orKeep<DB, T extends keyof DB, O>(
  query: InsertQueryBuilder<DB, T, O>,
): InsertQueryBuilder<DB, T, O> {
  return query.onConflict((conflict) => conflict.doNothing());
}

export function codeOf(error: unknown): string {
  const code = own(error, 'code');
  return typeof code === 'string' ? code : '';
}
