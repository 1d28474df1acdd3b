import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import * as client from 'prom-client';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import type { AuthEvent, Happening } from '../../src/core/auth-event.js';
import { tellBreachCheck, tellTokenCheck } from '../../src/core/check-channels.js';
import { Lockout } from '../../src/core/lockout.js';
import type { AuthState } from '../../src/http/auth-state.js';
import { measuredStore } from '../../src/core/measured-store.js';
import { lockout } from '../../src/middleware/lockout.js';
import { issueToken } from '../../src/middleware/issue-token.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { verifyPassword } from '../../src/middleware/verify-password.js';
import {
  prometheusMetrics,
  type PrometheusMetrics,
  type PrometheusMetricsOptions,
} from '../../src/sinks/prometheus-metrics.js';
import type { PrometheusClient } from '../../src/sinks/prometheus-client.js';
import { memoryStore } from '../../src/stores/memory.js';
import { alertOf } from '../rig/alerts.js';

const never = new AbortController().signal;
let register: client.Registry;
let metrics: PrometheusMetrics;
let alertsLost = 0;

beforeEach(() => {
  register = new client.Registry();
  metrics = prometheusMetrics(client, { register, lost: { alerts: () => alertsLost } });
});
afterEach(() => metrics.close());

function eventOf(happening: Happening): AuthEvent {
  return { ...happening, time: 0, ip: '192.0.2.7', requestId: 'req-1', userAgent: 'curl' };
}

const emit = (...happenings: Happening[]): void => {
  for (const happening of happenings) metrics.observe(eventOf(happening));
};

/** The series that are not 0, as Prometheus scrapes them. */
async function scraped(): Promise<string[]> {
  const lines = (await register.metrics()).split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#') && !line.endsWith(' 0'));
}

