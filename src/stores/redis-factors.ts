import type { FactorStore, StoredEnrolment, StoredFactor } from '../core/factor-store.js';
import { StoreUnavailable } from '../core/errors.js';
import { parseRecord } from '../core/record.js';
import { isCount } from '../core/store-call.js';
import { isOne, Script, type RedisConnection } from './redis-connection.js';

// The factors of an account are one hash without an end: `on` says that there are some, `factor:<id>` holds what
// does not change, `step:<id>` the last accepted step. `on` without a factor is a broken record, never "none".
const confirm = new Script(`
local enrolment = redis.call('GET', KEYS[2])
if not enrolment or string.sub(enrolment, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'on', '1', 'factor:' .. ARGV[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'step:' .. ARGV[1], ARGV[3]) end
redis.call('DEL', KEYS[2])
return 1
`);

const accept = new Script(`
local field = 'step:' .. ARGV[1]
if redis.call('HEXISTS', KEYS[1], 'factor:' .. ARGV[1]) == 0 then return 0 end
local last = redis.call('HGET', KEYS[1], field)
if last and not (string.match(last, '^%d+$') and tonumber(last) < tonumber(ARGV[2])) then return 0 end
redis.call('HSET', KEYS[1], field, ARGV[2])
return 1
`);

const remove = new Script(`
local count = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 7) == 'factor:' then count = count + 1 end
end
redis.call('DEL', KEYS[1], KEYS[2])
return count
`);

export function redisFactors(connection: RedisConnection): FactorStore {
  const factorsKey = (account: string): string => connection.key('factors', account);
  const enrolmentKey = (account: string): string => connection.key('enrolment', account);

  return {
    async readFactors(account) {
      const reply = await connection.send('HGETALL', factorsKey(account));
      if (!Array.isArray(reply)) throw broken();
      const fields = new Map<string, unknown>();
      for (let i = 0; i < reply.length; i += 2) fields.set(String(reply[i]), reply[i + 1]);
      return readFields(fields);
    },
    async saveEnrolment(account, enrolment, lifetimeMs) {
      const value = `${enrolment.id} ${JSON.stringify(enrolment)}`;
      const reply = await connection.send('SET', enrolmentKey(account), value, 'PX', lifetimeMs);
      if (reply !== 'OK') throw broken();
    },
    async readEnrolment(account) {
      const value = await connection.send('GET', enrolmentKey(account));
      if (value === null) return null;
      if (typeof value !== 'string') throw broken();
      return parseRecord(value.slice(value.indexOf(' ') + 1)) as StoredEnrolment;
    },
    async confirmEnrolment(account, factor) {
      const { lastStep, ...lasting } = factor;
      const keys = [factorsKey(account), enrolmentKey(account)];
      return isOne(await connection.run(confirm, keys, [factor.id, JSON.stringify(lasting), lastStep ?? '']));
    },
    async acceptStep(account, factor, step) {
      return isOne(await connection.run(accept, [factorsKey(account)], [factor, step]));
    },
    async removeFactors(account) {
      const count = await connection.run(remove, [factorsKey(account), enrolmentKey(account)], []);
      if (!isCount(count)) throw broken();
      return count;
    },
  };
}

function readFields(fields: ReadonlyMap<string, unknown>): StoredFactor[] {
  const factors = [...fields].flatMap(([field, value]) => {
    if (!field.startsWith('factor:')) return [];
    const lasting = typeof value === 'string' ? parseRecord(value) : null;
    if (typeof lasting !== 'object' || lasting === null) throw broken();
    // Its shape is checked with every store's replies, in core.
    return [
      { ...lasting, lastStep: readStep(fields.get(`step:${field.slice('factor:'.length)}`)) } as StoredFactor,
    ];
  });
  if (factors.length === 0 && fields.size > 0) throw broken();
  return factors;
}

function readStep(value: unknown): number | null {
  if (value === undefined) return null;
  const step = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (!isCount(step)) throw broken();
  return step;
}

function broken(): StoreUnavailable {
  return new StoreUnavailable('a factor record that makes no sense');
}
