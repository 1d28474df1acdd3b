import { csvText } from './csv.js';
import type { LogEntry } from './log-entry.js';

const columns = [
  'position',
  'time',
  'name',
  'outcome',
  'account',
  'subject',
  'actor',
  'organisation',
  'methods',
  'address',
  'user_agent',
  'request_id',
  'reason',
  'retry_after_seconds',
  'details',
  'written_at',
];

/** CSV with a line for each entry; `details` as `name=value`, separated by spaces. */
export function logCsv(entries: readonly LogEntry[]): string {
  return csvText(columns, entries.map(cellsOf));
}

function cellsOf(entry: LogEntry): (string | number)[] {
  const { account, subject, actor, organisation, ip, userAgent, requestId, reason, retryAfterSeconds } =
    entry;
  const details = Object.entries(entry.details).map(([name, value]) => `${name}=${value}`);
  return [
    entry.position,
    new Date(entry.time).toISOString(),
    entry.name,
    entry.outcome,
    ...[account, subject, actor, organisation].map((text) => text ?? ''),
    entry.methods.join(' '),
    ...[ip, userAgent, requestId, reason].map((text) => text ?? ''),
    retryAfterSeconds ?? '',
    details.join(' '),
    new Date(entry.writtenAt).toISOString(),
  ];
}
