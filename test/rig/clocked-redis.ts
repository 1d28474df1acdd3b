import { expect } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { AttemptStore } from '../../src/core/attempt-store.js';
import { redisAttempts } from '../../src/stores/redis-attempts.js';
import type { RedisConnection, Script } from '../../src/stores/redis-connection.js';
import type { EvictionWatch } from '../../src/stores/redis-eviction.js';

/**
 * The scripts of the Redis store, run by a real Redis, with the one line that asks its clock replaced by a clock
 * that tests can set.
 */
export function clockedRedis(redis: Redis, now: () => number): AttemptStore {
  let calls = 0;
  const connection = {
    isCluster: false,
    key: (capability: string, hash: string) => `clocked:${capability}:{${hash}}`,
    send: (command: string, ...args: string[]) => redis.call(command, ...args),
    run({ source }: Script, keys: readonly string[], args: readonly (string | number)[]) {
      const [line = ''] = /^local T = .*$/m.exec(source) ?? [];
      expect(line).toBe(`local T = redis.call('TIME')`);
      calls += 1;
      const time = [Math.floor(now() / 1000), (now() % 1000) * 1000 + (calls % 1000)];
      const clocked = source.replace(line, 'local T = {ARGV[#ARGV - 1], ARGV[#ARGV]}');
      return redis.eval(clocked, keys.length, ...keys, ...args, ...time);
    },
  };
  const eviction = { refuses: false };
  return redisAttempts(connection as unknown as RedisConnection, eviction as EvictionWatch);
}
