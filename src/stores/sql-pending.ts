import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { PendingLoginStore } from '../core/pending-store.js';
import type { SqlConnection } from './sql-connection.js';
import type { SqlCutoffs } from './sql-cutoffs.js';
import type { SqlTables } from './sql-tables.js';
import { readRecord, wholeOf, writeRecord } from './sql-tables.js';

/** Of one account never more than these at once: a storm of openings is taken back in parts. */
const mostRemoved = 500;

/** Pending logins in SQL. That one has not ended and is not cut off is a condition of every statement. */
export function sqlPending(connection: SqlConnection, cutoffs: SqlCutoffs): PendingLoginStore {
  const { names } = connection;

  function isLive(account: string, handle?: string) {
    return (eb: ExpressionBuilder<SqlTables, 'pending'>): Expression<SqlBool> =>
      eb.and([
        eb('account', '=', account),
        ...(handle === undefined ? [] : [eb('id', '=', handle)]),
        eb('ends', '>', connection.clockMs),
        cutoffs.isOpen(eb, account),
      ]);
  }

  /** The oldest beyond `most` go. Two that do this at once leave the same ones. */
  async function removeBeyond(account: string, most: number): Promise<void> {
    const rows = await connection.read((db) =>
      db
        .selectFrom(names.pending)
        .select('id')
        .where(isLive(account))
        .orderBy('ends', 'desc')
        .orderBy('id')
        .offset(most)
        .limit(mostRemoved)
        .execute(),
    );
    const ids = rows.map(({ id }) => id);
    if (ids.length > 0) await connection.remove('pending', (query) => query.where('id', 'in', ids));
  }

  return {
    async openPendingLogin({ account, handle, startedAt, lifetimeMs, maxPerAccount, record }) {
      const time = await connection.read((db) => connection.readTime(db));
      const ends = Math.floor(time / 1000) + lifetimeMs;
      const started = startedAt ?? time;
      // Dead as it is, it takes no place.
      if (startedAt !== undefined && (await cutoffs.isCutOff(account, startedAt))) return;
      const row = { id: handle, account, started, tries: 0, ends, record: writeRecord(record) };
      await connection.write((db) => db.insertInto(names.pending).values(row).execute());
      connection.wrote('pending');
      await removeBeyond(account, maxPerAccount);
    },

    async readPendingLogin(account, handle) {
      const row = await connection.read((db) =>
        db
          .selectFrom(names.pending)
          .select(['started', 'record'])
          .where(isLive(account, handle))
          .executeTakeFirst(),
      );
      if (row === undefined) return null;
      return { startedAt: wholeOf(row.started), record: readRecord(row.record) };
    },

    async tryPendingLogin(account, handle, maxTries) {
      // Each round that is lost was won by another try, so there are no more rounds than tries.
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop
        const row = await connection.read((db) =>
          db.selectFrom(names.pending).select('tries').where(isLive(account, handle)).executeTakeFirst(),
        );
        const tries = row === undefined ? maxTries : wholeOf(row.tries);
        if (tries >= maxTries) return null;
        // oxlint-disable-next-line no-await-in-loop
        const { numUpdatedRows } = await connection.write((db) =>
          db
            .updateTable(names.pending)
            .set({ tries: tries + 1 })
            .where(isLive(account, handle))
            .where('tries', '=', tries)
            .executeTakeFirstOrThrow(),
        );
        if (numUpdatedRows > 0n) return tries + 1;
      }
    },

    async closePendingLogin(account, handle) {
      const { numDeletedRows } = await connection.write((db) =>
        db.deleteFrom(names.pending).where(isLive(account, handle)).executeTakeFirstOrThrow(),
      );
      return numDeletedRows > 0n;
    },
  };
}
