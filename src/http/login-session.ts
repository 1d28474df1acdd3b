import { AccessTokens } from '../core/access-tokens.js';
import { StoreUnavailable } from '../core/errors.js';
import { demandInstance } from '../core/instance.js';
import { LoginSessions } from '../core/login-sessions.js';
import { integer, offering, readOptions, required } from '../core/options.js';
import { isSecureOrigin } from '../core/relying-party.js';
import { sessionStoreMethods, type SessionStore } from '../core/session-store.js';
import { longestTokenSeconds } from '../core/token-grant.js';
import type { AuthContext } from './auth-state.js';
import { emitStoreFailure } from './events.js';
import { keepVisit, SessionVisit, visitOf } from './session-visit.js';

/** As long as a browser keeps a cookie (RFC 6265bis, 400 days). */
const longestMaxAgeMs = 34_560_000_000;

export interface LoginSessionOptions {
  /** Where sessions are kept: `memoryStore()` for one process, `redisStore(redis)` for several. */
  readonly store: SessionStore;
  /** Origin of your pages: https, or `http://localhost` while developing. */
  readonly origin: string;
  /**
   * How long the session of a visitor lives after its last change, in seconds, 60 to 604,800. One that carries a login
   * ends with its token.
   *
   * @default 86_400
   */
  readonly maxAgeSeconds?: number;
}

interface OfRequest {
  readonly ctx?: AuthContext;
}

/** What is set of koa-session's options. Its own types stay out of ours, so koa-session stays optional. */
export interface KoaSessionSettings {
  key: string;
  maxAge: number;
  httpOnly: boolean;
  secure: boolean;
  sameSite: 'lax';
  path: string;
  signed: boolean;
  overwrite: boolean;
  genid: (ctx: AuthContext) => string;
  externalKey: { get: (ctx: AuthContext) => string; set: (ctx: AuthContext, id: string) => void };
  store: {
    get: (id: string, maxAge: unknown, request: OfRequest) => Promise<object | undefined>;
    set: (id: string, content: object, maxAge: unknown, request: OfRequest) => Promise<void>;
    destroy: (id: string, request: OfRequest) => Promise<void>;
  };
}

/**
 * The options of koa-session under which a session can carry a login: `session(sessionOptions(tokens, …), app)`. Then
 * `issueToken` with `carry: 'session'` logs in, and `requireToken` lets the session through. The id in the cookie is
 * the secret of a token: revoking that ends the session, and nothing that is written into `ctx.session` logs in.
 */
export function sessionOptions(tokens: AccessTokens, options: LoginSessionOptions): KoaSessionSettings {
  demandInstance('sessionOptions', AccessTokens, tokens);
  const {
    store,
    origin,
    maxAgeSeconds = 86_400,
  } = readOptions<LoginSessionOptions>('sessionOptions', options, {
    store: required(
      offering('a session store such as memoryStore() or redisStore(redis)', ...sessionStoreMethods),
    ),
    origin: required({
      demand: 'an origin such as https://acme.example (http for localhost only)',
      accepts: isSecureOrigin,
    }),
    maxAgeSeconds: integer(60, longestTokenSeconds),
  });
  const sessions = new LoginSessions(tokens, store);
  const secure = origin.startsWith('https:');
  // `__Host-`: no other host of the domain, and no page over plain http, can plant one.
  const key = `${secure ? '__Host-' : ''}portcullis_session`;
  const cookie = {
    httpOnly: true,
    secure,
    sameSite: 'lax',
    path: '/',
    signed: false,
    overwrite: true,
  } as const;

  return {
    ...cookie,
    key,
    maxAge: maxAgeSeconds * 1000,
    genid: (ctx) => visitOf(ctx)?.nextId() ?? sessions.createId(),
    externalKey: {
      get: (ctx) => {
        keepVisit(ctx, new SessionVisit(sessions, origin));
        // Behind a proxy that ends TLS, Koa's cookies refuse to send a secure one without this.
        if (secure) ctx.cookies.secure = true;
        return ctx.cookies.get(key, { signed: false }) ?? '';
      },
      set: (ctx, id) => {
        if (visitOf(ctx)?.mayWrite(id) === false) return;
        const { maxAge } = (ctx as unknown as { sessionOptions: { maxAge?: unknown } }).sessionOptions;
        ctx.cookies.set(key, id, { ...cookie, ...(isLifetime(maxAge) && { maxAge }) });
      },
    },
    store: {
      get: (id, _maxAge, { ctx }) => asking(ctx, (visit) => visit.load(id)),
      set: (id, content, maxAge, { ctx }) => {
        const lifetimeMs = isLifetime(maxAge) ? maxAge : maxAgeSeconds * 1000;
        return asking(ctx, (visit) => visit.save(id, content, lifetimeMs));
      },
      destroy: (id, { ctx }) => asking(ctx, (visit) => visit.end(id)),
    },
  };
}

/** A store that cannot tell is an event, as everywhere; koa-session hands its error on, and Koa answers 503. */
async function asking<T>(ctx: AuthContext | undefined, ask: (visit: SessionVisit) => Promise<T>): Promise<T> {
  const visit = ctx && visitOf(ctx);
  if (ctx === undefined || visit === undefined) throw new TypeError('sessionOptions: only for koa-session 7');
  try {
    return await ask(visit);
  } catch (error) {
    if (error instanceof StoreUnavailable) emitStoreFailure(ctx, error.reason);
    throw error;
  }
}

/** An app may set what it likes: of anything else neither a store nor a cookie takes its age. */
function isLifetime(maxAge: unknown): maxAge is number {
  return Number.isSafeInteger(maxAge) && (maxAge as number) > 0 && (maxAge as number) <= longestMaxAgeMs;
}
