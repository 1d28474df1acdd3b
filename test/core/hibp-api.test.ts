import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { pwnedPassword } from 'hibp';
import { hibpApi, type HibpApiOptions } from '../../src/core/hibp-api.js';
import {
  cutOff,
  drip,
  endless,
  gzipBomb,
  range,
  rangeOf,
  sha1,
  silence,
  startRangeServer,
  suffixOf,
  text,
  type RangeServer,
  type Reply,
} from '../rig/range-server.js';

const password = 'Tr0ub4dor&3 Größe 😀';
const suffix = suffixOf(password);
let upstream: RangeServer;

beforeAll(async () => {
  upstream = await startRangeServer();
});
beforeEach(() => upstream.reset());
afterAll(() => upstream.close());

function find(given = password, options: HibpApiOptions = {}): Promise<unknown> {
  return hibpApi({ baseUrl: upstream.url, ...options }).find(given);
}

function otherDigit(digit: string): string {
  return digit === '0' ? '1' : '0';
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it did not happen within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('the request', () => {
  it('asks for five hexadecimal digits of the SHA-1 and for padding, and says nothing else (BRC-11)', async () => {
    await find();
    expect(upstream.requests).toHaveLength(1);
    const [request] = upstream.requests;
    expect(request?.method).toBe('GET');
    expect(request?.path).toBe(`/range/${sha1(password).slice(0, 5)}`);
    expect(request?.path).toMatch(/^\/range\/[0-9A-F]{5}$/);
    expect(request?.body).toBe('');
    expect(request?.headers).toMatchObject({ 'add-padding': 'true', 'user-agent': 'koa-portcullis' });
    expect(request?.headers).not.toHaveProperty('cookie');
    expect(request?.headers).not.toHaveProperty('authorization');
    expect(inspect(request).toUpperCase()).not.toContain(suffix.slice(0, 4));
  });

  it('hashes the UTF-8 bytes of the password (BRC-12)', async () => {
    upstream.reply(range({ '1E4C9B93F3F0682250B6CF8331B7EE68FD8': 7 }));
    expect(await find('password')).toBe(7);
    expect(upstream.requests[0]?.path).toBe('/range/5BAA6');
    upstream.reply(range({ [suffix]: 3 }));
    expect(await find()).toBe(3);
  });

  it.each(['', '/', '/mirror', '/mirror/', '/mirror//'])(
    'goes below the base URL, ending in %j',
    async (path) => {
      await find('password', { baseUrl: `${upstream.url}${path}` });
      expect(upstream.requests[0]?.path).toBe(`${path.replace(/\/+$/, '')}/range/5BAA6`);
    },
  );

  it('goes to the public service unless told otherwise', async () => {
    const fetch = jest.fn<typeof globalThis.fetch>().mockResolvedValue(new Response(rangeOf()));
    expect(await hibpApi({ fetch }).find('password')).toBe(0);
    expect(fetch.mock.calls[0]?.[0]).toBe('https://api.pwnedpasswords.com/range/5BAA6');
  });

  it('carries the user agent that was chosen', async () => {
    await find(password, { userAgent: 'acme-login/2 (security@acme.example)' });
    expect(upstream.requests[0]?.headers['user-agent']).toBe('acme-login/2 (security@acme.example)');
  });

  it('ignores proxies of the environment (BRC-21)', async () => {
    const proxy = await startRangeServer();
    const before = { ...process.env };
    const names = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];
    try {
      for (const name of names) process.env[name] = proxy.url;
      upstream.reply(range({ [password]: 5 }));
      expect(await find()).toBe(5);
      expect(proxy.requests).toEqual([]);
    } finally {
      process.env = before;
      await proxy.close();
    }
  });
});

