import { longestTokenSeconds } from '../core/token-grant.js';
import { cutoffMs } from '../core/token-store.js';
import { Script } from './redis-connection.js';
import { cutoffLua } from './redis-cutoff.js';

// A token is one string, "<created> <expires> <used> <record>", that Redis itself ends; used is 0 for never. The
// account's index is a sorted set of token hashes by their end, and its cut-off the time of the last revocation of
// all: both in one slot. What the index has lost, no revocation of all finds: so it holds a token for a minute longer
// than that lives, since it may be on another master, whose clock differs, and is written a moment before or after.
// What has to make room for another stands in a list of its own until it is gone, so that no two have it to remove.
const marginMs = 60_000;
const clock = `
local T = redis.call('TIME')
local us = T[1] * 1000000 + T[2]
local created = math.floor(us / 1000)
local expires = created + ARGV[2]
`;
const register = `
${cutoffLua}
if ARGV[3] ~= '' and isVoid(ARGV[3]) then return {} end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', created))
local over = redis.call('ZCARD', KEYS[1]) - ARGV[5]
local gone = over < 0 and {} or redis.call('ZRANGE', KEYS[1], 0, over)
for _, key in ipairs(gone) do
  redis.call('ZREM', KEYS[1], key)
  redis.call('ZADD', KEYS[3], 0, key)
  redis.call('PEXPIRE', KEYS[3], ${longestTokenSeconds * 1000 + marginMs})
end
redis.call('ZADD', KEYS[1], string.format('%.0f', created + ARGV[6] + ${marginMs}), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ${longestTokenSeconds * 1000 + marginMs})
`;
const write = (key: string): string => `
redis.call('SET', ${key}, string.format('%.0f %.0f 0 ', created, expires) .. ARGV[4], 'PX', ARGV[6])
`;
const answer = 'return {created, expires, gone}';

export const issueScript = new Script(clock + register + write('KEYS[4]') + answer);
export const writeAloneScript = new Script(clock + write('KEYS[1]') + 'return {created, expires, {}}');
export const registerAloneScript = new Script(clock + register + answer);

export const cutOffScript = new Script(`
local T = redis.call('TIME')
redis.call('SET', KEYS[2], string.format('%.0f', T[1] * 1000000 + T[2]), 'PX', ${cutoffMs})
local keys = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, key in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do keys[#keys + 1] = key end
return keys
`);

// A touch moves the end by idleness, in the index first, and never that of a token that has gone.
export const touchScript = new Script(`
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
local T = redis.call('TIME')
local now = math.floor((T[1] * 1000000 + T[2]) / 1000)
local times, expires, rest = string.match(value, '^(%d+ (%d+) )%d+( .*)$')
if not times then return redis.error_reply('ERR') end
local life = {'KEEPTTL'}
if ARGV[1] ~= '' then
  local left = math.min(expires - now, ARGV[1])
  if left <= 0 then return 0 end
  life = {'PX', string.format('%.0f', left)}
end
redis.call('SET', KEYS[1], times .. string.format('%.0f', now) .. rest, unpack(life))
return 1
`);

export const extendScript = new Script(`
local T = redis.call('TIME')
local ends = math.min(math.floor((T[1] * 1000000 + T[2]) / 1000) + ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[1], 'XX', 'GT', string.format('%.0f', ends + ${marginMs}), ARGV[1])
return 1
`);
