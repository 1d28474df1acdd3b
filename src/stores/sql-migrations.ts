import type { ColumnDefinitionBuilder, Kysely } from 'kysely';
import { describe } from '../core/options.js';
import { tableNames } from './sql-tables.js';

/** What is used of a `Kysely` instance; its own types stay out of ours, so kysely stays optional. */
export interface SqlDatabase {
  readonly schema: unknown;
  readonly isTransaction: boolean;
  selectFrom(...args: never[]): unknown;
  transaction(...args: never[]): unknown;
}

/** One step for Kysely's `Migrator`. */
export interface SqlMigration {
  up(db: SqlDatabase): Promise<void>;
  down(db: SqlDatabase): Promise<void>;
}

export const defaultSqlPrefix = 'portcullis';

export const sqlPrefix = {
  demand: 'a lower-case letter and up to 31 more, digits or "_"',
  accepts: (value: unknown): boolean => typeof value === 'string' && /^[a-z][a-z0-9_]{0,31}$/.test(value),
};

/**
 * The tables of `sqlStore` as migrations for Kysely's `Migrator`, by their names. A `migrationTableName` of their own
 * keeps them out of the order of the app's migrations.
 *
 * @param prefix - First part of the names of the tables, as given to `sqlStore`.
 */
export function sqlMigrations(prefix: string = defaultSqlPrefix): Readonly<Record<string, SqlMigration>> {
  if (!sqlPrefix.accepts(prefix)) {
    throw new TypeError(`sqlMigrations: prefix must be ${sqlPrefix.demand}, not ${describe(prefix)}`);
  }
  return {
    [`${prefix}_0001_tables`]: { up: (db) => createTables(db, prefix), down: (db) => dropTables(db, prefix) },
  };
}

const needed = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();

/** Hashes have 64 characters. The types are those that PostgreSQL, SQLite and MySQL share. */
const hash = 'varchar(64)';

async function createTables(db: SqlDatabase, prefix: string): Promise<void> {
  const { schema } = db as Kysely<unknown>;
  const names = tableNames(prefix);
  const ending = (table: keyof typeof names, id: 'id' | 'account') =>
    schema.createTable(names[table]).addColumn(id, hash, key).addColumn('ends', 'bigint', needed);
  await ending('attempts', 'id')
    .addColumn('stamps', 'text', needed)
    .addColumn('locked', 'bigint', needed)
    .execute();
  await ending('tokens', 'id')
    .addColumn('account', hash, needed)
    .addColumn('created', 'bigint', needed)
    .addColumn('expires', 'bigint', needed)
    .addColumn('used', 'bigint', needed)
    .addColumn('record', 'text', needed)
    .execute();
  await ending('cutoffs', 'account').addColumn('time', 'bigint', needed).execute();
  await ending('pending', 'id')
    .addColumn('account', hash, needed)
    .addColumn('started', 'bigint', needed)
    .addColumn('tries', 'integer', needed)
    .addColumn('record', 'text', needed)
    .execute();
  await schema
    .createTable(names.factors)
    .addColumn('account', hash, key)
    .addColumn('revision', 'bigint', needed)
    .addColumn('record', 'text', needed)
    .execute();
  await schema
    .createTable(names.credentials)
    .addColumn('id', hash, key)
    .addColumn('account', hash, needed)
    .execute();
  await ending('challenges', 'id')
    .addColumn('version', 'varchar(36)', needed)
    .addColumn('record', 'text', needed)
    .execute();
  await ending('sessions', 'id').addColumn('record', 'text', needed).execute();
  await ending('documents', 'id').addColumn('record', 'text', needed).execute();
  await schema
    .createTable(names.log)
    .addColumn('position', 'bigint', key)
    .addColumn('batch', 'varchar(36)', needed)
    .addColumn('written', 'bigint', needed)
    .addColumn('time', 'bigint', needed)
    .addColumn('account', hash)
    .addColumn('organisation', hash)
    .addColumn('request', hash)
    .addColumn('seal', hash, needed)
    .addColumn('record', 'text', needed)
    .execute();
  await schema
    .createTable(names.heads)
    .addColumn('id', hash, key)
    .addColumn('position', 'bigint', needed)
    .addColumn('written', 'bigint', needed)
    .addColumn('seal', hash, needed)
    .execute();
  for (const [table, ...columns] of indexes) {
    const name = [names[table], ...columns].join('_');
    // oxlint-disable-next-line no-await-in-loop -- statements of one transaction
    await schema.createIndex(name).on(names[table]).columns(columns).execute();
  }
}

const indexes = [
  ['attempts', 'ends'],
  ['tokens', 'ends'],
  ['tokens', 'account'],
  ['cutoffs', 'ends'],
  ['pending', 'ends'],
  ['pending', 'account'],
  ['challenges', 'ends'],
  ['sessions', 'ends'],
  ['documents', 'ends'],
  ['log', 'batch'],
  ['log', 'written'],
  ['log', 'time', 'position'],
  ['log', 'account', 'time', 'position'],
  ['log', 'organisation', 'time', 'position'],
  ['log', 'request', 'time', 'position'],
] as const;

async function dropTables(db: SqlDatabase, prefix: string): Promise<void> {
  const { schema } = db as Kysely<unknown>;
  for (const name of Object.values(tableNames(prefix)).toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- statements of one transaction
    await schema.dropTable(name).execute();
  }
}
