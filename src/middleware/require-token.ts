import { AccessTokens } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import { tellTokenCheck } from '../core/check-channels.js';
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

  // No async function: a token that this process keeps costs no promise of its own.
  return function requireToken(ctx, next) {
    const bearer = readBearer(ctx);
    const sent = bearer.kind === 'none' ? readSession(ctx, tokens) : bearer;
    if (sent.kind === 'none') return refused(refuseBearer(ctx, 'none'));
    if (sent.kind === 'malformed') return refused(refuseBearer(ctx, 'invalid_request'));
    if (sent.kind === 'foreign') return refused(refuse(ctx, 'csrf_rejected'));
    const kept = tokens.recall(sent.token, sent.kind);
    if (kept !== undefined) return admit(ctx, kept, next);
    return decided(ctx, tokens.check(sent.token, sent.kind)).then((found) => {
      if (found === undefined) return undecided();
      return found === null ? refused(refuseBearer(ctx, 'invalid_token')) : admit(ctx, found, next);
    });
  };

  function admit(ctx: AuthContext, found: VerifiedToken, next: Next): Promise<unknown> {
    if (!coversScope(found.token.scope, demanded))
      return refused(refuseBearer(ctx, 'insufficient_scope', scope));
    if (findAccount !== undefined) return passAgain(ctx, found, next);
    // Whoever changes what it was told changes neither what was verified nor what another request is told.
    return pass(ctx, found, { id: found.account.id }, next);
  }

  async function passAgain(ctx: AuthContext, found: VerifiedToken, next: Next): Promise<unknown> {
    const asked = await findAgain(ctx, findAccount, found.account);
    if (asked === undefined) return undecided();
    if (asked.answer === null) return refused(refuseBearer(ctx, 'invalid_token'));
    return pass(ctx, { ...found, account: asked.answer }, asked.answer, next);
  }
}

type Next = () => Promise<unknown>;

/** A refusal has been answered; there is nothing to wait for. */
function refused(_answered: void): Promise<void> {
  tellTokenCheck('refused');
  return Promise.resolve();
}

/** So has a refusal for want of an answer. */
function undecided(): undefined {
  tellTokenCheck('undecided');
}

function pass(ctx: AuthContext, found: VerifiedToken, account: Account, next: Next): Promise<unknown> {
  keepVerified(ctx, found);
  const { methods, authTime, token } = found;
  tell(ctx, { account, methods, authTime, token });
  tellTokenCheck('passed');
  return next();
}
