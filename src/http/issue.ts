import type { AccessTokens, IssuedToken } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import type { Login } from '../core/login.js';
import type { Rule } from '../core/options.js';
import type { TokenGrant } from '../core/token-grant.js';
import { tell, type AuthContext } from './auth-state.js';
import { clientAddress } from './client-address.js';
import { emitEvent } from './events.js';
import { loginOf } from './login.js';
import { refuseMisordered, type Misordered } from './misordered.js';
import { decided, refuse } from './refuse.js';
import { carryLogin } from './session-login.js';

/** What is decided about each login: a value, or a function that decides. */
export type PerLogin<T, Facts> = T | ((account: Account, ctx: AuthContext, login: Facts) => T);

/** The rule for an option that is such a value, or a function that decides. */
export function perLogin(rule: Rule): Rule {
  return {
    demand: `${rule.demand}, or a function`,
    accepts: (value) => typeof value === 'function' || rule.accepts(value),
  };
}

/**
 * What an option says for this login.
 *
 * @param name - Of owner and option, for the error.
 * @throws {TypeError} where its function answers nothing: a default in place of that could be more than was meant.
 */
export function decideFor<T, Facts>(
  option: PerLogin<T, Facts>,
  name: string,
  account: Account,
  ctx: AuthContext,
  login: Facts,
): T {
  if (typeof option !== 'function') return option;
  const decision = (option as (...args: [Account, AuthContext, Facts]) => T)(account, ctx, login);
  if (decision === undefined)
    throw new TypeError(`${name} must be a function that answers something, not undefined`);
  return decision;
}

/** Which steps of a login the app does elsewhere, or not at all. */
export interface LoginDemands {
  readonly lockout: boolean;
  readonly secondFactor: boolean;
}

/** The login of this request where all its steps were passed; undefined when the request has been refused. */
export function provenLogin(
  ctx: AuthContext,
  middleware: Misordered,
  demands: LoginDemands = { lockout: true, secondFactor: true },
): Login | undefined {
  const login = loginOf(ctx);
  // A pending login has a factor outstanding, whatever the app demands.
  const needsNoFactor = !demands.secondFactor && login.resumed === undefined;
  if (needsNoFactor && login.account !== undefined && !login.factorPassed) login.passFactor();
  const isProven = login.account !== undefined && login.factorPassed;
  if (isProven && (login.lockoutPassed || !demands.lockout)) return login;
  refuseMisordered(ctx, middleware);
  return undefined;
}

/** Ends a proven login with a token, and tells of both; undefined when the request has been refused. */
export async function issueOn(
  ctx: AuthContext,
  tokens: AccessTokens,
  login: Login,
  grant: TokenGrant,
): Promise<IssuedToken | undefined> {
  const address = clientAddress(ctx);
  const issued = await decided(ctx, issue());
  if (issued === undefined) return undefined;
  if (issued === null) {
    refuse(ctx, login.resumed === undefined ? 'invalid_credentials' : 'pending_login_invalid');
    return undefined;
  }
  const { account, methods, authTime, token } = issued.facts;
  tell(ctx, { account: login.account ?? account, methods, authTime, token });
  const { id, scope, client } = token;
  const of = client === null ? {} : { client };
  emitEvent(ctx, { name: 'token.issued', account: account.id, token: id, scope, ...of });
  const tried = login.told === undefined ? {} : { subject: login.told };
  const from = login.device === undefined ? {} : { device: login.device };
  emitEvent(ctx, { name: 'login.succeeded', account: account.id, methods, token: id, ...tried, ...from });
  return issued;

  async function issue(): Promise<IssuedToken | null> {
    await login.returned;
    const made = await tokens.issue(login, { ...grant, address });
    if (made?.facts.token.carry === 'session') await carryLogin(ctx, tokens, made);
    return made;
  }
}

/** The answer of RFC 6749 section 5.1, and beside it what lists of tokens say. */
export function answerToken(ctx: AuthContext, { secret, facts: { token } }: IssuedToken): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.status = 200;
  ctx.body = {
    // A session's secret is in its cookie, out of reach of scripts.
    ...(token.carry === 'bearer' && { access_token: secret, token_type: 'Bearer' }),
    expires_in: Math.round((token.expiresAt - token.createdAt) / 1000),
    scope: token.scope,
    id: token.id,
    created_at: new Date(token.createdAt).toISOString(),
    expires_at: new Date(token.expiresAt).toISOString(),
  };
}
