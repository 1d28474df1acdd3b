import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type Koa from 'koa';
import request, { type Test } from 'supertest';
import { app as ownPasswordStep } from '../examples/own-password-step.js';
import { app as loginLog, log } from '../examples/login-log.js';
import { app as ownRefusals } from '../examples/own-refusals.js';
import { app as dashboardApp } from '../examples/dashboard.js';
import { appOn as appOnFactors, openFactors } from '../examples/durable-factors.js';
import { app as oneModel } from '../examples/one-model.js';
import { api, app as oauthApi, logIn, logOut } from '../examples/oauth-api.js';
import { app as organisation, resets } from '../examples/organisation.js';
import { app as knownDevices, attempts as attemptsOfDevices } from '../examples/known-devices.js';
import { appOn, fileAttempts } from '../examples/own-store.js';
import { app as ownThresholds } from '../examples/own-thresholds.js';
import { app as robots, changes } from '../examples/robots.js';
import { app as secondFactors } from '../examples/second-factors.js';
import { app as stepUp } from '../examples/step-up.js';
import type { AttemptSubject } from '../src/core/attempt-store.js';
import { fakeClock } from './rig/fake-clock.js';
import { codeOf } from './rig/totp-code.js';

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
  const files = readdirSync('examples').filter(
    (name) =>
      name.endsWith('.ts') &&
      !['run-directly.ts', 'second-factors-page.ts', 'dashboard-pages.ts'].includes(name),
  );

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

/** Enrols an authenticator app with the code of the last step, so that the present one is still unused. */
async function enrol(app: Koa, token: string): Promise<{ secret: string; id: string; codes: string[] }> {
  // What follows takes a second: no step may end meanwhile.
  const leftMs = 30_000 - (Date.now() % 30_000);
  if (leftMs < 5000) await sleep(leftMs + 50);
  const send = (path: string, body: object) =>
    request(app.callback()).post(path).set('Authorization', `Bearer ${token}`).send(body);
  const begun = await send('/second-factors/totp', {});
  expect(begun.status).toBe(200);
  const { secret } = begun.body as { secret: string };
  const confirmed = await send('/second-factors/totp/confirm', { otp_token: codeNow(secret, -1) });
  expect(confirmed.status).toBe(201);
  const { id, backup_codes: codes } = confirmed.body as { id: string; backup_codes: string[] };
  return { secret, id, codes };
}

function codeNow(secret: string, steps = 0): string {
  return codeOf(secret, Math.floor(Date.now() / 30_000) + steps);
}

function loginWith(app: Koa, username: string, otp_token: string): Test {
  const body = { username, password: rightPassword, otp_token };
  return request(app.callback()).post('/tokens').send(body);
}

describe('second-factors', () => {
  it('serves a page, enrols, asks for the factor at the next login, and lets it be removed', async () => {
    const page = await request(secondFactors.callback()).get('/');
    expect(page.type).toBe('text/html');
    expect(page.text).toContain('parseCreationOptionsFromJSON');

    const first = await login(secondFactors, '/tokens', 'alice', rightPassword);
    const { codes, id } = await enrol(secondFactors, tokenIn(first));
    const pending = await login(secondFactors, '/tokens', 'alice', rightPassword);
    expect(pending.body).toMatchObject({ error: 'second_factor_required', methods: ['totp', 'backup_code'] });

    // The first token is of a login without the factor: it changes nothing any more.
    const remove = (token: string) =>
      request(secondFactors.callback())
        .delete(`/second-factors/${id}`)
        .set('Authorization', `Bearer ${token}`);
    expect((await remove(tokenIn(first))).body).toMatchObject({ error: 'insufficient_user_authentication' });
    const { pending: handle } = pending.body as { pending: string };
    const second = await request(secondFactors.callback())
      .post('/tokens/second-factor')
      .send({ pending: handle, otp_token: codes[0] });
    expect(second.status).toBe(200);
    expect((await remove(tokenIn(second))).status).toBe(204);
    expect((await login(secondFactors, '/tokens', 'alice', rightPassword)).status).toBe(200);
  });
});

