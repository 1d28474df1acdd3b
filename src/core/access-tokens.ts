import { accountKey, checkedAccount, type Account } from './account.js';
import { Login } from './login.js';
import { readOptions, text } from './options.js';
import { ask, isBoolean, isCount, nonsense } from './store-call.js';
import { readTokenCache, type TokenCache } from './token-cache.js';
import {
  robotGrantRules,
  tokenGrantRules,
  type RobotGrant,
  type TokenCarrier,
  type TokenGrant,
} from './token-grant.js';
import { readAccessTokensOptions, type AccessTokensOptions, type TokenSettings } from './token-options.js';
import {
  keyOfId,
  readListedToken,
  readTokenRecord,
  writeTokenRecord,
  type ListedToken,
  type TokenRecord,
  type VerifiedToken,
} from './token-record.js';
import { TokenReader } from './token-reader.js';
import { tokenKey, tokenSecrets } from './token-secret.js';
import { isStoredTokenOrNull, isStoredTokens, type TokenStore } from './token-store.js';
import { idleMsOf, TokenUses } from './token-uses.js';

/** A token as it is given out: its secret, once, and what may be known of it. */
export interface IssuedToken {
  readonly secret: string;
  readonly facts: VerifiedToken;
}

/**
 * Opaque bearer tokens (RFC 6750): 256 random bits, kept as a SHA-256 hash, revocable at once. Neither a
 * signature nor a claim decides, only whether the store still has it.
 */
export class AccessTokens {
  readonly #store: TokenStore;
  readonly #settings: TokenSettings;
  readonly #uses = new TokenUses(() => performance.now());
  readonly #reader = new TokenReader();
  readonly #cache: TokenCache | undefined;

  /** @throws {TypeError} on an unknown option or a wrong value; a lifetime over 7 days is one. */
  constructor(options: AccessTokensOptions) {
    this.#settings = readAccessTokensOptions(options);
    const { store, cache } = this.#settings;
    this.#store = store;
    this.#cache = cache && readTokenCache(store, cache);
  }

  /** What it was made with. No secret is among it. */
  get settings(): TokenSettings {
    return this.#settings;
  }

  /**
   * Issues a token on a proven login and uses the proof up. Null when the account's tokens were revoked while
   * the login was under way.
   *
   * @throws {TypeError} when `login` is not a complete, fresh, unused proof, or the grant is out of range.
   * @throws {StoreUnavailable} when the store cannot tell.
   */
  async issue(login: Login, grant: TokenGrant = {}): Promise<IssuedToken | null> {
    const read = readOptions<TokenGrant>('issue', grant, tokenGrantRules);
    const { account, methods, provenAt, startedAt } = Login.take(login, this.#settings.now());
    const proof = { methods, authTime: Math.floor(provenAt / 1000), issuer: null };
    return this.#write(account, read, proof, startedAt);
  }

  /**
   * Issues a token that no login stands behind, to a robot. It never counts as a fresh login, and its owner is asked for
   * no factor: whoever may call this is the app's to decide, as `robotTokenRoutes` does.
   *
   * @param grant - Its name, the one who answers for it, and a scope that is not empty.
   * @throws {TypeError} when the grant is out of range.
   */
  async issueToRobot(robot: Account, grant: RobotGrant): Promise<IssuedToken> {
    const account = checkedAccount('issueToRobot', robot);
    const { issuer, ...read } = readOptions<RobotGrant>('issueToRobot', grant, robotGrantRules);
    const issued = await this.#write(account, read, { methods: [], authTime: 0, issuer });
    if (issued === null) throw nonsense();
    return issued;
  }

  async #write(
    account: Account,
    grant: TokenGrant,
    proof: Pick<TokenRecord, 'methods' | 'authTime' | 'issuer'>,
    startedAt?: number,
  ): Promise<IssuedToken | null> {
    const { scope = '', name = '', address = '', client = null, server = null } = grant;
    const { carry = 'bearer', idleSeconds = null } = grant;
    const secret = tokenSecrets[carry].create();
    const kept = { account: account.id, scope, name, address, client, server, carry, idleSeconds, ...proof };
    const token = {
      key: tokenKey(secret),
      account: accountKey(account.id),
      lifetimeMs: (grant.lifetimeSeconds ?? this.#settings.lifetimeSeconds) * 1000,
      idleMs: idleMsOf(idleSeconds),
      maxPerAccount: this.#settings.maxPerAccount,
      startedAt,
      record: writeTokenRecord(kept),
    };
    const stored = await ask(() => this.#store.issueToken(token), isStoredTokenOrNull);
    return stored === null ? null : { secret, facts: readTokenRecord(stored) };
  }

  /**
   * Whose token this is, where this process keeps it; undefined where the store is to be asked. At once and without a
   * promise, as most requests end here.
   */
  recall(token: string, carry: TokenCarrier = 'bearer'): VerifiedToken | undefined {
    return this.#cache?.find(token, carry);
  }

  /**
   * Whose token this is; null for one that is unknown, expired, revoked or mistyped. A wrong checksum is
   * answered without a hash or a store call.
   */
  check(token: string, carry: TokenCarrier = 'bearer'): Promise<VerifiedToken | null> {
    if (!tokenSecrets[carry].isWellFormed(token)) return Promise.resolve(null);
    const kept = this.recall(token, carry);
    if (kept !== undefined) return Promise.resolve(kept);
    const key = tokenKey(token);
    return this.#cache?.keep(token, key, () => this.#read(key)) ?? this.#read(key);
  }

  #read(key: string): Promise<VerifiedToken | null> {
    return ask(() => this.#store.readToken(key), isStoredTokenOrNull).then((stored) => {
      if (stored === null) return null;
      const found = this.#reader.read(stored);
      this.#noteUse(key, found);
      return found;
    });
  }

