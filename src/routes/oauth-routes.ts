import { Router } from '@koa/router';
import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import { clientList, OAuthClients, scopeList, type OAuthClient } from '../core/oauth-clients.js';
import { issuerUrl, oauthPlaces, pathPrefix } from '../core/oauth-metadata.js';
import { callback, readOptions, required, type Rule } from '../core/options.js';
import { tokenGrantRules } from '../core/token-grant.js';
import { takeRefusal, type AuthContext, type AuthMiddleware, type AuthState } from '../http/auth-state.js';
import type { AccountFinder } from '../http/find-account.js';
import { perLogin } from '../http/issue.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { demandClient } from '../http/oauth-client.js';
import { readForm } from '../http/oauth-form.js';
import { translateRefusal } from '../http/oauth-refusals.js';
import {
  grantToken,
  introspectGiven,
  revokeGiven,
  type OAuthRequest,
  type OAuthServer,
  type TokenLifetime,
} from '../http/oauth-requests.js';

export interface OAuthRoutesOptions {
  /** https URL of the authorization server; plain http for localhost only. */
  readonly issuer: string;
  /** The clients that are known. */
  readonly clients: readonly OAuthClient[];
  /** The steps that prove password and factor: `[lockout(…), verifyPassword(…), requireSecondFactor(…)]`. */
  readonly login: readonly AuthMiddleware[];
  /**
   * Scope values that clients may ask for. One that asks for none is granted none.
   *
   * @default []
   */
  readonly scopes?: readonly string[];
  /**
   * How long a token works, in seconds, at most 604,800, or a function that decides for this login.
   *
   * @default the lifetime of `tokens`
   */
  readonly lifetimeSeconds?: TokenLifetime;
  /**
   * Loads the account of an introspected token by its id; null when it may do nothing any more.
   *
   * @default the account is `{ id }`
   */
  readonly findAccount?: AccountFinder;
  /**
   * Path of the endpoints.
   *
   * @default '/oauth'
   */
  readonly prefix?: string;
}

const steps: Rule = {
  // A token of its own would end the login before the client gets one.
  demand: 'a list of at least one middleware, without issueToken',
  accepts: (v) => Array.isArray(v) && v.length > 0 && Array.from<unknown>(v).every(isStep),
};

function isStep(value: unknown): boolean {
  return typeof value === 'function' && value.name !== 'issueToken';
}

/**
 * OAuth 2.0 endpoints for clients of the app's own that speak nothing else: a login with a password, revocation,
 * introspection and metadata. A compatibility mode: RFC 9700 section 2.4 forbids the password grant, which shows the
 * password to the client. Mount it on the app itself, behind a parser of forms.
 *
 * POST `/oauth/token` · POST `/oauth/revoke` · POST `/oauth/introspect` · GET `/.well-known/oauth-authorization-server`
 *
 * @see RFC 6749 section 4.3, RFC 7009, RFC 7662, RFC 8414
 */
export function oauthRoutes(tokens: AccessTokens, options: OAuthRoutesOptions): Router<AuthState> {
  demandInstance('oauthRoutes', AccessTokens, tokens);
  const {
    issuer,
    clients: given,
    login,
    scopes = [],
    lifetimeSeconds,
    findAccount,
    prefix = '/oauth',
  } = readOptions<OAuthRoutesOptions>('oauthRoutes', options, {
    issuer: required(issuerUrl),
    clients: required(clientList),
    login: required(steps),
    scopes: scopeList,
    lifetimeSeconds: perLogin(tokenGrantRules.lifetimeSeconds),
    findAccount: callback,
    prefix: pathPrefix,
  });
  const clients = new OAuthClients('oauthRoutes', given, scopes);
  const { wellKnown, token, revoke, introspect, metadata } = oauthPlaces(issuer, prefix, scopes);
  const server: OAuthServer = { tokens, issuer, login: [...login], lifetimeSeconds, findAccount };

  const endpoint = (answer: (request: OAuthRequest) => Promise<void>) => async (ctx: AuthContext) => {
    ctx.set({ 'Cache-Control': 'no-store', Pragma: 'no-cache' });
    // What something upstream refused and let pass all the same is no answer of this endpoint.
    takeRefusal(ctx);
    for (const header of ['WWW-Authenticate', 'Retry-After']) ctx.remove(header);
    // A lockout around the endpoint would neither see the 401 of a wrong password nor tell it from a client's.
    const login = loginOf(ctx);
    const { lockoutPassed, password } = login;
    if (lockoutPassed || password !== 'open') {
      refuseMisordered(ctx, 'oauthRoutes');
      return translateRefusal(ctx);
    }
    login.ignoreCookies();
    const form = readForm(ctx);
    if (form === undefined) return;
    const client = demandClient(ctx, clients, issuer, form);
    if (client === undefined) return;
    await answer({ ...server, ctx, form, client });
    translateRefusal(ctx);
  };

  const router = new Router<AuthState>({ sensitive: true, strict: true });
  router.post(token, endpoint(grantToken));
  router.post(revoke, endpoint(revokeGiven));
  router.post(introspect, endpoint(introspectGiven));
  router.get(wellKnown, (ctx) => {
    ctx.body = structuredClone(metadata);
  });
  return router;
}
