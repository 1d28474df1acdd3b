import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import { flag, readOptions } from '../core/options.js';
import { tokenGrantRules, type TokenCarrier, type TokenGrant } from '../core/token-grant.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { answerToken, decideFor, issueOn, perLogin, provenLogin, type PerLogin } from '../http/issue.js';
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

export interface IssueTokenOptions {
  /**
   * Scope values separated by single spaces (RFC 6749 section 3.3), or a function that decides for this login.
   *
   * @default ''
   */
  readonly scope?: PerLogin<string, LoginFacts>;
  /**
   * A name for lists of tokens, or a function that decides for this login; at most 255 bytes.
   *
   * @default ''
   */
  readonly name?: PerLogin<string, LoginFacts>;
  /**
   * How long the token works, in seconds, at most 604,800, or a function that decides for this login.
   *
   * @default the lifetime of `tokens`
   */
  readonly lifetimeSeconds?: PerLogin<number, LoginFacts>;
  /**
   * Ends the token when it is not used for so long, in seconds, 60 to 604,800, or a function that decides for this
   * login. A use is noted within two minutes, so the end comes up to two minutes later.
   *
   * @default it does not end by that
   */
  readonly idleSeconds?: PerLogin<number, LoginFacts>;
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
    const { account, methods } = login;
    const decide = <T>(option: PerLogin<T, LoginFacts>, name: string, granted = ''): T =>
      decideFor(option, `issueToken: option ${name}`, account, ctx, { methods, scope: granted });
    const granted = scope === undefined ? '' : decide(scope, 'scope');
    const grant: TokenGrant = {
      scope: granted,
      carry,
      ...(name !== undefined && { name: decide(name, 'name', granted) }),
      ...(lifetimeSeconds !== undefined && {
        lifetimeSeconds: decide(lifetimeSeconds, 'lifetimeSeconds', granted),
      }),
      ...(idleSeconds !== undefined && { idleSeconds: decide(idleSeconds, 'idleSeconds', granted) }),
    };
    const issued = await issueOn(ctx, tokens, login, grant);
    if (issued !== undefined) answerToken(ctx, issued);
  };
}