describe('a range', () => {
  it.each<[string, Record<string, number>, number]>([
    ['with a count of 1 is a hit (BRC-01)', { [password]: 1 }, 1],
    ['with a large count is a hit', { [password]: 37_359_195 }, 37_359_195],
    ['with a count of 0 is padding (BRC-02)', { [password]: 0 }, 0],
    ['without the suffix is clean', { another: 12 }, 0],
  ])('%s', async (_, counts, count) => {
    upstream.reply(range(counts));
    expect(await find()).toBe(count);
  });

  it.each<[string, string]>([
    ['CR LF', `${suffixOf('a')}:1\r\n${suffix}:4\r\n`],
    ['LF', `${suffixOf('a')}:1\n${suffix}:4\n`],
    ['no last line end', `${suffixOf('a')}:1\n${suffix}:4`],
    ['blank lines', `\r\n\n${suffix}:4\r\n\r\n`],
    ['a single line', `${suffix}:4`],
    ['lower-case digits', `${suffixOf('a').toLowerCase()}:1\n${suffix.toLowerCase()}:4`],
    ['leading zeros', `${suffix}:0004`],
  ])('may have %s', async (_, body) => {
    upstream.reply(text(body));
    expect(await find()).toBe(4);
  });

  it.each([[[0, 5]], [[5, 0]], [[0, 5, 0]], [[2, 5, 3]]])(
    'counts a suffix given twice by its highest count (BRC-14): %j',
    async (counts) => {
      upstream.reply(text(counts.map((count) => `${suffix}:${count}`).join('\r\n')));
      expect(await find()).toBe(5);
    },
  );

  it.each([
    ['another first digit', `${otherDigit(suffix.slice(0, 1))}${suffix.slice(1)}:9`, 0],
    ['another last digit', `${suffix.slice(0, 34)}${otherDigit(suffix.slice(34))}:9`, 0],
    ['the digits moved by one', `${suffix.slice(1)}${suffix.slice(0, 1)}:9`, 0],
    ['the digits after the colon', `${suffixOf('a')}:${suffix}`, 'unavailable'],
  ])('does not hit by a part of a line (BRC-04): %s', async (_, line, answer) => {
    upstream.reply(text(`${rangeOf()}\r\n${line}`));
    expect(await find()).toBe(answer);
  });

  it.each<Record<string, number>>([
    {},
    { [password]: 1 },
    { [password]: 0 },
    { [password]: 123_456, other: 2 },
  ])('is read as the independent reader of the hibp package reads it: %j', async (counts) => {
    upstream.reply(range(counts));
    const theirs = await pwnedPassword(password, { baseUrl: upstream.url, addPadding: true });
    expect(await find()).toBe(theirs);
    const [first, second] = upstream.requests;
    expect(`${second?.path}?mode=sha1`).toBe(first?.path);
    expect(second?.headers['add-padding']).toBe(first?.headers['add-padding']);
  });
});

describe('a reply that is no range', () => {
  const hit = rangeOf({ [password]: 5 });

  it.each([201, 202, 203, 204, 205, 206, 300, 304, 400, 401, 403, 404, 429, 500, 502, 503, 504, 599])(
    'is unavailable by its status (BRC-05): %p, with or without a hit in it',
    async (status) => {
      for (const body of [hit, rangeOf()]) {
        upstream.reply(text([204, 205, 304].includes(status) ? '' : body, status, { 'Retry-After': '2' }));
        expect(await find()).toBe('unavailable');
      }
    },
  );

  it.each([301, 302, 303, 307, 308])(
    'is unavailable by a redirect, which is not followed (BRC-05): %p',
    async (status) => {
      upstream.reply((request, response) =>
        request.url?.startsWith('/range/') === true
          ? text('', status, { Location: '/elsewhere' })(request, response)
          : text(hit)(request, response),
      );
      expect(await find()).toBe('unavailable');
      expect(upstream.requests).toHaveLength(1);
    },
  );

  it.each<[string, string]>([
    ['HTML', '<!doctype html><html><body>Welcome to our hotel</body></html>'],
    ['nothing', ''],
    ['blank lines', '\r\n\r\n'],
    ['white space', '  \r\n'],
    ['JSON', '[]'],
    ['a hit, then HTML', `${hit}\r\n<p>`],
    ['HTML, then a hit', `<p>\r\n${hit}`],
    ['34 digits', `${hit}\r\n${suffix.slice(1)}:5`],
    ['36 digits', `${hit}\r\n0${suffix}:5`],
    ['40 digits', `${hit}\r\n${sha1(password)}:5`],
    ['a letter that is no digit', `${hit}\r\n${suffix.slice(1)}G:5`],
    ['no count', `${hit}\r\n${suffix}:`],
    ['no colon', `${hit}\r\n${suffix}`],
    ['a negative count', `${hit}\r\n${suffix}:-1`],
    ['a fraction', `${hit}\r\n${suffix}:1.5`],
    ['a count with separators', `${hit}\r\n${suffix}:1,000`],
    ['digits of another script', `${hit}\r\n${suffix}:٣`],
    ['a space before', `${hit}\r\n ${suffix}:5`],
    ['a space after', `${hit}\r\n${suffix}:5 `],
    ['a lone CR between lines', `${suffix}:0\r${suffix}:5`],
    ['a byte order mark', `\ufeff${hit}`],
    ['a NUL', `${hit}\0`],
  ])('is unavailable by its body (BRC-09): %s', async (_, body) => {
    upstream.reply(text(body));
    expect(await find()).toBe('unavailable');
  });

  it('is unavailable when it breaks off', async () => {
    upstream.reply(cutOff);
    expect(await find()).toBe('unavailable');
  });

  it('is unavailable when nobody listens', async () => {
    const gone = await startRangeServer();
    await gone.close();
    expect(await find(password, { baseUrl: gone.url })).toBe('unavailable');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no body', new Response(null)],
    ['no response', { status: 200, body: 'text' }],
    ['a text status', { status: '200', body: new Response(hit).body }],
  ])('is unavailable when a fetch of the app’s own answers %s', async (_, response) => {
    // @ts-expect-error -- what a fetch written in JavaScript can answer
    expect(await find(password, { fetch: async () => response })).toBe('unavailable');
  });
});

