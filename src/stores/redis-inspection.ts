import { StoreUnavailable } from '../core/errors.js';
import type { StoreFacts } from '../core/store-facts.js';
import type { RedisConnection } from './redis-connection.js';
import { evictionWeaknesses } from './redis-eviction.js';

/**
 * What Redis says of itself, asked now and not at the next login. Snapshots alone are no durability: what was written
 * since the last one is gone after a restart.
 *
 * @throws {StoreUnavailable} when it does not answer.
 */
export async function inspectRedis(connection: RedisConnection): Promise<StoreFacts> {
  const [memory, persistence] = await Promise.all([
    infoOf(connection, 'memory'),
    infoOf(connection, 'persistence'),
  ]);
  const appends = /^aof_enabled:([01])\r?$/m.exec(persistence ?? '')?.[1];
  return {
    kind: 'redis',
    isShared: true,
    isDurable: appends === undefined ? null : appends === '1',
    weaknesses: evictionWeaknesses(memory),
  };
}

/** Null where Redis answers, but not this: the user may not ask, or the command is renamed. */
async function infoOf(connection: RedisConnection, section: string): Promise<string | null> {
  try {
    const info = await connection.send('INFO', section);
    return typeof info === 'string' ? info : null;
  } catch (error) {
    if (error instanceof StoreUnavailable && error.reason.startsWith('Redis answered ')) return null;
    throw error;
  }
}
