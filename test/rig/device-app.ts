import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { request as httpRequest } from 'node:http';
import { createHash } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach, jest } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  KnownDevices,
  Lockout,
  SecondFactors,
  deviceRoutes,
  issueToken,
  lockout,
  memoryStore,
  oauthRoutes,
  requireSecondFactor,
  requireToken,
  resetSecondFactors,
  resumeLogin,
  revokeOtherTokens,
  verifyPassword,
  type AuthEvent,
  type AuthMiddleware,
  type AuthState,
  type KnownDevicesOptions,
  type LockoutMiddlewareOptions,
  type LockoutOptions,
  type Store,
} from '../../src/index.js';
import { newTotpSecret } from '../../src/core/totp.js';
import { added, origin, sealingKey } from './factor-rig.js';
import { fakeClock, type FakeClock } from './fake-clock.js';
import { password } from './login-chain.js';
import { codeOf } from './totp-code.js';

/** The same in every rig, so that what one has signed is good in another; a real key is random. */
export const signingKey: Buffer = createHash('sha256').update('a signing key of tests').digest();
export const cookieName = '__Host-portcullis_device';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Sent {
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  jest.restoreAllMocks();
});

export interface DeviceAppOptions {
  readonly clock?: FakeClock;
  /** What is shared with another app; of its own by default. */
  readonly store?: Store;
  /** Where the devices are, if elsewhere. */
  readonly deviceStore?: KnownDevicesOptions['store'];
  readonly devices?: Partial<KnownDevicesOptions> | false;
  readonly attempts?: Partial<LockoutOptions>;
  readonly options?: LockoutMiddlewareOptions;
  /** Account ids by name; every name is its own where it is not there. */
  readonly accounts?: Readonly<Record<string, string>>;
  /** Stands inside the lockout, around the rest of the login. */
  readonly inside?: AuthMiddleware;
}

/**
 * An app whose lockout knows devices, with all its doors. Everybody's name is their account id, the client's address is
 * what the header `X-From` says, and time stands still.
 */
