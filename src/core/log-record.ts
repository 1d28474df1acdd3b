import { isAccount } from './account.js';
import { keyHash } from './key-hash.js';
import type { LogEntry, LogFacts } from './log-entry.js';
import { logOutcomes, type LogOutcome } from './log-outcome.js';
import type { LogKeys, StoredEntry } from './log-store.js';
import { parseRecord } from './record.js';
import { isCount, isTextOrNull, nonsense, own } from './store-call.js';

const keyOf = (what: string, value: string | null): string | null =>
  value === null ? null : keyHash('login-log', what, value).slice(0, 16);

/** What an entry is found by. Two names may share one: what is found is compared with what was asked for. */
export function logKeysOf(facts: Pick<LogFacts, 'account' | 'organisation' | 'requestId'>): LogKeys {
  return {
    account: keyOf('account', facts.account),
    organisation: keyOf('organisation', facts.organisation),
    request: keyOf('request', facts.requestId),
  };
}

/** @param previous - Seal of the entry before, in a log that is a chain. */
export function writeLogRecord(facts: LogFacts, previous: string | undefined): string {
  // What there is not is left out: most entries have half of the fields.
  const there = Object.entries(facts).filter(([, value]) => value !== null && !isEmpty(value));
  return JSON.stringify({ v: 1, ...Object.fromEntries(there), previous });
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && Object.keys(value ?? {}).length === 0;

/** The seal of the entry before, as the record has it; undefined where it has none. */
export function previousOf(record: string): string | undefined {
  const previous = own(parseRecord(record), 'previous');
  return typeof previous === 'string' ? previous : undefined;
}

/** @throws {StoreUnavailable} for anything that is not exactly ours. */
export function readLogRecord({ record, position, writtenAt }: StoredEntry): LogEntry {
  const read = parseRecord(record);
  const field = (name: string): unknown => own(read, name) ?? null;
  const [time, name, outcome, retry] = ['time', 'name', 'outcome', 'retryAfterSeconds'].map(field);
  const texts = ['account', 'subject', 'actor', 'organisation', 'ip', 'userAgent', 'requestId', 'reason'];
  const [account, subject, actor, organisation, ip, userAgent, requestId, reason] = texts.map((one) => {
    const value = field(one);
    if (!isTextOrNull(value)) throw nonsense();
    return value;
  });
  const [methods, details] = [field('methods') ?? [], field('details') ?? {}];
  const isOurs =
    own(read, 'v') === 1 &&
    isCount(time) &&
    typeof name === 'string' &&
    isOutcome(outcome) &&
    (retry === null || isCount(retry)) &&
    isTexts(methods) &&
    isDetails(details);
  if (!isOurs) throw nonsense();
  return {
    position,
    writtenAt,
    time,
    name,
    outcome,
    account: account ?? null,
    subject: subject ?? null,
    actor: actor ?? null,
    organisation: organisation ?? null,
    methods,
    ip: ip ?? null,
    userAgent: userAgent ?? null,
    requestId: requestId ?? null,
    reason: reason ?? null,
    retryAfterSeconds: retry,
    details,
  };
}

/** Answers of the option `organisation`, and filters by it. */
export function isIdOrNull(value: unknown): value is string | null {
  return value === null || isAccount({ id: value });
}

function isOutcome(value: unknown): value is LogOutcome {
  return (logOutcomes as readonly unknown[]).includes(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function isDetails(value: unknown): value is LogFacts['details'] {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((one) => typeof one === 'string' || isCount(one))
  );
}
