import { integer, readOptions, type Rule } from './options.js';
import type { TokenCarrier } from './token-grant.js';
import type { VerifiedToken } from './token-record.js';
import type { TokenStore, TokenWatcher } from './token-store.js';
import { idleMsOf } from './token-uses.js';

export interface TokenCacheOptions {
  /**
   * Most tokens kept, about 1 KB each.
   *
   * @default 10_000
   */
  readonly maxTokens?: number;
  /**
   * How old what is kept may be, in seconds: so long after it asked the store, a process asks again, and so long at most
   * it lets a revoked token pass that it was not told of.
   *
   * @default 1
   */
  readonly maxStaleSeconds?: number;
}

const staleness: Rule = {
  demand: 'a number from 0.2 to 60',
  accepts: (value) => typeof value === 'number' && value >= 0.2 && value <= 60,
};

/** A store that is silent for so long, in milliseconds, is not relied on to tell of changes. */
const longestSilenceMs = 1000;

/** @throws {TypeError} on an unknown option or a wrong value, and for a store that tells of no changes. */
export function readTokenCache(store: TokenStore, options: TokenCacheOptions): TokenCache {
  const { maxTokens = 10_000, maxStaleSeconds = 1 } = readOptions<TokenCacheOptions>(
    'AccessTokens cache',
    options,
    { maxTokens: integer(1, 1_000_000), maxStaleSeconds: staleness },
  );
  if (typeof store.watchTokens !== 'function') {
    throw new TypeError(
      'AccessTokens: option cache needs a store that tells of changes, such as redisStore(redis)',
    );
  }
  const maxStaleMs = maxStaleSeconds * 1000;
  const cache = new TokenCache(maxTokens, maxStaleMs, () => performance.now());
  store.watchTokens(cache, Math.min(maxStaleMs, longestSilenceMs));
  return cache;
}

/** What is kept of one token. Its times are the process's monotonic ones, in milliseconds. */
interface Entry {
  readonly key: string;
  readonly found: VerifiedToken;
  readonly endsAt: number;
  /** Asked for since the hand of the clock last passed: it gets a second chance. */
  used: boolean;
}

/** A read under way. What changes meanwhile takes its right to be kept away. */
export interface TokenRead {
  readonly key: string;
  readonly startedAt: number;
  isValid: boolean;
}

/** Places that are looked at for one to give away: with more of them, one insertion could hold up the process. */
const mostSteps = 1000;

/**
 * Verified tokens of this process, by their secret, so that a hit costs no hash. Kept only while a store tells of every
 * change, and never for longer than `maxStaleMs` after it was asked: what tells of changes may be wrong without knowing,
 * where it hears another server than the one that is asked.
 */
export class TokenCache implements TokenWatcher {
  readonly #entries = new Map<string, Entry>();
  /** The secret of each kept token, by its key: that is what a store can name. */
  readonly #secrets = new Map<string, string>();
  readonly #reads = new Map<string, Set<TokenRead>>();
  #hand: Iterator<[string, Entry]> | undefined;
  #trustedUntil = Number.NEGATIVE_INFINITY;
  #storeAhead = 0;

  /** @param maxTokens - Most tokens kept; beyond it those go that were not asked for of late. */
  constructor(
    readonly maxTokens: number,
    readonly maxStaleMs: number,
    readonly monotonicNow: () => number,
  ) {}

  /** Undefined for a token that is not kept, has ended, or that the store does not vouch for at this moment. */
  find(secret: string, carry: TokenCarrier): VerifiedToken | undefined {
    const entry = this.#entries.get(secret);
    if (entry === undefined) return undefined;
    const now = this.monotonicNow();
    if (now >= this.#trustedUntil) return undefined;
    if (now >= entry.endsAt) {
      this.#forget(secret, entry.key);
      return undefined;
    }
    // The secret of a session opens nothing in a header, nor the other way round.
    if (entry.found.token.carry !== carry) return undefined;
    entry.used = true;
    return entry.found;
  }

  /** What `read` finds, kept under its secret unless it changed meanwhile. */
  async keep(
    secret: string,
    key: string,
    read: () => Promise<VerifiedToken | null>,
  ): Promise<VerifiedToken | null> {
    const begun = this.startRead(key);
    let found: VerifiedToken | null = null;
    try {
      found = await read();
    } finally {
      if (begun !== undefined) this.endRead(begun, secret, found ?? undefined);
    }
    return found;
  }

  /** To be called before the store is asked; undefined while nothing may be kept. */
  startRead(key: string): TokenRead | undefined {
    const startedAt = this.monotonicNow();
    if (startedAt >= this.#trustedUntil) return undefined;
    const read = { key, startedAt, isValid: true };
    const others = this.#reads.get(key);
    if (others === undefined) this.#reads.set(key, new Set([read]));
    else others.add(read);
    return read;
  }

  /** To be called once the store has answered, or failed to: with what is to be kept, or without. */
  endRead(read: TokenRead, secret?: string, found?: VerifiedToken): void {
    const reads = this.#reads.get(read.key);
    reads?.delete(read);
    if (reads?.size === 0) this.#reads.delete(read.key);
    if (!read.isValid || secret === undefined || found === undefined) return;
    if (this.#entries.size >= this.maxTokens && !this.#entries.has(secret)) this.#evict();
    const endsAt = Math.min(endOf(found) - this.#storeAhead, read.startedAt + this.maxStaleMs);
    this.#entries.set(secret, { key: read.key, found, endsAt, used: false });
    this.#secrets.set(read.key, secret);
  }

  vouch(untilMs: number, storeAheadMs: number): void {
    this.#trustedUntil = untilMs;
    this.#storeAhead = storeAheadMs;
  }

  changed(key: string): void {
    // An answer that was read before the change may arrive after it.
    for (const read of this.#reads.get(key) ?? []) read.isValid = false;
    const secret = this.#secrets.get(key);
    if (secret !== undefined) this.#forget(secret, key);
  }

  lost(): void {
    this.#trustedUntil = Number.NEGATIVE_INFINITY;
    for (const reads of this.#reads.values()) for (const read of reads) read.isValid = false;
    this.#entries.clear();
    this.#secrets.clear();
    this.#hand = undefined;
  }

  /** Second chance: the hand passes tokens that were asked for since it came by, and takes the first that was not. */
  #evict(): void {
    for (let step = 0; ; step += 1) {
      this.#hand ??= this.#entries.entries();
      const { done, value } = this.#hand.next();
      if (done === true) {
        this.#hand = undefined;
        continue;
      }
      const [secret, entry] = value;
      if (!entry.used || step >= mostSteps) return this.#forget(secret, entry.key);
      entry.used = false;
    }
  }

  #forget(secret: string, key: string): void {
    this.#entries.delete(secret);
    this.#secrets.delete(key);
  }
}

/** By the store's clock; of a token that ends when it is idle, as if its last use were the one that was noted. */
function endOf({ token }: VerifiedToken): number {
  const { createdAt, lastUsedAt, expiresAt, idleSeconds } = token;
  const idleMs = idleMsOf(idleSeconds);
  return idleMs === undefined ? expiresAt : Math.min(expiresAt, (lastUsedAt ?? createdAt) + idleMs);
}