describe('known-devices', () => {
  it('lets alice in from her browser while strangers are locked out, and shows it to her', async () => {
    const server = knownDevices.listen(0);
    const browser = request.agent(server);
    const logIn = (by: ReturnType<typeof request.agent>) =>
      by.post('/tokens').type('form').send({ username: 'alice', password: rightPassword });
    try {
      await logIn(browser).expect(200);
      const guesses = await statusesOf(9, () => login(knownDevices, '/tokens', 'alice', 'guess'));
      expect(guesses).toEqual([...Array<number>(8).fill(401), 429]);
      await logIn(request.agent(server)).expect(429);
      const token = tokenIn(await logIn(browser).expect(200));
      const listed = await browser.get('/own/devices').set('Authorization', `Bearer ${token}`).expect(200);
      expect(listed.body).toMatchObject({ devices: [{ current: true, address: '127.0.0.1' }] });
      await browser.put('/password').set('Authorization', `Bearer ${token}`).expect(204);
      await logIn(browser).expect(200);
      await browser.delete('/own/devices').set('Authorization', `Bearer ${token}`).expect(204);
      await logIn(browser).expect(429);
      expect(await attemptsOfDevices.unlock('alice')).toBe(true);
      await logIn(request.agent(server)).expect(200);
    } finally {
      server.close();
    }
  });
});

describe('step-up', () => {
  it('lets a fresh login change what a token alone does not, and only one with a factor end it all', async () => {
    const token = tokenIn(await login(stepUp, '/tokens', 'alice', rightPassword));
    expect((await get(stepUp, '/reports', token)).status).toBe(200);
    const agent = request(stepUp.callback());
    const payout = await agent.put('/payout').set('Authorization', `Bearer ${token}`).send({ iban: 'XX00' });
    expect(payout.status).toBe(204);
    const ended = await agent.delete('/organisation').set('Authorization', `Bearer ${token}`);
    expect(ended.status).toBe(401);
    expect(ended.body).toMatchObject({ error: 'insufficient_user_authentication', max_age: 120 });
    expect(ended.headers['www-authenticate']).toContain('max_age="120"');
  });
});

function noCode(): Promise<never> {
  return Promise.reject(new Error('no code is needed'));
}

describe('oauth-api', () => {
  it('logs a command line in, with a code where one is needed, and out', async () => {
    const secret = randomBytes(32).toString('hex');
    const running = api('https://acme.example', secret);
    const server = running.listen(0);
    try {
      const base = `http://localhost:${(server.address() as AddressInfo).port}`;
      const alice = { username: 'alice', password: rightPassword, scope: 'reports factors' };
      const first = await logIn(base, alice, noCode);
      const { secret: totp } = await enrol(running, first);
      const asked: (readonly string[])[] = [];
      const token = await logIn(base, alice, async (methods) => {
        asked.push(methods);
        return codeNow(totp);
      });
      expect(asked).toEqual([['totp', 'backup_code']]);
      expect((await get(running, '/reports', token)).body).toEqual({ reports: [], for: 'alice' });

      const introspect = () =>
        request(running.callback())
          .post('/oauth/introspect')
          .auth('reports-server', secret)
          .type('form')
          .send({ token });
      expect((await introspect()).body).toMatchObject({
        active: true,
        client_id: 'cli',
        amr: ['pwd', 'otp'],
      });
      await logOut(base, token);
      expect((await introspect()).body).toEqual({ active: false });
      expect((await get(running, '/reports', token)).status).toBe(401);
      await expect(logIn(base, { ...alice, password: 'guess' }, noCode)).rejects.toThrow(/password is wrong/);
    } finally {
      server.close();
    }
  });

  it('says where its endpoints are', async () => {
    const metadata = await request(oauthApi.callback()).get('/.well-known/oauth-authorization-server');
    expect(metadata.body).toMatchObject({ token_endpoint: 'http://localhost:3000/oauth/token' });
  });
});

