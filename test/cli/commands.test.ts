import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { transformSync } from '@swc/core';
import { Redis } from 'ioredis';
import {
  AccessTokens,
  KnownDevices,
  Lockout,
  LoginLog,
  SecondFactors,
  redisStore,
  type RedisStore,
} from '../../src/index.js';
import type { NewLogEntry } from '../../src/core/log-entry.js';
import { deviceName } from '../../src/core/lockout-lanes.js';
import { installCli, type InstalledCli, type Ran } from '../rig/operator-cli.js';
import { added, sealingKey } from '../rig/factor-rig.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { codeOf } from '../rig/totp-code.js';

const deviceKey = Buffer.from('3f'.repeat(4) + randomBytes(28).toString('hex'), 'hex');
const eventKey = randomBytes(32).toString('hex');

const config = `
  import { Redis } from 'ioredis';
  import { AccessTokens, KnownDevices, Lockout, LoginLog, SecondFactors, redisStore } from 'koa-portcullis';
  const redis = new Redis(process.env.REDIS_URL, { retryStrategy: () => 100 });
  redis.on('error', () => {});
  const store = redisStore(redis);
  const origin = 'https://acme.example';
  export const devices = new KnownDevices({ store, keys: ['${deviceKey.toString('hex')}'], origin });
  export const attempts = new Lockout({ store, devices, eventKey: '${eventKey}' });
  export const tokens = new AccessTokens({ store });
  export const factors = new SecondFactors({ store, issuer: 'Acme', origin, keys: ['${sealingKey.toString('hex')}'] });
  export const log = new LoginLog({ store });
  export function close() { store.close(); redis.disconnect(); }
`;

/** A name that moves a cursor, ends a line, turns the writing and rings. */
const hostile = 'mal\u001b[2J\u001b]0;x\u0007lory\r\nroot: unlocked\u202e\u009b31m';

let cli: InstalledCli;
let server: RedisServer;
let redis: Redis;
let store: RedisStore;
let attempts: Lockout;
let tokens: AccessTokens;
let factors: SecondFactors;
let devices: KnownDevices;
let log: LoginLog;

beforeAll(async () => {
  cli = installCli();
  server = await startRedis();
  cli.writeConfig('portcullis.config.js', config);
  redis = new Redis(server.url);
  store = redisStore(redis);
  const origin = 'https://acme.example';
  devices = new KnownDevices({ store, keys: [deviceKey], origin });
  attempts = new Lockout({ store, devices, eventKey });
  tokens = new AccessTokens({ store });
  factors = new SecondFactors({ store, issuer: 'Acme', origin, keys: [sealingKey] });
  log = new LoginLog({ store });
}, 120_000);
beforeEach(() => redis.flushall());
afterAll(async () => {
  store.close();
  redis.disconnect();
  await server.stop();
  cli.remove();
});

const run = (...args: string[]): Promise<Ran> => cli.run(args, { REDIS_URL: server.url });

/** What a command answers as JSON. */
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Every line is printable ASCII, and no line is another's. */
function expectHarmless(...texts: readonly string[]): void {
  for (const text of texts) expect(text).toMatch(/^[\n -~]*$/);
}

/** Wrong passwords until the account is locked, logged as the app would. */
async function lock(account: string, address = '192.0.2.7'): Promise<void> {
  const names = { identifier: account, account, address };
  for (let count = 0; ; count += 1) {
    const attempt = await attempts.reserve(names);
    if (!attempt.granted) break;
    const locked = await attempt.fail();
    if (locked.account > 0)
      await note({ name: 'account.locked', outcome: 'locked', account, retryAfterSeconds: locked.account });
    if (count > 20) throw new Error('never locked');
  }
}

async function note(entry: NewLogEntry): Promise<void> {
  await log.append({ ip: '192.0.2.7', userAgent: 'test', ...entry });
}

async function giveToken(account: string, name = 'laptop'): Promise<string> {
  const { secret } = await tokens.issueToRobot({ id: account }, { name, scope: 'deploy', issuer: 'root' });
  return secret;
}

async function idOf(account: string): Promise<string> {
  const [token] = await tokens.list({ id: account });
  return token?.id ?? '';
}

async function enrol(account: string): Promise<void> {
  const { secret } = await factors.beginTotp({ id: account }, { label: account, name: 'Phone' });
  added(await factors.confirmTotp({ id: account }, codeOf(secret, Math.floor(Date.now() / 30_000))));
}

