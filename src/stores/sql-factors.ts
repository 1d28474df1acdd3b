import { StoreUnavailable } from '../core/errors.js';
import type { FactorStore } from '../core/factor-store.js';
import { nonsense } from '../core/store-call.js';
import type { SqlConnection } from './sql-connection.js';
import { orKeep } from './sql-dialect.js';
import { readRecord, wholeOf, writeRecord } from './sql-tables.js';

const mostRounds = 5;

/** Factors in SQL: a row for each account, and one for each credential, whose primary key is the claim. */
export function sqlFactors(connection: SqlConnection): FactorStore {
  const { names } = connection;

  return {
    async readFactors(account) {
      const row = await connection.read((db) =>
        db
          .selectFrom(names.factors)
          .select(['revision', 'record'])
          .where('account', '=', account)
          .executeTakeFirst(),
      );
      if (row === undefined) return null;
      const revision = wholeOf(row.revision);
      if (revision === 0) throw nonsense();
      return { revision, record: readRecord(row.record) };
    },

    async writeFactors(account, record, expected) {
      const next = { revision: expected + 1, record: writeRecord(record) };
      if (expected === 0) {
        const { numInsertedOrUpdatedRows = 0n } = await connection.write((db) =>
          orKeep(db.insertInto(names.factors).values({ account, ...next })).executeTakeFirstOrThrow(),
        );
        return numInsertedOrUpdatedRows > 0n;
      }
      const { numUpdatedRows } = await connection.write((db) =>
        db
          .updateTable(names.factors)
          .set(next)
          .where('account', '=', account)
          .where('revision', '=', expected)
          .executeTakeFirstOrThrow(),
      );
      return numUpdatedRows > 0n;
    },

    async claimCredential(credential, account) {
      for (let round = 0; round < mostRounds; round += 1) {
        // oxlint-disable-next-line no-await-in-loop
        const { numInsertedOrUpdatedRows = 0n } = await connection.write((db) =>
          orKeep(
            db.insertInto(names.credentials).values({ id: credential, account }),
          ).executeTakeFirstOrThrow(),
        );
        if (numInsertedOrUpdatedRows > 0n) return true;
        // oxlint-disable-next-line no-await-in-loop
        const holder = await connection.read((db) =>
          db.selectFrom(names.credentials).select('account').where('id', '=', credential).executeTakeFirst(),
        );
        // Given up between the two statements: claim it again.
        if (holder !== undefined) return holder.account === account;
      }
      throw new StoreUnavailable('its rows do not stay');
    },

    async releaseCredential(credential, account) {
      await connection.write((db) =>
        db
          .deleteFrom(names.credentials)
          .where('id', '=', credential)
          .where('account', '=', account)
          .execute(),
      );
    },
  };
}