function reset(token: string, id: string): Test {
  const agent = request(organisation.callback());
  return agent.post(`/members/${id}/second-factors/reset`).set('Authorization', `Bearer ${token}`);
}

describe('login-log', () => {
  it('shows an owner what happened in the own organisation, and to nobody anything else', async () => {
    for (const name of ['bob', 'carol', 'nobody']) await login(loginLog, '/tokens', name, 'guess');
    const bobs = tokenIn(await login(loginLog, '/tokens', 'bob', rightPassword));
    const owners = tokenIn(await login(loginLog, '/tokens', 'alice', rightPassword));
    await log.flush();
    for (const query of ['', '?organisation=globex', '?account=u3']) {
      expect((await get(loginLog, `/log${query}`, owners)).status).toBe(403);
    }
    expect((await get(loginLog, '/log?organisation=acme', bobs)).status).toBe(403);
    const { body } = await get(loginLog, '/log?organisation=acme&outcome=failed', owners);
    expect(body).toMatchObject({ entries: [{ account: 'u2', name: 'login.failed', organisation: 'acme' }] });
    const csv = await get(loginLog, '/log?organisation=acme&format=csv', owners);
    expect(csv.text).toContain('"login.succeeded","succeeded","u1"');
    expect(csv.text).not.toContain('u3');
  });

  it('keeps what an owner does before it is done, and shows that nobody changed it', async () => {
    const token = tokenIn(await login(loginLog, '/tokens', 'alice', rightPassword));
    const unlock = (name: string) =>
      request(loginLog.callback()).delete(`/locks?name=${name}`).set('Authorization', `Bearer ${token}`);
    await unlock('bob').expect(204);
    await unlock('carol').expect(403);
    const { entries } = await log.query({ names: ['account.unlocked'] });
    expect(entries).toMatchObject([{ account: 'u2', actor: 'u1', organisation: 'acme' }]);
    await log.flush();
    const { entries: all } = await log.query({ limit: 200 });
    expect(await log.verify()).toMatchObject({ ok: true, entries: all.length });
  });
});

describe('organisation', () => {
  it('holds back who has no factor, lets an owner reset others, and shows who has one', async () => {
    const bobs = tokenIn(await login(organisation, '/tokens', 'bob', rightPassword));
    expect((await get(organisation, '/reports', bobs)).body).toMatchObject({ error: 'enrolment_required' });
    const robots = tokenIn(await login(organisation, '/tokens', 'ci', rightPassword));
    expect((await get(organisation, '/reports', robots)).status).toBe(200);

    const bob = await enrol(organisation, bobs);
    expect((await get(organisation, '/reports', bobs)).status).toBe(200);
    const strong = tokenIn(await loginWith(organisation, 'bob', codeNow(bob.secret)));
    const last = await request(organisation.callback())
      .delete(`/second-factors/${bob.id}`)
      .set('Authorization', `Bearer ${strong}`);
    expect(last.body).toMatchObject({ error: 'conflict' });
    expect((await reset(strong, 'alice')).body).toMatchObject({ error: 'forbidden' });

    const alice = await enrol(
      organisation,
      tokenIn(await login(organisation, '/tokens', 'alice', rightPassword)),
    );
    const owners = tokenIn(await loginWith(organisation, 'alice', codeNow(alice.secret)));
    expect((await reset(owners, 'alice')).body).toMatchObject({ error: 'cannot_reset_self' });
    expect((await reset(owners, 'nobody')).status).toBe(404);
    const csv = await get(organisation, '/members/second-factors?format=csv', owners);
    expect(csv.text).toContain('"bob","Bob","totp","Authenticator app"');
    expect((await get(organisation, '/members/second-factors?limit=2', owners)).body).toMatchObject({
      members: [
        { id: 'alice', enrolled: true },
        { id: 'bob', enrolled: true, backup_codes_left: 10 },
      ],
      next: 'bob',
    });

    expect((await reset(owners, 'bob')).status).toBe(204);
    expect(resets).toMatchObject([{ actor: 'alice', target: 'bob', factors: [{ type: 'totp' }] }]);
    expect((await get(organisation, '/reports', strong)).status).toBe(401);
    const afterwards = tokenIn(await login(organisation, '/tokens', 'bob', rightPassword));
    expect((await get(organisation, '/reports', afterwards)).body).toMatchObject({
      error: 'enrolment_required',
    });
  });
});

