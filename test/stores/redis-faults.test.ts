import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { generateSync } from 'otplib/functional';
import { isCounts, isStatusFor } from '../../src/core/attempt-store.js';
import { isStoredDocument } from '../../src/core/document-store.js';
import { isLogAppended, isLogFound, isLogPart } from '../../src/core/log-store.js';
import { isDocumentOrNull } from '../../src/core/factor-store.js';
import { Login } from '../../src/core/login.js';
import {
  AccessTokens,
  Lockout,
  redisStore,
  type PasswordVerifier,
  type RedisStore,
  type RedisStoreOptions,
} from '../../src/index.js';
import type { RedisConnection } from '../../src/stores/redis-connection.js';
import { redisFactors } from '../../src/stores/redis-factors.js';
import { startFaultProxy, type FaultProxy } from '../rig/fault-proxy.js';
import { ask, listen, loginService, type Answer, type LoginService } from '../rig/login-process.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';

let server: RedisServer;
let direct: Redis;
let ends: (() => unknown)[] = [];
const unhandled: unknown[] = [];
const noteUnhandled = (error: unknown): unknown => unhandled.push(error);

beforeAll(async () => {
  process.on('unhandledRejection', noteUnhandled);
  server = await startRedis();
  direct = new Redis(server.url, { retryStrategy: () => 50, disconnectTimeout: 50 });
  direct.on('error', () => {});
});
beforeEach(() => direct.flushall());
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  if (unhandled.length > 0) throw new Error(`Unhandled: ${unhandled.splice(0).join(', ')}`);
});
afterAll(async () => {
  process.off('unhandledRejection', noteUnhandled);
  direct.disconnect();
  await server.stop();
});

interface Rig extends LoginService {
  readonly store: RedisStore;
  readonly proxy: FaultProxy;
  login(username: string, password: string): Promise<Answer>;
  send(path: string, sent: { body?: object; token?: string }): Promise<Answer>;
  /** How long the last answer took, in milliseconds. */
  took(): number;
}

/** A login service whose Redis is behind a proxy, after a first login. */
async function mount({
  verify,
  options,
  at = server,
  url = (port: number) => `redis://127.0.0.1:${port}`,
  isWarm = true,
}: {
  verify?: PasswordVerifier;
  options?: RedisStoreOptions;
  at?: RedisServer;
  url?: (port: number) => string;
  isWarm?: boolean;
} = {}): Promise<Rig> {
  const proxy = await startFaultProxy(at.port);
  const redis = new Redis(url(proxy.port), { lazyConnect: true, disconnectTimeout: 50 });
  const store = redisStore(redis, options);
  const service = loginService(store, verify);
  const listening = await listen(service);
  ends.push(
    () => proxy.close(),
    () => store.close(),
    () => listening.stop(),
  );
  let tookMs = 0;
  const send: Rig['send'] = async (path, sent) => {
    const start = performance.now();
    const answer = await ask(listening.port, path, sent);
    tookMs = performance.now() - start;
    return answer;
  };
  const login: Rig['login'] = (username, password) => send('/tokens', { body: { username, password } });
  if (isWarm) {
    if ((await login('first', 'right')).status !== 200) throw new Error('The first login did not pass');
    await login('first', 'wrong');
    proxy.forget();
  }
  return { ...service, store, proxy, login, send, took: () => tookMs };
}

/** Refused, in time, in fixed words, without a token and without a look at the password. */
function expectUnavailable(answer: Answer, took: number): void {
  expect(answer).toMatchObject({
    status: 503,
    headers: { 'retry-after': '1', 'cache-control': 'no-store' },
    body: { error: 'store_unavailable' },
  });
  expect(Object.keys(answer.body).toSorted()).toEqual(['error', 'error_description']);
  expect(took).toBeLessThan(1000);
}

function counting(proxy: FaultProxy): number {
  return proxy.sent('EVALSHA') + proxy.sent('EVAL');
}

async function stampsOf(account: string, { store }: Rig): Promise<readonly number[]> {
  return (await new Lockout({ store }).status(account)).failures;
}

async function enrol({ factors }: LoginService, id: string): Promise<(step?: number) => string> {
  const { secret } = await factors.beginTotp({ id }, { label: id });
  const code = (step = 0): string =>
    generateSync({ secret, strategy: 'hotp', counter: Math.floor(Date.now() / 30_000) + step, digits: 6 });
  await factors.confirmTotp({ id }, code(-1));
  expect((await factors.enrolled({ id })).methods).toContain('totp');
  return code;
}

