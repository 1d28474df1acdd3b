import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type Koa from 'koa';
import request, { type Test } from 'supertest';
import { app as ownPasswordStep } from '../examples/own-password-step.js';
import { app as ownRefusals } from '../examples/own-refusals.js';
import { appOn, fileAttempts } from '../examples/own-store.js';
import { app as ownThresholds } from '../examples/own-thresholds.js';
import type { AttemptSubject } from '../src/core/attempt-store.js';
import { fakeClock } from './rig/fake-clock.js';

const rightPassword = 'correct horse';

/** As the curl lines in the headers of the examples send it. */
function login(app: Koa, path: string, username: string, password: string): Test {
  return request(app.callback()).post(path).type('form').send({ username, password });
}

async function statusesOf(count: number, send: () => Test): Promise<number[]> {
  const statuses: number[] = [];
  while (statuses.length < count) statuses.push((await send()).status);
  return statuses;
}

function eventsOf(app: Koa): { name: string }[] {
  const events: { name: string }[] = [];
  app.on('auth', (event: { name: string }) => events.push(event));
  return events;
}

function get(app: Koa, path: string, token: string): Test {
  return request(app.callback()).get(path).set('Authorization', `Bearer ${token}`);
}

function tokenIn(response: { readonly body: unknown }): string {
  return String((response.body as { access_token?: unknown }).access_token);
}

describe('every example', () => {
  const files = readdirSync('examples').filter((name) => name.startsWith('own-'));

  it('is exercised here', () => {
    const here = readFileSync('test/examples.test.ts', 'utf8');
    expect(files.filter((name) => !here.includes(`'../examples/${name.replace('.ts', '.js')}'`))).toEqual([]);
  });

  it.each(files)('%s says in three lines what it shows, how to run it and what to send', (name) => {
    const [first = '', second = '', third = ''] = readFileSync(join('examples', name), 'utf8').split('\n');
    expect(first).toMatch(/^\/\/ [A-Z].*\.$/);
    expect(second).toMatch(/^\/\/ Run it: npm run build && /);
    expect(second.endsWith(`node build/examples/${name.replace('.ts', '.js')}`)).toBe(true);
    expect(third).toMatch(/^\/\/ curl /);
  });
});

describe('own-password-step', () => {
  it('leaves the old handler as it was, and counts its 401', async () => {
    const events = eventsOf(ownPasswordStep);
    const guess = () => login(ownPasswordStep, '/legacy-login', 'mallory', 'guess');
    expect(await statusesOf(12, guess)).toEqual([...Array<number>(10).fill(401), 429, 429]);
    expect(events.map(({ name }) => name)).toEqual([
      ...Array<string>(10).fill('login.failed'),
      'account.locked',
      ...Array<string>(2).fill('login.refused'),
    ]);
    const right = await login(ownPasswordStep, '/legacy-login', 'alice', rightPassword);
    expect(right.status).toBe(200);
    expect(right.body).toEqual({ hello: 'alice' });
  });

  it('goes on to a token that opens a route, with one line more', async () => {
    expect((await login(ownPasswordStep, '/login', 'alice', 'guess')).status).toBe(401);
    const right = await login(ownPasswordStep, '/login', 'alice', rightPassword);
    expect(right.status).toBe(200);
    const reports = await get(ownPasswordStep, '/reports', tokenIn(right));
    expect(reports.status).toBe(200);
    expect(reports.body).toEqual({ reports: [], for: 'alice' });
  });

  it('counts both doors together', async () => {
    await statusesOf(5, () => login(ownPasswordStep, '/legacy-login', 'trent', 'guess'));
    await statusesOf(5, () => login(ownPasswordStep, '/login', 'trent', 'guess'));
    expect((await login(ownPasswordStep, '/login', 'trent', 'guess')).status).toBe(429);
    expect((await login(ownPasswordStep, '/legacy-login', 'trent', 'guess')).status).toBe(429);
  });
});