export function deviceApp({
  clock = fakeClock(),
  store = memoryStore({ now: clock.now }),
  deviceStore = store,
  devices: given = {},
  attempts: limits = {},
  options = {},
  accounts = {},
  inside = (_ctx, next) => next(),
}: DeviceAppOptions = {}) {
  jest.spyOn(Date, 'now').mockImplementation(clock.now);
  const devices = new KnownDevices({
    store: deviceStore,
    keys: [signingKey],
    origin,
    ...(given === false ? {} : given),
  });
  const attempts = new Lockout({ store, ...(given !== false && { devices }), ...limits });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [sealingKey], now: clock.now });
  const tokens = new AccessTokens({ store });

  /** Every password that was looked at: whose, whether it was right, and when. */
  const evaluated: { name: string; isRight: boolean; at: number }[] = [];
  const count = lockout(attempts, { readAddress: (ctx) => ctx.get('X-From') || '192.0.2.1', ...options });
  const verify = verifyPassword(async ({ identifier, password: typed }) => {
    const isRight = typed === password && !identifier.startsWith('nobody');
    evaluated.push({ name: identifier, isRight, at: clock.now() });
    return isRight ? { id: accounts[identifier] ?? identifier } : null;
  });
  const ends = [requireSecondFactor(factors), issueToken(tokens)] as const;
  const router = new Router<AuthState>();
  router.post('/tokens', count, inside, verify, ...ends);
  router.post('/tokens/second-factor', resumeLogin(factors), count, ...ends);
  const guard = requireToken(tokens);
  router.use('/own/devices', guard, deviceRoutes(devices).routes());
  router.get('/reports', guard, (ctx) => {
    ctx.body = {};
  });
  const forget = given === false ? {} : { devices };
  router.put('/password', guard, revokeOtherTokens(tokens, forget), (ctx) => {
    ctx.status = ctx.query['fail'] === undefined ? 204 : 422;
  });
  router.post(
    '/members/:id/reset',
    guard,
    resetSecondFactors(factors, {
      tokens,
      ...forget,
      factor: 'never',
      target: (ctx) => ({ id: (ctx as unknown as { params: { id: string } }).params.id }),
      mayReset: () => true,
      audit: (row) => {
        audit.push(row);
        // The hook of an integrator that also ends a lock.
        return attempts.unlock(row.target);
      },
    }),
  );
  const audit: unknown[] = [];

  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(bodyParser());
  app.use(
    oauthRoutes(tokens, {
      issuer: origin,
      clients: [{ id: 'cli' }],
      login: [count, verify, requireSecondFactor(factors)],
    }).routes(),
  );
  app.use(router.routes());
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);

  async function send(method: string, path: string, { body, headers = {} }: Sent = {}): Promise<Answer> {
    if (!server.listening) await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const isForm = path.startsWith('/oauth');
    const text =
      body === undefined
        ? ''
        : isForm
          ? new URLSearchParams(body as Record<string, string>).toString()
          : JSON.stringify(body);
    const type = isForm ? 'application/x-www-form-urlencoded' : 'application/json';
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        {
          port,
          method,
          path,
          headers: { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), ...headers },
        },
        (response) => {
          let got = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (got += chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: (got.startsWith('{') ? JSON.parse(got) : {}) as Record<string, unknown>,
            }),
          );
        },
      );
      request.on('error', reject).end(text);
    });
  }

  /** A browser: it keeps cookies, and says where it is and what it is. */
  function browser(from = '198.51.100.1', userAgent = 'Firefox/1') {
    const jar = new Map<string, string>();
    async function ask(method: string, path: string, sent: Sent = {}): Promise<Answer> {
      const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
      const headers = {
        'X-From': from,
        'User-Agent': userAgent,
        ...(cookies !== '' && { Cookie: cookies }),
        ...sent.headers,
      };
      const answer = await send(method, path, { ...sent, headers });
      for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        jar.set(name, value);
      }
      return answer;
    }
    return {
      jar,
      ask,
      get cookie(): string {
        return jar.get(cookieName) ?? '';
      },
      set cookie(value: string) {
        jar.set(cookieName, value);
      },
      logIn: (name = 'alice', more: object = {}): Promise<Answer> =>
        ask('POST', '/tokens', { body: { username: name, password, ...more } }),
      guess: (name = 'alice', typed = 'wrong'): Promise<Answer> =>
        ask('POST', '/tokens', { body: { username: name, password: typed } }),
      /** The second step of a login. */
      goOn: (pending: unknown, otp_token: string): Promise<Answer> =>
        ask('POST', '/tokens/second-factor', { body: { pending, otp_token } }),
    };
  }

  /** Guesses from an address each, until none is looked at any more. */
  async function lockStrangers(name = 'alice'): Promise<void> {
    for (let i = 0; i < 50; i += 1) {
      const { status } = await browser(`203.0.113.${i % 250}`, 'vandal').guess(name);
      if (status === 429) return;
    }
    throw new Error('not locked');
  }

  async function enrol(name: string): Promise<string> {
    const secret = newTotpSecret();
    added(await factors.importTotp({ id: name }, { secret }));
    return secret;
  }

  const code = (secret: string): string => codeOf(secret, Math.floor(clock.now() / 30_000));
  /** The wrong passwords that were looked at. */
  const wrong = (name = 'alice') => evaluated.filter((one) => one.name === name && !one.isRight);
  const named = (name: AuthEvent['name']) => events.filter((event) => event.name === name);

  return {
    clock,
    store,
    devices,
    attempts,
    factors,
    tokens,
    events,
    errors,
    evaluated,
    audit,
    send,
    browser,
    lockStrangers,
    enrol,
    code,
    wrong,
    named,
  };
}

export type DeviceApp = ReturnType<typeof deviceApp>;
export type Browser = ReturnType<DeviceApp['browser']>;
