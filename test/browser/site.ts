import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
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
  type SecondFactorsOptions,
  type Store,
} from 'koa-portcullis';
import { generateSync } from 'otplib/functional';
import { mountLogin } from '../rig/login-chain.js';

export interface SiteOptions extends Pick<SecondFactorsOptions, 'bindPending' | 'userVerification'> {
  readonly store?: Store;
}

/** An app with the page, the login of the README and the factor routes, on a port of its own. */
export interface Site {
  readonly origin: string;
  /** What was told since the last call: the name, the account and what else the event says, on one line each. */
  told(): string[];
  /** Status and error of every answer to a request that was not for the page, since the last call. */
  answered(): string[];
  /** A code that the app has not seen, of a moment later than any before. */
  nextCode(secret: string): string;
  stop(): Promise<void>;
}

const page = readFileSync(new URL('page.html', import.meta.url), 'utf8');
const script = readFileSync(new URL('page.js', import.meta.url), 'utf8');

export async function startSite({ store = memoryStore(), ...options }: SiteOptions = {}): Promise<Site> {
  const server = createServer();
  // By name: WebAuthn takes http for localhost, and for no IP address.
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;

  let ahead = 0;
  const now = (): number => Date.now() + ahead;
  const attempts = new Lockout({ store });
  const factors = new SecondFactors({
    store,
    issuer: 'Acme & Söhne',
    origin,
    keys: [randomBytes(32)],
    now,
    ...options,
  });
  const tokens = new AccessTokens({ store });

  const router = new Router<AuthState>();
  router.get('/', (ctx) => {
    ctx.type = 'html';
    ctx.body = page;
  });
  router.get('/page.js', (ctx) => {
    ctx.type = 'js';
    ctx.body = script;
  });
  mountLogin(router, { attempts, factors, tokens });
  router.use('/second-factors', requireToken(tokens), secondFactorRoutes(factors).routes());

  const app = new Koa();
  let events: string[] = [];
  let answers: string[] = [];
  app.on('auth', (event: AuthEvent) => events.push(lineOf(event)));
  app.on('error', (error: unknown) => events.push(`error ${String(error)}`));
  app.use(async (ctx, next) => {
    await next();
    if (ctx.method === 'GET') return;
    const { error } = (ctx.body ?? {}) as { error?: string };
    answers.push(`${ctx.method} ${ctx.path} ${ctx.status}${error === undefined ? '' : ` ${error}`}`);
  });
  app.use(safeBody(bodyParser()));
  app.use(router.routes()).use(router.allowedMethods());
  const handle = app.callback();
  server.on('request', (request, response) => void handle(request, response));

  return {
    origin,
    told() {
      const told = events;
      events = [];
      return told;
    },
    answered() {
      const answered = answers;
      answers = [];
      return answered;
    },
    nextCode(secret) {
      ahead += 30_000;
      return generateSync({ secret, epoch: Math.floor(now() / 1000) });
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function lineOf({ name, time: _time, ip: _ip, ...facts }: AuthEvent): string {
  const { account, reason, factor, left, methods } = facts as Record<string, unknown>;
  const said = [account, reason, factor, left, methods].filter((fact) => fact !== undefined);
  return [name, ...said.map(String)].join(' ');
}
