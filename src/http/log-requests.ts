import type { LogEntry } from '../core/log-entry.js';
import { logOutcomes, type LogOutcome } from '../core/log-outcome.js';
import { readCursor } from '../core/log-query.js';
import { isIdOrNull } from '../core/log-record.js';
import { asciiJson } from '../core/printable.js';
import { own } from '../core/store-call.js';
import { answer, isoTime } from './answer.js';
import type { AuthContext } from './auth-state.js';
import { readPage, type ListPage } from './listing.js';

/** By what a login log is asked; undefined leaves nothing out. */
export interface LogFilter {
  readonly account: string | undefined;
  readonly organisation: string | undefined;
  readonly outcome: LogOutcome | undefined;
  /** Not before, and before, in milliseconds since the epoch. */
  readonly since: number | undefined;
  readonly until: number | undefined;
}

/** What a request asks of the log; null where any of it is malformed: without its filter it would show too much. */
export function readLogRequest(ctx: AuthContext): { filter: LogFilter; page: ListPage } | null {
  const page = readPage(ctx);
  if (page === null || (page.cursor !== undefined && readCursor(page.cursor) === null)) return null;
  const given = (name: string): unknown => own(ctx.query, name);
  const [account, organisation, outcome] = ['account', 'organisation', 'outcome'].map(given);
  const [since, until] = ['since', 'until'].map((name) => timeOf(given(name)));
  if (!isIdOrNone(account) || !isIdOrNone(organisation) || !isOutcomeOrNone(outcome)) return null;
  if (since === null || until === null) return null;
  const filter: LogFilter = { account, organisation, outcome, since, until };
  return { filter, page };
}

/** The filter as it was asked for, for the address of the next page. */
export function writtenFilter(filter: LogFilter): Record<string, string> {
  const { since, until, ...texts } = filter;
  const times = { since: isoTime(since ?? null), until: isoTime(until ?? null) };
  return Object.fromEntries(
    Object.entries({ ...texts, ...times }).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
}

/** In ASCII: accounts are named by the app, and a terminal obeys more characters than JSON escapes. */
export function answerLog(ctx: AuthContext, entries: readonly LogEntry[], next: string | null): void {
  answer(ctx, 200);
  ctx.type = 'application/json; charset=utf-8';
  ctx.body = asciiJson({ entries: entries.map(written), next });
}

function written(entry: LogEntry): object {
  return {
    position: entry.position,
    time: isoTime(entry.time),
    name: entry.name,
    outcome: entry.outcome,
    account: entry.account,
    subject: entry.subject,
    actor: entry.actor,
    organisation: entry.organisation,
    methods: entry.methods,
    address: entry.ip,
    user_agent: entry.userAgent,
    request_id: entry.requestId,
    reason: entry.reason,
    retry_after_seconds: entry.retryAfterSeconds,
    details: entry.details,
    written_at: isoTime(entry.writtenAt),
  };
}

function isIdOrNone(value: unknown): value is string | undefined {
  return value === undefined || (value !== null && isIdOrNull(value));
}

function isOutcomeOrNone(value: unknown): value is LogOutcome | undefined {
  return value === undefined || (logOutcomes as readonly unknown[]).includes(value);
}

/** A day or a moment with its zone (RFC 3339); of a moment without one nobody could say when it is. */
const timePattern = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** Null for what is no time, nor nothing. */
function timeOf(value: unknown): number | null | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !timePattern.test(value)) return null;
  const [time, day] = [Date.parse(value), value.slice(0, 10)];
  // The 31st of June would be taken for the 1st of July.
  return time >= 0 && isoTime(Date.parse(day))?.startsWith(day) === true ? time : null;
}