  /** Beside the request: what fails is made up for when the token is read again. One that has gone is none that is kept. */
  #noteUse(key: string, { account, token }: VerifiedToken): void {
    if (!this.#uses.isDue(key)) return;
    const { idleSeconds, expiresAt } = token;
    const use = { key, account: accountKey(account.id), idleMs: idleMsOf(idleSeconds), expiresAt };
    ask(() => this.#store.touchToken(use), isBoolean).then(
      (isLive) => isLive || this.#cache?.changed(key),
      () => this.#uses.forget(key),
    );
  }

  /**
   * Ends one token, by its id. Answers whether it was live. After the answer no process accepts it, but one with a `cache`
   * that has not heard of it yet: `maxStaleSeconds` at most.
   */
  async revoke(id: string): Promise<boolean> {
    return this.#end(id, await this.find(id));
  }

  /** The same, for a token of this account only: another's is as unknown as one that never was. */
  async revokeOwn(account: Account, id: string): Promise<boolean> {
    const owner = checkedAccount('revokeOwn', account);
    const found = await this.find(id);
    return found?.account.id === owner.id && this.#end(id, found);
  }

  /** Also where there is none any more: what ended it is confirmed again, where replicas have to. */
  async #end(id: string, found: VerifiedToken | null): Promise<boolean> {
    const key = keyOfId(id);
    const account = found === null ? undefined : accountKey(found.account.id);
    return key !== null && ask(() => this.#store.revokeToken(key, account), isBoolean);
  }

  /** The token with this id, while it lives; asked of the store, and no use of it. */
  async find(id: string): Promise<VerifiedToken | null> {
    const key = keyOfId(id);
    if (key === null) return null;
    const stored = await ask(() => this.#store.readToken(key), isStoredTokenOrNull);
    return stored === null ? null : readTokenRecord(stored);
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
    const kept = except === undefined ? undefined : (keyOfId(except) ?? undefined);
    return ask(() => this.#store.revokeTokens(accountKey(id), kept), isCount);
  }

  /** The live tokens of an account, oldest first. */
  async list(account: Account): Promise<readonly ListedToken[]> {
    const { id } = checkedAccount('list', account);
    const stored = await ask(() => this.#store.listTokens(accountKey(id)), isStoredTokens);
    return stored.map(readListedToken).toSorted((a, b) => a.createdAt - b.createdAt);
  }
}