describe('a reply that is too slow', () => {
  it.each<[string, Reply]>([
    ['no answer', silence],
    ['one byte at a time for ever', drip(20)],
  ])('is cut at the deadline, body included (BRC-07): %s', async (_, reply) => {
    upstream.reply(reply);
    const before = performance.now();
    expect(await find(password, { timeoutMs: 200 })).toBe('unavailable');
    expect(performance.now() - before).toBeGreaterThan(150);
    expect(performance.now() - before).toBeLessThan(1500);
    await upstream.idle();
  });

  it('is cut also where a fetch of the app’s own does not heed its signal', async () => {
    expect(await find(password, { fetch: () => new Promise(() => {}), timeoutMs: 50 })).toBe('unavailable');
  });
});

describe('a reply that is too long', () => {
  it.each<[string, Reply]>([
    ['an endless body', endless()],
    ['a gzip bomb', gzipBomb],
  ])('is cut, and its connection closed, long before it ends (BRC-08): %s', async (_, reply) => {
    upstream.reply(reply);
    await find();
    await upstream.idle();
    const before = process.memoryUsage().rss;
    expect(await find(password, { timeoutMs: 10_000 })).toBe('unavailable');
    await upstream.idle();
    expect(process.memoryUsage().rss - before).toBeLessThan(5 * 1024 * 1024);
    // What the kernel buffers of the sending end, twice.
    expect(upstream.bytesSent).toBeLessThan(32 * 1024 * 1024);
  });

  it.each([404, 500])(
    'is not read at all after status %p: its connection is closed (BRC-05)',
    async (status) => {
      upstream.reply(endless(status));
      expect(await find()).toBe('unavailable');
      await upstream.idle();
      expect(upstream.bytesSent).toBeLessThan(32 * 1024 * 1024);
    },
  );

  it('is read no further than the first byte too many, and cancelled (BRC-08)', async () => {
    const chunk = new TextEncoder().encode(`${suffixOf('a')}:1\r\n`.repeat(410));
    let pulled = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled += chunk.byteLength;
          controller.enqueue(chunk);
        },
        cancel() {
          cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    expect(await find(password, { fetch: async () => new Response(body) })).toBe('unavailable');
    expect(cancelled).toBe(true);
    expect(pulled).toBeGreaterThan(256 * 1024);
    expect(pulled).toBeLessThanOrEqual(256 * 1024 + chunk.byteLength);
  });

  it('may be as long as 256 KB', async () => {
    const line = `${suffix}:1\n`;
    const longest = line.repeat(Math.floor((256 * 1024) / line.length)).padEnd(256 * 1024, '\n');
    upstream.reply(text(longest));
    expect(await find()).toBe(1);
    upstream.reply(text(`${longest}\n`));
    expect(await find()).toBe('unavailable');
  });
});