function send(method: 'get' | 'post' | 'delete', path: string, token: string, body?: object): Test {
  return request(robots.callback())[method](path).set('Authorization', `Bearer ${token}`).send(body);
}

describe('robots', () => {
  it('gives a robot a token that deploys, manages nothing, and ends when its administrator says so', async () => {
    const nightly = { name: 'nightly', scope: 'deploy' };
    const weak = tokenIn(await login(robots, '/tokens', 'alice', rightPassword));
    const refused = await send('post', '/robots/ci/tokens', weak, nightly);
    expect(refused.body).toMatchObject({ error: 'insufficient_user_authentication' });

    const { secret } = await enrol(robots, weak);
    const strong = tokenIn(await loginWith(robots, 'alice', codeNow(secret)));
    const issued = await send('post', '/robots/ci/tokens', strong, nightly);
    expect([issued.status, issued.body]).toEqual([
      201,
      expect.objectContaining({ name: 'nightly', scope: 'deploy', expires_in: 86_400 }),
    ]);
    expect((await send('post', '/robots/alice/tokens', strong, nightly)).status).toBe(404);
    const robot = tokenIn(issued);
    expect((await send('post', '/deploys', robot)).body).toEqual({ deployed: true, by: 'ci' });
    for (const path of ['/own/tokens', '/robots/ci/tokens'])
      expect((await send('get', path, robot)).body).toMatchObject({ error: 'forbidden' });

    const listed = await send('get', '/robots/ci/tokens', strong);
    const { id } = issued.body as { id: string };
    expect(listed.body).toMatchObject({ tokens: [{ id, issued_by: 'alice' }] });
    expect((await send('delete', `/robots/ci/tokens/${id}`, strong)).status).toBe(204);
    expect((await send('post', '/deploys', robot)).status).toBe(401);
    expect(changes).toMatchObject([{ action: 'issue', actor: 'alice', robot: 'ci' }, { action: 'revoke' }]);
  });
});

