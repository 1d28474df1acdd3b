import type { DocumentStore } from '../core/document-store.js';
import { isCount, nonsense } from '../core/store-call.js';
import { isOne, Script, type RedisConnection } from './redis-connection.js';

const read = new Script(`
local T = redis.call('TIME')
return {T[1] * 1000 + math.floor(T[2] / 1000), redis.call('GET', KEYS[1])}
`);

// The first two arguments: whether there is an expected record, and whether there is one to write.
const replace = new Script(`
local value = redis.call('GET', KEYS[1])
if ARGV[1] == '1' then
  if value ~= ARGV[3] then return 0 end
elseif value then return 0 end
if ARGV[2] == '1' then redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5]) else redis.call('DEL', KEYS[1]) end
return 1
`);

/** A document is one string that Redis itself ends. */
export function redisDocuments(connection: RedisConnection): DocumentStore {
  const keyOf = (key: string): string => connection.key('document', key);

  return {
    async readDocument(key) {
      const reply = await connection.run(read, [keyOf(key)], []);
      const [time, record = null] = Array.isArray(reply) ? (reply as unknown[]) : [];
      if (!isCount(time) || (record !== null && typeof record !== 'string')) throw nonsense();
      return { time, record };
    },
    async replaceDocument(key, expected, record, lifetimeMs) {
      const has = [expected, record].map((one) => (one === null ? 0 : 1));
      const values = [expected ?? '', record ?? '', Math.ceil(lifetimeMs)];
      return isOne(await connection.run(replace, [keyOf(key)], [...has, ...values]));
    },
  };
}