describe('a Redis that is gone', () => {
  it('refuses logins at once, tells it once a second, and serves the first one on its return (RED-01, RED-21)', async () => {
    const rig = await mount();
    const { evaluated } = rig.told;
    await server.kill();
    try {
      const start = performance.now();
      for (let i = 0; i < 6; i += 1) {
        const answers = [
          rig.login('alice', 'right'),
          rig.send('/reports', { token: `pcat_${'a'.repeat(49)}` }),
        ];
        const [answer] = await Promise.all(answers);
        if (answer !== undefined) expectUnavailable(answer, rig.took());
      }
      expect(rig.told.evaluated).toBe(evaluated);
      const seconds = (performance.now() - start) / 1000;
      expect(rig.told.events['store.failed']).toBeGreaterThan(0);
      expect(rig.told.events['store.failed']).toBeLessThanOrEqual(2 * Math.ceil(seconds));
    } finally {
      await server.restart();
    }
    expect((await rig.login('alice', 'right')).status).toBe(200);
    expect(rig.took()).toBeLessThan(1000);
    expect(rig.told.errors).toEqual([]);
  }, 60_000);

  it('refuses what was under way when it went', async () => {
    const rig = await mount({
      verify: async ({ identifier, password }) => {
        if (identifier === 'alice') await server.kill();
        return password === 'right' ? { id: identifier } : null;
      },
    });
    try {
      expectUnavailable(await rig.login('alice', 'right'), rig.took() - 300);
    } finally {
      await server.restart();
    }
    expect((await rig.login('bob', 'right')).status).toBe(200);
  });
});

describe('a Redis that is frozen', () => {
  it('refuses a login before it began, and serves the next one when it goes on (RED-02)', async () => {
    const rig = await mount();
    const { evaluated } = rig.told;
    server.freeze();
    try {
      for (let i = 0; i < 3; i += 1) expectUnavailable(await rig.login('alice', 'right'), rig.took());
    } finally {
      server.thaw();
    }
    expect(rig.told.evaluated).toBe(evaluated);
    await sleep(50);
    expect((await rig.login('bob', 'right')).status).toBe(200);
  });

  it('is given up for a new connection after a second of silence', async () => {
    const rig = await mount();
    rig.proxy.switchTo('blackhole');
    expectUnavailable(await rig.login('alice', 'right'), rig.took());
    const start = performance.now();
    while (rig.proxy.commands.at(-1)?.connection === 1 && performance.now() - start < 2000) await sleep(10);
    expect(rig.proxy.commands.at(-1)?.connection).toBeGreaterThan(1);
    expect(counting(rig.proxy)).toBe(1);
  });

  it('refuses a login that is under way (RED-02)', async () => {
    const rig = await mount({
      verify: ({ identifier, password }) => {
        if (identifier === 'alice') server.freeze();
        return password === 'right' ? { id: identifier } : null;
      },
    });
    try {
      expectUnavailable(await rig.login('alice', 'right'), rig.took());
      expect(rig.told.errors).toEqual([]);
    } finally {
      server.thaw();
    }
  });

  it('refuses a second factor that is under way (RED-02)', async () => {
    const rig = await mount();
    const code = await enrol(rig, 'alice');
    const { body } = await rig.login('alice', 'right');
    const sent = { pending: body['pending'], otp_token: code() };
    // The step asks for: the pending login, the lockout, the factors, an attempt, a try. The last is not answered.
    for (const last of [1, 2, 3, 4, 5, 6, 7]) {
      rig.proxy.forget();
      rig.proxy.switchTo({ delayMs: 20 });
      const answer = rig.send('/tokens/second-factor', { body: sent });
      while (rig.proxy.commands.length < last) await sleep(1);
      rig.proxy.switchTo('blackhole');
      const refused = await answer;
      rig.proxy.switchTo('pass');
      expect({ last, status: refused.status }).toEqual({ last, status: 503 });
      expect({ last, isInTime: rig.took() < 20 * last + 900 }).toEqual({ last, isInTime: true });
      while ((await rig.login('bob', 'right')).status !== 200) await sleep(10);
    }
  });

  it('adds one stamp at most for each of 90 logins, sends none twice, and lets all in within a minute (RED-03)', async () => {
    const rig = await mount();
    const { evaluated } = rig.told;
    server.freeze();
    const sent = Array.from({ length: 90 }, (_, i) => rig.login(`user${i % 45}`, 'right'));
    const [answers] = await Promise.all([Promise.all(sent), sleep(2000)]).finally(() => server.thaw());
    expect(answers.every(({ status }) => status === 503)).toBe(true);
    expect(rig.told.evaluated).toBe(evaluated);
    expect(counting(rig.proxy)).toBeLessThanOrEqual(90);
    const sets = rig.proxy.commands.filter(({ name }) => name === 'EVALSHA').map(({ args }) => args[2]);
    for (const key of new Set(sets)) expect(sets.filter((other) => other === key).length).toBeLessThan(3);
    await sleep(100);
    for (let i = 0; i < 45; i += 1) {
      expect((await stampsOf(`user${i}`, rig))[0]).toBeLessThanOrEqual(2);
      expect((await rig.login(`user${i}`, 'right')).status).toBe(200);
    }
  });
});