async function entries(): Promise<readonly { name: string; actor: string | null; account: string | null }[]> {
  return (await log.query()).entries;
}

describe('locks', () => {
  it('lists what is locked now, and not what is open again', async () => {
    await lock('alice');
    await lock('bob');
    await attempts.unlock('bob');
    const { code, stdout, stderr } = await run('locks');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^LOCKED {3}WHO/);
    expect(stdout).toMatch(/account {2}alice {2}(?:1 minute|\d+ seconds) +8, 8, 8 +20/);
    expect(stdout).not.toContain('bob');
    const { locks } = await json('locks');
    expect(locks).toEqual([
      {
        kind: 'account',
        name: 'alice',
        subject: null,
        retryAfterSeconds: expect.any(Number),
        failures: [8, 8, 8],
        lockedAt: expect.any(Number),
      },
    ]);
  });

  it('names no name where only its key is known', async () => {
    const [, subject = ''] = attempts.subjectsOf('typed');
    for (let count = 0; count < 8; count += 1) {
      const attempt = await attempts.reserve({ identifier: 'typed', account: undefined, address: undefined });
      if (attempt.granted) await attempt.fail();
    }
    await note({ name: 'account.locked', outcome: 'locked', subject, retryAfterSeconds: 60 });
    const { stdout } = await run('locks');
    expect(stdout).toContain(`name not known (${subject.slice(0, 12)})`);
    expect(stdout).not.toContain('typed');
    const { locks } = await json('locks');
    expect(locks).toMatchObject([{ name: null, subject, failures: null }]);
  });

  it('lists addresses and second factors', async () => {
    for (let count = 0; count < 100; count += 1) {
      const names = { identifier: `n${count}`, account: undefined, address: '192.0.2.7' };
      const attempt = await attempts.reserve(names);
      if (attempt.granted) await attempt.fail();
    }
    await note({ name: 'address.locked', outcome: 'locked', retryAfterSeconds: 60 });
    await enrol('alice');
    for (let count = 0; count < 10; count += 1)
      await factors.verify({ id: 'alice' }, { kind: 'totp', code: '000000' });
    await note({ name: 'second_factor.locked', outcome: 'locked', account: 'alice', retryAfterSeconds: 60 });
    const { locks } = await json('locks');
    expect(locks).toMatchObject([
      { kind: 'second factor', name: 'alice', failures: [10, 10, 10] },
      { kind: 'address', name: '192.0.2.7', failures: [100, 100, 100] },
    ]);
    expect(await json('locks', '--limit', '1')).toMatchObject({
      locks: [{ name: 'alice' }],
      complete: false,
    });
  });

  it('says that nothing is locked', async () => {
    expect((await run('locks')).stdout).toBe('Nothing is locked.\n');
    expect(await json('locks')).toEqual({ locks: [], complete: true });
  });
});

