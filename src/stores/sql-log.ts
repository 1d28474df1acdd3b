import { logKeys, type LogStore, type StoredEntry } from '../core/log-store.js';
import type { Database, SqlConnection } from './sql-connection.js';
import { orKeep } from './sql-dialect.js';
import { readRecord, wholeOf, writeRecord } from './sql-tables.js';

interface Row {
  readonly position: unknown;
  readonly written: unknown;
  readonly time: unknown;
  readonly account: string | null;
  readonly organisation: string | null;
  readonly request: string | null;
  readonly seal: string;
  readonly record: unknown;
}

const columns = ['position', 'written', 'time', ...logKeys, 'seal', 'record'] as const;

/** The one row of heads; with a name, so that it can be locked before there is anything. */
const id = 'login-log';

/** More than a batch can add, so that what has ended goes away though it is more than what comes. */
const mostRemoved = 500;

/** The login log in SQL: a row for each entry, and one that says where the log ends, which whoever writes has locked. */
export function sqlLog(connection: SqlConnection): LogStore {
  const { names, dialect, clockMs } = connection;

  const findHead = (db: Database) =>
    db
      .selectFrom(names.heads)
      .select((eb) => ['position', 'written', 'seal', eb.parens(clockMs).as('now')])
      .where('id', '=', id);

  async function lockHead(db: Database) {
    const locked = findHead(db).$if(dialect.locksRows, (query) => query.forUpdate());
    const empty = { id, position: 0, written: 0, seal: '' };
    let row = await locked.executeTakeFirst();
    if (row === undefined) {
      await orKeep(db.insertInto(names.heads).values(empty)).execute();
      row = await locked.executeTakeFirstOrThrow();
    }
    const head = { position: wholeOf(row.position), seal: row.seal };
    const times = { written: wholeOf(row.written), now: wholeOf(row.now) };
    const last = await lastEntry(db);
    const position = last === undefined ? 0 : wholeOf(last.position);
    // One that has gone missing, or was set back, must not let new entries take the places of old ones.
    return { ...times, head: position > head.position ? { position, seal: '' } : head };
  }

  const lastEntry = (db: Database) =>
    db.selectFrom(names.log).select('position').orderBy('position', 'desc').limit(1).executeTakeFirst();

  const hasEnded = (db: Database, oldest: number) =>
    db
      .selectFrom(names.log)
      .select('position')
      .where('written', '<=', oldest)
      .orderBy('written')
      .orderBy('position')
      .limit(mostRemoved)
      .execute();

  return {
    async appendLog(batch) {
      return connection.transaction(async (db) => {
        const { head, ...row } = await lockHead(db);
        const known = await db
          .selectFrom(names.log)
          .select('position')
          .where('batch', '=', batch.id)
          .limit(1)
          .executeTakeFirst();
        if (known !== undefined) return { appended: true, head };
        const { expected } = batch;
        const isExpected = expected?.position === head.position && expected.seal === head.seal;
        if (expected !== undefined && !isExpected) return { appended: false, head };
        // The clock is that of the lock, or of the wait for it: never behind the entry before.
        const written = Math.max(row.written, row.now);
        const rows = batch.entries.map(({ record, ...entry }, index) => ({
          ...entry,
          position: head.position + 1 + index,
          batch: batch.id,
          written,
          record: writeRecord(record),
        }));
        await db.insertInto(names.log).values(rows).execute();
        const next = { position: head.position + rows.length, seal: rows.at(-1)?.seal ?? head.seal };
        await db
          .updateTable(names.heads)
          .set({ ...next, written })
          .where('id', '=', id)
          .execute();
        const ended = await hasEnded(db, row.now - batch.retentionMs);
        const positions = ended.map(({ position }) => wholeOf(position));
        if (positions.length > 0) {
          await db.deleteFrom(names.log).where('position', 'in', positions).execute();
        }
        return { appended: true, head: next };
      });
    },

    async searchLog({ by, since, until, before, limit, retentionMs }) {
      const rows = await connection.read((db) => {
        let query = db
          .selectFrom(names.log)
          .select(columns)
          .where('time', '>=', since)
          .where((eb) => eb('written', '>', eb(clockMs, '-', retentionMs)));
        if (by !== null) query = query.where(by.key, '=', by.value);
        if (until !== null) query = query.where('time', '<', until);
        if (before !== null) {
          query = query
            .where('time', '<=', before.time)
            .where((eb) => eb.or([eb('time', '<', before.time), eb('position', '<', before.position)]));
        }
        return query.orderBy('time', 'desc').orderBy('position', 'desc').limit(limit).execute();
      });
      const entries = rows.map(entryOf);
      return { entries, next: entries.length < limit ? null : (entries.at(-1) ?? null) };
    },

    async walkLog(from, limit, retentionMs) {
      const { head, rows } = await connection.read(async (db) => ({
        head: await findHead(db).executeTakeFirst(),
        rows: await db
          .selectFrom(names.log)
          .select(columns)
          .where('position', '>=', from)
          .where((eb) => eb('written', '>', eb(clockMs, '-', retentionMs)))
          .orderBy('position')
          .limit(limit)
          .execute(),
      }));
      const entries = rows.map(entryOf);
      if (head === undefined) return { entries, head: { position: 0, seal: '' }, isOver: true };
      return {
        entries,
        head: { position: wholeOf(head.position), seal: head.seal },
        isOver: wholeOf(head.written) <= wholeOf(head.now) - retentionMs,
      };
    },
  };
}

function entryOf({ position, written, time, record, ...row }: Row): StoredEntry {
  const at = { position: wholeOf(position), writtenAt: wholeOf(written), time: wholeOf(time) };
  return { ...row, ...at, record: recordOf(record), isFound: true };
}

/** Empty where somebody has made it unreadable: that is for the chain to find out, and must not look like an outage. */
function recordOf(value: unknown): string {
  try {
    return readRecord(value);
  } catch {
    return '';
  }
}