describe('prometheusMetrics counts', () => {
  const account = 'alice';
  const token = 'id';

  // prettier-ignore
  it.each<[Happening, string]>([
    [{ name: 'login.succeeded', account, methods: ['pwd'], token }, 'login_attempts_total{outcome="succeeded"}'],
    [{ name: 'login.failed', reason: 'wrong password' }, 'login_attempts_total{outcome="failed"}'],
    [{ name: 'login.refused', reason: 'locked out' }, 'login_attempts_total{outcome="locked_out"}'],
    [{ name: 'login.refused', reason: 'address locked out' }, 'login_attempts_total{outcome="address_locked_out"}'],
    [{ name: 'login.refused', reason: 'busy' }, 'login_attempts_total{outcome="busy"}'],
    [{ name: 'login.refused', reason: 'second factor busy' }, 'login_attempts_total{outcome="second_factor_busy"}'],
    [{ name: 'login.refused', reason: 'second factor locked out' }, 'login_attempts_total{outcome="second_factor_locked_out"}'],
    [{ name: 'login.refused', reason: 'for a reason of tomorrow' }, 'login_attempts_total{outcome="other"}'],
    [{ name: 'account.locked', subject: 'k', retryAfterSeconds: 60 }, 'locks_total{locked="account"}'],
    [{ name: 'address.locked', retryAfterSeconds: 60 }, 'locks_total{locked="address"}'],
    [{ name: 'devices.locked', subject: 'k', retryAfterSeconds: 60 }, 'locks_total{locked="devices"}'],
    [{ name: 'second_factor.locked', account, retryAfterSeconds: 60 }, 'locks_total{locked="second_factor"}'],
    [{ name: 'second_factor.requested', account }, 'second_factors_requested_total'],
    ...['wrong', 'malformed', 'replayed', 'cloned', 'suspended', 'clock'].map((reason): [Happening, string] => [
      { name: 'second_factor.failed', account, reason }, `second_factor_failures_total{reason="${reason}"}`,
    ]),
    [{ name: 'second_factor.unreadable', account, reason: 'sealed under a key' }, 'second_factor_failures_total{reason="unreadable"}'],
    [{ name: 'factor.enrolled', account, factor: 'totp' }, 'factor_changes_total{change="enrolled"}'],
    [{ name: 'factor.removed', account, factor: 'totp' }, 'factor_changes_total{change="removed"}'],
    [{ name: 'factors.reset', account, actor: 'bob', count: 2 }, 'factor_changes_total{change="reset"}'],
    [{ name: 'backup_codes.regenerated', account }, 'factor_changes_total{change="backup_codes_regenerated"}'],
    [{ name: 'backup_code.used', account, left: 3 }, 'factor_changes_total{change="backup_code_used"}'],
    [{ name: 'password.refused', reason: 'breached' }, 'passwords_refused_total{reason="breached"}'],
    [{ name: 'password.refused', reason: 'breach_check_unavailable' }, 'passwords_refused_total{reason="breach_check_unavailable"}'],
    [{ name: 'password.refused', reason: 'min_length, uppercase' }, 'passwords_refused_total{reason="policy"}'],
    [{ name: 'breach.skipped', reason: 'hibp_api' }, 'breach_checks_skipped_total'],
    [{ name: 'token.issued', account, token, scope: '' }, 'tokens_issued_total{to="login"}'],
    [{ name: 'token.issued', account, token, scope: '', issuer: 'bob' }, 'tokens_issued_total{to="robot"}'],
    [{ name: 'token.revoked', account, token }, 'tokens_revoked_total'],
    [{ name: 'client.refused', reason: 'unknown client' }, 'clients_refused_total'],
    [{ name: 'store.failed', reason: 'no answer in time' }, 'store_failures_total'],
    [{ name: 'config.weak', reason: 'memory store' }, 'config_weaknesses_total'],
  ])('%j', async (happening, series) => {
    emit(happening, happening);
    expect(await scraped()).toEqual([`portcullis_${series} 2`]);
  });

  it('each token of those that ended together', async () => {
    emit({ name: 'tokens.revoked', account, count: 7 });
    expect(await scraped()).toEqual(['portcullis_tokens_revoked_total 7']);
  });

  it('nothing twice: what comes with another event is not counted beside it', async () => {
    emit(
      { name: 'totp.replayed', account },
      { name: 'security_key.cloned', account },
      { name: 'pending_login.exhausted', account },
    );
    expect(await scraped()).toEqual([]);
  });

  it('token and breach checks, until it is closed', async () => {
    const outcomes = ['passed', 'passed', 'refused', 'undecided'] as const;
    for (const outcome of outcomes) tellTokenCheck(outcome);
    for (const outcome of ['clean', 'breached', 'unavailable'] as const) tellBreachCheck(outcome);
    metrics.close();
    tellTokenCheck('passed');
    tellBreachCheck('clean');
    expect(await scraped()).toEqual([
      'portcullis_breach_checks_total{outcome="clean"} 1',
      'portcullis_breach_checks_total{outcome="breached"} 1',
      'portcullis_breach_checks_total{outcome="unavailable"} 1',
      'portcullis_token_checks_total{outcome="passed"} 2',
      'portcullis_token_checks_total{outcome="refused"} 1',
      'portcullis_token_checks_total{outcome="undecided"} 1',
    ]);
  });

  it('alerts, as a sink', async () => {
    await metrics.send(alertOf({ kind: 'password_spraying', severity: 'critical' }), never);
    await metrics.send(alertOf({ kind: 'of_tomorrow' as 'digest', severity: 'notice' }), never);
    expect(await scraped()).toEqual([
      'portcullis_alerts_total{kind="password_spraying",severity="critical"} 1',
      'portcullis_alerts_total{kind="other",severity="notice"} 1',
    ]);
  });

  it('what is lost, as it is at the scrape', async () => {
    alertsLost = 3;
    expect(await scraped()).toEqual(['portcullis_lost{what="alerts"} 3']);
    alertsLost = 0;
  });

  it('a login, its store and a request, as an app has them', async () => {
    const store = measuredStore(memoryStore(), metrics.observeStore);
    const tokens = new AccessTokens({ store });
    const app = new Koa();
    app.on('auth', metrics.observe);
    app.use(bodyParser());
    const steps = [
      lockout(new Lockout({ store })),
      verifyPassword(({ identifier, password }) => (password === 'right' ? { id: identifier } : null)),
      issueToken(tokens, { dangerouslyWithoutSecondFactor: true }),
    ];
    const router = new Router<AuthState>();
    router.post('/tokens', ...steps);
    app.use(router.routes());
    app.use(requireToken(tokens));
    app.use((ctx) => void (ctx.body = 'report'));
    const post = (password: string) =>
      request(app.callback()).post('/tokens').send({ username: 'alice', password });
    await post('wrong').expect(401);
    const { body } = await post('right').expect(200);
    const { access_token: secret } = body as { access_token: string };
    await request(app.callback()).get('/').set('Authorization', `Bearer ${secret}`).expect(200);
    await request(app.callback()).get('/').expect(401);
    const lines = await scraped();
    expect(lines).toEqual(
      expect.arrayContaining([
        'portcullis_login_attempts_total{outcome="succeeded"} 1',
        'portcullis_login_attempts_total{outcome="failed"} 1',
        'portcullis_tokens_issued_total{to="login"} 1',
        'portcullis_token_checks_total{outcome="passed"} 1',
        'portcullis_token_checks_total{outcome="refused"} 1',
        'portcullis_store_seconds_count{operation="reserveAttempt",outcome="ok"} 2',
        'portcullis_store_seconds_count{operation="readToken",outcome="ok"} 1',
      ]),
    );
    expect(lines.join('\n')).not.toMatch(/alice|127\.0\.0\.1|pcat_/);
  });
});

