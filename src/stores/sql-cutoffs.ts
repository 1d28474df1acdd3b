import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import { clockToleranceUs, cutoffMs } from '../core/token-store.js';
import type { SqlConnection } from './sql-connection.js';
import { wholeOf, type SqlTables } from './sql-tables.js';

/** For each account the time before which no login may have begun. */
export interface SqlCutoffs {
  cutOff(account: string): Promise<void>;
  isCutOff(account: string, startedAt: number): Promise<boolean>;
  /** The same as a condition on a pending login. */
  isOpen(eb: ExpressionBuilder<SqlTables, 'pending'>, account: string): Expression<SqlBool>;
}

/**
 * Cut-offs in SQL. A time from the future shows that the clock was set back, see the Redis store's cutoffLua: a login
 * from there is void, and a cut-off from there voids all until the next login has moved it to the present.
 */
export function sqlCutoffs(connection: SqlConnection): SqlCutoffs {
  const { names, dialect, clockMs, clockUs } = connection;
  /** The last moment that a coarse clock calls by this name. */
  const present = (eb: ExpressionBuilder<SqlTables, 'cutoffs'>) => ({
    time: eb(clockUs, '+', dialect.resolutionUs - 1),
    ends: eb(clockMs, '+', cutoffMs),
  });

  async function cutOff(account: string): Promise<void> {
    await connection.write((db) =>
      db
        .insertInto(names.cutoffs)
        .values((eb) => ({ account, ...present(eb) }))
        // Evaluated again, when the row is locked: of two revocations the later time stays.
        .onConflict((conflict) => conflict.column('account').doUpdateSet(present))
        .execute(),
    );
    connection.wrote('cutoffs');
  }

  return {
    cutOff,

    async isCutOff(account, startedAt) {
      const { now, cutoff } = await connection.read(async (db) => ({
        now: await connection.readTime(db),
        cutoff: await db
          .selectFrom(names.cutoffs)
          .select('time')
          .where('account', '=', account)
          .where('ends', '>', clockMs)
          .executeTakeFirst(),
      }));
      const time = cutoff === undefined ? -1 : wholeOf(cutoff.time);
      if (time <= now + clockToleranceUs) return startedAt <= time || startedAt > now + clockToleranceUs;
      await cutOff(account);
      return true;
    },

    isOpen(eb, account) {
      const cutoff = eb
        .selectFrom(`${names.cutoffs} as cutoff`)
        .select('cutoff.time')
        .where('cutoff.account', '=', account)
        .where('cutoff.ends', '>', clockMs)
        .whereRef('cutoff.time', '>=', `${names.pending}.started`);
      const isOfNow = eb(`${names.pending}.started`, '<=', eb(clockUs, '+', clockToleranceUs));
      return eb.and([isOfNow, eb.not(eb.exists(cutoff))]);
    },
  };
}
