// OpenTelemetry: the same figures by its metrics API, for whichever exporter your app has set up.
// Run it: npm run build && node build/examples/opentelemetry.js
// curl -d 'username=alice&password=guess' localhost:3000/tokens
import { subscribe } from 'node:diagnostics_channel';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { metrics, type Meter } from '@opentelemetry/api';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  breachCheckChannel,
  issueToken,
  lockout,
  measuredStore,
  memoryStore,
  requireToken,
  safeBody,
  tokenCheckChannel,
  verifyPassword,
  type AuthEvent,
  type AuthState,
  type Store,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

/** Events by name and reason, and checks by outcome. Give no account, address or token as an attribute: each is a series. */
function countEvents(app: Koa, meter: Meter): void {
  const events = meter.createCounter('portcullis.events', { description: 'Logins, locks, factors, tokens' });
  const checks = meter.createCounter('portcullis.checks', { description: 'Token and breach checks' });
  app.on('auth', (event: AuthEvent) => {
    // The reasons of these are fixed words; those of others can name a source or a setting of the app.
    const isFixed = event.name === 'login.refused' || event.name === 'second_factor.failed';
    events.add(1, { event: event.name, ...(isFixed && { reason: event.reason }) });
  });
  for (const [check, channel] of [
    ['token', tokenCheckChannel],
    ['breach', breachCheckChannel],
  ] as const) {
    subscribe(channel, (message) => {
      checks.add(1, { check, outcome: (message as { outcome: string }).outcome });
    });
  }
}

/** A store that tells how long it takes. */
function timed(store: Store, meter: Meter): Store {
  const seconds = meter.createHistogram('portcullis.store.duration', {
    unit: 's',
    advice: { explicitBucketBoundaries: [0.001, 0.005, 0.025, 0.1, 0.25, 0.7, 1] },
  });
  return measuredStore(store, (operation, took, outcome) => seconds.record(took, { operation, outcome }));
}

export function appOn(meter: Meter): Koa {
  const store = timed(memoryStore(), meter);
  const attempts = new Lockout({ store });
  const tokens = new AccessTokens({ store });
  const router = new Router<AuthState>();
  router.post(
    '/tokens',
    lockout(attempts),
    verifyPassword(({ identifier, password }) =>
      identifier === 'alice' && password === 'correct horse' ? { id: 'alice' } : null,
    ),
    issueToken(tokens, { dangerouslyWithoutSecondFactor: true }), // this app offers none
  );
  router.get('/reports', requireToken(tokens), (ctx) => {
    ctx.body = { reports: [] };
  });
  const app = new Koa();
  countEvents(app, meter);
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
}

// The meter of your SDK: set it up before, as with `node --import ./telemetry.js`. Without one nothing is measured.
export const app = appOn(metrics.getMeter('koa-portcullis'));

serveIfRun(app, import.meta.url);
