import type { LoginSessions } from '../core/login-sessions.js';
import type { AuthContext } from './auth-state.js';

/** A login that is to have a session of its own. */
interface NextLogin {
  /** The token's secret: the id of that session. */
  readonly id: string;
  /** Key of its account. */
  readonly login: string;
}

/** What one request has to do with sessions, out of reach of whoever can write `ctx.session`. */
export class SessionVisit {
  /** The session that is kept, as far as this request knows; undefined for none. */
  #kept: { readonly id: string; readonly login: string | null } | undefined;
  #owner: string | null = null;
  #next: NextLogin | undefined;
  /** The login whose id was taken. */
  #taken: NextLogin | undefined;
  /** The id of a session that was to be saved and has ended meanwhile. */
  #ended: string | undefined;
  #isOver = false;

  /** @param origin - The app's own: where its pages come from. */
  constructor(
    readonly sessions: LoginSessions,
    readonly origin: string,
  ) {}

  /** Key of the account that was logged in when the request came; null for a visitor. */
  get owner(): string | null {
    return this.#owner;
  }

  /**
   * The id of the session that carries a login.
   *
   * @param shown - The one that koa-session shows to the app: it may have refused or dropped what was loaded.
   */
  loginId(shown: string | undefined): string | undefined {
    const { id, login = null } = this.#kept ?? {};
    return login !== null && id === shown ? shown : undefined;
  }

  async load(id: string): Promise<object | undefined> {
    const found = await this.sessions.read(id);
    if (found === null) return undefined;
    this.#kept = { id, login: found.login };
    this.#owner = found.login;
    return found.content;
  }

  /** The next id is that of this login, once. */
  expect(next: NextLogin): void {
    this.#next = next;
  }

  nextId(): string {
    this.#taken = this.#next;
    this.#next = undefined;
    return this.#taken?.id ?? this.sessions.createId();
  }

  async save(id: string, content: object, lifetimeMs: number): Promise<void> {
    if (!this.mayWrite(id)) return;
    const login = this.#loginOf(id);
    const isNew = this.#kept?.id !== id;
    const isKept = await this.sessions.write(id, { login, content }, lifetimeMs, isNew);
    if (isKept) this.#kept = { id, login };
    // The browser may have the cookie of another session by now.
    else this.#ended = id;
  }

  #loginOf(id: string): string | null {
    if (this.#kept?.id === id) return this.#kept.login;
    return this.#taken?.id === id ? this.#taken.login : null;
  }

  end(id: string): Promise<void> {
    return this.sessions.end(id, this.#loginOf(id));
  }

  /** Whether this request may still write the session with this id, and give the browser its cookie. */
  mayWrite(id: string): boolean {
    return !this.#isOver && id !== this.#ended;
  }

  /** From now on it writes none. */
  abandon(): void {
    this.#isOver = true;
  }
}

// Keyed by the context object itself: nothing that a client or another middleware writes can name a session.
const visits = new WeakMap<object, SessionVisit>();

export function keepVisit(ctx: AuthContext, visit: SessionVisit): void {
  visits.set(ctx, visit);
}

/** Undefined where koa-session did not run for this request, or not with `sessionOptions`. */
export function visitOf(ctx: AuthContext): SessionVisit | undefined {
  return visits.get(ctx);
}
