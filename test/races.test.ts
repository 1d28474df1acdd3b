import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { generateSync } from 'otplib/functional';
import { keyHash } from '../src/core/key-hash.js';
import { Login } from '../src/core/login.js';
import {
  AccessTokens,
  Lockout,
  LoginLog,
  memoryStore,
  redisStore,
  SecondFactors,
  StoreUnavailable,
  type RedisStore,
  type Store,
} from '../src/index.js';
import { added } from './rig/factor-rig.js';
import {
  ask,
  compileSources,
  factorKey,
  origin,
  HeldRequest,
  listen,
  loginService,
  startLoginProcess,
  type Answer,
  type Listening,
  type LoginProcess,
} from './rig/login-process.js';
import { startRedis, type RedisServer } from './rig/redis-server.js';
import { SoftwareAuthenticator, type ServerOptions } from './rig/software-authenticator.js';

let redis: RedisServer;
let direct: Redis;
let build: Awaited<ReturnType<typeof compileSources>>;
let processes: LoginProcess[] = [];
let store: RedisStore;
let tokens: AccessTokens;

beforeAll(async () => {
  [redis, build] = await Promise.all([startRedis(), compileSources()]);
  direct = new Redis(redis.url);
  store = redisStore(direct);
  tokens = new AccessTokens({ store });
  processes = await Promise.all(
    Array.from({ length: 4 }, () => startLoginProcess(build.directory, redis.url)),
  );
}, 60_000);
afterAll(async () => {
  await Promise.all(processes.map((one) => one.stop()));
  direct.disconnect();
  build.remove();
  await redis.stop();
});
beforeEach(() => direct.flushall());
// No race may end in an error that nobody meant, in any process.
afterEach(async () => {
  const told = await Promise.all(processes.map((one) => one.told()));
  const errors = told.flatMap((one) => one.errors).filter((error) => !error.includes('database is down'));
  if (errors.length > 0) throw new Error(errors.join('\n'));
});

const portOf = (index: number): number => processes[index % processes.length]?.port ?? 0;
const login = (username: string, password: string, at = 0): Promise<Answer> =>
  ask(portOf(at), '/tokens', { body: { username, password } });

/** Each process, by what it keeps. */
const askForKept = (token: string): Promise<Answer[]> =>
  Promise.all(processes.map((_, at) => decided(() => ask(portOf(at), '/kept-reports', { token }))));

