import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Account } from './account.js';
import { csvText } from './csv.js';
import type { FactorStatus } from './factor-facts.js';
import type { SecondFactors } from './second-factors.js';

/** A member of whoever is audited; `name` is shown beside the id. */
export type Member = Account & { readonly name?: string };

/** What one member has enrolled. Times as ISO 8601 text. */
export interface MemberFactors {
  readonly id: string;
  readonly name: string;
  readonly enrolled: boolean;
  readonly factors: readonly {
    readonly type: 'totp' | 'webauthn';
    readonly name: string;
    readonly created_at: string;
    readonly last_used_at: string | null;
  }[];
  readonly backup_codes_left: number;
}

/** Reads under way at once: an audit must not take the connections that logins need. */
const readsAtOnce = 8;

/** @throws {StoreUnavailable} when one cannot be told: an audit with gaps reads like one without. */
export async function auditFactors(
  factors: SecondFactors,
  members: readonly Member[],
): Promise<readonly MemberFactors[]> {
  const rows: MemberFactors[] = [];
  for (let start = 0; start < members.length; start += readsAtOnce) {
    const some = members.slice(start, start + readsAtOnce);
    // Whoever else has something to do gets a chance: a store in memory never waits.
    // oxlint-disable-next-line no-await-in-loop -- as below
    await nextTurn();
    // oxlint-disable-next-line no-await-in-loop -- a few at a time, on purpose
    const states = await Promise.all(some.map((member) => factors.status(member)));
    rows.push(...some.map((member, index) => rowOf(member, states[index] as FactorStatus)));
  }
  return rows;
}

const columns = ['id', 'name', 'factor', 'factor_name', 'since', 'last_used', 'backup_codes_left'];

/** CSV with a line for each factor, and one for each member without any. */
export function auditCsv(rows: readonly MemberFactors[]): string {
  const lines = rows.flatMap(({ id, name, factors, backup_codes_left: left }) =>
    factors.length === 0
      ? [[id, name, '', '', '', '', left]]
      : factors.map((one) => [id, name, one.type, one.name, one.created_at, one.last_used_at ?? '', left]),
  );
  return csvText(columns, lines);
}

function rowOf({ id, name }: Member, { factors, backupCodes }: FactorStatus): MemberFactors {
  return {
    id,
    name: name ?? '',
    enrolled: factors.length > 0,
    factors: factors.map((factor) => ({
      type: factor.type,
      name: factor.name,
      created_at: new Date(factor.createdAt).toISOString(),
      last_used_at: factor.lastUsedAt === null ? null : new Date(factor.lastUsedAt).toISOString(),
    })),
    backup_codes_left: backupCodes?.left ?? 0,
  };
}
