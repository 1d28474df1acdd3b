import { isCount, own } from './store-call.js';

/** Where a log ends. */
export interface LogHead {
  /** Of the last entry ever written; 0 before the first. Positions have no gaps and never come back. */
  readonly position: number;
  /** Of that entry; empty where it has none. */
  readonly seal: string;
}

/** What an entry is found by; each a hash of 16 hexadecimal digits, null where the entry has none. */
export interface LogKeys {
  readonly account: string | null;
  readonly organisation: string | null;
  readonly request: string | null;
}

export type LogKey = keyof LogKeys;

export const logKeys = ['account', 'organisation', 'request'] as const satisfies readonly LogKey[];

export interface NewStoredEntry extends LogKeys {
  /** When it happened, in milliseconds since the epoch. */
  readonly time: number;
  readonly record: string;
  /** Letters, digits, `-` and `_`; empty where there is none. */
  readonly seal: string;
}

export interface StoredEntry extends NewStoredEntry {
  readonly position: number;
  /** When it was written, by the store's clock, in milliseconds since the epoch. Never less than that of the one before. */
  readonly writtenAt: number;
  /** False where a search by its keys or its time would miss it: somebody has changed what it is found by. */
  readonly isFound: boolean;
}

export interface LogBatch {
  /**
   * Names the batch: one that is sent again, because no answer came, must not be written again within an hour, unless its
   * entries are gone by then.
   */
  readonly id: string;
  /** In their order; 1 to 200. */
  readonly entries: readonly NewStoredEntry[];
  /** Entries that were written longer ago count for nothing, and are deleted with the next ones that are written. */
  readonly retentionMs: number;
  /** Where the log must end for the batch to be written; undefined where that does not matter. */
  readonly expected: LogHead | undefined;
}

/** Whether the batch is in the log, and where that ends now. */
export interface LogAppended {
  readonly appended: boolean;
  readonly head: LogHead;
}

/** A place in the order of time: of two at the same moment, the one that was written later is the newer. */
export interface LogPlace {
  readonly time: number;
  readonly position: number;
}

/** What is searched for, newest first. */
export interface LogSearch {
  /** Null for all entries. */
  readonly by: { readonly key: LogKey; readonly value: string } | null;
  /** Not before this time. */
  readonly since: number;
  /** Before this time; null for no end. */
  readonly until: number | null;
  /** Older than this place; null from the newest on. */
  readonly before: LogPlace | null;
  readonly limit: number;
  readonly retentionMs: number;
}

export interface LogFound {
  readonly entries: readonly StoredEntry[];
  /** Where to go on; null where there is nothing more. */
  readonly next: LogPlace | null;
}

/** A part of the log in the order in which it was written. */
export interface LogPart {
  /** From the position that was asked for on, or from the first one after it that is there. */
  readonly entries: readonly StoredEntry[];
  readonly head: LogHead;
  /** Even the last entry was written longer ago than the retention: an empty log is in order. */
  readonly isOver: boolean;
}

/**
 * Keeps a log that is only ever appended to. Positions are given by the store, in one order for all processes, and an
 * entry can be read once all before it can be.
 */
export interface LogStore {
  /** Must be atomic over all processes: the whole batch is written, behind all others, or nothing of it. */
  appendLog(batch: LogBatch): Promise<LogAppended>;
  searchLog(search: LogSearch): Promise<LogFound>;
  walkLog(from: number, limit: number, retentionMs: number): Promise<LogPart>;
}

export const logStoreMethods = [
  'appendLog',
  'searchLog',
  'walkLog',
] as const satisfies readonly (keyof LogStore)[];

export function isLogAppended(reply: unknown): boolean {
  return typeof own(reply, 'appended') === 'boolean' && isLogHead(own(reply, 'head'));
}

export function isLogFound(reply: unknown): boolean {
  const next = own(reply, 'next');
  return (
    isEntries(reply) && (next === null || (isCount(own(next, 'time')) && isCount(own(next, 'position'))))
  );
}

export function isLogPart(reply: unknown): boolean {
  return isEntries(reply) && isLogHead(own(reply, 'head')) && typeof own(reply, 'isOver') === 'boolean';
}

export function isLogHead(value: unknown): value is LogHead {
  const seal = own(value, 'seal');
  return isCount(own(value, 'position')) && typeof seal === 'string' && /^[\w-]{0,64}$/.test(seal);
}

function isEntries(reply: unknown): boolean {
  const entries = own(reply, 'entries');
  return Array.isArray(entries) && entries.every(isEntry);
}

function isEntry(value: unknown): boolean {
  const counts = ['time', 'position', 'writtenAt'].every((name) => isCount(own(value, name)));
  const texts = ['record', 'seal'].every((name) => typeof own(value, name) === 'string');
  const keys = logKeys.every((name) => own(value, name) === null || typeof own(value, name) === 'string');
  return counts && texts && keys && typeof own(value, 'isFound') === 'boolean';
}
