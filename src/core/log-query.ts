import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogEntry } from './log-entry.js';
import { logOutcomes, type LogOutcome } from './log-outcome.js';
import { isIdOrNull, logKeysOf, readLogRecord } from './log-record.js';
import { logKeys, type LogFound, type LogPlace, type LogSearch } from './log-store.js';
import { integer, oneOf, readOptions, type Rule } from './options.js';
import { isCount } from './store-call.js';

/** What is asked of a log. What is not given leaves nothing out. */
export interface LogQuery {
  readonly account?: string;
  readonly organisation?: string;
  readonly outcome?: LogOutcome;
  /** Names of events, one or more. */
  readonly names?: readonly string[];
  readonly requestId?: string;
  /** Not before this time, in milliseconds since the epoch. */
  readonly since?: number;
  /** Before this time, in milliseconds since the epoch. */
  readonly until?: number;
  /** What the page before gave as `next`. */
  readonly cursor?: string;
  /**
   * Most entries of the page, 1 to 200.
   *
   * @default 100
   */
  readonly limit?: number;
}

/** A page, newest first. It may hold fewer than asked for, or none, and still have a next one. */
export interface LogPage {
  readonly entries: readonly LogEntry[];
  readonly next: string | null;
}

export const mostPerPage = 200;

/** How many entries one query looks at: so many calls, of so many each. */
const mostCalls = 20;
const perCall = 500;

const id: Rule = {
  demand: 'an id of 1 to 255 bytes',
  accepts: (value) => value !== null && isIdOrNull(value),
};

/** @throws {TypeError} for what is no query: an unknown field, a wrong value, a cursor of something else. */
export async function queryLog(
  search: (search: Omit<LogSearch, 'retentionMs'>) => Promise<LogFound>,
  query: LogQuery | undefined,
): Promise<LogPage> {
  const asked = readOptions<LogQuery>('LoginLog.query', query, {
    account: id,
    organisation: id,
    outcome: oneOf(...logOutcomes),
    names: {
      demand: 'a list of 1 to 50 names',
      accepts: (v) =>
        Array.isArray(v) && v.length > 0 && v.length <= 50 && v.every((one) => typeof one === 'string'),
    },
    requestId: id,
    since: integer(0, Number.MAX_SAFE_INTEGER),
    until: integer(0, Number.MAX_SAFE_INTEGER),
    cursor: { demand: 'what a page gave as next', accepts: (v) => readCursor(v) !== null },
    limit: integer(1, mostPerPage),
  });
  const { since = 0, until = null, cursor, limit = 100 } = asked;
  const by = keyOf(asked);
  const isFiltered = [asked.outcome, asked.names, asked.organisation].some((one) => one !== undefined);
  const entries: LogEntry[] = [];
  let before = cursor === undefined ? null : readCursor(cursor);
  for (let calls = 0; calls < mostCalls; calls += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each goes on where the one before has ended
    const found = await search({ by, since, until, before, limit: isFiltered ? perCall : limit + 1 });
    for (const stored of found.entries) {
      const entry = readLogRecord(stored);
      if (!isAskedFor(entry, asked)) continue;
      const last = entries.at(-1);
      if (entries.length === limit && last !== undefined) return { entries, next: writeCursor(last) };
      entries.push(entry);
    }
    before = found.next;
    if (before === null) return { entries, next: null };
    // A store in memory answers without ever waiting: whoever else has something to do gets a chance.
    // oxlint-disable-next-line no-await-in-loop
    await nextTurn();
  }
  return { entries, next: before && writeCursor(before) };
}

/** The index that leaves least to be looked at. */
function keyOf({ account, organisation, requestId }: LogQuery): LogSearch['by'] {
  const values = logKeysOf({
    account: account ?? null,
    organisation: organisation ?? null,
    requestId: requestId ?? null,
  });
  for (const key of logKeys.toSorted((a, b) => Number(b === 'request') - Number(a === 'request'))) {
    const value = values[key];
    if (value !== null) return { key, value };
  }
  return null;
}

function isAskedFor(
  entry: LogEntry,
  { account, organisation, outcome, names, requestId }: LogQuery,
): boolean {
  return (
    entry.account === (account ?? entry.account) &&
    entry.organisation === (organisation ?? entry.organisation) &&
    entry.outcome === (outcome ?? entry.outcome) &&
    entry.requestId === (requestId ?? entry.requestId) &&
    names?.includes(entry.name) !== false
  );
}

/** A place in the log, not a number of entries: what is written meanwhile moves nothing. */
function writeCursor({ time, position }: LogPlace): string {
  return `${time.toString(36)}.${position.toString(36)}`;
}

/** Null for what is no cursor. */
export function readCursor(cursor: unknown): LogPlace | null {
  if (typeof cursor !== 'string' || !/^[0-9a-z]{1,11}\.[0-9a-z]{1,11}$/.test(cursor)) return null;
  const [time, position] = cursor.split('.').map((digits) => Number.parseInt(digits, 36));
  return isCount(time) && isCount(position) ? { time, position } : null;
}