describe('durable-factors', () => {
  it('asks for an imported factor, also after a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-durable-'));
    try {
      const url = `file:${join(folder, 'factors.db')}`;
      const keys = [randomBytes(32)];
      const secret = 'JBSWY3DPEHPK3PXP'; // 80 bits, as older systems gave them
      const db = await openFactors(url);
      const first = await appOnFactors(db, keys, new Map([['alice', secret]]));
      expect((await login(first, '/tokens', 'alice', rightPassword)).body).toMatchObject({
        error: 'second_factor_required',
      });
      expect((await loginWith(first, 'alice', codeNow(secret))).status).toBe(200);
      await db.destroy();

      const again = await openFactors(url);
      const second = await appOnFactors(again, keys, new Map([['alice', secret]]));
      expect((await login(second, '/tokens', 'alice', rightPassword)).status).toBe(401);
      // The last step that was accepted lives with the factor, so it outlives the restart.
      expect((await loginWith(second, 'alice', codeNow(secret, -1))).status).toBe(401);
      await again.destroy();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('dashboard', () => {
  it('logs in by forms, in two steps once there is a factor, and out again', async () => {
    const server = dashboardApp.listen(0);
    const browser = request.agent(server);
    const post = (path: string, form: object = {}) => browser.post(path).type('form').send(form);
    const right = { username: 'alice', password: rightPassword };
    try {
      await browser.get('/').expect(302).expect('Location', '/login');
      expect((await browser.get('/login').expect(200)).text).toContain('name="password"');
      const wrong = await post('/login', { ...right, password: '<b>wrong</b>' }).expect(401);
      expect(wrong.text).toContain('role="alert"');
      expect(wrong.text).not.toContain('<b>');

      const loggedIn = await post('/login', right).expect(303).expect('Location', '/');
      expect(String(loggedIn.headers['set-cookie'])).toMatch(/^portcullis_session=pcss_.*; httponly$/);
      await browser.get('/').expect(200, /alice.*Page views in this session: 1\./s);
      await browser.get('/').expect(200, /Page views in this session: 2\./);
      await request(server).get('/').expect(302);
      await post('/logout').set('Origin', 'https://evil.example').expect(403);

      const leftMs = 30_000 - (Date.now() % 30_000);
      if (leftMs < 5000) await sleep(leftMs + 50);
      const enrolment = await post('/totp').expect(200);
      const secret = /<code>([A-Z2-7]+)<\/code>/.exec(enrolment.text)?.[1] ?? '';
      const codes = await post('/totp/confirm', { otp_token: codeNow(secret, -1) }).expect(200);
      expect(codes.text.match(/<li><code>/g)).toHaveLength(10);

      await post('/logout').expect(303).expect('Location', '/login');
      await browser.get('/').expect(302);
      const second = await post('/login', right).expect(401);
      const pending = /name="pending" value="(pcpl_[\w-]+)"/.exec(second.text)?.[1] ?? '';
      const again = await post('/login/second-factor', { pending, otp_token: '000000' }).expect(401);
      expect(again.text).toContain(pending);
      await post('/login/second-factor', { pending, otp_token: codeNow(secret) }).expect(303);
      await browser.get('/').expect(200, /Page views in this session: 1\./);
      await post('/logout/everywhere').expect(303);
      await browser.get('/').expect(302);
    } finally {
      server.close();
    }
  });
});

describe('one-model', () => {
  it('has one list of logins for dashboard and command line, and each ends the other', async () => {
    const server = oneModel.listen(0);
    const browser = request.agent(server);
    const form = { username: 'alice', password: rightPassword };
    try {
      await browser.post('/login').type('form').send(form).expect(200);
      const cli = tokenIn(
        await request(server)
          .post('/tokens')
          .type('form')
          .send({ ...form, device: 'laptop' }),
      );
      const byHeader = { Authorization: `Bearer ${cli}` };
      expect((await browser.get('/reports').expect(200)).body).toMatchObject({
        for: 'alice',
        by: 'dashboard',
      });
      const asked = await request(server).get('/reports').set(byHeader).expect(200);
      expect(asked.body).toMatchObject({ for: 'alice', by: 'laptop' });

      const { body } = await browser.get('/own/tokens').expect(200);
      const { tokens } = body as { tokens: { id: string; name: string; current: boolean }[] };
      expect(tokens.map(({ name, current }) => [name, current])).toEqual([
        ['dashboard', true],
        ['laptop', false],
      ]);
      await browser.delete(`/own/tokens/${tokens[1]?.id}`).expect(204);
      await request(server).get('/reports').set(byHeader).expect(401);

      const again = tokenIn(await request(server).post('/tokens').type('form').send(form));
      await request(server).delete('/own/tokens/others').set('Authorization', `Bearer ${again}`).expect(204);
      await browser.get('/reports').expect(401);
    } finally {
      server.close();
    }
  });

  it('counts wrong passwords of both doors together (LCK-12)', async () => {
    const doors = ['/login', '/tokens'];
    const guess = (at: number) => login(oneModel, doors[at % 2] ?? '', 'mallory', 'guess');
    let sent = 0;
    expect(await statusesOf(12, () => guess((sent += 1)))).toEqual([
      ...Array<number>(10).fill(401),
      429,
      429,
    ]);
  });
});
