import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { generate } from 'otplib';
import { walkThrough } from '../examples/quick-start/walk-through.js';
import { range, startRangeServer, type RangeServer } from './rig/range-server.js';
import { startRedis, type RedisServer } from './rig/redis-server.js';

const goodPassword = 'Tin-Roof-Umbrella-7';

/** A copy of the package, built as `npm start` builds it. */
let folder: string;
let ranges: RangeServer;
/** What the walk-through answered, one text for each of its commands. */
let walk: Promise<readonly { readonly line: string; readonly said: string }[]>;
let shell: ChildProcess | undefined;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = buildCopy();
  ranges = await startRangeServer();
  ranges.reply(range({ 'Breached-Long-Ago-1': 3 }));
  // It sleeps for a minute: the other tests run meanwhile.
  walk = start({}, 'walk').then(({ printed }) => runInBash(commandsIn(printed())));
  walk.catch(() => {});
}, 60_000);

afterEach(() => endChildren((child) => !child.spawnargs.includes('walk')));

afterAll(async () => {
  // With all that it has started: where only some tests are run, it is still asleep.
  if (shell?.pid !== undefined && shell.exitCode === null) process.kill(-shell.pid, 'SIGKILL');
  await endChildren(() => true);
  await ranges.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the quick start', () => {
  it('prints a walk-through for the address that it listens on', async () => {
    const { url, printed } = await start();
    expect(url).toMatch(/^http:\/\/localhost:\d+$/);
    expect(printed()).toContain(walkThrough(url));
    expect(printed()).toContain('Store: memory');
    expect(printed()).toContain('FACTOR_KEYS is not set');
  });

  it('answers each route as documented', async () => {
    const { url } = await start();
    const alice = { username: 'alice', password: goodPassword };

    const signUp = await post(`${url}/signup`, alice);
    expect(signUp).toMatchObject({ status: 201, body: { id: expect.any(String), username: 'alice' } });
    const login = await post(`${url}/tokens`, alice);
    expect(login.status).toBe(200);
    const token = textOf(login.body, 'access_token');
    expect(login.body).toEqual({
      access_token: expect.stringMatching(/^pcat_/),
      token_type: 'Bearer',
      expires_in: 604_800,
      scope: '',
      id: expect.any(String),
      created_at: expect.any(String),
      expires_at: expect.any(String),
    });
    expect(await get(`${url}/me`, token)).toMatchObject({
      status: 200,
      body: { id: textOf(signUp.body, 'id'), username: 'alice', methods: ['pwd'], token: { scope: '' } },
    });

    const elsewhere = textOf((await post(`${url}/tokens`, alice)).body, 'access_token');
    const changed = await send('PUT', `${url}/password`, { password: 'Zinc-Gate-Lantern-4' }, token);
    expect(changed).toMatchObject({ status: 204, body: null });
    expect((await get(`${url}/me`, elsewhere)).status).toBe(401);
    const again = { username: 'alice', password: 'Zinc-Gate-Lantern-4' };
    expect((await post(`${url}/tokens`, alice)).status).toBe(401);

    const enrolment = await post(`${url}/totp`, {}, token);
    expect(enrolment.status).toBe(200);
    expect(Object.keys(enrolment.body ?? {})).toEqual(['secret', 'uri']);
    expect(enrolment.cacheControl).toBe('no-store');
    const secret = textOf(enrolment.body, 'secret');
    await awayFromStepEnd();
    const confirmed = await post(`${url}/totp/confirm`, { otp_token: await codeOf(secret, -30) }, token);
    expect(confirmed).toMatchObject({ status: 204, body: null });
    // The token is of a login without the factor that exists by now.
    for (const [method, path] of [
      ['POST', 'totp'],
      ['PUT', 'password'],
      ['POST', 'second-factors/backup-codes'],
    ] as const) {
      const refused = await send(method, `${url}/${path}`, { password: 'Zinc-Gate-Lantern-5' }, token);
      expect(refused).toMatchObject({ status: 401, body: { error: 'insufficient_user_authentication' } });
    }

    const first = await post(`${url}/tokens`, again);
    expect(first).toMatchObject({
      status: 401,
      body: { error: 'second_factor_required', methods: ['totp', 'backup_code'] },
    });
    const second = { pending: textOf(first.body, 'pending'), otp_token: await codeOf(secret) };
    const third = await post(`${url}/tokens/second-factor`, second);
    expect(third).toMatchObject({ status: 200, body: { token_type: 'Bearer' } });
    const newToken = textOf(third.body, 'access_token');
    expect((await get(`${url}/me`, newToken)).body).toMatchObject({ methods: ['pwd', 'otp'] });
    expect((await post(`${url}/tokens/second-factor`, second)).status).toBe(401);

    const listed = await get(`${url}/tokens`, newToken);
    expect(listed).toMatchObject({
      status: 200,
      cacheControl: 'no-store',
      body: {
        tokens: [
          { methods: ['pwd'], current: false },
          { methods: ['pwd', 'otp'], current: true },
        ],
      },
    });
    expect((await get(`${url}/tokens`)).status).toBe(401);
    expect((await send('DELETE', `${url}/tokens/unknown`, undefined, newToken)).status).toBe(404);
    expect((await send('DELETE', `${url}/tokens/current`, undefined, newToken)).status).toBe(204);
    expect((await get(`${url}/me`, newToken)).status).toBe(401);
    expect((await get(`${url}/me`, token)).status).toBe(200);
    expect((await send('DELETE', `${url}/tokens`, undefined, token)).status).toBe(204);
    expect((await get(`${url}/me`, token)).status).toBe(401);
  });

  it('refuses a taken name, a weak password, a breached one, JSON that is none and a token that is missing', async () => {
    const { url, events } = await start();
    const alice = { username: 'alice', password: goodPassword };
    await post(`${url}/signup`, alice);
    expect(await post(`${url}/signup`, { ...alice, username: ' ALICE ' })).toMatchObject({
      status: 409,
      body: { error: 'conflict' },
    });
    expect(await post(`${url}/signup`, { username: 'bob', password: 'short' })).toMatchObject({
      status: 422,
      body: { error: 'password_policy' },
    });
    expect(await post(`${url}/signup`, { username: 'bob', password: 'Breached-Long-Ago-1' })).toMatchObject({
      status: 422,
      body: { error: 'password_breached' },
    });
    const bad = await fetch(`${url}/tokens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{"username":"alice","password":"CANARY"',
    });
    expect(bad.status).toBe(400);
    expect(await bad.json()).toMatchObject({ error: 'invalid_request' });
    expect(await get(`${url}/me`)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    expect((await fetch(`${url}/nowhere`)).status).toBe(404);
    expect(events().map(({ name }) => name)).toEqual(['password.refused', 'password.refused']);
    expect(JSON.stringify(events())).not.toMatch(/CANARY|Breached-Long|short/);
  });

  it('sets passwords, and says so, while the breach service does not answer', async () => {
    const { url, events } = await start({ HIBP_BASE_URL: 'http://127.0.0.1:9' });
    expect((await post(`${url}/signup`, { username: 'alice', password: goodPassword })).status).toBe(201);
    expect(events()).toMatchObject([{ name: 'breach.skipped', reason: 'hibp_api' }]);
  });

  it('ends with code 1 and a sentence when it cannot listen', async () => {
    const { url } = await start();
    const { port } = new URL(url);
    const child = spawnQuickStart({ PORT: port });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    expect(await once(child, 'exit')).toEqual([1, null]);
    expect(said).toContain(`cannot listen on 127.0.0.1:${port}`);
  });

  it('ends with code 0 within 2 s of SIGTERM, while clients keep their connections', async () => {
    const { url, stop } = await start();
    await post(`${url}/signup`, { username: 'alice', password: goodPassword });
    const { code, tookMs } = await stop();
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(2000);
  });
});

describe('two quick starts on one Redis', () => {
  let redis: RedisServer;
  let one: Running;
  let other: Running;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  async function startBoth(): Promise<void> {
    const FACTOR_KEYS = randomBytes(32).toString('hex');
    const env = { REDIS_URL: redis.url, FACTOR_KEYS };
    [one, other] = await Promise.all([start(env), start(env)]);
    expect(one.printed()).toContain('Store: Redis.');
    expect(one.printed()).not.toContain('FACTOR_KEYS is not set');
  }

  it('act as one', async () => {
    await startBoth();
    const alice = { username: 'alice', password: goodPassword };
    expect((await post(`${one.url}/signup`, alice)).status).toBe(201);
    expect((await post(`${other.url}/signup`, alice)).status).toBe(409);
    const login = await post(`${other.url}/tokens`, alice);
    expect(login.status).toBe(200);
    const token = textOf(login.body, 'access_token');
    expect((await get(`${one.url}/me`, token)).status).toBe(200);

    const { body } = await post(`${one.url}/totp`, {}, token);
    await awayFromStepEnd();
    const otp_token = await codeOf(textOf(body, 'secret'), -30);
    expect((await post(`${other.url}/totp/confirm`, { otp_token }, token)).status).toBe(204);
    const first = await post(`${one.url}/tokens`, alice);
    expect(first.body).toMatchObject({ error: 'second_factor_required' });
    const second = {
      pending: textOf(first.body, 'pending'),
      otp_token: await codeOf(textOf(body, 'secret')),
    };
    expect((await post(`${other.url}/tokens/second-factor`, second)).status).toBe(200);

    expect((await send('DELETE', `${one.url}/tokens/current`, undefined, token)).status).toBe(204);
    expect((await get(`${other.url}/me`, token)).status).toBe(401);

    for (let guess = 0; guess < 10; guess += 1) {
      const { url } = guess % 2 === 0 ? one : other;
      expect((await post(`${url}/tokens`, { ...alice, password: `guess ${guess}` })).status).toBe(401);
    }
    for (const { url } of [one, other]) {
      expect(await post(`${url}/tokens`, alice)).toMatchObject({
        status: 429,
        body: { error: 'locked_out' },
      });
    }
    const locks = [...one.events(), ...other.events()].filter(({ name }) => name === 'account.locked');
    expect(locks).toHaveLength(1);
    expect(await other.stop()).toMatchObject({ code: 0 });
    expect(await one.stop()).toMatchObject({ code: 0 });
  });

  it.each(['hangs', 'is gone'])('refuse with 503, within a second, while it %s', async (fault) => {
    await startBoth();
    const carol = { username: `carol-${fault}`, password: goodPassword };
    await post(`${one.url}/signup`, carol);
    const token = textOf((await post(`${one.url}/tokens`, carol)).body, 'access_token');
    const { body } = await post(`${one.url}/totp`, {}, token);
    await post(`${one.url}/totp/confirm`, { otp_token: await codeOf(textOf(body, 'secret')) }, token);
    const pending = textOf((await post(`${one.url}/tokens`, carol)).body, 'pending');

    if (fault === 'hangs') redis.freeze();
    else await redis.kill();
    try {
      const requests = [
        () => post(`${one.url}/tokens`, carol),
        () => post(`${one.url}/tokens/second-factor`, { pending, otp_token: '000000' }),
        () => get(`${one.url}/me`, token),
        () => post(`${one.url}/totp`, {}, token),
        () => send('PUT', `${one.url}/password`, { password: goodPassword }, token),
        () => get(`${one.url}/tokens`, token),
        () => send('DELETE', `${one.url}/tokens/current`, undefined, token),
        () => send('DELETE', `${one.url}/tokens/others`, undefined, token),
        () => send('DELETE', `${one.url}/tokens`, undefined, token),
      ];
      for (const request of requests) {
        const asked = performance.now();
        expect(await request()).toMatchObject({ status: 503, body: { error: 'store_unavailable' } });
        expect(performance.now() - asked).toBeLessThan(1000);
      }
      expect((await post(`${one.url}/signup`, { username: 'dave', password: goodPassword })).status).toBe(
        503,
      );
    } finally {
      if (fault === 'hangs') redis.thaw();
      else await redis.restart();
    }
    // 401 as a factor is asked for, or, after the restart, as the account is lost.
    const loggedIn = async (): Promise<number> => (await post(`${one.url}/tokens`, carol)).status;
    let answered = await loggedIn();
    for (const until = Date.now() + 5000; answered === 503 && Date.now() < until;) {
      await sleep(100);
      answered = await loggedIn();
    }
    expect(answered).toBe(401);
  });

  it.each(['hangs', 'is gone'])('end with code 0 within 2 s of SIGTERM while it %s', async (fault) => {
    await startBoth();
    if (fault === 'hangs') redis.freeze();
    else await redis.kill();
    try {
      await sleep(300);
      for (const { stop } of [one, other]) {
        const { code, tookMs } = await stop();
        expect(code).toBe(0);
        expect(tookMs).toBeLessThan(2000);
      }
    } finally {
      if (fault === 'hangs') redis.thaw();
      else await redis.restart();
    }
  });
});

describe('the walk-through', () => {
  it('does what it says, pasted line by line into one shell', async () => {
    const answers = await walk;
    let next = 0;
    const answer = (start: string): string => {
      const { line = '', said = '' } = answers[next] ?? {};
      expect(line.startsWith(start)).toBe(true);
      next += 1;
      return said;
    };
    const json = (start: string): unknown => JSON.parse(answer(start));

    expect(json('curl')).toMatchObject({
      error: 'password_policy',
      violations: [{ rule: 'length' }, { rule: 'uppercase' }, { rule: 'digit_or_special' }],
    });
    expect(json('curl')).toMatchObject({ error: 'password_breached' });
    expect(json('curl')).toEqual({ id: expect.any(String), username: 'alice' });

    expect(answer('TOKEN=')).toBe('');
    expect(json('curl')).toMatchObject({ username: 'alice', methods: ['pwd'] });

    expect(answer('SECRET=')).toMatch(/█[^]*\n[A-Z2-7]{32}$/);
    expect(answer('code()')).toBe('');
    expect(answer('curl')).toBe('');

    expect(JSON.parse(answer('PENDING='))).toMatchObject({
      error: 'second_factor_required',
      pending: expect.stringMatching(/^pcpl_/),
    });
    expect(answer('sleep 30')).toBe('');
    expect(json('curl')).toMatchObject({ access_token: expect.stringMatching(/^pcat_/) });
    expect(answer('sleep 30')).toBe('');
    expect(JSON.parse(answer('TOKEN='))).toMatchObject({ access_token: expect.stringMatching(/^pcat_/) });

    const { backup_codes: codes } = JSON.parse(answer('CODE=')) as { backup_codes: string[] };
    expect(codes).toHaveLength(10);
    expect(json('curl')).toMatchObject({ access_token: expect.stringMatching(/^pcat_/) });
    expect(json('curl')).toMatchObject({
      factors: [{ type: 'totp', name: 'Authenticator app' }],
      backup_codes: { left: 9 },
    });

    const { tokens } = json('curl') as { tokens: { id: string; methods: string[]; current: boolean }[] };
    expect(tokens.map(({ methods, current }) => [methods.join(' '), current])).toEqual([
      ['pwd', false],
      ['pwd otp', false],
      ['pwd otp', true],
      ['pwd otp', false],
    ]);
    expect(answer('curl -s -X DELETE')).toBe('');
    expect(json('curl')).toMatchObject({ tokens: [{ id: tokens[2]?.id, current: true }] });

    expect(answer('curl -s -X DELETE')).toBe('');
    expect(json('curl')).toMatchObject({ error: 'invalid_token' });

    const guesses = answer('for')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { error: string }).error);
    expect(guesses).toEqual([...Array<string>(10).fill('invalid_credentials'), 'locked_out']);
    const locked = answer('curl');
    expect(locked).toMatch(/^HTTP\/1\.1 429 /);
    const [, seconds] = /^retry-after: (\d+)$/im.exec(locked) ?? [];
    expect(Number(seconds)).toBeGreaterThan(0);
    expect(Number(seconds)).toBeLessThanOrEqual(60);
    expect(locked).toContain('"error":"locked_out"');

    expect(next).toBe(answers.length);
  }, 120_000);
});

/** Not dist and build of the repository: another run may be making them anew at this moment. */
function buildCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'portcullis-quick-start-'));
  for (const name of ['package.json', 'tsconfig.json', 'src', 'examples']) {
    cpSync(name, join(copy, name), { recursive: true });
  }
  symlinkSync(join(process.cwd(), 'node_modules'), join(copy, 'node_modules'));
  const build = spawnSync('npm', ['run', '--silent', 'build'], { cwd: copy, encoding: 'utf8' });
  if (build.status !== 0) throw new Error(`The copy does not build:\n${build.stdout}${build.stderr}`);
  return copy;
}

interface Running {
  readonly url: string;
  readonly printed: () => string;
  readonly events: () => { name: string }[];
  readonly stop: () => Promise<{ code: number | null; tookMs: number }>;
}

function spawnQuickStart(env: Record<string, string>, mark = 'test'): ChildProcess {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, ['build/examples/quick-start/main.js', mark], {
    cwd: folder,
    env: { PATH, HIBP_BASE_URL: ranges.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

/** On a port of its own; resolves once it listens. */
async function start(env: Record<string, string> = {}, mark = 'test'): Promise<Running> {
  const child = spawnQuickStart({ PORT: '0', ...env }, mark);
  let printed = '';
  let failed = '';
  child.stderr?.on('data', (chunk: Buffer) => (failed += chunk.toString()));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      const found = /^Listening on (\S+)$/m.exec(printed)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`The quick start ended with ${code}:\n${failed}`)));
  });
  return {
    url,
    printed: () => printed,
    events: () => {
      const lines = printed.split('\n').filter((line) => line.startsWith('{'));
      return lines.map((line) => JSON.parse(line) as { name: string });
    },
    stop: async () => {
      const asked = performance.now();
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 5000);
      const [code] = (await exit) as [number | null];
      clearTimeout(late);
      return { code, tookMs: performance.now() - asked };
    },
  };
}

async function endChildren(which: (child: ChildProcess) => boolean): Promise<void> {
  for (const child of children.filter((one) => which(one))) {
    children.splice(children.indexOf(child), 1);
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}

/** The commands of the walk-through, without its comments. */
function commandsIn(printed: string): string[] {
  const [before = ''] = printed.split('\nStore: ');
  return before.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

async function runInBash(lines: readonly string[]): Promise<{ line: string; said: string }[]> {
  const mark = `end of a line ${randomBytes(8).toString('hex')}`;
  const script = join(folder, 'walk-through.sh');
  writeFileSync(script, lines.map((line) => `${line}\necho '${mark}'\n`).join(''));
  // A pipe, as tee can open no socket by the name of /dev/stderr, and Node's own pipes are sockets.
  const started = spawn('bash', ['-c', 'bash "$0" 2>&1 | cat', script], { cwd: folder, detached: true });
  shell = started;
  let said = '';
  started.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(started, 'close');
  const parts = said.split(`${mark}\n`);
  return lines.map((line, index) => ({ line, said: (parts[index] ?? '').trim() }));
}

interface Answer {
  readonly status: number;
  readonly cacheControl: string | null;
  readonly body: Record<string, unknown> | null;
}

async function send(method: string, url: string, fields?: object, token?: string): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(fields !== undefined && { 'Content-Type': 'application/json' }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    ...(fields !== undefined && { body: JSON.stringify(fields) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return {
    status: response.status,
    cacheControl: response.headers.get('cache-control'),
    body: isJson ? (JSON.parse(text) as Record<string, unknown>) : null,
  };
}

function post(url: string, fields: object, token?: string): Promise<Answer> {
  return send('POST', url, fields, token);
}

function get(url: string, token?: string): Promise<Answer> {
  return send('GET', url, undefined, token);
}

function textOf(body: Record<string, unknown> | null, name: string): string {
  const value = body?.[name];
  if (typeof value !== 'string') throw new Error(`No ${name} in ${JSON.stringify(body)}`);
  return value;
}

/** The code of now, or of the step before: so two codes in a row need no wait. */
function codeOf(secret: string, fromNowSeconds = 0): Promise<string> {
  return generate({ secret, epoch: Math.floor(Date.now() / 1000) + fromNowSeconds });
}

/** The code of the step before must not grow a step older under way. */
async function awayFromStepEnd(): Promise<void> {
  const leftMs = 30_000 - (Date.now() % 30_000);
  if (leftMs < 3000) await sleep(leftMs + 50);
}
