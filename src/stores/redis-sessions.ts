import type { SessionStore } from '../core/session-store.js';
import { nonsense } from '../core/store-call.js';
import { isOne, type RedisConnection } from './redis-connection.js';
import { redisReads } from './redis-reads.js';

/** A session is one string that Redis itself ends. */
export function redisSessions(connection: RedisConnection): SessionStore {
  const read = redisReads(connection);
  const keyOf = (key: string): string => connection.key('session', key);

  return {
    async saveSession(key, record, lifetimeMs) {
      const reply = await connection.send('SET', keyOf(key), record, 'PX', lifetimeMs);
      if (reply !== 'OK') throw nonsense();
    },
    async updateSession(key, record, lifetimeMs) {
      const reply = await connection.send('SET', keyOf(key), record, 'PX', lifetimeMs, 'XX');
      if (reply !== 'OK' && reply !== null) throw nonsense();
      return reply === 'OK';
    },
    readSession(key) {
      return read(keyOf(key));
    },
    async removeSession(key) {
      isOne(await connection.send('UNLINK', keyOf(key)));
    },
  };
}
