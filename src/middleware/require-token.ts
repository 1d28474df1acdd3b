import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import { callback, readOptions } from '../core/options.js';
import { coversScope, scopeText } from '../core/scope.js';
import type { VerifiedToken } from '../core/token-record.js';
import { tell, type AuthContext, type AuthMiddleware } from '../http/auth-state.js';
import { keepVerified, readBearer, refuseBearer } from '../http/bearer.js';
import { findAgain, type AccountFinder } from '../http/find-account.js';
import { decided, refuse } from '../http/refuse.js';
import { readSession } from '../http/session-login.js';

export interface RequireTokenOptions {
  /**
   * Scope values, separated by single spaces, that the token must all have.
   *
   * @default '' (any token)
   */
  readonly scope?: string;
  /**
   * Loads the account of the token on each request; null when it may do nothing any more (disabled, deleted).
   *
   * @default the account is `{ id }`
   */
  readonly findAccount?: AccountFinder;
}

/**
 * Protects a route: lets through requests with a live access token in the Authorization header (RFC 6750), or without
 * that header by a session that carries a login (`sessionOptions`), and says on `ctx.state.auth` whose it is. A second
 * factor is not asked for here: it protects the login.
 */
export function requireToken(tokens: AccessTokens, options: RequireTokenOptions = {}): AuthMiddleware {
  demandInstance('requireToken', AccessTokens, tokens);
  const { scope = '', findAccount } = readOptions<RequireTokenOptions>('requireToken', options, {
    scope: scopeText,
    findAccount: callback,
  });
  const demanded = scope === '' ? [] : scope.split(' ');

  return async function requireToken(ctx, next) {
    const bearer = readBearer(ctx);
    const sent = bearer.kind === 'none' ? readSession(ctx, tokens) : bearer;
    if (sent.kind === 'none') return refuseBearer(ctx, 'none');
    if (sent.kind === 'malformed') return refuseBearer(ctx, 'invalid_request');
    if (sent.kind === 'foreign') return refuse(ctx, 'csrf_rejected');

    const found = await decided(
      ctx,
      tokens.check(sent.token, sent.kind === 'session' ? 'session' : 'bearer'),
    );
    if (found === undefined) return;
    if (found === null) return refuseBearer(ctx, 'invalid_token');
    if (!coversScope(found.token.scope, demanded)) return refuseBearer(ctx, 'insufficient_scope', scope);
    if (findAccount === undefined) return pass(ctx, found, next);
    const asked = await findAgain(ctx, findAccount, found.account);
    if (asked === undefined) return;
    if (asked.answer === null) return refuseBearer(ctx, 'invalid_token');
    return pass(ctx, { ...found, account: asked.answer }, next);
  };
}

function pass(ctx: AuthContext, found: VerifiedToken, next: () => Promise<unknown>): Promise<unknown> {
  keepVerified(ctx, found);
  const { account, methods, authTime, token } = found;
  tell(ctx, { account, methods, authTime, token });
  return next();
}
