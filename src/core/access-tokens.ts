import { checkedAccount, type Account } from './account.js';
import { keyHash } from './key-hash.js';
import { Login } from './login.js';
import { callback, integer, offering, readOptions, required, text } from './options.js';
import { SecretText } from './secret-text.js';
import { ask, isBoolean, isCount } from './store-call.js';
import { readTokenRecord, writeTokenRecord, type TokenFacts, type VerifiedToken } from './token-record.js';
import { longestTokenSeconds, tokenGrantRules, type TokenGrant } from './token-grant.js';
import { readTokenCache, type TokenCache, type TokenCacheOptions } from './token-cache.js';
import { isStoredTokenOrNull, isStoredTokens, tokenStoreMethods, type TokenStore } from './token-store.js';

export interface AccessTokensOptions {
  /** Where tokens are kept: `memoryStore()` for one process, `redisStore(redis)` for several. */
  readonly store: TokenStore;
  /**
   * How long a token works, in seconds, at most 604,800.
   *
   * @default 604_800
   */
  readonly lifetimeSeconds?: number;
  /**
   * Live tokens of one account; beyond it a new one ends the one that would end first.
   *
   * @default 1000
   */
  readonly maxPerAccount?: number;
  /**
   * Keeps verified tokens in this process, so that most requests ask no store. Needs a store that tells of changes, as
   * `redisStore` does.
   *
   * @default every request asks the store
   */
  readonly cache?: TokenCacheOptions;
  /**
   * Clock of the process in milliseconds since the epoch; it only ages login proofs.
   *
   * @default Date.now
   */
  readonly now?: () => number;
}

const secrets = new SecretText('pcat_');

/** Regular expression source that matches every access token, for secret scanners. */
export const accessTokenPattern: string = secrets.pattern;

/**
 * Opaque bearer tokens (RFC 6750): 256 random bits, kept as a SHA-256 hash, revocable at once. Neither a
 * signature nor a claim decides, only whether the store still has it.
 */
export class AccessTokens {
  readonly #store: TokenStore;
  readonly #lifetimeSeconds: number;
  readonly #maxPerAccount: number;
  readonly #now: () => number;
  readonly #cache: TokenCache | undefined;

  /** @throws {TypeError} on an unknown option or a wrong value; a lifetime over 7 days is one. */
  constructor(options: AccessTokensOptions) {
    const {
      store,
      lifetimeSeconds = longestTokenSeconds,
      maxPerAccount = 1000,
      cache,
      now = Date.now,
    } = readOptions<AccessTokensOptions>('AccessTokens', options, {
      store: required(
        offering('a token store such as memoryStore() or redisStore(redis)', ...tokenStoreMethods),
      ),
      lifetimeSeconds: integer(1, longestTokenSeconds),
      maxPerAccount: integer(1, 10_000),
      cache: { demand: 'an object', accepts: (v) => typeof v === 'object' && v !== null },
      now: callback,
    });
    this.#store = store;
    this.#lifetimeSeconds = lifetimeSeconds;
    this.#maxPerAccount = maxPerAccount;
    this.#now = now;
    this.#cache = cache && readTokenCache(store, cache);
  }

  /**
   * Issues a token on a proven login and uses the proof up. Null when the account's tokens were revoked while
   * the login was under way.
   *
   * @throws {TypeError} when `login` is not a complete, fresh, unused proof, or the grant is out of range.
   * @throws {StoreUnavailable} when the store cannot tell.
   */
  async issue(
    login: Login,
    grant: TokenGrant = {},
  ): Promise<{ secret: string; facts: VerifiedToken } | null> {
    const {
      scope = '',
      name = '',
      lifetimeSeconds = this.#lifetimeSeconds,
    } = readOptions<TokenGrant>('issue', grant, tokenGrantRules);
    const { account, methods, provenAt, startedAt } = Login.take(login, this.#now());
    const secret = secrets.create();
    const key = keyHash('token', secret);
    const record = writeTokenRecord({
      account: account.id,
      scope,
      name,
      methods,
      authTime: Math.floor(provenAt / 1000),
    });
    const stored = await ask(
      () =>
        this.#store.issueToken({
          key,
          account: accountKey(account.id),
          lifetimeMs: lifetimeSeconds * 1000,
          maxPerAccount: this.#maxPerAccount,
          startedAt,
          record,
        }),
      isStoredTokenOrNull,
    );
    return stored === null ? null : { secret, facts: readTokenRecord(stored) };
  }

  /**
   * Whose token this is, where this process keeps it; undefined where the store is to be asked. At once and without a
   * promise, as most requests end here.
   */
  recall(token: string): VerifiedToken | undefined {
    return this.#cache?.find(token);
  }

  /**
   * Whose token this is; null for one that is unknown, expired, revoked or mistyped. A wrong checksum is
   * answered without a hash or a store call.
   */
  check(token: string): Promise<VerifiedToken | null> {
    if (!secrets.isWellFormed(token)) return Promise.resolve(null);
    const kept = this.recall(token);
    return kept === undefined ? this.#ask(token) : Promise.resolve(kept);
  }

  async #ask(token: string): Promise<VerifiedToken | null> {
    const key = keyHash('token', token);
    const read = this.#cache?.startRead(key);
    let found: VerifiedToken | null = null;
    try {
      const stored = await ask(() => this.#store.readToken(key), isStoredTokenOrNull);
      found = stored === null ? null : readTokenRecord(stored);
    } finally {
      if (read !== undefined) this.#cache?.endRead(read, token, found ?? undefined);
    }
    return found;
  }

  /** Ends one token, by its id. Answers whether it was live. After the answer no process accepts it. */
  async revoke(id: string): Promise<boolean> {
    const key = keyOf(id);
    return key !== null && ask(() => this.#store.revokeToken(key), isBoolean);
  }

  /**
   * Ends all tokens of an account and every login of it that is under way, pending ones included: for a changed
   * password, a disabled account, "log out everywhere". Answers how many tokens ended.
   *
   * @param options - `except`: id of a token that stays, usually the one acting.
   */
  async revokeAll(account: Account, options: { readonly except?: string } = {}): Promise<number> {
    const { id } = checkedAccount('revokeAll', account);
    const { except } = readOptions<{ readonly except?: string }>('revokeAll', options, { except: text });
    const kept = except === undefined ? undefined : (keyOf(except) ?? undefined);
    return ask(() => this.#store.revokeTokens(accountKey(id), kept), isCount);
  }

  /** The live tokens of an account, oldest first. */
  async list(account: Account): Promise<readonly TokenFacts[]> {
    const { id } = checkedAccount('list', account);
    const stored = await ask(() => this.#store.listTokens(accountKey(id)), isStoredTokens);
    return stored.map((one) => readTokenRecord(one).token).toSorted((a, b) => a.createdAt - b.createdAt);
  }
}

/** The key that an account's records are filed under. */
export function accountKey(id: string): string {
  return keyHash('account-records', id);
}

function keyOf(id: string): string | null {
  return /^[A-Za-z0-9_-]{43}$/.test(id) ? Buffer.from(id, 'base64url').toString('hex') : null;
}