describe('a Redis that forgets its scripts', () => {
  it('counts each attempt once all the same (RED-05)', async () => {
    const rig = await mount();
    const answers: number[] = [];
    for (let i = 0; i < 12; i += 1) {
      await direct.script('FLUSH');
      answers.push((await rig.login('alice', 'wrong')).status);
    }
    expect(answers).toEqual([...Array(10).fill(401), 429, 429]);
    expect(await stampsOf('alice', rig)).toEqual([10, 10, 10]);
  });

  it('goes on under load', async () => {
    const rig = await mount();
    const flushing = setInterval(() => void direct.script('FLUSH'), 1);
    const answers: Answer[] = [];
    for (let i = 0; i < 20; i += 1) {
      answers.push(...(await Promise.all(Array.from({ length: 8 }, () => rig.login('alice', 'right')))));
    }
    clearInterval(flushing);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(await stampsOf('alice', rig)).toEqual([0, 0, 0]);
  });
});

describe('a Redis that takes no writes', () => {
  it('refuses logins while memory is full, and still checks and revokes tokens (RED-06)', async () => {
    const rig = await mount();
    const { body } = await rig.login('alice', 'right');
    const token = String(body['access_token']);
    const { evaluated } = rig.told;
    await direct.config('SET', 'maxmemory', '1');
    try {
      expectUnavailable(await rig.login('alice', 'right'), rig.took());
      expect((await rig.send('/reports', { token })).status).toBe(200);
      await expect(rig.tokens.revokeAll({ id: 'alice' })).rejects.toMatchObject({ name: 'StoreUnavailable' });
      expect(await rig.tokens.revoke(String(body['id']))).toBe(true);
      expect((await rig.send('/reports', { token })).status).toBe(401);
    } finally {
      await direct.config('SET', 'maxmemory', '0');
    }
    expect(rig.told.evaluated).toBe(evaluated);
    expect((await rig.login('alice', 'right')).status).toBe(200);
  });

  it('refuses logins while it is a replica of a dead master, and serves the first one as a master again', async () => {
    const rig = await mount();
    const { evaluated } = rig.told;
    await direct.replicaof('127.0.0.1', 1);
    try {
      for (let i = 0; i < 3; i += 1) expectUnavailable(await rig.login('alice', 'right'), rig.took());
      expect(rig.told.evaluated).toBe(evaluated);
      // After a failover the master is elsewhere: the connection to this one is given up.
      expect(rig.proxy.commands.at(-1)?.connection).toBeGreaterThan(1);
    } finally {
      await direct.replicaof('NO', 'ONE');
    }
    expect((await rig.login('alice', 'right')).status).toBe(200);
  });
});