describe('many at once', () => {
  it('with one prefix share a request (BRC-19)', async () => {
    upstream.reply(
      (request, response) => void setTimeout(() => range({ [password]: 2 })(request, response), 50),
    );
    const source = hibpApi({ baseUrl: upstream.url });
    const answers = await Promise.all(Array.from({ length: 100 }, () => source.find(password)));
    expect(new Set(answers)).toEqual(new Set([2]));
    expect(upstream.requests).toHaveLength(1);
    expect(await source.find(password)).toBe(2);
    expect(upstream.requests).toHaveLength(2);
  });

  it('share a failure, and the next one asks anew', async () => {
    upstream.reply(text('', 503));
    const source = hibpApi({ baseUrl: upstream.url });
    expect(await Promise.all([source.find(password), source.find(password)])).toEqual([
      'unavailable',
      'unavailable',
    ]);
    expect(upstream.requests).toHaveLength(1);
    upstream.reply(range({ [password]: 2 }));
    expect(await source.find(password)).toBe(2);
  });

  it('are 16 under way, 64 waiting, and the rest unavailable at once (BRC-19)', async () => {
    const source = hibpApi({ baseUrl: upstream.url, timeoutMs: 20_000 });
    const held: (() => void)[] = [];
    upstream.reply((request, response) => void held.push(() => range()(request, response)));
    const distinct = Array.from({ length: 10_000 }, (_, index) => `password ${index}`);
    let unavailable = 0;
    const answers = distinct.map(async (given) => {
      const answer = await source.find(given);
      if (answer === 'unavailable') unavailable += 1;
      return answer;
    });
    await until(() => held.length === 16);
    const prefixes = new Set(distinct.map((given) => sha1(given).slice(0, 5)));
    expect(unavailable).toBeGreaterThanOrEqual(prefixes.size - 80);
    expect(unavailable).toBeLessThanOrEqual(10_000 - 80);
    upstream.reply(range());
    for (const release of held) release();
    await Promise.all(answers);
    expect(upstream.requests).toHaveLength(80);
    expect(upstream.mostAtOnce).toBeLessThanOrEqual(16);
    expect(await source.find('afterwards')).toBe(0);
  });

  it('are unavailable in time also while they wait', async () => {
    const source = hibpApi({ fetch: () => new Promise(() => {}), timeoutMs: 50 });
    const before = performance.now();
    const answers = Array.from({ length: 80 }, (_, index) => source.find(`${index}`));
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['unavailable']));
    expect(performance.now() - before).toBeLessThan(1000);
  });

  it('get their places back from requests that fail, hang or are cut', async () => {
    const source = hibpApi({ baseUrl: upstream.url, timeoutMs: 1000 });
    for (const reply of [silence, text('', 500), text('<p>'), cutOff]) {
      upstream.reply(reply);
      const answers = Array.from({ length: 80 }, (_, index) => source.find(`${index}`));
      expect(new Set(await Promise.all(answers))).toEqual(new Set(['unavailable']));
    }
    upstream.reply(range());
    const answers = Array.from({ length: 80 }, (_, index) => source.find(`${index}`));
    expect(new Set(await Promise.all(answers))).toEqual(new Set([0]));
  });
});

describe('what is no password', () => {
  it.each([
    ['a lone surrogate (PWD-13)', 'Aa1aaaaaaa\ud800'],
    ['nothing', ''],
    ['over 1024 bytes', 'a'.repeat(1025)],
  ])('is not asked for: %s', async (_, given) => {
    expect(await find(given)).toBe('unavailable');
    expect(upstream.requests).toEqual([]);
  });
});

describe('bad options', () => {
  it.each([
    'api.pwnedpasswords.com',
    'ftp://mirror.example',
    'file:///etc/passwd',
    'data:text/plain,x',
    'https://mirror.example/?x=1',
    'https://mirror.example/?',
    'https://mirror.example/#x',
    'https://mirror.example/#',
    'https://',
    '',
    7,
    new URL('https://mirror.example'),
  ])('are refused by name: baseUrl %p', (baseUrl) => {
    // @ts-expect-error -- what JavaScript callers can pass
    expect(() => hibpApi({ baseUrl })).toThrow(
      /^hibpApi: option baseUrl must be an http or https URL without credentials, query or fragment/,
    );
  });

  it.each([
    'https://name@mirror.example',
    'https://:C4nary@mirror.example',
    'https://name:C4nary@mirror.example',
  ])('are not quoted where they may hold a credential (LOG-01): %s', (baseUrl) => {
    expect(() => hibpApi({ baseUrl })).toThrow(/another string$/);
  });

  it.each<[unknown, RegExp]>([
    [{ userAgent: '' }, /hibpApi: option userAgent must be printable ASCII/],
    [{ userAgent: 'acme\r\nCookie: x=1' }, /option userAgent/],
    [{ userAgent: ' ' }, /option userAgent/],
    [{ userAgent: 'Größe' }, /option userAgent/],
    [{ timeoutMs: 49 }, /option timeoutMs must be a whole number from 50 to 30000, not 49/],
    [{ timeoutMs: '2000' }, /option timeoutMs/],
    [{ fetch: 'node-fetch' }, /option fetch must be a function/],
    [
      { baseURL: 'https://x.example' },
      /hibpApi: unknown option "baseURL"; it takes baseUrl, userAgent, timeoutMs, fetch/,
    ],
  ])('are refused by name: %j', (options, message) => {
    // @ts-expect-error -- what JavaScript callers can pass
    expect(() => hibpApi(options)).toThrow(message);
  });
});

describe('the network of the test', () => {
  const before = globalThis.fetch;
  afterEach(() => {
    globalThis.fetch = before;
  });

  it('is that of the moment the source was made: a later global fetch changes nothing (CFG-13)', async () => {
    const source = hibpApi({ baseUrl: upstream.url });
    globalThis.fetch = () => Promise.reject(new Error('replaced'));
    expect(await source.find(password)).toBe(0);
  });
});
