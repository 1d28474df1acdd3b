import { callback, integer, offering, readOptions, required } from './options.js';
import type { TokenCacheOptions } from './token-cache.js';
import { longestTokenSeconds } from './token-grant.js';
import { tokenStoreMethods, type TokenStore } from './token-store.js';

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

/** The options with their defaults. */
export interface TokenSettings extends Required<Omit<AccessTokensOptions, 'cache'>> {
  readonly cache: TokenCacheOptions | undefined;
}

/** @throws {TypeError} on an unknown option or a wrong value; a lifetime over 7 days is one. */
export function readAccessTokensOptions(options: AccessTokensOptions): TokenSettings {
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
  return { store, lifetimeSeconds, maxPerAccount, cache, now };
}
