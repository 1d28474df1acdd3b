import { describe, integer, oneOf, readOptions } from '../core/options.js';
import type { Store } from './memory.js';
import { redisAttempts } from './redis-attempts.js';
import type { RedisClient } from './redis-client.js';
import { RedisConnection } from './redis-connection.js';
import { redisDocuments } from './redis-documents.js';
import { EvictionWatch } from './redis-eviction.js';
import { redisChallenges, redisFactors } from './redis-factors.js';
import { inspectRedis } from './redis-inspection.js';
import { redisLog } from './redis-log.js';
import { redisPending } from './redis-pending.js';
import { ReplicaWatch } from './redis-replicas.js';
import { redisSessions } from './redis-sessions.js';
import { RedisTokenWatch } from './redis-token-watch.js';
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
  /**
   * Replicas that must have acknowledged a revocation of tokens before it is answered: 0 to 5. With fewer, in half a
   * second, it is refused with StoreUnavailable, though it may have been applied. A failover to one of those that
   * acknowledged does not bring the tokens back.
   *
   * @default 0
   */
  readonly waitReplicas?: number;
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
  const {
    prefix = 'portcullis',
    whenEvicting = 'warn',
    waitReplicas = 0,
  } = readOptions<RedisStoreOptions>('redisStore', options, {
    prefix: {
      demand: '1 to 32 letters, digits, "-" or "_"',
      accepts: (v) => typeof v === 'string' && /^[A-Za-z0-9_-]{1,32}$/.test(v),
    },
    whenEvicting: oneOf('warn', 'refuse'),
    waitReplicas: integer(0, 5),
  });
  const connection = new RedisConnection(redis, prefix);
  const watches: RedisTokenWatch[] = [];
  const eviction = new EvictionWatch(connection, whenEvicting === 'refuse');
  return {
    ...redisAttempts(connection, eviction),
    ...redisTokens(connection, new ReplicaWatch(connection, waitReplicas), (key) => {
      for (const { watcher } of watches) watcher.changed(key);
    }),
    ...redisPending(connection),
    ...redisFactors(connection),
    ...redisChallenges(connection),
    ...redisSessions(connection),
    ...redisDocuments(connection),
    ...redisLog(connection),
    weaknesses: () => eviction.weaknesses,
    inspectStore: () => inspectRedis(connection),
    watchTokens: (watcher, maxStaleMs) => {
      watches.push(new RedisTokenWatch(connection, watcher, maxStaleMs));
    },
    close: () => connection.close(),
  };
}
