import { isAccount } from './account.js';
import type { AuthEvent } from './auth-event.js';
import { outcomeOf, logOutcomes, type LogOutcome } from './log-outcome.js';
import { integer, oneOf, readOptions, required, type Rule } from './options.js';
import { printable } from './printable.js';
import { isCount, own } from './store-call.js';

/** What a log says of one thing that happened. Never a secret, nor a name that proved to be nobody's. */
export interface LogFacts {
  /** When it happened, by the clock of the process that saw it, in milliseconds since the epoch. */
  readonly time: number;
  /** Of the event, or of what the app did: `noun.past_participle`. */
  readonly name: string;
  readonly outcome: LogOutcome;
  /** Whose login, factor or token it is; null where that is not known, or nobody's. */
  readonly account: string | null;
  /** The lockout's HMAC of the name that was tried. */
  readonly subject: string | null;
  /** Who did it, where that is not the account itself. */
  readonly actor: string | null;
  /** What the option `organisation` answered. */
  readonly organisation: string | null;
  /** How its owner logged in, as RFC 8176 values. */
  readonly methods: readonly string[];
  readonly ip: string | null;
  /** As the client wrote it, cut and escaped: proof of nothing. */
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly reason: string | null;
  readonly retryAfterSeconds: number | null;
  /** What else the event says: the id of a token, a factor, a count. */
  readonly details: Readonly<Record<string, string | number>>;
}

/** An entry as it stands in the log. */
export interface LogEntry extends LogFacts {
  /** In the order in which entries were written: 1, 2, 3 and so on, over all processes. */
  readonly position: number;
  /** When it was written, by the clock of the store, in milliseconds since the epoch. */
  readonly writtenAt: number;
}

/** What `LoginLog.append` takes: what is not given is null, `time` is now, the organisation is asked for. */
export type NewLogEntry = Pick<LogFacts, 'name' | 'outcome'> & Partial<Omit<LogFacts, 'name' | 'outcome'>>;

const detailNames = ['token', 'factor', 'device', 'client', 'issuer', 'scope', 'count', 'left'] as const;

const longestText = 1000;
const longestReason = 256;
/** The latest that a Date can be. */
const latestTime = 8_640_000_000_000_000;

const blank = {
  account: null,
  subject: null,
  actor: null,
  organisation: null,
  methods: [],
  ip: null,
  userAgent: null,
  requestId: null,
  reason: null,
  retryAfterSeconds: null,
  details: {},
} as const satisfies Partial<LogFacts>;

/** What of an event is kept; null where nothing is. */
export function factsOf(event: AuthEvent, now: number): LogFacts | null {
  const outcome = outcomeOf(event);
  if (outcome === null) return null;
  const text = (name: string): string | null => textOf(own(event, name));
  const methods = own(event, 'methods');
  const retryAfterSeconds = own(event, 'retryAfterSeconds');
  return {
    time: isTime(event.time) ? event.time : now,
    name: event.name,
    outcome,
    account: text('account'),
    subject: text('subject'),
    actor: text('actor'),
    organisation: null,
    methods: Array.isArray(methods) ? methods.filter((one) => typeof one === 'string') : [],
    ip: text('ip'),
    userAgent: text('userAgent'),
    requestId: text('requestId'),
    reason: cut(text('reason')),
    retryAfterSeconds: isCount(retryAfterSeconds) ? retryAfterSeconds : null,
    details: detailsOf(event),
  };
}

function detailsOf(event: AuthEvent): LogFacts['details'] {
  const found = detailNames.map((name) => [name, own(event, name)] as const);
  return Object.fromEntries(
    found.flatMap(([name, value]) => {
      const kept = isCount(value) ? value : textOf(value);
      return kept === null ? [] : [[name, kept]];
    }),
  );
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, longestText).toWellFormed() : null;
}

function cut(text: string | null | undefined): string | null {
  return typeof text === 'string' ? printable(text, longestReason) : null;
}

function isTime(value: unknown): boolean {
  return isCount(value) && value <= latestTime;
}

/** So many were not kept, between two times of theirs. */
export interface LostEntries {
  readonly count: number;
  readonly since: number;
  readonly until: number;
}

export function factsOfLost({ count, since, until }: LostEntries): LogFacts {
  return { ...blank, time: until, name: 'log.lost', outcome: 'lost', details: { count, since, until } };
}

const id: Rule = {
  demand: 'an id of 1 to 255 bytes, or null',
  accepts: (value) => value === null || isAccount({ id: value }),
};
const label: Rule = {
  demand: 'up to 255 printable ASCII characters, or null',
  accepts: (value) => value === null || (typeof value === 'string' && /^[ -~]{0,255}$/.test(value)),
};
const freeText: Rule = {
  demand: 'a string or null',
  accepts: (value) => value === null || typeof value === 'string',
};
const isDetail = ([name, value]: [string, unknown]): boolean =>
  /^\w{1,32}$/.test(name) && (isCount(value) || (typeof value === 'string' && value.length <= longestText));

/** @throws {TypeError} for what is no entry: an unknown field, a wrong value. */
export function readNewEntry(given: NewLogEntry, now: number): LogFacts {
  const read = readOptions<Partial<LogFacts>>('LoginLog.append', given, {
    name: required({
      demand: 'a name such as account.unlocked, at most 64 characters long',
      accepts: (v) => typeof v === 'string' && /^(?=.{1,64}$)[a-z0-9_]+(?:\.[a-z0-9_]+)+$/.test(v),
    }),
    outcome: required(oneOf(...logOutcomes)),
    time: integer(0, latestTime),
    account: id,
    subject: label,
    actor: id,
    organisation: id,
    methods: {
      demand: 'a list of at most 10 RFC 8176 values',
      accepts: (v) =>
        Array.isArray(v) && v.length <= 10 && v.every((one) => /^[\w.-]{1,32}$/.test(String(one))),
    },
    ip: label,
    userAgent: freeText,
    requestId: label,
    reason: freeText,
    retryAfterSeconds: integer(0, latestTime),
    details: {
      demand: 'an object of at most 20 short texts and whole numbers',
      accepts: (v) =>
        typeof v === 'object' &&
        v !== null &&
        Object.entries(v).length <= 20 &&
        Object.entries(v).every(isDetail),
    },
  }) as NewLogEntry;
  const texts = { reason: cut(read.reason), userAgent: cut(read.userAgent) };
  return { ...blank, time: now, ...read, ...texts };
}
