import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  memoryStore,
  requireToken,
  safeBody,
  secondFactorRoutes,
  type AuthEvent,
  type AuthState,
} from 'koa-portcullis';
import request from 'supertest';
import { fakeClock } from './rig/fake-clock.js';
import { mountLogin, password } from './rig/login-chain.js';

/** RFC 6238 appendix B: the key of the SHA-1 vectors, and the last six of their eight digits. */
const rfcSecret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const rfcVectors: readonly (readonly [seconds: number, code: string])[] = [
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
];

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** The login of the README and the factor routes, by a clock of its own. */
function mount(startMs?: number) {
  const clock = fakeClock(startMs);
  const store = memoryStore();
  const attempts = new Lockout({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)], now: clock.now });
  const tokens = new AccessTokens({ store });
  const router = new Router<AuthState>();
  mountLogin(router, { attempts, factors, tokens });
  router.use('/second-factors', requireToken(tokens), secondFactorRoutes(factors).routes());

  const app = new Koa();
  const events: string[] = [];
  app.on('auth', ({ name, ...facts }: AuthEvent) => {
    events.push('reason' in facts ? `${name} ${facts.reason}` : name);
  });
  app.use(safeBody(bodyParser()));
  app.use(router.routes()).use(router.allowedMethods());
  const server = app.listen(0);
  servers.push(server);

  /** Both steps of a login. */
  async function logIn(code: string): Promise<request.Response> {
    const first = await request(server).post('/tokens').send({ username: 'alice', password });
    expect(first.body.error).toBe('second_factor_required');
    const { pending } = first.body;
    events.length = 0;
    return request(server).post('/tokens/second-factor').send({ pending, otp_token: code });
  }

  return { clock, factors, server, events, logIn };
}

/** The code that the tool shows, for a base32 secret as it is typed in. Without a time, the code of this moment. */
function codeOf(secret: string, seconds?: number): string {
  const at = seconds === undefined ? [] : ['-N', `@${seconds}`];
  const { error, status, stdout, stderr } = spawnSync('oathtool', ['--totp', '-b', ...at, secret], {
    encoding: 'utf8',
  });
  if (error !== undefined || status !== 0)
    throw new Error(`oathtool failed: ${error?.message ?? stderr.trim()}`);
  return stdout.trim();
}

describe('oathtool, a TOTP client that knows nothing of this package', () => {
  beforeAll(() => {
    if (spawnSync('oathtool', ['--version']).error === undefined) return;
    throw new Error(
      'oathtool is not installed: apt-get install oathtool (Debian, Ubuntu), brew install oath-toolkit (macOS)',
    );
  });

  it('enrols through the routes with the shown secret, and logs in then and in years to come', async () => {
    const { clock, server, events, logIn } = mount(Date.now());
    const login = await request(server).post('/tokens').send({ username: 'alice', password }).expect(200);
    const bearer = `Bearer ${login.body.access_token}`;
    const begun = await request(server)
      .post('/second-factors/totp')
      .set('Authorization', bearer)
      .send({})
      .expect(200);
    const { secret, uri } = begun.body;
    expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(Object.fromEntries(new URL(uri).searchParams)).toEqual({
      secret,
      issuer: 'Acme',
      algorithm: 'SHA1',
      digits: '6',
      period: '30',
    });

    const enrolled = Math.floor(clock.now() / 1000);
    await request(server)
      .post('/second-factors/totp/confirm')
      .set('Authorization', bearer)
      .send({ otp_token: codeOf(secret, enrolled) })
      .expect(201);
    expect(events.at(-1)).toBe('factor.enrolled');

    const used = await logIn(codeOf(secret, enrolled));
    expect([used.status, used.body.error]).toEqual([401, 'invalid_second_factor']);
    expect(events).toEqual(['second_factor.failed replayed', 'totp.replayed']);

    const year = 365 * 86_400;
    for (const later of [30, 60, 3600, year, 20 * year, 100 * year]) {
      clock.set((enrolled + later) * 1000);
      const { status } = await logIn(codeOf(secret, enrolled + later));
      expect([later, status]).toEqual([later, 200]);
      expect(events).toEqual(['token.issued', 'login.succeeded']);
    }
  });

  it('logs in with the code of this moment, by the clocks of both', async () => {
    const { clock, factors, logIn } = mount(Date.now());
    await factors.importTotp({ id: 'alice' }, { secret: rfcSecret });
    const code = codeOf(rfcSecret);
    clock.set(Date.now());
    expect((await logIn(code)).status).toBe(200);
  });

  it.each([
    ['160 bits', rfcSecret, rfcSecret],
    ['160 bits, spelt as services show it', rfcSecret, 'gezd gnbv gy3t qojq gezd gnbv gy3t qojq'],
    ['80 bits', 'GEZDGNBVGY3TQOJQ', 'GEZDGNBVGY3TQOJQ'],
    ['80 bits of the samples of Google Authenticator', 'JBSWY3DPEHPK3PXP', 'jbsw y3dp ehpk 3pxp'],
    ['88 bits, padded', 'GEZDGNBVGY3TQOJQGE======', 'GEZDGNBVGY3TQOJQGE======'],
    [
      '512 bits',
      'GEZDGNBVGY3TQOJQ'.repeat(6).concat('GEZDGNA='),
      'GEZDGNBVGY3TQOJQ'.repeat(6).concat('GEZDGNA'),
    ],
  ])('logs in by an imported secret of %s, from 1970 to 2603', async (_name, typed, imported) => {
    const { clock, factors, logIn, events } = mount(0);
    const { outcome } = await factors.importTotp({ id: 'alice' }, { secret: imported });
    expect(outcome).toBe('added');
    for (const [seconds] of rfcVectors) {
      clock.set(seconds * 1000);
      const { status } = await logIn(codeOf(typed, seconds));
      expect([seconds, status]).toEqual([seconds, 200]);
      expect(events).toEqual(['token.issued', 'login.succeeded']);
    }
  });

  it.each(rfcVectors)('shows what RFC 6238 says for second %i', async (seconds, code) => {
    expect(codeOf(rfcSecret, seconds)).toBe(code);
    const { factors, logIn } = mount(seconds * 1000);
    await factors.importTotp({ id: 'alice' }, { secret: rfcSecret });
    expect((await logIn(code)).status).toBe(200);
  });

  it('passes with the code of the step before, and with none that is older or still to come', async () => {
    const start = 1_234_567_890;
    const { clock, factors, logIn, events } = mount(start * 1000);
    await factors.importTotp({ id: 'alice' }, { secret: rfcSecret });
    for (const [seconds, status] of [
      [-60, 401],
      [30, 401],
      [60, 401],
      [-30, 200],
      [0, 200],
    ] as const) {
      const reply = await logIn(codeOf(rfcSecret, start + seconds));
      expect([seconds, reply.status]).toEqual([seconds, status]);
      expect(events[0]).toBe(status === 200 ? 'token.issued' : 'second_factor.failed wrong');
    }
    clock.advance(30);
    const replayed = await logIn(codeOf(rfcSecret, start));
    expect([replayed.status, events[0]]).toEqual([401, 'second_factor.failed replayed']);
  });

  it('has no part in the codes of another secret', async () => {
    const { clock, factors, logIn, events } = mount(1_111_111_111_000);
    await factors.importTotp({ id: 'alice' }, { secret: rfcSecret });
    const { status } = await logIn(codeOf('JBSWY3DPEHPK3PXP', clock.now() / 1000));
    expect([status, events[0]]).toEqual([401, 'second_factor.failed wrong']);
  });
});
