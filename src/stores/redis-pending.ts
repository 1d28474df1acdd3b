import type { PendingLoginStore } from '../core/pending-store.js';
import { isCount, nonsense } from '../core/store-call.js';
import { isOne, Script, type RedisConnection } from './redis-connection.js';
import { cutoffLua } from './redis-cutoff.js';

// The pending logins of an account are one hash, field by handle: "<started> <ends> <tries> <record>". The
// account's cut-off lies in the same slot, so one script sees both.
const prelude = `
local T = redis.call('TIME')
local us = T[1] * 1000000 + T[2]
local now = math.floor(us / 1000)
${cutoffLua}
local function parse(v) return string.match(v, '^(%d+) (%d+) (%d+) (.*)$') end
local function find(handle)
  local v = redis.call('HGET', KEYS[1], handle)
  if not v then return nil end
  local started, ends, tries, record = parse(v)
  if not started or tonumber(ends) <= now or isVoid(started) then return nil end
  return started, ends, tonumber(tries), record
end
`;

const open = new Script(`${prelude}
local handle, started, lifetime, most, record = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if started == '' then started = string.format('%.0f', us) end
if isVoid(started) then return 1 end
local all, live = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local began, ends = parse(all[i + 1])
  if ends and tonumber(ends) > now and not isVoid(began) then live[#live + 1] = {all[i], tonumber(ends)}
  else redis.call('HDEL', KEYS[1], all[i]) end
end
table.sort(live, function(a, b) return a[2] < b[2] end)
for i = 1, #live - most + 1 do redis.call('HDEL', KEYS[1], live[i][1]) end
redis.call('HSET', KEYS[1], handle, started .. string.format(' %.0f 0 ', now + lifetime) .. record)
redis.call('PEXPIRE', KEYS[1], lifetime)
return 1
`);

const read = new Script(`${prelude}
local started, _, _, record = find(ARGV[1])
if not started then return {} end
return {started, record}
`);

const tryOnce = new Script(`${prelude}
local started, ends, tries, record = find(ARGV[1])
if not started then return 0 end
if tries >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], started .. ' ' .. ends .. ' ' .. (tries + 1) .. ' ' .. record)
return tries + 1
`);

const close = new Script(`${prelude}
if not find(ARGV[1]) then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
`);

export function redisPending(connection: RedisConnection): PendingLoginStore {
  const run = (script: Script, account: string, ...args: (string | number)[]): Promise<unknown> =>
    connection.run(script, [connection.key('pending', account), connection.key('cutoff', account)], args);

  return {
    async openPendingLogin({ account, handle, startedAt, lifetimeMs, maxPerAccount, record }) {
      const reply = await run(open, account, handle, startedAt ?? '', lifetimeMs, maxPerAccount, record);
      if (reply !== 1) throw nonsense();
    },
    async readPendingLogin(account, handle) {
      const reply = await run(read, account, handle);
      if (!Array.isArray(reply) || (reply.length !== 0 && reply.length !== 2)) throw nonsense();
      const [started, record] = reply as unknown[];
      if (reply.length === 0) return null;
      const startedAt = Number(started);
      if (typeof started !== 'string' || !isCount(startedAt) || typeof record !== 'string') throw nonsense();
      return { startedAt, record };
    },
    async tryPendingLogin(account, handle, maxTries) {
      const tries = await run(tryOnce, account, handle, maxTries);
      if (!isCount(tries)) throw nonsense();
      return tries === 0 ? null : tries;
    },
    async closePendingLogin(account, handle) {
      return isOne(await run(close, account, handle));
    },
  };
}
