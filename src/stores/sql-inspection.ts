import type { StoreFacts } from '../core/store-facts.js';
import type { SqlConnection } from './sql-connection.js';
import { fragment } from './sql-dialect.js';
import { wholeOf } from './sql-tables.js';

/**
 * What the database says of itself, now. Its tables are asked too: one without them is not fine.
 *
 * @throws {StoreUnavailable} when it does not answer.
 */
export async function inspectSql(connection: SqlConnection): Promise<StoreFacts> {
  const { dialect, names } = connection;
  await connection.read((db) => db.selectFrom(names.factors).select('account').limit(1).execute());
  const { files } = await connection.read((db) =>
    db.selectNoFrom((eb) => eb.parens(fragment(dialect.files)).as('files')).executeTakeFirstOrThrow(),
  );
  return {
    kind: dialect.kind,
    // A file of SQLite belongs to one process.
    isShared: dialect.locksRows,
    isDurable: wholeOf(files) > 0,
    weaknesses: [],
  };
}
