import { StoreUnavailable } from '../core/errors.js';
import type { RedisConnection } from './redis-connection.js';

/**
 * Asks Redis, on every new connection, whether it may evict keys when memory is short. A policy other than
 * `noeviction` lets a flood of names push out the locks, and with `allkeys-*` tokens and factors as well.
 */
export class EvictionWatch {
  #weaknesses: readonly string[] = [];
  #asked: Promise<void> | undefined;
  #askedAt = 0;
  #warned = false;

  constructor(
    readonly connection: RedisConnection,
    readonly refuses: boolean,
  ) {
    connection.onReady(() => {
      this.#asked = this.#ask();
    });
  }

  get weaknesses(): readonly string[] {
    return this.#weaknesses;
  }

  /** @throws {StoreUnavailable} when keys may be evicted and the option says to refuse then. */
  async check(): Promise<void> {
    // Whoever mends it need not restart anything; and the first login waits for the first answer.
    const isOld = this.#weaknesses.length > 0 && performance.now() - this.#askedAt >= 1000;
    if (this.#asked === undefined || isOld) this.#asked = this.#ask();
    await this.#asked;
    if (this.#weaknesses.length > 0) throw new StoreUnavailable('Redis may evict keys');
  }

  async #ask(): Promise<void> {
    this.#askedAt = performance.now();
    this.#weaknesses = evictionWeaknesses(await this.connection.send('INFO', 'memory').catch(() => null));
    const [weakness] = this.#weaknesses;
    if (weakness === undefined || this.#warned) return;
    this.#warned = true;
    process.emitWarning(`${weakness}; set maxmemory-policy noeviction`, {
      code: 'PORTCULLIS_REDIS_EVICTION',
    });
  }
}

/** @param info - What Redis answered to INFO memory; anything else where it did not. */
export function evictionWeaknesses(info: unknown): readonly string[] {
  const policy = typeof info === 'string' ? /^maxmemory_policy:([a-z-]+)\r?$/m.exec(info)?.[1] : undefined;
  if (policy === 'noeviction') return [];
  if (policy === undefined) return ['Redis does not say whether it evicts keys'];
  return [`Redis may evict keys (maxmemory-policy ${policy})`];
}