describe('an error of Redis', () => {
  const text = 'in script: alice local T = redis.call';
  const codes = [
    'LOADING',
    'BUSY',
    'MASTERDOWN',
    'NOAUTH',
    'WRONGPASS',
    'NOPERM',
    'ERR max number of clients reached',
    'CROSSSLOT',
    'MOVED 1 127.0.0.1:1',
    'ASK 1 127.0.0.1:1',
    'CLUSTERDOWN',
    'OOM',
    'MISCONF',
    'TRYAGAIN',
    'EXECABORT',
    'READONLY',
    'NOSCRIPT',
    'WRONGTYPE',
    'NOREPLICAS',
    '',
    '\u0000',
  ];

  it('refuses a login whatever it says, quotes none of it, and is not asked twice (RED-08, RED-27)', async () => {
    const rig = await mount();
    const token = String((await rig.login('bob', 'right')).body['access_token']);
    const { evaluated } = rig.told;
    for (const code of codes) {
      rig.proxy.forget();
      rig.proxy.switchTo({ swap: Buffer.from(`-${code} ${text}\r\n`) });
      const answer = await rig.login('alice', 'right');
      expectUnavailable(answer, rig.took());
      expect(JSON.stringify(answer)).not.toMatch(/alice|in script|redis|local T/i);
      // NOSCRIPT says that nothing was run, and is the only one that leads to another try.
      expect({ code, sent: counting(rig.proxy) }).toEqual({ code, sent: code === 'NOSCRIPT' ? 2 : 1 });
      expectUnavailable(await rig.send('/reports', { token }), rig.took());
      rig.proxy.switchTo('pass');
    }
    expect(rig.told.evaluated).toBe(evaluated);
    expect(rig.told.errors).toEqual([]);
    expect((await rig.login('alice', 'right')).status).toBe(200);
  });
});

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const array = (...items: string[]): string => `*${items.length}\r\n${items.join('')}`;
const int = (value: number | string): string => `:${value}\r\n`;
const isAny = (): boolean => true;

