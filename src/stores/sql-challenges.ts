import { randomUUID } from 'node:crypto';
import { StoreUnavailable } from '../core/errors.js';
import type { ChallengeStore } from '../core/factor-store.js';
import type { SqlConnection } from './sql-connection.js';
import { readRecord, writeRecord } from './sql-tables.js';

const mostRounds = 5;

/** Challenges and enrolments in SQL, each until it ends or is taken. */
export function sqlChallenges(connection: SqlConnection): ChallengeStore {
  const { names } = connection;

  async function find(key: string) {
    return connection.read((db) =>
      db
        .selectFrom(names.challenges)
        .select(['version', 'record'])
        .where('id', '=', key)
        .where('ends', '>', connection.clockMs)
        .executeTakeFirst(),
    );
  }

  return {
    async saveChallenge(key, record, lifetimeMs) {
      const saved = { version: randomUUID(), record: writeRecord(record) };
      await connection.write((db) =>
        db
          .insertInto(names.challenges)
          .values((eb) => ({ id: key, ...saved, ends: eb(connection.clockMs, '+', lifetimeMs) }))
          .onConflict((conflict) =>
            conflict
              .column('id')
              .doUpdateSet((eb) => ({ ...saved, ends: eb(connection.clockMs, '+', lifetimeMs) })),
          )
          .execute(),
      );
      connection.wrote('challenges');
    },

    async readChallenge(key) {
      const row = await find(key);
      return row === undefined ? null : readRecord(row.record);
    },

    async takeChallenge(key) {
      for (let round = 0; round < mostRounds; round += 1) {
        // oxlint-disable-next-line no-await-in-loop
        const row = await find(key);
        if (row === undefined) return null;
        // oxlint-disable-next-line no-await-in-loop
        const { numDeletedRows } = await connection.write((db) =>
          db
            .deleteFrom(names.challenges)
            .where('id', '=', key)
            .where('version', '=', row.version)
            .where('ends', '>', connection.clockMs)
            .executeTakeFirstOrThrow(),
        );
        if (numDeletedRows > 0n) return readRecord(row.record);
        // Taken by another, or replaced meanwhile: look again.
      }
      throw new StoreUnavailable('its rows do not stay');
    },
  };
}
