import type Koa from 'koa';
import type { Account } from '../core/account.js';
import type { TokenFacts } from '../core/token-record.js';
import type { RefusalBody } from './refusals.js';

/**
 * Public facts about this request, for the app to read. They prove nothing: whoever can write `ctx.state`
 * can forge them, so no middleware here trusts them.
 */
export interface Auth {
  /** Who logged in or whose token this is. */
  account?: Account;
  /** How, as Authentication Method Reference values (RFC 8176): `pwd`, `otp`. */
  methods?: readonly string[];
  /** When the password was verified, in seconds since the epoch. */
  authTime?: number;
  /** The access token that was issued or presented; never its secret. */
  token?: TokenFacts;
  /** The refusal that was answered. An app with its own error format rewrites the body from it, upstream. */
  refusal?: RefusalBody;
}

/** State type of every middleware here: `new Router<AuthState>()` types `ctx.state.auth`. */
export interface AuthState {
  auth: Auth;
}

/** A middleware of this package. */
export type AuthMiddleware = Koa.Middleware<AuthState>;

/** The request context that hooks receive. */
export type AuthContext = Koa.ParameterizedContext<AuthState>;

/** Adds facts to `ctx.state.auth`, replacing whatever an earlier middleware left under that name. */
export function tell(ctx: AuthContext, facts: Auth): void {
  ctx.state.auth = { ...toldOf(ctx), ...facts };
}

/** Takes the refusal off `ctx.state.auth`: whoever takes it answers it in another form. */
export function takeRefusal(ctx: AuthContext): RefusalBody | undefined {
  const auth = toldOf(ctx);
  // Its own: a polluted prototype refuses nothing.
  if (auth === undefined || !Object.hasOwn(auth, 'refusal')) return undefined;
  const { refusal, ...others } = auth;
  ctx.state.auth = others;
  return refusal ?? undefined;
}

function toldOf(ctx: AuthContext): Auth | undefined {
  const state = ctx.state as Partial<AuthState>;
  // Anybody may have left null there.
  return Object.hasOwn(state, 'auth') && typeof state.auth === 'object'
    ? (state.auth ?? undefined)
    : undefined;
}