describe('unlock', () => {
  it('forgets failures of passwords and factors, and says what there was', async () => {
    await lock('alice');
    await factors.verify({ id: 'alice' }, { kind: 'totp', code: '000000' });
    const { code, stdout } = await run('unlock', 'alice', '--actor', 'carol');
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'alice is unlocked.',
        'wrong passwords: 8, 8, 8 in its windows, forgotten',
        'wrong second factors: 1, 1, 1 in its windows, forgotten',
        'The login log has it.',
        '',
      ].join('\n'),
    );
    expect(await attempts.status('alice')).toMatchObject({ locked: false, failures: [0, 0, 0] });
    expect((await factors.standing({ id: 'alice' })).failures).toEqual([0, 0, 0]);
    expect(await entries()).toMatchObject([
      { name: 'account.unlocked', actor: 'carol', account: 'alice' },
      { name: 'account.locked' },
    ]);
    expect((await run('unlock', 'alice')).stdout).toContain('there was nothing to forget');
  });

  it('does nothing when the log cannot keep it', async () => {
    await lock('alice');
    // A log of a store that has gone.
    cli.writeConfig(
      'broken-log.js',
      `export * from './portcullis.config.js';
       import { LoginLog, memoryStore } from 'koa-portcullis';
       const broken = memoryStore();
       export const log = new LoginLog({ store: { ...broken, appendLog: async () => { throw new Error('gone'); } } });`,
    );
    await enrol('alice');
    const secret = await giveToken('alice');
    const id = await idOf('alice');
    const deeds = [
      ['unlock', 'alice'],
      ['unlock', '--address', '192.0.2.7'],
      ['tokens', 'alice', '--revoke', id],
      ['tokens', 'alice', '--revoke-all'],
      ['factors', 'alice', '--reset'],
    ];
    const ran = await Promise.all(deeds.map((args) => run(...args, '--config', 'broken-log.js')));
    for (const { code, stdout, stderr } of ran) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain('the login log could not keep it, so nothing was done');
    }
    expect(await attempts.status('alice')).toMatchObject({ locked: true });
    expect((await attempts.statusOfAddress('192.0.2.7')).failures).toEqual([8, 8, 8]);
    expect(await tokens.check(secret)).not.toBeNull();
    expect((await factors.status({ id: 'alice' })).factors).toHaveLength(1);
  });

  it('frees an address, and says so of none', async () => {
    const names = { identifier: 'n', account: undefined, address: '2001:db8:0:1::/64' };
    const attempt = await attempts.reserve(names);
    if (attempt.granted) await attempt.fail();
    const { stdout } = await run('unlock', '--address', '2001:db8:0:1::5');
    expect(stdout).toContain('2001:db8:0:1::5 is unlocked: 1, 1, 1 failures');
    expect(await entries()).toMatchObject([{ name: 'address.unlocked', actor: 'operator' }]);
    expect((await run('unlock', '--address', 'nowhere')).code).toBe(2);
  });

  it('frees the known devices of an account, and leaves strangers locked', async () => {
    const names = { identifier: 'alice', account: 'alice', address: undefined, isKnownDevice: true };
    const about = { userAgent: 'Firefox', address: '192.0.2.7' };
    const { id } = await devices.remember({ id: 'alice' }, deviceName(names), '', about);
    for (let count = 0; count < 10; count += 1) {
      const attempt = await attempts.reserve(names);
      if (attempt.granted) await attempt.fail();
    }
    expect(await attempts.status('alice')).toMatchObject({ locked: true, devices: { locked: true } });
    const ran = await run('unlock', '--device', id, '--account', 'alice');
    expect(ran.stdout).toContain('The known devices of alice are unlocked');
    expect(await attempts.status('alice')).toMatchObject({ locked: true, devices: { locked: false } });
    const unknown = await run('unlock', '--device', 'nope', '--account', 'alice');
    expect(unknown).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'koa-portcullis: alice has no known device nope\n',
    });
  });
});

describe('why', () => {
  it('says what refuses a login, which window is full, and until when', async () => {
    await lock('alice');
    await note({
      name: 'login.refused',
      outcome: 'refused',
      account: 'alice',
      reason: 'locked out',
      requestId: 'r-1',
    });
    const { code, stdout } = await run('why', 'alice', '--address', '192.0.2.7');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^A login of alice is refused now: the account is locked for (?:1 minute|\d+ seconds?)\.\n/,
    );
    expect(stdout).toMatch(
      /account: locked for (?:1 minute|\d+ seconds?), until 20\S+Z\n {2}8 of 8 failures in 1 minute {2}<- full/,
    );
    expect(stdout).toContain('8 of 16 failures in 1 hour');
    expect(stdout).toContain('known devices (0): open');
    expect(stdout).toContain('enrolled: no second factor');
    expect(stdout).toContain('address 192.0.2.7: open\n  8 of 100 failures in 1 minute');
    expect(stdout).toContain('login.refused  locked out');
    expect(stdout).toContain('the account was locked by failures before');
  });

  it('says it of factors, enrolled and suspended', async () => {
    await enrol('alice');
    await factors.verify({ id: 'alice' }, { kind: 'totp', code: '000000' });
    const { stdout } = await run('why', 'alice');
    expect(stdout).toMatch(/^Nothing refuses a login of alice now\.\n/);
    expect(stdout).toContain(
      'enrolled: totp Phone; 10 emergency codes left\n  1 wrong code in a row, of 100',
    );
    expect(await json('why', 'alice')).toMatchObject({
      account: 'alice',
      factors: { wrongCodes: 1, suspended: false, locked: false, failures: [1, 1, 1] },
      refusals: [],
    });
  });

  it('finds the refusals of a name that the app did not resolve', async () => {
    const [, subject = ''] = attempts.subjectsOf('alice');
    await note({ name: 'login.failed', outcome: 'failed', subject, reason: 'wrong password' });
    await note({
      name: 'login.failed',
      outcome: 'failed',
      subject: 'f'.repeat(64),
      reason: 'wrong password',
    });
    const { refusals } = await json('why', 'alice');
    expect(refusals).toMatchObject([{ subject }]);
  });

  it('tells one request in its order', async () => {
    await note({
      name: 'second_factor.requested',
      outcome: 'requested',
      account: 'alice',
      requestId: 'r-7',
      time: 1,
    });
    await note({
      name: 'second_factor.failed',
      outcome: 'failed',
      account: 'alice',
      reason: 'replayed',
      requestId: 'r-7',
      time: 2,
    });
    const { stdout } = await run('why', '--request', 'r-7');
    expect(stdout).toMatch(
      /^request r-7:\n.*second_factor\.requested.*\n.*\n.*\n.*second_factor\.failed {2}replayed/,
    );
    expect(stdout).toContain('the code was right and had been used before');
    expect((await run('why', '--request', 'r-8')).stdout).toBe('request r-8: the log has nothing of it\n');
  });
});

