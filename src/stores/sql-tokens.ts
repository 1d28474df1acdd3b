import { setTimeout as sleep } from 'node:timers/promises';
import type { ExpressionBuilder } from 'kysely';
import type { StoredToken, TokenStore } from '../core/token-store.js';
import type { SqlConnection } from './sql-connection.js';
import type { SqlCutoffs } from './sql-cutoffs.js';
import { readRecord, wholeOf, writeRecord, type SqlTables } from './sql-tables.js';

interface Row {
  readonly id: string;
  readonly created: unknown;
  readonly expires: unknown;
  readonly used: unknown;
  readonly record: unknown;
}

const columns = ['id', 'created', 'expires', 'used', 'record'] as const;

const latest = (eb: ExpressionBuilder<SqlTables, 'tokens'>) => eb.ref('expires').$castTo<number>();

/** Of one account never more than these at once. */
const mostRemoved = 500;

/** Access tokens in SQL. None of these steps holds a lock while another is waited for. */
export function sqlTokens(connection: SqlConnection, cutoffs: SqlCutoffs): TokenStore {
  const { names, dialect } = connection;

  /** Of the tokens beside `kept`, those that end first go. */
  async function removeBeyond(account: string, most: number, kept: string): Promise<void> {
    const rows = await connection.read((db) =>
      db
        .selectFrom(names.tokens)
        .select('id')
        .where('account', '=', account)
        .where('id', '!=', kept)
        .where('ends', '>', connection.clockMs)
        .orderBy('ends', 'desc')
        .orderBy('id')
        .offset(most)
        .limit(mostRemoved)
        .execute(),
    );
    const ids = rows.map(({ id }) => id);
    if (ids.length > 0) await connection.remove('tokens', (query) => query.where('id', 'in', ids));
  }

  return {
    async issueToken({ key, account, lifetimeMs, idleMs, maxPerAccount, startedAt, record }) {
      const time = await connection.read((db) => connection.readTime(db));
      const createdAt = Math.floor(time / 1000);
      const token = { key, createdAt, expiresAt: createdAt + lifetimeMs, usedAt: null, record };
      const row = {
        id: key,
        account,
        created: createdAt,
        expires: token.expiresAt,
        ends: createdAt + Math.min(lifetimeMs, idleMs ?? lifetimeMs),
        used: 0,
        record: writeRecord(record),
      };
      await connection.write((db) => db.insertInto(names.tokens).values(row).execute());
      connection.wrote('tokens');
      // Written first, checked second, where a revocation cuts off first and deletes second: one of them sees the
      // other. Until then nobody knows the token.
      if (startedAt !== undefined && (await cutoffs.isCutOff(account, startedAt))) {
        await connection.write((db) => db.deleteFrom(names.tokens).where('id', '=', key).execute());
        return null;
      }
      await removeBeyond(account, maxPerAccount - 1, key);
      return token;
    },

    async readToken(key) {
      const row = await connection.read((db) =>
        db
          .selectFrom(names.tokens)
          .select((eb) => [...columns, 'ends', eb.parens(connection.clockMs).as('now')])
          .where('id', '=', key)
          .executeTakeFirst(),
      );
      if (row === undefined) return null;
      if (wholeOf(row.ends) > wholeOf(row.now)) return tokenOf(row);
      // Seen to have ended: gone for good, also if the clock is set back.
      await connection.write((db) => db.deleteFrom(names.tokens).where('id', '=', key).execute());
      return null;
    },

    async revokeToken(key) {
      const { numDeletedRows } = await connection.write((db) =>
        db
          .deleteFrom(names.tokens)
          .where('id', '=', key)
          .where('ends', '>', connection.clockMs)
          .executeTakeFirstOrThrow(),
      );
      return numDeletedRows > 0n;
    },

    async revokeTokens(account, except) {
      await cutoffs.cutOff(account);
      // Not in one transaction with the cut-off: that must be visible before this looks for tokens.
      const ended = await connection.remove('tokens', (query) =>
        query
          .where('account', '=', account)
          .where('id', '!=', except ?? '')
          .where('ends', '>', connection.clockMs),
      );
      // A coarse clock must leave the step that was cut off, or a login that begins now would be as well.
      if (dialect.resolutionUs > 1) await sleep(Math.ceil(dialect.resolutionUs / 1000) + 1);
      return ended;
    },

    async listTokens(account) {
      const rows = await connection.read((db) =>
        db
          .selectFrom(names.tokens)
          .select(columns)
          .where('account', '=', account)
          .where('ends', '>', connection.clockMs)
          .orderBy('ends')
          .execute(),
      );
      return rows.map(tokenOf);
    },

    async touchToken({ key, idleMs }) {
      const { numUpdatedRows } = await connection.write((db) =>
        db
          .updateTable(names.tokens)
          .set((eb) => ({
            used: connection.clockMs,
            ...(idleMs !== undefined && {
              ends: eb
                .case()
                .when(eb(connection.clockMs, '+', idleMs), '<', latest(eb))
                .then(eb(connection.clockMs, '+', idleMs))
                .else(latest(eb))
                .end(),
            }),
          }))
          .where('id', '=', key)
          .where('ends', '>', connection.clockMs)
          .executeTakeFirstOrThrow(),
      );
      return numUpdatedRows > 0n;
    },
  };
}

function tokenOf({ id, created, expires, used, record }: Row): StoredToken {
  const usedAt = wholeOf(used);
  return {
    key: id,
    createdAt: wholeOf(created),
    expiresAt: wholeOf(expires),
    usedAt: usedAt === 0 ? null : usedAt,
    record: readRecord(record),
  };
}
