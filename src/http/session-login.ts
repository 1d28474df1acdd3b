import type { AccessTokens, IssuedToken } from '../core/access-tokens.js';
import { accountKey } from '../core/account.js';
import type { AuthContext } from './auth-state.js';
import { visitOf, type SessionVisit } from './session-visit.js';
import { isFromAnotherSite } from './site.js';

/** What koa-session adds to a context. */
interface WithSession {
  get session(): KoaSession | null;
  set session(content: object | null);
}

interface KoaSession {
  maxAge: unknown;
  readonly externalKey?: string;
  regenerate(): Promise<void>;
}

/** Methods that change nothing (RFC 9110 section 9.2.1), as far as apps have routes for them. */
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * The session of this request, to log in to.
 *
 * @throws {Error} where there is none that these tokens can be carried by: a mistake of the app.
 */
export function demandSession(ctx: AuthContext, tokens: AccessTokens): SessionVisit {
  const visit = visitOf(ctx);
  if (visit?.sessions.tokens === tokens) return visit;
  throw new Error(
    "issueToken: carry 'session' needs koa-session with sessionOptions of the same tokens before it: " +
      'app.use(session(sessionOptions(tokens, { store, origin }), app))',
  );
}

/**
 * Makes a new session with the token's secret as its id, so that an id from before the login is worth nothing (session
 * fixation). What the session held stays, unless another account was logged in.
 *
 * @throws {StoreUnavailable} where that failed; the token is then revoked.
 */
export async function carryLogin(
  ctx: AuthContext,
  tokens: AccessTokens,
  { secret, facts: { account, token } }: IssuedToken,
): Promise<void> {
  const visit = demandSession(ctx, tokens);
  const login = accountKey(account.id);
  const context = ctx as unknown as WithSession;
  try {
    if (context.session === null || (visit.owner !== null && visit.owner !== login)) context.session = {};
    const { session } = context;
    if (session === null) throw new TypeError('carryLogin: no session');
    session.maxAge = token.expiresAt - token.createdAt;
    visit.expect({ id: secret, login });
    // Ends the old session first, and the login that it may carry.
    await session.regenerate();
  } catch (error) {
    visit.abandon();
    // Nobody has its secret: left alone, it would only be in the way until it ends.
    await tokens.revoke(token.id).catch(() => {});
    throw error;
  }
}

/** What a request without an Authorization header brings along. */
export type Carried =
  | { readonly kind: 'session'; readonly token: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'foreign' };

/** The login that the browser's session carries; whether its token still lives is not looked at. */
export function readSession(ctx: AuthContext, tokens: AccessTokens): Carried {
  const visit = visitOf(ctx);
  // A request with an Authorization header says by that whose it is.
  if (visit?.sessions.tokens !== tokens || ctx.req.headers.authorization !== undefined)
    return { kind: 'none' };
  const id = visit.loginId((ctx as unknown as WithSession).session?.externalKey);
  if (id === undefined) return { kind: 'none' };
  // The browser sends the cookie along whoever made it ask.
  if (!safeMethods.has(ctx.method) && isFromAnotherSite(ctx, visit.origin)) return { kind: 'foreign' };
  return { kind: 'session', token: id };
}

/** Ends the session of this request, with what it holds; koa-session does so when it answers. */
export function endSession(ctx: AuthContext): void {
  (ctx as unknown as WithSession).session = null;
}