describe('an answer that is none', () => {
  const nil = '_\r\n';
  const replies: Record<string, string> = {
    nil,
    'an empty text': bulk(''),
    abc: bulk('abc'),
    '"9"': bulk('9'),
    OK: '+OK\r\n',
    '-1': int(-1),
    '0': int(0),
    '1': int(1),
    '7': int(7),
    '1e308': ',1e308\r\n',
    NaN: ',nan\r\n',
    '2^53+1': int('9007199254740993'),
    '[]': array(),
    '[1]': array(int(1)),
    '["1"]': array(bulk('1')),
    '[nil]': array(nil),
    'a nested error': array(int(1), '-ERR nested\r\n', int(3), int(0)),
    'a nested list': array(array(int(1)), int(2), int(3), int(0)),
    'too few': array(int(1), int(2), int(3)),
    'too many': array(int(1), int(2), int(3), int(0), int(0)),
    texts: array(bulk('1'), bulk('2'), bulk('3'), bulk('0')),
    'a missing time': array(int(1), int(2), nil, int(0)),
    'a negative time': array(int(1), int(2), int(-3), int(0)),
    'a flag of 2': array(int(1), int(2), int(3), int(2)),
    'an answer of 2': array(int(2), int(2), int(3), int(0)),
    'closed for no time': array(int(0), int(0), int(0), int(0)),
    'closed for less than no time': array(int(0), int(0), int(0), int(-5)),
    'busy for NaN': array(int(0), int(0), int(0), ',nan\r\n'),
    'a map': '%1\r\n+a\r\n:1\r\n',
  };

  it.each(Object.entries(replies))(
    '%s in place of any reply lets no login through (RED-09)',
    async (what, reply) => {
      const rig = await mount();
      const token = String((await rig.login('bob', 'right')).body['access_token']);
      const { evaluated } = rig.told;
      rig.proxy.forget();
      rig.proxy.switchTo({ swap: Buffer.from(reply) });
      expectUnavailable(await rig.login('alice', 'right'), rig.took());
      expect(rig.told.evaluated).toBe(evaluated);
      expect(counting(rig.proxy)).toBe(1);
      expect((await rig.send('/reports', { token })).status).toBe(what === '[nil]' ? 401 : 503);
      expect(rig.told.errors).toEqual([]);
    },
  );

  const hash = randomBytes(32).toString('hex');
  const subject = { key: hash, limits: [{ failures: 10, withinMs: 60_000, lockMs: 60_000 }] };
  const pending = {
    account: hash,
    handle: hash,
    startedAt: 1,
    lifetimeMs: 1000,
    maxPerAccount: 5,
    record: '{}',
  };
  const token = {
    key: hash,
    account: hash,
    lifetimeMs: 1000,
    maxPerAccount: 1000,
    startedAt: 1,
    record: '{}',
  };
  const use = { key: hash, account: hash, expiresAt: Date.now() + 60_000 };
  const batch = { id: 'b', entries: [], retentionMs: 1000, expected: undefined };
  const search = { by: null, since: 0, until: null, before: null, limit: 10, retentionMs: 1000 };
  const texts = {
    nil: null,
    'an empty text': '',
    abc: 'abc',
    '"9"': '9',
    OK: 'OK',
    // The client makes a text of a number with a fraction.
    '1e308': '1e308',
    NaN: 'nan',
  };
  /** Each method, what core demands of its answer, and the replies that are one. */
  const calls: Record<
    string,
    [call: (store: RedisStore) => Promise<unknown>, isReply: (reply: unknown) => boolean, answers: object]
  > = {
    // Whatever whole numbers a release is answered by, nothing is decided by them.
    releaseAttempt: [(store) => store.releaseAttempt([subject], [1]), (reply) => reply !== undefined, {}],
    lockAttempts: [(store) => store.lockAttempts([subject], [1]), isCounts(1), { '[1]': [1] }],
    readAttempts: [
      (store) => store.readAttempts(subject),
      isStatusFor(1),
      {
        'an answer of 2': { closedForMs: 2, busy: false, lockedAt: 3, counts: [0] },
        'a flag of 2': { closedForMs: 1, busy: false, lockedAt: 3, counts: [2] },
        'closed for no time': { closedForMs: 0, busy: false, lockedAt: 0, counts: [0] },
      },
    ],
    clearAttempts: [(store) => store.clearAttempts(subject), isAny, { '0': false, '1': true }],
    issueToken: [(store) => store.issueToken(token), isAny, { '[]': null }],
    readToken: [(store) => store.readToken(hash), isAny, { '[nil]': null }],
    revokeToken: [(store) => store.revokeToken(hash), isAny, { '0': false, '1': true }],
    revokeTokens: [(store) => store.revokeTokens(hash), isAny, { '[]': 0 }],
    listTokens: [(store) => store.listTokens(hash), isAny, { '[]': [] }],
    touchToken: [(store) => store.touchToken(use), isAny, { '0': false, '1': true }],
    saveSession: [(store) => store.saveSession(hash, '{}', 1000), isAny, { OK: undefined }],
    updateSession: [(store) => store.updateSession(hash, '{}', 1000), isAny, { nil: false, OK: true }],
    readSession: [(store) => store.readSession(hash), isAny, { '["1"]': '1', '[nil]': null }],
    removeSession: [(store) => store.removeSession(hash), isAny, { '0': undefined, '1': undefined }],
    readDocument: [
      (store) => store.readDocument(hash),
      isStoredDocument,
      { '[1]': { time: 1, record: null } },
    ],
    replaceDocument: [
      (store) => store.replaceDocument(hash, null, '{}', 1000),
      isAny,
      { '0': false, '1': true },
    ],
    appendLog: [(store) => store.appendLog(batch), isLogAppended, {}],
    searchLog: [(store) => store.searchLog(search), isLogFound, {}],
    walkLog: [(store) => store.walkLog(1, 10, 1000), isLogPart, {}],
    openPendingLogin: [(store) => store.openPendingLogin(pending), isAny, { '1': undefined }],
    readPendingLogin: [(store) => store.readPendingLogin(hash, hash), isAny, { '[]': null }],
    tryPendingLogin: [(store) => store.tryPendingLogin(hash, hash, 5), isAny, { '0': null, '1': 1, '7': 7 }],
    closePendingLogin: [(store) => store.closePendingLogin(hash, hash), isAny, { '0': false, '1': true }],
    readFactors: [(store) => store.readFactors(hash), isDocumentOrNull, { nil: null }],
    writeFactors: [(store) => store.writeFactors(hash, '{}', 1), isAny, { '0': false, '1': true }],
    // A credential that somebody has, and nobody: given up in between.
    claimCredential: [(store) => store.claimCredential(hash, hash), isAny, { nil: false, OK: true }],
    releaseCredential: [
      (store) => store.releaseCredential(hash, hash),
      isAny,
      { '0': undefined, '1': undefined },
    ],
    saveChallenge: [(store) => store.saveChallenge(hash, '{}', 1000), isAny, { OK: undefined }],
    // Any text is a record; what it says is for the core to judge.
    readChallenge: [(store) => store.readChallenge(hash), isAny, texts],
    takeChallenge: [(store) => store.takeChallenge(hash), isAny, texts],
  };

  it.each(Object.entries(calls))('is none to %s (I9)', async (_name, [call, isReply, answers]) => {
    const { store, proxy } = await mount();
    const given = new Map<string, unknown>();
    for (const [what, reply] of Object.entries(replies)) {
      proxy.switchTo({ swap: Buffer.from(reply) });
      await call(store).then(
        (answer) => isReply(answer) && given.set(what, answer),
        (error: unknown) => expect({ what, error }).toMatchObject({ error: { name: 'StoreUnavailable' } }),
      );
    }
    expect(given).toEqual(new Map(Object.entries(answers)));
  });

  it.each([1, 0, ['x'], [], {}, true, undefined, Number.NaN, new Error('x')])(
    '%j in place of the owner of a credential is none (I9)',
    async (reply) => {
      const connection = {
        key: (capability: string, name: string) => `${capability}:${name}`,
        send: async (command: string) => (command === 'SET' ? null : reply),
      };
      const store = redisFactors(connection as unknown as RedisConnection);
      await expect(store.claimCredential(hash, hash)).rejects.toMatchObject({ name: 'StoreUnavailable' });
    },
  );

  it('is none where a pending login was: none of its records but its own proves anything (RED-14)', async () => {
    const rig = await mount();
    const code = await enrol(rig, 'alice');
    const { body } = await rig.login('alice', 'right');
    const sent = { body: { pending: body['pending'], otp_token: code() } };
    const [key = ''] = await direct.keys('portcullis:pending:*');
    const [[handle, value] = ['', '']] = Object.entries(await direct.hgetall(key));
    const [, times = '', json = ''] = /^(\d+ \d+ \d+) (.*)$/.exec(value) ?? [];
    const record = JSON.parse(json) as Record<string, unknown>;
    const altered = (change: object): string => `${times} ${JSON.stringify({ ...record, ...change })}`;
    for (const broken of [
      '',
      `${times} `,
      `${times} ${json.slice(0, -5)}`,
      `${times} null`,
      `${times} []`,
      json,
      altered({ v: 2 }),
      altered({ v: '1' }),
      altered({ account: 'bob' }),
      altered({ account: 5 }),
      altered({ account: null }),
      altered({ account: ['alice'] }),
      altered({ methods: 'pwd' }),
      altered({ factors: undefined }),
      altered({ factors: 'x' }),
      altered({ provenAt: '1' }),
      altered({ provenAt: 1e308 }),
    ]) {
      await direct.hset(key, handle, broken);
      const answer = await rig.send('/tokens/second-factor', sent);
      expect({ broken, error: answer.body['error'] }).toEqual({ broken, error: 'pending_login_invalid' });
    }
    await direct.hset(key, handle, value);
    expect((await rig.send('/tokens/second-factor', sent)).status).toBe(200);
    expect(rig.told.errors).toEqual([]);
  });

  it('is none where factors were: a broken record never means that there are none (PND-15)', async () => {
    const rig = await mount();
    await enrol(rig, 'alice');
    const [key = ''] = await direct.keys('portcullis:factors:*');
    const value = (await direct.get(key)) ?? '';
    const [, record = ''] = /^1 (.*)$/.exec(value) ?? [];
    const { list } = JSON.parse(record) as { list: [object] };
    const altered = (change: object): string => `1 ${JSON.stringify({ ...JSON.parse(record), ...change })}`;
    const alteredFactor = (change: object): string => altered({ list: [{ ...list[0], ...change }] });
    for (const broken of [
      '',
      '1',
      '12',
      '1 ',
      record,
      ` ${record}`,
      `0 ${record}`,
      `-1 ${record}`,
      `+1 ${record}`,
      `01 ${record}`,
      `1.0 ${record}`,
      `1e3 ${record}`,
      `0x1 ${record}`,
      ` 1 ${record}`,
      `9007199254740992 ${record}`,
      `1 ${record.slice(0, -1)}`,
      '1 null',
      '1 {}',
      '1 []',
      altered({ v: 2 }),
      altered({ list: null }),
      altered({ list: {} }),
      altered({ list: [] }).replace('"codes":null', '"codes":{}'),
      alteredFactor({ type: 'sms' }),
      alteredFactor({ secret: null }),
      alteredFactor({ lastStep: -1 }),
      alteredFactor({ lastStep: '1' }),
      alteredFactor({ lastStep: 1.5 }),
    ]) {
      await direct.set(key, broken);
      const answer = await rig.login('alice', 'right');
      expect({ broken, status: answer.status }).toEqual({ broken, status: 503 });
      expectUnavailable(answer, rig.took());
    }
    await direct.del(key);
    await direct.hset(key, { field: record });
    expectUnavailable(await rig.login('alice', 'right'), rig.took());
    await direct.del(key);
    await direct.set(key, value);
    expect((await rig.login('alice', 'right')).status).toBe(401);
    expect(rig.told.events['token.issued']).toBe(1);
  });
});