function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const key = `${status} ${String(body['error'] ?? body['token_type'])}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

async function evaluatedBy(services: readonly Listening[]): Promise<number> {
  const told = await Promise.all(services.map((one) => one.told()));
  return told.reduce((sum, { evaluated }) => sum + evaluated, 0);
}

async function eventsOf(services: readonly Listening[], name: string): Promise<number> {
  const told = await Promise.all(services.map((one) => one.told()));
  return told.reduce((sum, { events }) => sum + (events[name] ?? 0), 0);
}

/** Requests whose last byte is withheld from all until it is sent to all. */
async function releaseTogether(
  held: readonly HeldRequest[],
  bodyOf: (index: number) => object,
): Promise<Answer[]> {
  const ready = await Promise.all(held.map((one, index) => one.hold('/tokens', bodyOf(index))));
  return Promise.all(ready.map((one) => one.release()));
}

/**
 * What 1,000 wrong passwords come to when the last byte of all is sent at once, for each run. On a machine that is
 * too busy to read an answer of Redis within its deadline some are refused with 503, as they must be: such a run is
 * repeated, twice as often as it was asked for, but never one in which too many were evaluated.
 */
async function attack(services: readonly Listening[], runs: number): Promise<object[]> {
  const ports = Array.from({ length: 1000 }, (_, index) => services[index % services.length]?.port ?? 0);
  const held = await Promise.all(ports.map((port) => HeldRequest.open(port)));
  const outcomes: object[] = [];
  try {
    // The first run, which nobody looks at, warms the processes up.
    for (let run = 0; run <= 3 * runs && outcomes.length < runs; run += 1) {
      await direct.flushall();
      const before = await evaluatedBy(services);
      const locked = await eventsOf(services, 'account.locked');
      const bodyOf = (index: number): object => ({ username: `alice${run}`, password: `wrong ${index}` });
      const answers = await releaseTogether(held, bodyOf);
      const { '401 invalid_credentials': wrong, ...refused } = tally(answers);
      const evaluated = (await evaluatedBy(services)) - before;
      const isStarved = '503 store_unavailable' in refused && evaluated <= 10;
      if (run === 0 || (isStarved && run < 3 * runs)) continue;
      outcomes.push({
        wrong,
        evaluated,
        refused: Object.values(refused).reduce((sum, count) => sum + count, 0),
        otherwise: Object.keys(refused).filter((key) => !key.startsWith('429 ')),
        locked: (await eventsOf(services, 'account.locked')) - locked,
        withoutEnd: answers.filter(
          ({ status, headers }) => status !== 401 && !(Number(headers['retry-after']) > 0),
        ).length,
      });
    }
  } finally {
    for (const one of held) one.close();
  }
  return outcomes;
}

const held = { wrong: 10, evaluated: 10, refused: 990, otherwise: [], locked: 1, withoutEnd: 0 };

describe('1,000 wrong passwords released together (RCE-01)', () => {
  it('on four processes: 10 are evaluated, 990 refused, 20 times over', async () => {
    expect(await attack(processes, 20)).toEqual(Array.from({ length: 20 }, () => held));
  }, 120_000);

  it('on one process in memory: 10 are evaluated, 990 refused, twice over', async () => {
    const service = await listen(loginService(memoryStore()));
    try {
      expect(await attack([service], 2)).toEqual([held, held]);
    } finally {
      await service.stop();
    }
  }, 60_000);
});

/** Codes of an authenticator, by the clock of the process plus `aheadMs`. */
type Codes = (aheadMs?: number) => string;

/** Switches the second factor on, with a code of a while ago, so that the present one is unused. */
async function enrol(store: Store, id: string): Promise<Codes> {
  const then = Date.now() - 120_000;
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [factorKey], now: () => then });
  const { secret } = await factors.beginTotp({ id }, { label: id });
  const codeAt = (ms: number): string =>
    generateSync({ secret, strategy: 'hotp', counter: Math.floor(ms / 30_000), digits: 6 });
  added(await factors.confirmTotp({ id }, codeAt(then)));
  return (aheadMs = 0) => codeAt(Date.now() + aheadMs);
}

/** Registers a security key. */
async function enrolKey(id: string): Promise<{ factors: SecondFactors; key: SoftwareAuthenticator }> {
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [factorKey], origin });
  const key = new SoftwareAuthenticator({ origin, rpId: 'acme.example' });
  const begun = await factors.beginSecurityKey({ id }, { userName: id });
  added(await factors.confirmSecurityKey({ id }, key.register(begun as ServerOptions)));
  return { factors, key };
}

/** At most so many at a time. */
/** Asks again while a store that is late on a busy machine makes the answer 503: that refuses, and decides nothing. */
async function decided(send: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 0; tries < 50; tries += 1) {
    const answer = await send();
    if (answer.status !== 503) return answer;
    await sleep(50);
  }
  throw new Error('503 for ever');
}

/** The same for a call of the core. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; tries < 50; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      await sleep(50);
    }
  }
  throw new Error('unavailable for ever');
}

async function inLanes(
  count: number,
  lanes: number,
  run: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next; index < count; index = next) {
      next += 1;
      await run(index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** All stamps in the store's format, so much older than they are. */
async function letAge(ms: number): Promise<void> {
  for (const key of await direct.keys('portcullis:lockout:*')) {
    const state = await direct.getBuffer(key);
    if (state === null) continue;
    for (let at = 0; at + 4 <= state.length; at += 4) {
      state.writeUInt32BE((state.readUInt32BE(at) - ms) >>> 0, at);
    }
    await direct.set(key, state, 'KEEPTTL');
  }
}

/** Stamps of each subject that is counted; a lock takes five bytes beside them. */
async function countStamps(): Promise<number[]> {
  const keys = await direct.keys('portcullis:lockout:*');
  const sizes = await Promise.all(keys.map((key) => direct.strlen(key)));
  return sizes.map((size) => (size % 4 === 0 ? size : size - 5) / 4);
}

/** One of 32 spellings. */
function spell(index: number): string {
  const letters = Array.from('alice', (letter, at) =>
    (index >> at) % 2 === 1 ? letter.toUpperCase() : letter,
  );
  return letters.join('');
}

describe('over four processes', () => {
  it('30 right passwords together give tokens or "busy", and leave no trace (RCE-09)', async () => {
    const locked = await eventsOf(processes, 'account.locked');
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => login('alice', 'right', i)));
    const { '200 Bearer': issued = 0, '429 busy': busy = 0, ...others } = tally(answers);
    expect({ all: issued + busy, others }).toEqual({ all: 30, others: {} });
    expect(issued).toBeGreaterThanOrEqual(10);
    expect(
      answers.filter(({ status }) => status === 429).every(({ headers }) => headers['retry-after'] === '1'),
    ).toBe(true);
    expect(await direct.keys('portcullis:lockout:*')).toEqual([]);
    expect(await eventsOf(processes, 'account.locked')).toBe(locked);
    expect((await login('alice', 'right')).status).toBe(200);
  });

  it('attempts of a killed process count as failures, for the window and not for longer (RCE-10)', async () => {
    const doomed = await Promise.all(
      Array.from({ length: 10 }, () => startLoginProcess(build.directory, redis.url)),
    );
    for (const one of doomed) {
      const cut = ask(one.port, '/tokens', { body: { username: 'alice', password: 'stuck' } });
      cut.catch(() => {});
      while ((await one.told()).evaluated === 0) await sleep(5);
      await one.stop();
      await expect(cut).rejects.toThrow('fetch failed');
    }
    expect(await new Lockout({ store }).status('alice')).toMatchObject({
      locked: true,
      failures: [10, 10, 10],
    });
    expect(tally([await login('alice', 'right')])).toEqual({ '429 busy': 1 });
    await letAge(31_000);
    expect(tally([await login('alice', 'right')])).toEqual({ '429 locked_out': 1 });
    for (const key of await direct.keys('*')) expect(await direct.pttl(key)).toBeGreaterThan(0);
    await letAge(29_000);
    expect((await login('alice', 'right')).status).toBe(200);
  }, 60_000);

  it('a password check that breaks is no failure: 50 of them lock nobody (RCE-12)', async () => {
    const answers: Answer[] = [];
    await inLanes(50, 5, async (index) => answers.push(await login('alice', 'broken', index)));
    expect(tally(answers)).toEqual({ '503 store_unavailable': 50 });
    expect(await direct.keys('portcullis:lockout:*')).toEqual([]);
    expect((await login('alice', 'right')).status).toBe(200);
  });

  it('no token passes after its revocation was answered: 1,000 of them (TOK-03)', async () => {
    const before: Answer[] = [];
    const after: Answer[] = [];
    await inLanes(1000, 25, async (index) => {
      const proof = new Login();
      proof.verifyPassword({ id: `alice${index}` }, Date.now());
      proof.passFactor();
      const issued = await tokens.issue(proof);
      const { secret: token = '', facts } = issued ?? {};
      before.push(await decided(() => ask(portOf(index), '/reports', { token })));
      await insist(() => tokens.revoke(facts?.token.id ?? ''));
      const asked = [0, 1, 2, 3].map((at) => decided(() => ask(portOf(at), '/reports', { token })));
      after.push(...(await Promise.all(asked)));
    });
    expect(tally(before)).toEqual({ '200 undefined': 1000 });
    expect(tally(after)).toEqual({ '401 invalid_token': 4000 });
  }, 60_000);

  it('of 1,000 kept by four processes, none passes a second after its revocation was answered (TOK-03)', async () => {
    const before: Answer[] = [];
    const after: Answer[] = [];
    const issued: { secret: string; id: string }[] = [];
    await inLanes(1000, 25, async (index) => {
      const proof = new Login();
      proof.verifyPassword({ id: `alice${index}` }, Date.now());
      proof.passFactor();
      const { secret = '', facts } = (await tokens.issue(proof)) ?? {};
      issued.push({ secret, id: facts?.token.id ?? '' });
      before.push(...(await askForKept(secret)), ...(await askForKept(secret)));
    });
    // They are kept: the same again costs next to no read.
    await direct.config('RESETSTAT');
    await inLanes(1000, 25, async (index) => before.push(...(await askForKept(issued[index]?.secret ?? ''))));
    const reads = Number(/cmdstat_mget:calls=(\d+)/.exec(await direct.info('commandstats'))?.[1] ?? 0);
    expect(reads).toBeLessThan(1000);
    await inLanes(1000, 25, async (index) => insist(() => tokens.revoke(issued[index]?.id ?? '')));
    await sleep(1000);
    await inLanes(1000, 25, async (index) => after.push(...(await askForKept(issued[index]?.secret ?? ''))));
    expect(tally(before)).toEqual({ '200 undefined': 12_000 });
    expect(tally(after)).toEqual({ '401 invalid_token': 4000 });
  }, 120_000);

  it('no pending login is completed across a revocation: 500 races (RCE-14, RCE-15)', async () => {
    const outcomes = { tokens: 0, refused: 0, alive: 0 };
    await inLanes(500, 10, async (index) => {
      const id = `alice${index}`;
      const code = await insist(() => enrol(store, id));
      const { body } = await decided(() => login(id, 'right', index));
      expect(body).toMatchObject({ error: 'second_factor_required', methods: ['totp', 'backup_code'] });
      const [answer] = await Promise.all([
        sleep(randomInt(4)).then(() =>
          ask(portOf(index + 1), '/tokens/second-factor', {
            body: { pending: body['pending'], otp_token: code() },
          }),
        ),
        sleep(randomInt(4)).then(() => insist(() => tokens.revokeAll({ id }))),
      ]);
      const token = answer.body['access_token'];
      if (typeof token === 'string') {
        outcomes.tokens += 1;
        const { status } = await decided(() => ask(portOf(index + 2), '/reports', { token }));
        outcomes.alive += Number(status !== 401);
      } else {
        outcomes.refused += Number(
          ['pending_login_invalid', 'store_unavailable'].includes(String(answer.body['error'])),
        );
      }
      expect(await insist(() => tokens.list({ id }))).toEqual([]);
    });
    expect(outcomes.alive).toBe(0);
    expect(outcomes.tokens + outcomes.refused).toBe(500);
    // Both orders were met, or the race was none.
    expect(outcomes.tokens).toBeGreaterThan(20);
    expect(outcomes.refused).toBeGreaterThan(20);
  }, 60_000);

  it('one right code on 100 parallel requests with one handle gives one token (RCE-07)', async () => {
    const code = await enrol(store, 'alice');
    const { body } = await login('alice', 'right');
    const send = (index: number): Promise<Answer> =>
      ask(portOf(index), '/tokens/second-factor', { body: { pending: body['pending'], otp_token: code() } });
    const { '200 Bearer': issued, ...refused } = tally(
      await Promise.all(Array.from({ length: 100 }, (_, i) => send(i))),
    );
    expect(issued).toBe(1);
    expect(Object.keys(refused).every((key) => /^4(?:01|29) /.test(key))).toBe(true);
  });

  it('one emergency code on 100 parallel requests over all pending logins gives one token (RCE-06)', async () => {
    await enrol(store, 'alice');
    const factors = new SecondFactors({ store, issuer: 'Acme', keys: [factorKey] });
    const [otp_token] = (await factors.regenerateBackupCodes({ id: 'alice' })) ?? [];
    const handles = await Promise.all([0, 1, 2, 3, 4].map((index) => login('alice', 'right', index)));
    const send = (index: number): Promise<Answer> =>
      ask(portOf(index), '/tokens/second-factor', {
        body: { pending: handles[index % 5]?.body['pending'], otp_token },
      });
    const { '200 Bearer': issued, ...refused } = tally(
      await Promise.all(Array.from({ length: 100 }, (_, i) => send(i))),
    );
    expect(issued).toBe(1);
    expect(Object.keys(refused).every((key) => /^4(?:01|29) /.test(key))).toBe(true);
    expect((await factors.status({ id: 'alice' })).backupCodes).toMatchObject({ left: 9 });
  });

  it('one answer of a security key on 100 parallel requests gives one token, and its counter rises once', async () => {
    const { factors, key } = await enrolKey('alice');
    const { body } = await login('alice', 'right');
    const webauthn = key.authenticate(body['webauthn'] as ServerOptions);
    const send = (index: number): Promise<Answer> =>
      ask(portOf(index), '/tokens/second-factor', { body: { pending: body['pending'], webauthn } });
    const { '200 Bearer': issued, ...refused } = tally(
      await Promise.all(Array.from({ length: 100 }, (_, i) => send(i))),
    );
    expect(issued).toBe(1);
    expect(Object.keys(refused).every((answer) => /^4(?:01|29) /.test(answer))).toBe(true);
    expect((await factors.enrolled({ id: 'alice' })).factors.list).toMatchObject([{ counter: 1 }]);
  });

  it('emergency codes made ten times at once: one whole set works, the others not at all (RCE-19)', async () => {
    await enrol(store, 'alice');
    const limits = [{ failures: 1000, withinSeconds: 60 }];
    const factors = new SecondFactors({ store, issuer: 'Acme', keys: [factorKey], limits });
    const sets = await Promise.all(
      Array.from({ length: 10 }, () => factors.regenerateBackupCodes({ id: 'alice' })),
    );
    const working: number[] = [];
    for (const codes of sets) {
      const verdicts = await Promise.all(
        (codes ?? []).map((code) => factors.verify({ id: 'alice' }, { kind: 'backup_code', code })),
      );
      working.push(verdicts.filter(({ outcome }) => outcome === 'verified').length);
    }
    expect(working.toSorted((a, b) => a - b)).toEqual([...Array.from({ length: 9 }, () => 0), 10]);
  });

  it('one credential registered for two accounts at once is one of them: 50 races (RCE-20)', async () => {
    const factors = new SecondFactors({ store, issuer: 'Acme', keys: [factorKey], origin });
    await inLanes(50, 5, async (index) => {
      const key = new SoftwareAuthenticator({ origin, rpId: 'acme.example' });
      const accounts = [{ id: `alice${index}` }, { id: `bob${index}` }];
      const answers = await Promise.all(
        accounts.map(async (account) => {
          const begun = await factors.beginSecurityKey(account, { userName: account.id });
          return { account, response: key.register(begun as ServerOptions) };
        }),
      );
      const outcomes = await Promise.all(
        answers.map(({ account, response }) => factors.confirmSecurityKey(account, response)),
      );
      expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(['added', 'conflict']);
      const held = await Promise.all(accounts.map((account) => factors.status(account)));
      expect(held.flatMap((status) => status.factors)).toHaveLength(1);
    });
  });

  it('a lock of one account stops no other one from the same address (LCK-11)', async () => {
    for (let i = 0; i < 10; i += 1) await login('alice', 'wrong', i);
    expect(tally([await login('alice', 'right', 3)])).toEqual({ '429 locked_out': 1 });
    expect(tally([await login('bob', 'right', 3)])).toEqual({ '200 Bearer': 1 });
  });

  it('40 spellings of one name share ten attempts (IDN-01)', async () => {
    const names = [
      ...Array.from({ length: 32 }, (_, i) => spell(i)),
      ...Array.from({ length: 8 }, () => 'ａlice'),
    ];
    const evaluated = await evaluatedBy(processes);
    const answers: Answer[] = [];
    for (const [index, name] of names.entries()) answers.push(await login(name, 'wrong', index));
    expect(tally(answers)).toEqual({ '401 invalid_credentials': 10, '429 locked_out': 30 });
    expect((await evaluatedBy(processes)) - evaluated).toBe(10);
  });

  it('own successes between failures on another account change nothing (SIP-06)', async () => {
    const answers: Answer[] = [];
    for (let i = 0; i < 12; i += 1) {
      answers.push(await login('alice', 'wrong', i));
      expect((await login('mallory', 'right', i)).status).toBe(200);
    }
    expect(tally(answers)).toEqual({ '401 invalid_credentials': 10, '429 locked_out': 2 });
    // Ten failures of alice, and the same ten of the address; nothing of mallory.
    expect(await countStamps()).toEqual([10, 10]);
  });

  it('clocks that differ between processes change neither windows nor logins under way (CLK-01)', async () => {
    const skewed = await Promise.all(
      [3_600_000, -3_600_000].map((clockSkewMs) =>
        startLoginProcess(build.directory, redis.url, { clockSkewMs }),
      ),
    );
    const [ahead = 0, behind = 0] = skewed.map(({ port }) => port);
    try {
      const answers: Answer[] = [];
      for (let i = 0; i < 12; i += 1) {
        const body = { username: 'alice', password: 'wrong' };
        answers.push(await ask(i % 2 === 0 ? ahead : behind, '/tokens', { body }));
      }
      expect(tally(answers)).toEqual({ '401 invalid_credentials': 10, '429 locked_out': 2 });

      for (const [from, to, aheadMs] of [
        [ahead, portOf(0), 0],
        [portOf(0), ahead, 3_600_000],
      ] as const) {
        await direct.flushall();
        const code = await enrol(store, 'bob');
        const { body } = await ask(from, '/tokens', { body: { username: 'bob', password: 'right' } });
        const answer = await ask(to, '/tokens/second-factor', {
          body: { pending: body['pending'], otp_token: code(aheadMs) },
        });
        expect(tally([answer])).toEqual({ '200 Bearer': 1 });
      }
    } finally {
      await Promise.all(skewed.map((one) => one.stop()));
    }
  });
});

describe.each(['memory', 'redis'])('in one process, on %s', (kind) => {
  it('a login is not completed across a revocation that came while its password was checked: 500 races (RCE-14)', async () => {
    const used = kind === 'memory' ? memoryStore() : store;
    const own = new AccessTokens({ store: used });
    // Called while the attempt is reserved: the login has begun, and the revocation begins now.
    let revoked: Promise<unknown> = Promise.resolve();
    const service = await listen(
      loginService(used, ({ identifier }) => {
        const pause = randomInt(3);
        revoked = insist(() => own.revokeAll({ id: identifier }));
        return pause === 0 ? { id: identifier } : sleep(pause - 1).then(() => ({ id: identifier }));
      }),
    );
    try {
      let alive = 0;
      for (let run = 0; run < 500; run += 1) {
        const body = { username: `alice${run}`, password: 'right' };
        const answer = await ask(service.port, '/tokens', { body });
        await revoked;
        const token = String(answer.body['access_token']);
        const { status } = await decided(() => ask(service.port, '/reports', { token }));
        alive += Number(status !== 401);
        expect([200, 401, 503]).toContain(answer.status);
      }
      expect(alive).toBe(0);
    } finally {
      await service.stop();
    }
  }, 60_000);
});

describe('what is stored', () => {
  const hostile = [
    'a:60',
    'a}{b',
    '{x}',
    '*',
    '?',
    'a\r\nDEL k',
    '../x',
    'portcullis:tok:{0}',
    ':'.repeat(10_240),
    '__proto__',
    'user name',
  ];

  it('is kept under hashed keys only, each with an end unless it is a factor (IDN-08)', async () => {
    const watcher = await direct.monitor();
    const seen: string[][] = [];
    watcher.on('monitor', (_time: string, args: string[]) => seen.push(args));
    const service = await listen(loginService(store));
    try {
      for (const username of hostile) {
        for (const password of ['wrong canary', 'right canary']) {
          const answer = await ask(service.port, '/tokens', { body: { username, password } });
          const isName = username.length < 100 && !username.includes('\r');
          const expected = password.startsWith('right') ? 200 : 401;
          expect(answer.status).toBe(isName ? expected : 400);
        }
      }
      const code = await enrol(store, 'a}{b');
      const { body } = await ask(service.port, '/tokens', { body: { username: 'a}{b', password: 'right' } });
      const pending = { pending: body['pending'], otp_token: code() };
      expect((await ask(service.port, '/tokens/second-factor', { body: pending })).status).toBe(200);
      await tokens.revokeAll({ id: 'a}{b' }, { except: 'x' });
      await enrolKey('a}{b');
      await store.replaceDocument(keyHash('a}{b'), null, 'record', 1000);
      const log = new LoginLog({ store, organisation: () => '{x}' });
      await log.append({ name: 'a.b', outcome: 'changed', account: 'a}{b', requestId: '*' });
      expect((await log.query({ account: 'a}{b', requestId: '*' })).entries).toHaveLength(1);
    } finally {
      await service.stop();
      watcher.disconnect();
    }

    const keys = seen.flatMap(([command = '', ...args]) => {
      if (/^evalsha$|^eval$/i.test(command)) return args.slice(2, 2 + Number(args[1]));
      if (/^(?:get|getdel|set|del|unlink|hgetall|zrange|zrem)$/i.test(command)) return args.slice(0, 1);
      // What scripts do, and what sets a connection up.
      return /^(?:time|pexpire|h\w+|z\w+|pttl|exists|info|hello|client|subscribe|ping|select|monitor|flushall)$/i.test(
        command,
      )
        ? []
        : [`unknown command ${command}`];
    });
    expect(keys.length).toBeGreaterThan(50);
    const isKey = /^portcullis:[a-z0-9]+:\{[0-9a-f]{64}\}$/;
    expect(keys.filter((key) => !isKey.test(key))).toEqual([]);
    expect(new Set(keys.map((key) => key.split(':')[1]))).toEqual(
      new Set([
        'lockout',
        'token',
        'tokens',
        'leaving',
        'cutoff',
        'pending',
        'factors',
        'credential',
        'challenge',
        'document',
        'log',
        'logindex',
        'logbatch',
      ]),
    );
    for (const key of await direct.keys('*')) {
      expect(key).toMatch(isKey);
      expect({ key, hasEnd: (await direct.pttl(key)) > 0 }).toEqual({
        key,
        hasEnd: !/^portcullis:(?:factors|credential):/.test(key),
      });
    }
    // Records hold account ids; names that nobody proved, and passwords, are nowhere.
    expect(seen.flat().filter((text) => text.includes('canary'))).toEqual([]);
  });

  it('counts an IPv4 address and its IPv6 spelling as one source (SIP-05)', async () => {
    const service = loginService(store);
    service.app.proxy = true;
    service.app.maxIpsCount = 1;
    const listening = await listen(service);
    try {
      for (const address of ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:c000:0201']) {
        await fetch(`http://127.0.0.1:${listening.port}/tokens`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': address },
          body: JSON.stringify({ username: 'alice', password: 'wrong' }),
        });
      }
      expect(await countStamps()).toEqual([3, 3]);
    } finally {
      await listening.stop();
    }
  });
});
