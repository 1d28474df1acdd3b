import { createHash } from 'node:crypto';
import type { BreachSource } from './breach-source.js';
import { callback, integer, readOptions, type Rule } from './options.js';
import { isPassword } from './password.js';

const mostInFlight = 16;
const mostWaiting = 64;
/** A range is some 40 to 80 KB today. Counted after decompression, so a bomb is cut as early. */
const mostBodyBytes = 256 * 1024;

export interface HibpApiOptions {
  /**
   * Where `/range/` is: the public service or a mirror of it. An http or https URL without credentials, query
   * or fragment. Whoever can write replies there can make any password look clean.
   *
   * @default 'https://api.pwnedpasswords.com'
   */
  readonly baseUrl?: string;
  /**
   * The service refuses requests without one. Printable ASCII.
   *
   * @default 'koa-portcullis'
   */
  readonly userAgent?: string;
  /**
   * Deadline in milliseconds, 50 to 30,000, for waiting, connecting and the whole body together.
   *
   * @default 2000
   */
  readonly timeoutMs?: number;
  /**
   * Sends the request; pass one of your own to go through a proxy.
   *
   * @default globalThis.fetch
   */
  readonly fetch?: typeof globalThis.fetch;
}

const httpUrl: Rule = {
  demand: 'an http or https URL without credentials, query or fragment',
  accepts: (v) => {
    const url = typeof v === 'string' && !/[?#]/.test(v) ? URL.parse(v) : null;
    return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  },
  // Refused just because it may hold a password.
  secret: true,
};

const headerText: Rule = {
  demand: 'printable ASCII',
  accepts: (v) => typeof v === 'string' && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(v),
};

/**
 * The range search of Have I Been Pwned: of the password's SHA-1, five of forty digits leave this process, and
 * padding hides how long the reply is. No API key is needed.
 *
 * A reply that is not exactly a range list (another status, a redirect, a captive portal's page, too long, too
 * slow) is `'unavailable'`, never clean. At most 16 requests are under way and 64 wait; one beyond that is
 * `'unavailable'` at once. Passwords with the same five digits share one request.
 *
 * @see https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange
 * @throws {TypeError} on an unknown option or a wrong value.
 */
export function hibpApi(options?: HibpApiOptions): BreachSource {
  const {
    baseUrl = 'https://api.pwnedpasswords.com',
    userAgent = 'koa-portcullis',
    timeoutMs = 2000,
    fetch = globalThis.fetch,
  } = readOptions('hibpApi', options, {
    baseUrl: httpUrl,
    userAgent: headerText,
    timeoutMs: integer(50, 30_000),
    fetch: callback,
  });
  const { origin, pathname } = new URL(baseUrl);
  const ranges = `${origin}${pathname.replace(/\/+$/, '')}/range/`;
  const headers = { 'Add-Padding': 'true', 'User-Agent': userAgent };
  const inTurn = queue();
  const underWay = new Map<string, Promise<Range>>();

  async function requestRange(prefix: string): Promise<Range> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), timeoutMs);
    const { signal } = controller;
    try {
      // Turns come in the order of the deadlines: whoever is before has ended when this one's is reached.
      return await inTurn(() =>
        unlessAborted(signal, async () => {
          const response = await fetch(`${ranges}${prefix}`, { headers, redirect: 'error', signal });
          if (response.status !== 200) throw new Error('not a range');
          return parseRange(await readBody(response));
        }),
      );
    } finally {
      clearTimeout(timer);
      // Closes the connection of a reply that was refused before its end.
      controller.abort();
    }
  }

  function shareRange(prefix: string): Promise<Range> {
    const shared = underWay.get(prefix);
    if (shared !== undefined) return shared;
    const range = requestRange(prefix).finally(() => underWay.delete(prefix));
    underWay.set(prefix, range);
    return range;
  }

  return {
    name: 'hibp_api',
    async find(password) {
      if (!isPassword(password)) return 'unavailable';
      const digest = createHash('sha1').update(password).digest('hex').toUpperCase();
      try {
        const range = await shareRange(digest.slice(0, 5));
        return range.get(digest.slice(5)) ?? 0;
      } catch {
        return 'unavailable';
      }
    },
  };
}

/** Counts by the last 35 digits of the SHA-1. */
type Range = ReadonlyMap<string, number>;

/** Own lines, in either case of digits; one line that is anything else spoils the whole. */
function parseRange(text: string): Range {
  const range = new Map<string, number>();
  for (const line of text.split('\n')) {
    const entry = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (entry === '') continue;
    if (!/^[0-9A-F]{35}:\d+$/i.test(entry)) throw new Error('not a range');
    const suffix = entry.slice(0, 35).toUpperCase();
    // Of a suffix given twice, the highest count holds: padding (count 0) must not hide a hit.
    range.set(suffix, Math.max(range.get(suffix) ?? 0, Number(entry.slice(36))));
  }
  if (range.size === 0) throw new Error('not a range');
  return range;
}

async function readBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > mostBodyBytes) throw new Error('too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
}

/** Settles at the deadline even where `fetch` does not heed its signal. */
async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('too slow')), { once: true });
  });
  return Promise.race([work(), aborted]);
}

/** Runs work in the order in which it came, and refuses what would have to wait behind too much. */
function queue(): <T>(work: () => Promise<T>) => Promise<T> {
  let inFlight = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (inFlight < mostInFlight) inFlight += 1;
    else if (waiting.length >= mostWaiting) throw new Error('too many');
    // Whoever is done hands its place on, so the count stays.
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) inFlight -= 1;
      else next();
    }
  };
}