describe('tokens', () => {
  it('lists live tokens by id, and no secret', async () => {
    const secret = await giveToken('robot');
    const { stdout } = await run('tokens', 'robot');
    const id = await idOf('robot');
    expect(stdout).toMatch(/^ID +NAME +CARRY +CREATED/);
    expect(stdout).toMatch(new RegExp(`${id}  laptop  bearer +20\\S+Z  20\\S+Z  never +- +root`));
    const listed = await json('tokens', 'robot');
    expect(listed).toMatchObject({ account: 'robot', tokens: [{ id, name: 'laptop', issuer: 'root' }] });
    expect(stdout + JSON.stringify(listed)).not.toContain(secret.slice(5, 20));
  });

  it('ends one, and never that of another account', async () => {
    const secret = await giveToken('robot');
    await giveToken('other');
    const id = await idOf('other');
    expect(await run('tokens', 'robot', '--revoke', id)).toMatchObject({ code: 1, stdout: '' });
    expect(await tokens.list({ id: 'other' })).toHaveLength(1);
    const [own] = await tokens.list({ id: 'robot' });
    expect((await run('tokens', 'robot', '--revoke', own?.id ?? '')).stdout).toContain(
      'ended.\nThe login log has it.',
    );
    expect(await tokens.check(secret)).toBeNull();
    expect(await entries()).toMatchObject([{ name: 'token.revoked', account: 'robot', actor: 'operator' }]);
  });

  it('ends all', async () => {
    await giveToken('robot');
    await giveToken('robot');
    expect(await json('tokens', 'robot', '--revoke-all')).toEqual({
      account: 'robot',
      revoked: 2,
      logged: true,
    });
    expect(await tokens.list({ id: 'robot' })).toEqual([]);
    expect((await run('tokens', 'robot')).stdout).toBe('robot has no live token.\n');
  });
});

describe('factors', () => {
  it('shows what is enrolled', async () => {
    await enrol('alice');
    const { stdout } = await run('factors', 'alice');
    expect(stdout).toMatch(/^TYPE {2}NAME {3}ENROLLED/);
    expect(stdout).toMatch(/totp {2}Phone {2}20\S+Z +never/);
    expect(stdout).toContain('10 emergency codes are left.');
    expect((await run('factors', 'bob')).stdout).toBe('bob has no second factor.\n');
  });

  it('resets, with tokens, and keeps who did it', async () => {
    await enrol('alice');
    const secret = await giveToken('alice');
    const { code, stdout } = await run('factors', 'alice', '--reset', '--actor', 'carol');
    expect(code).toBe(0);
    expect(stdout).toContain('1 second factors of alice are removed');
    expect((await factors.status({ id: 'alice' })).factors).toEqual([]);
    expect(await tokens.check(secret)).toBeNull();
    expect(await entries()).toMatchObject([{ name: 'factors.reset', account: 'alice', actor: 'carol' }]);
  });

  it('resets nothing for whom the factors are (I14)', async () => {
    await enrol('alice');
    const ran = await run('factors', 'alice', '--reset', '--actor', 'ALICE ');
    expect(ran).toMatchObject({ code: 1, stdout: '' });
    expect(ran.stderr).toContain('nobody resets their own second factors');
    expect((await factors.status({ id: 'alice' })).factors).toHaveLength(1);
    expect(await entries()).toEqual([]);
  });

  it('resets nothing without a log (I14)', async () => {
    await enrol('alice');
    cli.writeConfig(
      'no-log.js',
      `export { attempts, tokens, factors, close } from './portcullis.config.js';`,
    );
    const ran = await run('factors', 'alice', '--reset', '--config', 'no-log.js');
    expect(ran).toMatchObject({ code: 1, stdout: '' });
    expect(ran.stderr).toContain('a reset without a record is not done');
    expect((await factors.status({ id: 'alice' })).factors).toHaveLength(1);
  });
});