describe('a slow or broken line', () => {
  it('an answer that came in time counts, though the process was too busy to read it', async () => {
    const rig = await mount();
    const token = String((await rig.login('alice', 'right')).body['access_token']);
    // Past the proxy, which is as busy as its process.
    const store = redisStore(direct);
    ends.push(() => store.close());
    const tokens = new AccessTokens({ store });
    await tokens.check(token);
    const checked = tokens.check(token);
    // The reads of one turn go out together at its end.
    await new Promise((resolve) => setImmediate(resolve));
    const start = performance.now();
    while (performance.now() - start < 800);
    expect(await checked).toMatchObject({ account: { id: 'alice' } });
  });

  it('lets a login through that waits 400 ms for each answer: two round trips, then the token (RED-18)', async () => {
    const rig = await mount();
    rig.proxy.switchTo({ delayMs: 400 });
    expect((await rig.login('alice', 'right')).status).toBe(200);
    // The attempt; its return beside the factors; the token.
    expect(rig.took()).toBeGreaterThan(1190);
    expect(rig.took()).toBeLessThan(1700);
    expect(rig.proxy.commands.map(({ name }) => name)).toEqual(expect.arrayContaining(['EVALSHA', 'GET']));
    expect(rig.proxy.commands).toHaveLength(4);
    const before = rig.proxy.commands.findIndex(({ name }) => name === 'GET');
    expect(before).toBeLessThanOrEqual(2);
  });

  it.each([0, 3, 12])(
    'a line that is cut after %i bytes of the answer refuses, and counts once (RED-19, RED-28)',
    async (bytes) => {
      const rig = await mount();
      const { evaluated } = rig.told;
      rig.proxy.switchTo({ cutAfterBytes: bytes });
      expectUnavailable(await rig.login('alice', 'right'), rig.took());
      expect(counting(rig.proxy)).toBe(1);
      expect(rig.told.evaluated).toBe(evaluated);
      expect((await rig.login('bob', 'right')).status).toBe(200);
      expect(await stampsOf('alice', rig)).toEqual([1, 1, 1]);
    },
  );

  it('connections that Redis closes under load lose logins, and no count', async () => {
    const rig = await mount();
    const answers: Answer[] = [];
    for (let round = 0; round < 10; round += 1) {
      const sent = Array.from({ length: 8 }, (_, i) => rig.login(`user${i}`, 'wrong'));
      await direct.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      answers.push(...(await Promise.all(sent)));
    }
    expect(answers.every(({ status }) => [401, 429, 503].includes(status))).toBe(true);
    const evaluated = answers.filter(({ status }) => status === 401).length;
    const unclear = answers.filter(({ status }) => status === 503).length;
    let stamps = 0;
    for (let i = 0; i < 8; i += 1) stamps += (await stampsOf(`user${i}`, rig))[0] ?? 0;
    expect(stamps).toBeGreaterThanOrEqual(evaluated);
    expect(stamps).toBeLessThanOrEqual(evaluated + unclear);
    expect(rig.told.errors).toEqual([]);
  });
});

