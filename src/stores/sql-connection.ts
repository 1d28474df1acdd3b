import { setImmediate as nextLoop, setTimeout as sleep } from 'node:timers/promises';
import type { Expression, Kysely, SelectQueryBuilder } from 'kysely';
import { StoreUnavailable } from '../core/errors.js';
import { storeDeadlineMs } from '../core/store-call.js';
import { codeOf, fragment, type SqlDialect } from './sql-dialect.js';
import { wholeOf, type SqlTableNames, type SqlTables } from './sql-tables.js';

export type Database = Kysely<SqlTables>;

/** Tables whose rows end. */
type Ending = 'attempts' | 'tokens' | 'cutoffs' | 'pending' | 'challenges' | 'sessions' | 'documents';

/** After so many writes to a table, up to so many of its ended rows go: more than the writes can have added. */
const writesPerSweep = 32;
const rowsPerSweep = 128;
/** Every database takes as many parameters. */
const idsPerStatement = 500;

/** Picks rows of a table that has an account in each; as queries, such tables are alike. */
type Choice = (
  query: SelectQueryBuilder<SqlTables, 'tokens', { id: string }>,
) => SelectQueryBuilder<SqlTables, 'tokens', { id: string }>;

/**
 * The last writer in the queue of each SQLite database, shared by all stores on it. One that meets a lock must try
 * again, and a connection of libsql that has met one may read old rows until its statement is collected.
 */
const lastTurns = new WeakMap<Database, Promise<unknown>>();

/** The caller's Kysely, and the ways in which a store may use it. */
export class SqlConnection {
  readonly clockUs: Expression<number>;
  readonly clockMs: Expression<number>;
  readonly #writes = new Map<Ending, number>();
  #last = 0;

  constructor(
    readonly db: Database,
    readonly names: SqlTableNames,
    readonly dialect: SqlDialect,
  ) {
    this.clockUs = fragment(`(${dialect.clockUs})`);
    this.clockMs = fragment(dialect.clockMs);
  }

  /** Runs statements that change nothing. */
  async read<T>(work: (db: Database) => Promise<T>): Promise<T> {
    return this.#insist(() => work(this.db));
  }

  /** Runs a statement that is a step of its own. */
  async write<T>(work: (db: Database) => Promise<T>): Promise<T> {
    return this.#insist((assertInTime) => this.#inTurn(assertInTime, () => work(this.db)));
  }

  /** Runs statements as one step; each sees what was committed before it. `work` may run more than once. */
  async transaction<T>(work: (db: Database) => Promise<T>): Promise<T> {
    return this.#insist((assertInTime) =>
      this.#inTurn(assertInTime, () => {
        const builder = this.db.transaction();
        return (this.dialect.locksRows ? builder.setIsolationLevel('read committed') : builder).execute(work);
      }),
    );
  }

  /**
   * Deletes rows and answers how many. Two that choose the same ones lock them in
   * one order, and neither touches a row that it did not wait for: they cannot wait for each other.
   */
  async remove(table: 'tokens' | 'pending', choose: Choice): Promise<number> {
    const name = this.names[table] as 'tokens';
    return this.transaction(async (db) => {
      const rows = await choose(db.selectFrom(name).select('id'))
        .orderBy('id')
        .$if(this.dialect.locksRows, (query) => query.forUpdate())
        .execute();
      let removed = 0n;
      for (let at = 0; at < rows.length; at += idsPerStatement) {
        const ids = rows.slice(at, at + idsPerStatement).map(({ id }) => id);
        // oxlint-disable-next-line no-await-in-loop -- statements of one transaction
        const { numDeletedRows } = await db.deleteFrom(name).where('id', 'in', ids).executeTakeFirstOrThrow();
        removed += numDeletedRows;
      }
      return Number(removed);
    });
  }

  /** Reads the clock's value out of a row, in microseconds. */
  timeOf(value: unknown): number {
    const time = wholeOf(value);
    const { resolutionUs } = this.dialect;
    if (resolutionUs === 1) return time;
    // A coarse clock says the same several times: count on within its step, so that order is decided.
    this.#last = this.#last >= time && this.#last < time + resolutionUs - 1 ? this.#last + 1 : time;
    return this.#last;
  }

  async readTime(db: Database): Promise<number> {
    const row = await db.selectNoFrom((eb) => eb.parens(this.clockUs).as('now')).executeTakeFirstOrThrow();
    return this.timeOf(row.now);
  }

  /** Counts a write to a table, and now and then deletes what has ended there. Nobody waits for that. */
  wrote(table: Ending): void {
    const writes = (this.#writes.get(table) ?? 0) + 1;
    this.#writes.set(table, writes % writesPerSweep);
    // What fails here is done by a later one.
    if (writes === writesPerSweep) this.#sweep(table).catch(() => {});
  }

  async #sweep(table: Ending): Promise<void> {
    // Cut-offs have one row for an account; as queries the tables are alike.
    const name = this.names[table] as 'tokens';
    const id = table === 'cutoffs' ? 'account' : 'id';
    const now = Math.floor((await this.read((db) => this.readTime(db))) / 1000);
    await this.transaction(async (db) => {
      const ended = await db
        .selectFrom(name)
        .select(id)
        .where('ends', '<=', now)
        .orderBy('ends')
        .limit(rowsPerSweep)
        // Whoever waits for nothing is in nobody's deadlock.
        .$if(this.dialect.locksRows, (query) => query.forUpdate().skipLocked())
        .execute();
      const ids = ended.map((row) => row[id]).filter((one) => one !== undefined);
      if (ids.length > 0) await db.deleteFrom(name).where(id, 'in', ids).execute();
    });
  }

  /** Repeats a step only after errors that say that it is undone, and not once its caller has been refused. */
  async #insist<T>(step: (assertInTime: () => void) => Promise<T>): Promise<T> {
    const assertInTime = startDeadline();
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
        return await step(assertInTime);
      } catch (error) {
        if (!this.dialect.undone.test(codeOf(error))) throw error;
      }
      assertInTime();
      // oxlint-disable-next-line no-await-in-loop
      await sleep(1 + Math.random() * 4);
    }
  }

  /**
   * SQLite has one writer: those of this process queue here, where waiting does not block the event loop. Who
   * waited for so long that its caller was refused makes way, or a queue once too long would refuse all for good.
   */
  async #inTurn<T>(assertInTime: () => void, step: () => Promise<T>): Promise<T> {
    if (this.dialect.locksRows) return step();
    const done = (lastTurns.get(this.db) ?? Promise.resolve()).then(() => {
      assertInTime();
      return step();
    });
    // A driver may do its work without ever waiting: whoever else has something to do gets a chance.
    const turn = done.catch(() => {}).then(() => nextLoop());
    lastTurns.set(this.db, turn);
    return done;
  }
}

/** What it answers throws once the callers of a store that ask now have been refused. */
export function startDeadline(): () => void {
  const start = performance.now();
  return () => {
    if (performance.now() - start > storeDeadlineMs) throw new StoreUnavailable('no turn in time');
  };
}