describe('audit', () => {
  it('prints the report', async () => {
    const { code, stdout } = await run('audit');
    expect(code).toBe(0);
    expect(stdout).toContain('NIST SP 800-63B-4: ');
    expect(stdout).toContain('A stranger who fails on purpose locks out strangers, not known devices.');
    expectHarmless(stdout);
    const { weak, enforced, requirements } = await json('audit');
    for (const list of [weak, enforced, requirements]) expect(list).not.toEqual([]);
    expect(stdout + JSON.stringify(requirements)).not.toContain(sealingKey.toString('hex').slice(0, 8));
  });
});

describe('the example of a module', () => {
  const keys = { FACTOR_KEY: newKey(), DEVICE_KEY: newKey(), EVENT_KEY: newKey(), LOG_KEY: newKey() };
  const { code: example } = transformSync(readFileSync('examples/operators/portcullis.config.ts', 'utf8'), {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
  });

  it('serves every command, and refuses to run without its keys', async () => {
    cli.writeConfig('example.js', example);
    const env = { REDIS_URL: server.url, ...keys };
    const commands = [
      ['locks'],
      ['why', 'alice'],
      ['tokens', 'alice'],
      ['factors', 'alice'],
      ['unlock', 'alice'],
    ];
    const ran = await Promise.all(commands.map((args) => cli.run([...args, '--config', 'example.js'], env)));
    expect(ran.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      commands.map(() => ({ code: 0, stderr: '' })),
    );
    const audited = await cli.run(['audit', '--json', '--config', 'example.js'], env);
    const { weak } = JSON.parse(audited.stdout) as { weak: { code: string }[] };
    expect(weak.map(({ code }) => code)).toEqual([
      'pending_unbound',
      'factors_not_durable',
      'hashes_missing',
      'store_not_durable',
      'watch_missing',
    ]);
    for (const key of Object.values(keys)) expect(audited.stdout).not.toContain(key);
    const without = await cli.run(['audit', '--config', 'example.js'], { REDIS_URL: server.url });
    expect(without.stderr).toContain('must be set');
  });
});

function newKey(): string {
  return randomBytes(32).toString('hex');
}

describe('what is printed', () => {
  it('lets no name, label or client move a terminal or pose as a line (LOG-04)', async () => {
    await lock(hostile);
    await giveToken(hostile, hostile);
    await note({
      name: 'login.failed',
      outcome: 'failed',
      account: hostile,
      reason: hostile,
      userAgent: hostile,
      requestId: 'r-1',
    });
    const commands = [
      ['locks'],
      ['why', hostile],
      ['why', '--request', 'r-1'],
      ['tokens', hostile],
      ['factors', hostile],
      ['unlock', hostile],
    ];
    for (const command of commands) {
      const [text, value] = await Promise.all([run(...command), run(...command, '--json')]);
      expect([text.code, value.code]).toEqual([0, 0]);
      expectHarmless(text.stdout, text.stderr, value.stdout, value.stderr);
      expect(text.stdout).not.toMatch(/^root: unlocked/m);
    }
    // A backslash of a name is not taken for one of ours.
    expect((await run('tokens', 'x\\u0041')).stdout).toBe('x\\u005cu0041 has no live token.\n');
    expect(await json('tokens', hostile)).toMatchObject({ account: hostile, tokens: [{ name: hostile }] });
    expectHarmless((await run(hostile)).stderr, (await run('locks', `--${hostile}`)).stderr);
  }, 120_000);
});