describe('a Redis that may evict', () => {
  let evicting: RedisServer;
  beforeAll(async () => {
    evicting = await startRedis({ args: ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'] });
  });
  afterAll(() => evicting.stop());

  it.each(['allkeys-lru', 'volatile-ttl'])('is told of once, loudly, with %s (RED-11)', async (policy) => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      const admin = new Redis(evicting.url, { disconnectTimeout: 50 });
      await admin.config('SET', 'maxmemory-policy', policy);
      admin.disconnect();
      const rig = await mount({ at: evicting });
      for (let i = 0; i < 3; i += 1) expect((await rig.login('alice', 'right')).status).toBe(200);
      expect(rig.told.events['config.weak']).toBe(1);
      expect(warn.mock.calls).toEqual([
        [expect.stringContaining(policy), { code: 'PORTCULLIS_REDIS_EVICTION' }],
      ]);
    } finally {
      warn.mockRestore();
    }
  });

  it('is refused from the first login on, by option, until it is mended (RED-11)', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      const admin = new Redis(evicting.url, { disconnectTimeout: 50 });
      await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
      const rig = await mount({ at: evicting, options: { whenEvicting: 'refuse' }, isWarm: false });
      for (let i = 0; i < 3; i += 1) expectUnavailable(await rig.login('alice', 'right'), rig.took());
      expect(rig.told.evaluated).toBe(0);
      await admin.config('SET', 'maxmemory-policy', 'noeviction');
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await sleep(200);
      expect((await rig.login('alice', 'right')).status).toBe(200);
      admin.disconnect();
    } finally {
      warn.mockRestore();
    }
  });

  it('that does not say whether it does is told of once, and breaks nothing (RED-12)', async () => {
    const [warn, log] = [jest.spyOn(process, 'emitWarning'), jest.spyOn(console, 'warn')].map((spy) =>
      spy.mockImplementation(() => {}),
    );
    try {
      await direct.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-info', '-config');
      const rig = await mount({ url: (port) => `redis://app:secret@127.0.0.1:${port}` });
      for (let i = 0; i < 3; i += 1) expect((await rig.login('alice', 'right')).status).toBe(200);
      expect(rig.told.events['config.weak']).toBe(1);
      expect(rig.told.errors).toEqual([]);
      const strict = await mount({
        url: (port) => `redis://app:secret@127.0.0.1:${port}`,
        options: { whenEvicting: 'refuse' },
        isWarm: false,
      });
      expectUnavailable(await strict.login('alice', 'right'), strict.took());
    } finally {
      warn?.mockRestore();
      log?.mockRestore();
      await direct.call('ACL', 'DELUSER', 'app');
    }
  });
});

