import { createHash } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  issueToken,
  KnownDevices,
  Lockout,
  lockout,
  requireSecondFactor,
  resumeLogin,
  safeBody,
  SecondFactors,
  verifyPassword,
  type AuthState,
  type LoginWatch,
  type Store,
} from '../../src/index.js';

/** The same in every process; real keys are random. */
const [factorKey, deviceKey] = ['factors', 'devices'].map((what) =>
  createHash('sha256').update(`a watched key of ${what}`).digest(),
) as [Buffer, Buffer];

const origin = 'https://acme.example';

/** The password of everybody. */
export const rightPassword = 'Correct horse 1';

/** Names of nobody begin so. */
const isNobody = (name: string): boolean => name.startsWith('nobody');

/** The factors that the app asks for, for enrolment past its routes. */
export function watchedFactors(store: Store, now?: () => number): SecondFactors {
  const clock = now === undefined ? {} : { now };
  return new SecondFactors({
    store,
    issuer: 'Acme',
    keys: [factorKey],
    origin,
    ...clock,
  });
}

/** The devices that it knows, where it is to know any. */
export function watchedDevices(store: Store): KnownDevices {
  return new KnownDevices({ store, keys: [deviceKey], origin });
}

interface WatchedAppOptions {
  readonly store: Store;
  readonly watch: LoginWatch;
  readonly factors?: SecondFactors;
  readonly devices?: KnownDevices;
}

/**
 * A whole login behind one proxy, which says the client's address, and watched. A name is an account's id unless it is
 * nobody's.
 */
export function watchedApp({
  store,
  watch,
  factors = watchedFactors(store),
  devices,
}: WatchedAppOptions): Koa {
  const attempts = new Lockout({ store, ...(devices && { devices }) });
  const tokens = new AccessTokens({ store });
  const router = new Router<AuthState>();
  const ends = [requireSecondFactor(factors), issueToken(tokens)] as const;
  const guard = lockout(attempts, { subject: (name) => (isNobody(name) ? null : name) });
  const verify = verifyPassword(({ identifier, password }) =>
    password === rightPassword && !isNobody(identifier) ? { id: identifier } : null,
  );
  router.post('/tokens', guard, verify, ...ends);
  router.post('/tokens/second-factor', resumeLogin(factors), lockout(attempts), ...ends);

  const app = new Koa({ proxy: true, maxIpsCount: 1 });
  app.on('auth', watch.observe);
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
}