const away = (): number => {
  throw new Error('not yet');
};

describe('the series', () => {
  it('are as many after any traffic as before it, and name nobody (I12)', async () => {
    const seriesOf = async () =>
      (await register.metrics()).split('\n').filter((line) => !line.startsWith('#')).length;
    const before = await seriesOf();
    for (let at = 0; at < 5000; at += 1) {
      const odd = `CANARY-${at}`;
      emit(
        { name: 'login.refused', account: odd, subject: odd, reason: odd },
        { name: 'login.failed', account: odd, reason: odd },
        { name: 'second_factor.failed', account: odd, reason: odd },
        { name: 'password.refused', reason: odd },
        { name: 'store.failed', reason: odd },
        { name: odd, reason: odd } as unknown as Happening,
      );
      await metrics.send(alertOf({ kind: odd as 'digest', account: odd }), never);
    }
    expect(await seriesOf()).toBe(before);
    for (let at = 0; at < 500; at += 1) metrics.observeStore(`CANARY-${at}`, 0.01, 'ok');
    expect(await seriesOf()).toBeLessThan(before + 101 * 20);
    expect(await register.metrics()).toContain('operation="other",outcome="ok"} 400');
  });

  it('are there from the start, so that a first count is an increase', async () => {
    expect(await register.metrics()).toContain(
      'portcullis_alerts_total{kind="digest",severity="critical"} 0',
    );
    expect(await register.metrics()).toContain('portcullis_locks_total{locked="address"} 0');
  });

  it('are told though a drop counter cannot be', async () => {
    const own = new client.Registry();
    const lost = { watch: away, log: () => 3, mails: () => NaN, other: () => 'x' as unknown as number };
    prometheusMetrics(client, { register: own, lost }).close();
    const lines = (await own.metrics()).split('\n').filter((line) => line.startsWith('portcullis_lost'));
    expect(lines).toEqual(['portcullis_lost{what="log"} 3']);
  });

  it('have the prefix and are in the register that the app chose', async () => {
    const own = new client.Registry();
    prometheusMetrics(client, { register: own, prefix: 'acme_auth_' }).close();
    expect(await own.metrics()).toContain('\nacme_auth_tokens_revoked_total 0\n');
    expect(await client.register.metrics()).toBe('\n');
    prometheusMetrics(client).close();
    expect(await client.register.metrics()).toContain('\nportcullis_tokens_revoked_total 0\n');
    client.register.clear();
  });
});

describe('prometheusMetrics refuses', () => {
  it.each([undefined, null, {}, new client.Registry(), { ...client, register: {} }])(
    '%# for prom-client',
    (given) => {
      expect(() => prometheusMetrics(given as PrometheusClient)).toThrow(TypeError);
      expect(() => prometheusMetrics(given as PrometheusClient)).toThrow(
        'prometheusMetrics: client must be the module prom-client',
      );
    },
  );

  it.each([
    [{ prefix: '9' }, 'option prefix must be up to 32 letters'],
    [{ prefix: 'a-b' }, 'option prefix must be'],
    [{ register: {} }, 'option register must be a registry'],
    [{ lost: { alerts: 3 } }, 'option lost must be an object of functions'],
    [{ lost: { 'Alerts lost': () => 3 } }, 'option lost must be'],
    [{ labels: ['account'] }, 'prometheusMetrics: unknown option "labels"'],
  ])('%j', (options, message) => {
    expect(() => prometheusMetrics(client, options as unknown as PrometheusMetricsOptions)).toThrow(message);
  });
});