/** Every key and every value, of whatever type. */
async function dumpWithout(...canaries: string[]): Promise<void> {
  const kept: string[] = [];
  for (const key of await direct.keys('*')) {
    kept.push(key);
    const type = await direct.type(key);
    if (type === 'hash') kept.push(...Object.entries(await direct.hgetall(key)).flat());
    else if (type === 'zset') kept.push(...(await direct.zrange(key, '0', '-1')));
    else kept.push((await direct.getBuffer(key))?.toString('latin1') ?? '');
  }
  expect(kept.length).toBeGreaterThan(1);
  for (const canary of canaries) {
    expect(canary.length).toBeGreaterThan(5);
    const forms = [canary, Buffer.from(canary).toString('base64url'), Buffer.from(canary).toString('hex')];
    expect(kept.filter((text) => forms.some((form) => text.includes(form)))).toEqual([]);
  }
}

describe('what is at rest', () => {
  it('holds no password, code, secret, handle or token (RED-25)', async () => {
    const rig = await mount();
    const { secret } = await rig.factors.beginTotp({ id: 'alice' }, { label: 'alice' });
    const codeOf = (step: number): string =>
      generateSync({ secret, strategy: 'hotp', counter: Math.floor(Date.now() / 30_000) + step, digits: 6 });
    await dumpWithout(secret);
    await rig.factors.confirmTotp({ id: 'alice' }, codeOf(-1));
    await rig.login('alice canary', 'wrong canary password');
    const { body } = await rig.login('alice', 'right canary password');
    const handle = String(body['pending']);
    await rig.send('/tokens/second-factor', { body: { pending: handle, otp_token: '000000' } });
    await dumpWithout(secret, handle, handle.slice(48), 'canary');
    const code = codeOf(0);
    const answer = await rig.send('/tokens/second-factor', { body: { pending: handle, otp_token: code } });
    expect(answer.status).toBe(200);
    const token = String(answer.body['access_token']);
    const proof = new Login();
    proof.verifyPassword({ id: 'bob' }, Date.now());
    proof.passFactor();
    const other = await rig.tokens.issue(proof);
    await dumpWithout(secret, handle, token, token.slice(5, 48), other?.secret ?? '', 'canary', code);
  });
});
