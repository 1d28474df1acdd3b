import type { AttemptSubject } from '../core/attempt-store.js';
import { keepMs, noAttempts, withoutFuture, type Attempts } from '../core/attempt-window.js';
import { nonsense } from '../core/store-call.js';
import type { Database, SqlConnection } from './sql-connection.js';
import { orKeep } from './sql-dialect.js';
import { wholeOf } from './sql-tables.js';

/** The state of one subject as it was read. */
export interface Loaded {
  readonly attempts: Attempts;
  /** As the row says; 0 where there is none. */
  readonly ends: number;
  /** A clock that was set back has moved its stamps: they must be saved, or they would move on with it. */
  readonly isMoved: boolean;
  /** There is no row, and so nothing that could be locked. */
  readonly isMissing: boolean;
}

export interface LoadedRows {
  readonly states: ReadonlyMap<string, Loaded>;
  /** In milliseconds. */
  readonly now: number;
  /** In microseconds. */
  readonly time: number;
}

const missing: Loaded = { attempts: noAttempts, ends: 0, isMoved: false, isMissing: true };

/** A row that nothing was counted in yet lives for as long as it may take to lock it. */
const emptyMs = 60_000;

/**
 * Reads rows and the time. In a transaction it locks them, always in the order of their ids, and the time is that at
 * which the last one was held.
 */
export async function loadRows(
  connection: SqlConnection,
  db: Database,
  subjects: readonly AttemptSubject[],
): Promise<LoadedRows> {
  const ids = [...new Set(subjects.map(({ key }) => key))].toSorted();
  const rowsOf = db
    .selectFrom(connection.names.attempts)
    .select(['id', 'stamps', 'locked', 'ends'])
    .where('id', 'in', ids)
    .orderBy('id')
    // The outer query is evaluated on rows that are locked, so its clock is read behind the lock.
    .$if(db.isTransaction && connection.dialect.locksRows, (query) => query.forUpdate())
    .as('row');
  const rows = await db
    .selectFrom(rowsOf)
    .select((eb) => [
      'row.id',
      'row.stamps',
      'row.locked',
      'row.ends',
      eb.parens(connection.clockUs).as('now'),
    ])
    .execute();
  const clock = rows.map(({ now }) => wholeOf(now));
  const time = rows.length > 0 ? connection.timeOf(Math.max(...clock)) : await connection.readTime(db);
  const now = Math.floor(time / 1000);
  const found = new Map(rows.map((row) => [row.id, parse(row, now)]));
  return { states: new Map(ids.map((id) => [id, found.get(id) ?? missing])), now, time };
}

export async function saveRows(
  connection: SqlConnection,
  db: Database,
  changes: ReadonlyMap<
    string,
    { readonly attempts: Attempts; readonly subject: AttemptSubject; readonly ends: number }
  >,
): Promise<void> {
  if (changes.size === 0) return;
  const rows = [...changes].map(([id, { attempts, subject, ends }]) => {
    const newest = attempts.stamps.at(-1);
    // An empty row stays for its time: the next attempt finds something to lock.
    if (newest === undefined) return { id, stamps: '', locked: 0, ends };
    const until = newest + keepMs(subject.limits);
    return { id, stamps: attempts.stamps.join(','), locked: attempts.lockedBy, ends: until };
  });
  await db
    .insertInto(connection.names.attempts)
    .values(rows)
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((eb) => ({
        stamps: eb.ref('excluded.stamps'),
        locked: eb.ref('excluded.locked'),
        ends: eb.ref('excluded.ends'),
      })),
    )
    .execute();
  connection.wrote('attempts');
}

/** Makes what has no row. Not in the transaction that counts: others held there would break the order of locks. */
export async function makeRows(connection: SqlConnection, ids: readonly string[]): Promise<void> {
  await connection.write((db) =>
    orKeep(
      db
        .insertInto(connection.names.attempts)
        .values((eb) =>
          ids.map((id) => ({ id, stamps: '', locked: 0, ends: eb(connection.clockMs, '+', emptyMs) })),
        ),
    ).execute(),
  );
}

function parse(row: { stamps: unknown; locked: unknown; ends: unknown }, now: number): Loaded {
  const ends = wholeOf(row.ends);
  if (typeof row.stamps !== 'string') throw nonsense();
  if (row.stamps === '' || ends <= now) return { ...missing, ends, isMissing: false };
  const stamps = row.stamps.split(',').map(wholeOf);
  if (stamps.some((stamp, index) => stamp < (stamps[index - 1] ?? 0))) throw nonsense();
  const stored = { stamps, lockedBy: wholeOf(row.locked) };
  const attempts = withoutFuture(stored, now);
  return { attempts, ends, isMoved: attempts !== stored, isMissing: false };
}
