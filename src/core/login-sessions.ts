import type { AccessTokens } from './access-tokens.js';
import { accountKey } from './account.js';
import { keyHash } from './key-hash.js';
import { parseRecord } from './record.js';
import type { SessionStore } from './session-store.js';
import { ask, isBoolean, isNothing, isTextOrNull, nonsense, own } from './store-call.js';
import { idOfSecret } from './token-record.js';
import { tokenSecrets } from './token-secret.js';

/** A session as it is kept. */
export interface LoginSession {
  /** Key of the account whose login its id carries; null for a visitor. */
  readonly login: string | null;
  /** What the app put into it. Nothing in it is trusted. */
  readonly content: object;
}

/**
 * Browser sessions whose id is the secret of a token where they carry a login. Session and token are filed apart, both
 * under hashes of the id, and a login counts only while the token lives: revoking it ends the session.
 */
export class LoginSessions {
  constructor(
    readonly tokens: AccessTokens,
    readonly store: SessionStore,
  ) {}

  /** An id for a visitor: no token is behind it. */
  createId(): string {
    return tokenSecrets.session.create();
  }

  /** Null for one that is unknown, ended, mistyped, or that carried a login which has ended. */
  async read(id: string): Promise<LoginSession | null> {
    if (!tokenSecrets.session.isWellFormed(id)) return null;
    const [record, found] = await Promise.all([
      ask(() => this.store.readSession(keyOf(id)), isTextOrNull),
      this.tokens.check(id, 'session'),
    ]);
    if (record === null) return null;
    const session = readRecord(record);
    if (session.login === null) return session;
    if (found !== null && accountKey(found.account.id) === session.login) return session;
    await this.#remove(id);
    return null;
  }

  /**
   * Writes one.
   *
   * @param isNew - False for one that was read before: where it has gone since, it stays gone, and the answer is false.
   */
  async write(
    id: string,
    { login, content }: LoginSession,
    lifetimeMs: number,
    isNew: boolean,
  ): Promise<boolean> {
    const key = keyOf(id);
    const record = JSON.stringify({ v: 1, login, content });
    if (!isNew) return ask(() => this.store.updateSession(key, record, lifetimeMs), isBoolean);
    await ask(() => this.store.saveSession(key, record, lifetimeMs), isNothing);
    return true;
  }

  /**
   * Ends one, and the login that it carries: that first, so that a failure in between leaves no login behind.
   *
   * @param login - Null for a visitor's: no token is behind it, and none is asked for.
   */
  async end(id: string, login: string | null): Promise<void> {
    if (login !== null) await this.tokens.revoke(idOfSecret(id));
    await this.#remove(id);
  }

  #remove(id: string): Promise<void> {
    return ask(() => this.store.removeSession(keyOf(id)), isNothing);
  }
}

/** Another domain than that of tokens: neither record leads to the other. */
function keyOf(id: string): string {
  return keyHash('session', id);
}

function readRecord(record: string): LoginSession {
  const read = parseRecord(record);
  const [login, content] = [own(read, 'login'), own(read, 'content')];
  const isOurs = own(read, 'v') === 1 && typeof content === 'object' && content !== null;
  if (!isOurs || !isTextOrNull(login)) throw nonsense();
  return { login, content };
}