describe('own-thresholds', () => {
  it('issues a token of 900 seconds that opens what its scope covers', async () => {
    const right = await login(ownThresholds, '/admin/tokens', 'root', rightPassword);
    expect(right.status).toBe(200);
    expect(right.body).toMatchObject({ expires_in: 900, scope: 'admin reports' });
    const admin = await get(ownThresholds, '/admin', tokenIn(right));
    expect(admin.status).toBe(200);
    expect(admin.body).toEqual({ scope: 'admin reports' });
    const billing = await get(ownThresholds, '/billing', tokenIn(right));
    expect(billing.status).toBe(403);
    expect(billing.headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="billing"');
  });

  it('locks for 5 minutes after 3 failures, for the right password too', async () => {
    const guess = () => login(ownThresholds, '/admin/tokens', 'root', 'guess');
    expect(await statusesOf(3, guess)).toEqual([401, 401, 401]);
    const refused = await login(ownThresholds, '/admin/tokens', 'root', rightPassword);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({ error: 'locked_out' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(295);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(300);
  });

  it('has no limit by address', async () => {
    let name = 0;
    const guess = () => login(ownThresholds, '/admin/tokens', `nobody-${(name += 1)}`, 'guess');
    expect(new Set(await statusesOf(110, guess))).toEqual(new Set([401]));
  });
});

describe('own-refusals', () => {
  it('answers problem details, with status and headers kept', async () => {
    const refused = await request(ownRefusals.callback()).get('/reports');
    expect(refused.status).toBe(401);
    expect(refused.headers).toMatchObject({
      'content-type': 'application/problem+json',
      'www-authenticate': 'Bearer',
      'cache-control': 'no-store',
    });
    expect(JSON.parse(refused.text)).toEqual({
      type: 'https://errors.example/invalid_token',
      title: expect.stringMatching(/access token/),
      status: 401,
    });
  });

  it('leaves other answers alone', async () => {
    const { status, text } = await request(ownRefusals.callback()).get('/nowhere');
    expect([status, text]).toEqual([404, 'Not Found']);
  });
});

describe('own-store', () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'portcullis-own-store-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('keeps a lock over a restart, and nobody else waits', async () => {
    const before = appOn(join(directory, 'restart'));
    const guess = () => login(before, '/login', 'alice', 'guess');
    expect(await statusesOf(11, guess)).toEqual([...Array<number>(10).fill(401), 429]);

    const after = appOn(join(directory, 'restart'));
    const refused = await login(after, '/login', 'alice', rightPassword);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({ error: 'locked_out' });
    const other = await login(after, '/login', 'bob', rightPassword);
    expect(other.status).toBe(200);
    expect(other.body).toEqual({ hello: true });
  });

  it('names no file after a person', async () => {
    await login(appOn(join(directory, 'names')), '/login', 'alice', 'guess');
    const files = readdirSync(join(directory, 'names'));
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((name) => !/^[0-9a-f]{64}\.json$/.test(name))).toEqual([]);
  });

  it('refuses the login when its disk fails', async () => {
    const app = appOn(join(directory, 'gone'));
    rmSync(join(directory, 'gone'), { recursive: true });
    const refused = await login(app, '/login', 'alice', rightPassword);
    expect(refused.status).toBe(503);
    expect(refused.body).toMatchObject({ error: 'store_unavailable' });
    expect(existsSync(join(directory, 'gone'))).toBe(false);
  });

  it('opens again when the lock has passed, and forgets what it is told to forget', async () => {
    const clock = fakeClock();
    const store = fileAttempts(join(directory, 'clock'), clock.now);
    const subject: AttemptSubject = {
      key: 'a'.repeat(64),
      limits: [{ failures: 2, withinMs: 1000, lockMs: 5000 }],
    };
    expect(await store.clearAttempts(subject)).toBe(false);
    await store.reserveAttempt([subject]);
    const second = await store.reserveAttempt([subject]);
    if (!second.granted) throw new Error('the second attempt was refused');
    expect(second.full).toBe(true);
    expect(await store.lockAttempts([subject], second.stamps)).toEqual([5000]);
    expect(await store.reserveAttempt([subject])).toMatchObject({ granted: false, closedForMs: 5000 });
    expect(await store.readAttempts(subject)).toMatchObject({ closedForMs: 5000, busy: false, counts: [2] });
    clock.advance(5);
    const later = await store.reserveAttempt([subject]);
    if (!later.granted) throw new Error('the lock did not pass');
    await store.releaseAttempt([subject], later.stamps);
    expect(await store.readAttempts(subject)).toMatchObject({ closedForMs: 0, counts: [0] });
    expect(await store.clearAttempts(subject)).toBe(true);
  });
});
