import type { SessionStore } from '../core/session-store.js';
import type { SqlConnection } from './sql-connection.js';
import { readRecord, writeRecord } from './sql-tables.js';

/** Browser sessions in SQL, each until it ends or is removed. */
export function sqlSessions(connection: SqlConnection): SessionStore {
  const { names } = connection;

  return {
    async saveSession(key, record, lifetimeMs) {
      const saved = { record: writeRecord(record) };
      await connection.write((db) =>
        db
          .insertInto(names.sessions)
          .values((eb) => ({ id: key, ...saved, ends: eb(connection.clockMs, '+', lifetimeMs) }))
          .onConflict((conflict) =>
            conflict
              .column('id')
              .doUpdateSet((eb) => ({ ...saved, ends: eb(connection.clockMs, '+', lifetimeMs) })),
          )
          .execute(),
      );
      connection.wrote('sessions');
    },

    async updateSession(key, record, lifetimeMs) {
      const { numUpdatedRows } = await connection.write((db) =>
        db
          .updateTable(names.sessions)
          .set((eb) => ({ record: writeRecord(record), ends: eb(connection.clockMs, '+', lifetimeMs) }))
          .where('id', '=', key)
          .where('ends', '>', connection.clockMs)
          .executeTakeFirstOrThrow(),
      );
      return numUpdatedRows > 0n;
    },

    async readSession(key) {
      const row = await connection.read((db) =>
        db
          .selectFrom(names.sessions)
          .select('record')
          .where('id', '=', key)
          .where('ends', '>', connection.clockMs)
          .executeTakeFirst(),
      );
      return row === undefined ? null : readRecord(row.record);
    },

    async removeSession(key) {
      await connection.write((db) => db.deleteFrom(names.sessions).where('id', '=', key).execute());
    },
  };
}
