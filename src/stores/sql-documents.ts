import type { DocumentStore } from '../core/document-store.js';
import type { SqlConnection } from './sql-connection.js';
import { readRecord, writeRecord } from './sql-tables.js';

/** Documents in SQL: one row each, changed by one statement that asks for what it replaces. */
export function sqlDocuments(connection: SqlConnection): DocumentStore {
  const { names, clockMs } = connection;

  async function create(key: string, record: string, lifetimeMs: number): Promise<boolean> {
    const { numInsertedOrUpdatedRows = 0n } = await connection.write((db) =>
      db
        .insertInto(names.documents)
        .values((eb) => ({ id: key, record: writeRecord(record), ends: eb(clockMs, '+', lifetimeMs) }))
        .onConflict((conflict) =>
          conflict
            .column('id')
            .doUpdateSet((eb) => ({ record: writeRecord(record), ends: eb(clockMs, '+', lifetimeMs) }))
            // One that has ended is none.
            .where(`${names.documents}.ends`, '<=', clockMs),
        )
        .executeTakeFirstOrThrow(),
    );
    connection.wrote('documents');
    return numInsertedOrUpdatedRows > 0n;
  }

  async function change(
    key: string,
    expected: string,
    record: string | null,
    lifetimeMs: number,
  ): Promise<boolean> {
    // Two that change the same row wait for each other, and the second asks again for what is there by then.
    const { numUpdatedRows } = await connection.write((db) =>
      db
        .updateTable(names.documents)
        .set((eb) =>
          record === null ? { ends: 0 } : { record: writeRecord(record), ends: eb(clockMs, '+', lifetimeMs) },
        )
        .where('id', '=', key)
        .where('record', '=', writeRecord(expected))
        .where('ends', '>', clockMs)
        .executeTakeFirstOrThrow(),
    );
    return numUpdatedRows > 0n;
  }

  return {
    async readDocument(key) {
      const { now, row } = await connection.read(async (db) => ({
        now: await connection.readTime(db),
        row: await db
          .selectFrom(names.documents)
          .select('record')
          .where('id', '=', key)
          .where('ends', '>', clockMs)
          .executeTakeFirst(),
      }));
      return { time: Math.floor(now / 1000), record: row === undefined ? null : readRecord(row.record) };
    },
    async replaceDocument(key, expected, record, lifetimeMs) {
      const milliseconds = Math.ceil(lifetimeMs);
      if (expected !== null) return change(key, expected, record, milliseconds);
      if (record !== null) return create(key, record, milliseconds);
      return (await this.readDocument(key)).record === null;
    },
  };
}
