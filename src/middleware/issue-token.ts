import { AccessTokens, tokenGrantRules, type TokenGrant } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import { demandInstance } from '../core/instance.js';
import { flag, readOptions, type Rule } from '../core/options.js';
import { tell, type AuthContext, type AuthMiddleware } from '../http/auth-state.js';
import { emitEvent } from '../http/events.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { decided, refuse } from '../http/refuse.js';

type PerLogin<T> = T | ((account: Account, ctx: AuthContext) => T);

export interface IssueTokenOptions {
  /**
   * Scope values separated by single spaces (RFC 6749 section 3.3), or a function that decides for this login.
   *
   * @default ''
   */
  readonly scope?: PerLogin<string>;
  /**
   * A name for lists of tokens, or a function that decides for this login; at most 255 bytes.
   *
   * @default ''
   */
  readonly name?: PerLogin<string>;
  /**
   * How long the token works, in seconds, at most 604,800, or a function that decides for this login.
   *
   * @default the lifetime of `tokens`
   */
  readonly lifetimeSeconds?: PerLogin<number>;
  /**
   * Issue tokens for logins whose attempts `lockout` did not count. For apps that limit guessing elsewhere.
   *
   * @default false
   */
  readonly dangerouslyWithoutLockout?: boolean;
  /**
   * Issue tokens for logins that `requireSecondFactor` did not see. For apps that offer no second factor.
   *
   * @default false
   */
  readonly dangerouslyWithoutSecondFactor?: boolean;
}

/**
 * Ends a login with an access token, in the form of RFC 6749 section 5.1. Issues only on the proof that the
 * middleware before it left for this very request, once: a wrong order of middleware, a forged `ctx.state` or a
 * pending login yields nothing.
 */
export function issueToken(tokens: AccessTokens, options: IssueTokenOptions = {}): AuthMiddleware {
  demandInstance('issueToken', AccessTokens, tokens);
  const {
    scope,
    name,
    lifetimeSeconds,
    dangerouslyWithoutLockout = false,
    dangerouslyWithoutSecondFactor = false,
  } = readOptions<IssueTokenOptions>('issueToken', options, {
    scope: perLogin(tokenGrantRules.scope),
    name: perLogin(tokenGrantRules.name),
    lifetimeSeconds: perLogin(tokenGrantRules.lifetimeSeconds),
    dangerouslyWithoutLockout: flag,
    dangerouslyWithoutSecondFactor: flag,
  });

  return async function issueToken(ctx) {
    const login = loginOf(ctx);
    const { account } = login;
    // A pending login has a factor outstanding, whatever the option says.
    const needsNoFactor = dangerouslyWithoutSecondFactor && login.resumed === undefined;
    if (needsNoFactor && account !== undefined && !login.factorPassed) login.passFactor();
    const isProven = account !== undefined && login.factorPassed;
    if (!isProven || !(login.lockoutPassed || dangerouslyWithoutLockout))
      return refuseMisordered(ctx, 'issueToken');

    const grant: TokenGrant = {
      ...(scope !== undefined && { scope: valueOf(scope, account, ctx) }),
      ...(name !== undefined && { name: valueOf(name, account, ctx) }),
      ...(lifetimeSeconds !== undefined && { lifetimeSeconds: valueOf(lifetimeSeconds, account, ctx) }),
    };
    const issued = await decided(
      ctx,
      login.returned.then(() => tokens.issue(login, grant)),
    );
    if (issued === undefined) return;
    if (issued === null) {
      return refuse(ctx, login.resumed === undefined ? 'invalid_credentials' : 'pending_login_invalid');
    }
    const { secret, facts } = issued;
    const { token, methods, authTime } = facts;
    tell(ctx, { account, methods, authTime, token });
    ctx.set('Cache-Control', 'no-store');
    ctx.status = 200;
    ctx.body = {
      access_token: secret,
      token_type: 'Bearer',
      expires_in: Math.round((token.expiresAt - token.createdAt) / 1000),
      scope: token.scope,
      id: token.id,
      created_at: new Date(token.createdAt).toISOString(),
      expires_at: new Date(token.expiresAt).toISOString(),
    };
    emitEvent(ctx, { name: 'token.issued', account: account.id, token: token.id, scope: token.scope });
    emitEvent(ctx, { name: 'login.succeeded', account: account.id, methods, token: token.id });
  };
}

function perLogin(rule: Rule): Rule {
  return {
    demand: `${rule.demand}, or a function`,
    accepts: (value) => typeof value === 'function' || rule.accepts(value),
  };
}

function valueOf<T extends string | number>(option: PerLogin<T>, account: Account, ctx: AuthContext): T {
  return typeof option === 'function' ? option(account, ctx) : option;
}
