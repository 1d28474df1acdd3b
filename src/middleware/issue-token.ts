import { AccessTokens } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import { demandInstance } from '../core/instance.js';
import { flag, readOptions, type Rule } from '../core/options.js';
import { tokenGrantRules, type TokenCarrier, type TokenGrant } from '../core/token-grant.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { answerToken, issueOn, provenLogin } from '../http/issue.js';
import { refuse } from '../http/refuse.js';
import { demandSession } from '../http/session-login.js';
import { isFromAnotherSite } from '../http/site.js';

/** What is known of a login when its token is decided on. */
export interface LoginFacts {
  /** RFC 8176 values, such as `['pwd', 'otp']`. */
  readonly methods: readonly string[];
  /** The scope that was decided on; empty while it is not. */
  readonly scope: string;
}

type PerLogin<T> = T | ((account: Account, ctx: AuthContext, login: LoginFacts) => T);

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
   * Ends the token when it is not used for so long, in seconds, 60 to 604,800, or a function that decides for this
   * login. A use is noted within a minute, so the end comes up to a minute later.
   *
   * @default it does not end by that
   */
  readonly idleSeconds?: PerLogin<number>;
  /**
   * What brings the token along: the client in a header, or the browser in the cookie of its session, for which
   * koa-session has run with `sessionOptions`. The answer of the latter holds no `access_token`.
   *
   * @default 'bearer'
   */
  readonly carry?: TokenCarrier;
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
    idleSeconds,
    carry = 'bearer',
    dangerouslyWithoutLockout = false,
    dangerouslyWithoutSecondFactor = false,
  } = readOptions<IssueTokenOptions>('issueToken', options, {
    scope: perLogin(tokenGrantRules.scope),
    name: perLogin(tokenGrantRules.name),
    lifetimeSeconds: perLogin(tokenGrantRules.lifetimeSeconds),
    idleSeconds: perLogin(tokenGrantRules.idleSeconds),
    carry: tokenGrantRules.carry,
    dangerouslyWithoutLockout: flag,
    dangerouslyWithoutSecondFactor: flag,
  });
  const demands = { lockout: !dangerouslyWithoutLockout, secondFactor: !dangerouslyWithoutSecondFactor };

  return async function issueToken(ctx) {
    if (carry === 'session') {
      const { origin } = demandSession(ctx, tokens);
      // Or a page of another site could log its visitor in, to an account of its own (login CSRF).
      if (isFromAnotherSite(ctx, origin)) return refuse(ctx, 'csrf_rejected');
    }
    const login = provenLogin(ctx, 'issueToken', demands);
    if (login?.account === undefined) return;
    const decide = perLoginOf(login.account, ctx, login.methods);
    const granted = scope === undefined ? '' : decide(scope, '');
    const grant: TokenGrant = {
      scope: granted,
      carry,
      ...(name !== undefined && { name: decide(name, granted) }),
      ...(lifetimeSeconds !== undefined && { lifetimeSeconds: decide(lifetimeSeconds, granted) }),
      ...(idleSeconds !== undefined && { idleSeconds: decide(idleSeconds, granted) }),
    };
    const issued = await issueOn(ctx, tokens, login, grant);
    if (issued !== undefined) answerToken(ctx, issued);
  };
}

function perLogin(rule: Rule): Rule {
  return {
    demand: `${rule.demand}, or a function`,
    accepts: (value) => typeof value === 'function' || rule.accepts(value),
  };
}

/** Decides what an option says for this login. */
function perLoginOf(account: Account, ctx: AuthContext, methods: readonly string[]) {
  return <T extends string | number>(option: PerLogin<T>, scope: string): T =>
    typeof option === 'function' ? option(account, ctx, { methods, scope }) : option;
}
