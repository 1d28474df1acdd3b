import type { ColumnType } from 'kysely';
import type { LogKeys } from '../core/log-store.js';
import { asciiJson } from '../core/printable.js';
import { isCount, nonsense } from '../core/store-call.js';

/** What a driver hands out is parsed before it is used: for a bigint, pg gives a string. */
type Column<T> = ColumnType<unknown, T, T>;

interface Ending {
  /** Milliseconds of the database's clock; the row counts for nothing from then on, and is deleted some time later. */
  readonly ends: Column<number>;
}

/** Columns are single lower-case words, so that no plugin of the app finds anything to rename. */
export interface SqlTables {
  readonly attempts: Ending & {
    readonly id: string;
    /** Milliseconds, oldest first, separated by commas. */
    readonly stamps: Column<string>;
    readonly locked: Column<number>;
  };
  readonly tokens: Ending & {
    readonly id: string;
    readonly account: string;
    readonly created: Column<number>;
    /** When it ends at the latest; `ends` may be earlier, and moves with each touch. */
    readonly expires: Column<number>;
    /** When it was last touched; 0 for never. */
    readonly used: Column<number>;
    readonly record: Column<string>;
  };
  /** `time`: microseconds; no login of the account that began until then may succeed. */
  readonly cutoffs: Ending & { readonly account: string; readonly time: Column<number> };
  readonly pending: Ending & {
    readonly id: string;
    readonly account: string;
    /** Microseconds. */
    readonly started: Column<number>;
    readonly tries: Column<number>;
    readonly record: Column<string>;
  };
  readonly factors: {
    readonly account: string;
    readonly revision: Column<number>;
    readonly record: Column<string>;
  };
  readonly credentials: { readonly id: string; readonly account: string };
  /** `version`: another one with each save, so that what is deleted is what was read. */
  readonly challenges: Ending & {
    readonly id: string;
    readonly version: string;
    readonly record: Column<string>;
  };
  readonly sessions: Ending & { readonly id: string; readonly record: Column<string> };
  readonly documents: Ending & { readonly id: string; readonly record: Column<string> };
  readonly log: LogKeys & {
    readonly position: Column<number>;
    /** Of the batch that it came with: the same for all of them. */
    readonly batch: string;
    /** Both in milliseconds. */
    readonly written: Column<number>;
    readonly time: Column<number>;
    readonly seal: string;
    readonly record: Column<string>;
  };
  /** One row: where the log ends, and when that was written. */
  readonly heads: {
    readonly id: string;
    readonly position: Column<number>;
    readonly written: Column<number>;
    readonly seal: string;
  };
}

export type SqlTableNames = { readonly [K in keyof SqlTables]: K };

const tables = [
  'attempts',
  'tokens',
  'cutoffs',
  'pending',
  'factors',
  'credentials',
  'challenges',
  'sessions',
  'documents',
  'log',
  'heads',
] as const;

/** Names with the prefix. Their types leave it out, so that queries are checked against the columns. */
export function tableNames(prefix: string): SqlTableNames {
  const names = tables.map((table) => [table, `${prefix}_${table}`]);
  return Object.fromEntries(names) as SqlTableNames;
}

export function wholeOf(value: unknown): number {
  const isDigits = typeof value === 'bigint' || (typeof value === 'string' && /^\d{1,16}$/.test(value));
  const whole = isDigits ? Number(value) : value;
  if (!isCount(whole)) throw nonsense();
  return whole;
}

/**
 * A record as ASCII: PostgreSQL takes no NUL in a text, and a database that is not in UTF-8 has no place for most
 * characters.
 */
export function writeRecord(record: string): string {
  return asciiJson(record);
}

export function readRecord(value: unknown): string {
  let record: unknown;
  try {
    record = JSON.parse(value as string);
  } catch {
    throw nonsense();
  }
  if (typeof record !== 'string') throw nonsense();
  return record;
}
