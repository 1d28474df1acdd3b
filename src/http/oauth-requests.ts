import type { AccessTokens } from '../core/access-tokens.js';
import { grantScope, type KnownClient } from '../core/oauth-clients.js';
import type { VerifiedToken } from '../core/token-record.js';
import { takeRefusal, type AuthContext, type AuthMiddleware } from './auth-state.js';
import { emitEvent } from './events.js';
import { findAgain, type AccountFinder } from './find-account.js';
import { answerToken, decideFor, issueOn, provenLogin, type PerLogin } from './issue.js';
import { refuseUnauthorized } from './oauth-client.js';
import { cutBody, type OAuthForm } from './oauth-form.js';
import { refuseOAuth } from './oauth-refusals.js';
import { decided, refuse } from './refuse.js';

/** What is known of a login at the token endpoint when the life of its token is decided on. */
export interface OAuthLogin {
  /** RFC 8176 values, such as `['pwd', 'otp']`. */
  readonly methods: readonly string[];
  /** Id of the client that logs in. */
  readonly client: string;
  /** The scope that is granted; empty for none. */
  readonly scope: string;
}

/** How long a token works, in seconds, or a function that decides for this login. */
export type TokenLifetime = PerLogin<number, OAuthLogin>;

/** Everything that the answers are made of. */
export interface OAuthServer {
  readonly tokens: AccessTokens;
  readonly issuer: string;
  readonly login: readonly AuthMiddleware[];
  readonly lifetimeSeconds: TokenLifetime | undefined;
  readonly findAccount: AccountFinder | undefined;
}

/** A request whose client is known. */
export interface OAuthRequest extends OAuthServer {
  readonly ctx: AuthContext;
  readonly form: OAuthForm;
  readonly client: KnownClient;
}

/** RFC 6749 section 4.3: the password grant, checked by the login of the app. */
export async function grantToken(request: OAuthRequest): Promise<void> {
  const { ctx, form, client, tokens, login: steps } = request;
  if (form.grant_type === undefined) return refuseOAuth(ctx, 'invalid_request');
  if (form.grant_type !== 'password') return refuseOAuth(ctx, 'unsupported_grant_type');
  if (form.username === undefined || form.password === undefined) return refuseOAuth(ctx, 'invalid_request');
  const scope = grantScope(client, form.scope);
  if (scope === null) return refuseOAuth(ctx, 'invalid_scope');

  cutBody(ctx);
  let issued: string | undefined;
  await runSteps(ctx, steps, async () => {
    issued = await issueTo(request, scope);
  });
  if (issued === undefined) return refuseUnsaid(ctx);
  // A step that refuses what came after it has the last word, and nobody gets the token.
  if (ctx.state.auth?.refusal !== undefined) await decided(ctx, tokens.revoke(issued));
}

/** Ends the login with a token for the client, and answers its id. */
async function issueTo({ ctx, client, tokens, issuer, lifetimeSeconds }: OAuthRequest, scope: string) {
  const login = provenLogin(ctx, 'oauthRoutes');
  if (login?.account === undefined) return undefined;
  const { account, methods } = login;
  const facts = { methods, client: client.id, scope };
  const issued = await issueOn(ctx, tokens, login, {
    scope,
    client: client.id,
    server: issuer,
    ...(lifetimeSeconds !== undefined && {
      lifetimeSeconds: decideFor(lifetimeSeconds, 'oauthRoutes: option lifetimeSeconds', account, ctx, facts),
    }),
  });
  if (issued === undefined) return undefined;
  // A step that refused and then went on has been answered for.
  takeRefusal(ctx);
  answerToken(ctx, issued);
  return issued.facts.token.id;
}

/** Runs the steps as Koa runs middleware. */
function runSteps(
  ctx: AuthContext,
  steps: readonly AuthMiddleware[],
  last: () => Promise<void>,
): Promise<void> {
  const run = async (at: number): Promise<void> => {
    const step = steps[at];
    await (step === undefined ? last() : step(ctx, () => run(at + 1)));
  };
  return run(0);
}

/** For a step of the app's own that answered without `refuse`: its status says what it meant. */
function refuseUnsaid(ctx: AuthContext): void {
  if (ctx.state.auth?.refusal !== undefined) return;
  const wait = ctx.res.hasHeader('Retry-After') ? {} : { retryAfterSeconds: 1 };
  if (ctx.status === 429) refuse(ctx, 'busy', wait);
  else if (ctx.status >= 500) refuse(ctx, 'store_unavailable', wait);
  else refuse(ctx, 'invalid_credentials');
}

/**
 * RFC 7009. What is not live is answered like what was revoked. A token that was not issued to this client is refused
 * (section 2.1), with an error that nobody takes for "it is gone".
 */
export async function revokeGiven({ ctx, form, client, tokens, issuer }: OAuthRequest): Promise<void> {
  if (form.token === undefined) return refuseOAuth(ctx, 'invalid_request');
  const found = await decided(ctx, tokens.check(form.token));
  if (found === undefined) return;
  if (found !== null) {
    const { account, token } = found;
    const isOwn = token.client === client.id && token.server === issuer;
    if (!isOwn) return refuseUnauthorized(ctx, client, 'token of another client');
    const wasLive = await decided(ctx, tokens.revoke(token.id));
    if (wasLive === undefined) return;
    if (wasLive) emitEvent(ctx, { name: 'token.revoked', account: account.id, token: token.id });
  }
  answerOAuth(ctx, {});
}

/** RFC 7662. Asked for by a server that the token was presented to, so it counts as a use of the token. */
export async function introspectGiven(request: OAuthRequest): Promise<void> {
  const { ctx, form, client, tokens, findAccount, issuer } = request;
  if (!client.introspects) return refuseUnauthorized(ctx, client, 'introspection is not allowed');
  if (form.token === undefined) return refuseOAuth(ctx, 'invalid_request');
  const found = await decided(ctx, tokens.check(form.token));
  if (found === undefined) return;
  const asked = found && (await findAgain(ctx, findAccount, found.account));
  if (asked === undefined) return;
  const isActive = found !== null && asked !== null && asked.answer !== null;
  answerOAuth(ctx, isActive ? facts(found, issuer) : { active: false });
}

function answerOAuth(ctx: AuthContext, body: object): void {
  // Whatever status something upstream had in mind.
  ctx.status = 200;
  ctx.body = body;
}

/** Section 2.2. A token that no login stands behind says nothing of one. */
function facts({ account, methods, authTime, token }: VerifiedToken, issuer: string): object {
  return {
    active: true,
    ...(token.scope !== '' && { scope: token.scope }),
    ...(token.client !== null && { client_id: token.client }),
    sub: account.id,
    token_type: 'Bearer',
    exp: Math.floor(token.expiresAt / 1000),
    iat: Math.floor(token.createdAt / 1000),
    iss: token.server ?? issuer,
    ...(authTime > 0 && { auth_time: authTime, amr: methods }),
  };
}
