import { isCount, own } from './store-call.js';

/**
 * How long a store must remember `revokeTokens`, in milliseconds: longer than any login that began before it can
 * still be under way.
 */
export const cutoffMs = 3_600_000;

/** A time further ahead than this, in microseconds, shows that a clock was set back. */
export const clockToleranceUs = 1_000_000;

/** A token to be written. */
export interface NewToken {
  /** Hash of the token: 64 hexadecimal digits. */
  readonly key: string;
  /** Hash of the account's id. */
  readonly account: string;
  readonly lifetimeMs: number;
  /** Ends it when it is not touched for so long; undefined where nothing but `lifetimeMs` does. */
  readonly idleMs?: number | undefined;
  readonly maxPerAccount: number;
  /** Store time in microseconds at which the login began; undefined where nothing took it. */
  readonly startedAt: number | undefined;
  readonly record: string;
}

/** A live token, with times in milliseconds of the store's clock. */
export interface StoredToken {
  readonly key: string;
  readonly createdAt: number;
  /** When it ends at the latest. */
  readonly expiresAt: number;
  /** When it was last touched; null for never. */
  readonly usedAt: number | null;
  readonly record: string;
}

/** A use of a token, to be noted. */
export interface TokenUse {
  readonly key: string;
  readonly account: string;
  readonly idleMs?: number | undefined;
  /** As the store gave it. */
  readonly expiresAt: number;
}

/** Hears of changes of tokens, so that what was read may be kept. */
export interface TokenWatcher {
  /** The token was written, touched or ended. */
  changed(key: string): void;
  /** Changes may have been missed: nothing that was read before is to be trusted. */
  lost(): void;
  /**
   * Every change up to now was told.
   *
   * @param untilMs - Until when that may be relied on, in milliseconds of `performance.now()`.
   * @param storeAheadMs - What the store's clock (milliseconds since the epoch) is ahead of `performance.now()`.
   */
  vouch(untilMs: number, storeAheadMs: number): void;
}

/**
 * Keeps access tokens by their hash. The store's own clock ends them, and an ended token must not come back
 * when a clock is set back.
 */
export interface TokenStore {
  /**
   * Writes a token. Must answer null, and leave no token, if `revokeTokens` has been carried out for the account
   * since `startedAt`: a login that began before a revocation yields nothing after it. Beyond `maxPerAccount` live
   * tokens of the account, those that would end first must go before it answers.
   */
  issueToken(token: NewToken): Promise<StoredToken | null>;
  readToken(key: string): Promise<StoredToken | null>;
  /**
   * Must have taken effect for every process before it answers. Answers whether the token was live.
   *
   * @param account - Whose it is, where that is known, so that it counts no more for the most of an account.
   */
  revokeToken(key: string, account?: string): Promise<boolean>;
  /** Ends all tokens of an account but `except`, and every login of it that is under way. Answers how many. */
  revokeTokens(account: string, except?: string): Promise<number>;
  listTokens(account: string): Promise<readonly StoredToken[]>;
  /**
   * Notes that a token is used now, and puts its end by `idleMs` off, never beyond `expiresAt`. Must not bring back a
   * token that has ended. Answers whether it is live.
   */
  touchToken(use: TokenUse): Promise<boolean>;
  /**
   * Tells of every change of a token, by whichever process, so that what was read may be kept. Must tell `lost` before
   * a change can go untold, and vouch for no longer than `maxStaleMs` at a time.
   */
  watchTokens?(watcher: TokenWatcher, maxStaleMs: number): void;
}

export const tokenStoreMethods = [
  'issueToken',
  'readToken',
  'revokeToken',
  'revokeTokens',
  'listTokens',
  'touchToken',
] as const satisfies readonly (keyof TokenStore)[];

export function isStoredToken(reply: unknown): boolean {
  return (
    typeof own(reply, 'key') === 'string' &&
    isCount(own(reply, 'createdAt')) &&
    isCount(own(reply, 'expiresAt')) &&
    (own(reply, 'usedAt') === null || isCount(own(reply, 'usedAt'))) &&
    typeof own(reply, 'record') === 'string'
  );
}

export function isStoredTokenOrNull(reply: unknown): boolean {
  return reply === null || isStoredToken(reply);
}

export function isStoredTokens(reply: unknown): boolean {
  return Array.isArray(reply) && reply.every(isStoredToken);
}
