import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterEach } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  lockout,
  memoryStore,
  oauthRoutes,
  requireSecondFactor,
  requireToken,
  verifyPassword,
  type AccessTokensOptions,
  type AuthEvent,
  type AuthMiddleware,
  type AuthState,
  type OAuthRoutesOptions,
  type SecondFactorsOptions,
  type Store,
} from '../../src/index.js';
import { newTotpSecret } from '../../src/core/totp.js';
import { added, sealingKey } from './factor-rig.js';
import { fakeClock } from './fake-clock.js';
import { mountLogin, password } from './login-chain.js';
import { codeOf } from './totp-code.js';

export const issuer = 'https://acme.example';

/** Secrets of the confidential clients: of the web app, and of a server that is asked for what it serves. */
export const webSecret = 'Canary web secret: 5+5%=10 & more/less';
export const apiSecret = 'Canary-api-secret-0123456789-abcdefghij';

export const clients = [
  { id: 'web', secret: webSecret },
  { id: 'api', secret: apiSecret, introspects: true },
  { id: 'cli', scopes: ['reports'] },
];

export interface Steps {
  readonly attempts: Lockout;
  readonly factors: SecondFactors;
  /** The three steps of a login, in their order. */
  readonly login: readonly AuthMiddleware[];
}

export interface OAuthAppOptions {
  readonly options?: Partial<OAuthRoutesOptions>;
  /** Takes the place of the usual steps. */
  readonly login?: (steps: Steps) => readonly AuthMiddleware[];
  readonly factors?: Partial<SecondFactorsOptions>;
  readonly tokens?: Partial<AccessTokensOptions>;
  /** In place of `bodyParser()`; null for none. */
  readonly parser?: AuthMiddleware | null;
  /** Stands before everything. */
  readonly first?: AuthMiddleware;
  /** Makes the server its own issuer, with this path: for clients that find the endpoints themselves. */
  readonly issuerPath?: string;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/**
 * An app with OAuth endpoints and the login of the README beside them, in which everybody's name is their account id. The
 * store and the factors have a clock that stands still.
 */
export function oauthApp(given: OAuthAppOptions = {}) {
  const { options, factors: factorOptions, tokens: tokenOptions, parser = bodyParser(), first } = given;
  const clock = fakeClock(Math.ceil(Date.now() / 30_000) * 30_000);
  const sound = memoryStore({ now: clock.now });
  // Its methods are looked up at each call, so a test can break one in the middle.
  const store: Store = { ...sound };
  const calls: string[] = [];
  for (const name of Object.keys(store) as (keyof Store)[]) {
    const method = sound[name] as (...args: unknown[]) => unknown;
    if (typeof method !== 'function') continue;
    Object.assign(store, {
      [name]: (...args: unknown[]) => {
        calls.push(name);
        return method.apply(sound, args);
      },
    });
  }
  const attempts = new Lockout({ store });
  const sealing = { store, issuer: 'Acme', keys: [sealingKey], now: clock.now };
  const factors = new SecondFactors({ ...sealing, ...factorOptions });
  const tokens = new AccessTokens({ store, ...tokenOptions });

  /** Passwords that were looked at. */
  const evaluated: string[] = [];
  const verify = verifyPassword((claim) => {
    evaluated.push(claim.password);
    return claim.password === password ? { id: claim.identifier } : null;
  });
  const login = [lockout(attempts), verify, requireSecondFactor(factors)];

  const app = new Koa<AuthState>();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const states: unknown[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  // Koa composes its middleware when it is asked for a listener; the issuer must know the port before that.
  let listener: RequestListener | undefined;
  const server = createServer((...args) => listener?.(...args)).listen(0);
  servers.push(server);
  const base = `http://localhost:${(server.address() as AddressInfo).port}`;

  if (first !== undefined) app.use(first);
  app.use(async (ctx, next) => {
    await next();
    states.push(ctx.state.auth);
  });
  if (parser !== null) app.use(parser);
  const own = given.issuerPath === undefined ? issuer : `${base}${given.issuerPath}`;
  const routes = oauthRoutes(tokens, {
    issuer: own,
    clients,
    scopes: ['reports', 'billing'],
    login: given.login?.({ attempts, factors, login }) ?? login,
    ...options,
  });
  app.use(routes.routes());
  const router = new Router<AuthState>();
  mountLogin(router, { attempts, factors, tokens });
  router.get('/reports', requireToken(tokens), (ctx) => {
    ctx.body = ctx.state.auth;
  });
  app.use(router.routes());
  const answer = app.callback();
  listener = (req, res) => void answer(req, res);

  /** A form, or a body as it is written. */
  const post = (path: string, form: object | string): request.Test =>
    request(server).post(path).type('form').send(form);
  /** The same, as a client that authenticates in the header. */
  const postAs = (client: Client, path: string, form: object | string): request.Test =>
    post(path, form).set('Authorization', basic(client));
  /** A login of the web app. */
  const grant = (form: object = {}, client: Client = web): request.Test =>
    postAs(client, '/oauth/token', { grant_type: 'password', username: 'alice', password, ...form });
  const get = (path: string): request.Test => request(server).get(path);

  /** A token of a client, or, without one, of the login beside. */
  async function tokenOf(client: Client | null, form: object = {}): Promise<string> {
    const asked =
      client === null
        ? post('/tokens', { username: 'alice', password })
        : client.secret === undefined
          ? post('/oauth/token', {
              grant_type: 'password',
              username: 'alice',
              password,
              client_id: client.id,
              ...form,
            })
          : grant(form, client);
    const { body, status } = await asked;
    const { access_token: token } = body as { access_token?: string };
    if (token === undefined) throw new Error(`no token, but ${status}: ${JSON.stringify(body)}`);
    return token;
  }

  /** Status of a request with that token. */
  async function opens(token: string): Promise<number> {
    return (await get('/reports').set('Authorization', `Bearer ${token}`)).status;
  }

  /** Enrols an authenticator past all routes; a minute goes by, as people take one. */
  async function enrol(name = 'alice'): Promise<{ secret: string; codes: readonly string[] }> {
    const secret = newTotpSecret();
    const { backupCodes } = added(await factors.importTotp({ id: name }, { secret }));
    clock.advance(60);
    return { secret, codes: backupCodes ?? [] };
  }

  const code = (secret: string, steps = 0): string =>
    codeOf(secret, Math.floor(clock.now() / 30_000) + steps);

  const told = {
    app,
    base,
    issuer: own,
    clock,
    store,
    calls,
    factors,
    attempts,
    tokens,
    events,
    errors,
    states,
    evaluated,
  };
  return { ...told, post, postAs, grant, get, tokenOf, opens, enrol, code };
}

export type OAuthApp = ReturnType<typeof oauthApp>;

export interface Client {
  readonly id: string;
  readonly secret?: string;
}

export const web: Client = { id: 'web', secret: webSecret };
export const api: Client = { id: 'api', secret: apiSecret };
export const cli: Client = { id: 'cli' };

/** The header of RFC 6749 section 2.3.1. */
export function basic({ id, secret = '' }: Client): string {
  const encoded = [id, secret].map((part) => new URLSearchParams({ '': part }).toString().slice(1));
  return `Basic ${Buffer.from(encoded.join(':')).toString('base64')}`;
}
