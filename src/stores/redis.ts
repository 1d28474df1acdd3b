import { describe, oneOf, readOptions } from '../core/options.js';
import type { Store } from './memory.js';
import { redisAttempts } from './redis-attempts.js';
import type { RedisClient } from './redis-client.js';
import { RedisConnection } from './redis-connection.js';
import { EvictionWatch } from './redis-eviction.js';
import { redisChallenges, redisFactors } from './redis-factors.js';
import { redisPending } from './redis-pending.js';
import { redisTokens } from './redis-tokens.js';

export type { RedisClient };

export interface RedisStoreOptions {
  /**
   * First part of every key: 1 to 32 letters, digits, `-` or `_`.
   *
   * @default 'portcullis'
   */
  readonly prefix?: string;
  /**
   * What to do when Redis may evict keys, and with them locks, tokens and factors, or does not say whether it
   * may: tell it as an event and a process warning, or refuse every login until it is mended.
   *
   * @default 'warn'
   */
  readonly whenEvicting?: 'warn' | 'refuse';
}

/** A store that several processes share, and that holds a connection of its own. */
export interface RedisStore extends Store {
  /**
   * Closes the store's connection. It closes by itself when the caller's client ends, but a client that is
   * disconnected while it reconnects does not say so: then call this.
   */
  close(): void;
}

/**
 * Keeps everything in Redis 6.2 or later, single or Cluster, through a connection of its own made by
 * `redis.duplicate()`. The caller's client is not changed. Time is Redis's own.
 *
 * @param redis - An ioredis `Redis` or `Cluster`.
 */
export function redisStore(redis: RedisClient, options: RedisStoreOptions = {}): RedisStore {
  if (typeof redis !== 'object' || redis === null || typeof redis.duplicate !== 'function') {
    throw new TypeError(`redisStore: redis must be an ioredis client, not ${describe(redis)}`);
  }
  const { prefix = 'portcullis', whenEvicting = 'warn' } = readOptions<RedisStoreOptions>(
    'redisStore',
    options,
    {
      prefix: {
        demand: '1 to 32 letters, digits, "-" or "_"',
        accepts: (v) => typeof v === 'string' && /^[A-Za-z0-9_-]{1,32}$/.test(v),
      },
      whenEvicting: oneOf('warn', 'refuse'),
    },
  );
  const connection = new RedisConnection(redis, prefix);
  const eviction = new EvictionWatch(connection, whenEvicting === 'refuse');
  return {
    ...redisAttempts(connection, eviction),
    ...redisTokens(connection),
    ...redisPending(connection),
    ...redisFactors(connection),
    ...redisChallenges(connection),
    weaknesses: () => eviction.weaknesses,
    close: () => connection.close(),
  };
}
