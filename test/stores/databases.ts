import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@libsql/client';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { Kysely, Migrator, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import { sqlMigrations } from '../../src/stores/sql-migrations.js';
import { startPostgres, type PostgresServer } from '../rig/postgres.js';

export type Db = Kysely<Record<string, Record<string, unknown>>>;

/** A PostgreSQL and a SQLite file, without tables. */
export interface Databases {
  readonly server: PostgresServer;
  /** A pool of its own, so another process as the database sees it. */
  openPostgres(port?: number): Db;
  openSqlite(): Db;
  /** Closes all that was opened. */
  end(): Promise<void>;
}

export async function startDatabases(): Promise<Databases> {
  // In memory where that can be had: each write waits for the disk, whose pace is not what is tested.
  const memory = '/dev/shm';
  const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'portcullis-sqlite-'));
  const server = await startPostgres();
  const opened: Db[] = [];
  const keep = (db: Db): Db => {
    opened.push(db);
    return db;
  };

  return {
    server,
    openPostgres(port = server.port) {
      const pool = new Pool({ ...server.options, port, max: 10, connectionTimeoutMillis: 1000 });
      // Without listeners a connection that breaks ends the process: one that is idle, and one that is in use.
      pool.on('error', () => {});
      pool.on('connect', (client) => client.on('error', () => {}));
      return keep(new Kysely({ dialect: new PostgresDialect({ pool }) }));
    },
    openSqlite() {
      const client = createClient({ url: `file:${join(folder, 'test.db')}` });
      // The dialect brings a client of its own: that one leaves a database locked once it has met a lock.
      return keep(new Kysely({ dialect: new LibsqlDialect({ client: client as never }) }));
    },
    async end() {
      await Promise.all(opened.map((db) => db.destroy()));
      await server.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

export async function migrate(db: Db, prefix = 'portcullis', direction: 'up' | 'down' = 'up'): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => sqlMigrations(prefix) },
    migrationTableName: `${prefix}_migration`,
    migrationLockTableName: `${prefix}_migration_lock`,
  });
  const { error } = direction === 'up' ? await migrator.migrateToLatest() : await migrator.migrateDown();
  if (error !== undefined) throw error;
}
