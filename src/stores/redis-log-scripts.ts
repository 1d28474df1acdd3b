import { Script } from './redis-connection.js';

// The log is a hash, by position: "<written> <time> <account> <organisation> <request> <seal> <record>", "-" for a key
// that there is not. Its field "head" is "<first> <last> <written> <seal>". The index is one sorted set of names without
// scores: a letter, the key, the time and the position of each entry for each key, so that one range of it is what was
// asked for, in order. The third key holds the names of batches by when they were written. All three are in one slot.

/** For how long a batch that comes again is known, in milliseconds. */
const batchMs = 3_600_000;
/** More than a batch can add, so that what has ended goes away though it is more than what comes. */
const mostRemoved = 1000;

const prelude = `
local log, index = KEYS[1], KEYS[2]
local T = redis.call('TIME')
local now = T[1] * 1000 + math.floor(T[2] / 1000)
local function text(whole) return string.format('%.0f', whole) end
local function parse(v) return string.match(v, '^(%d+) (%d+) ([^ ]+) ([^ ]+) ([^ ]+) ') end
local function namesOf(position, time, account, organisation, request)
  local at = string.format('%016.0f%012.0f', time, position)
  local names = {'*' .. at}
  if account ~= '-' then names[#names + 1] = 'a' .. account .. at end
  if organisation ~= '-' then names[#names + 1] = 'o' .. organisation .. at end
  if request ~= '-' then names[#names + 1] = 'r' .. request .. at end
  return names
end
local first, last, written, seal = 1, 0, 0, ''
local head = redis.call('HGET', log, 'head')
if head then
  local f, l, w, s = string.match(head, '^(%d+) (%d+) (%d+) ([^ ]*)$')
  if not f then return redis.error_reply('ERR') end
  first, last, written, seal = tonumber(f), tonumber(l), tonumber(w), s
end
`;

// A head that has gone missing, or was set back, must not let new entries take the places of old ones.
export const appendScript = new Script(`${prelude}
if (not head and redis.call('EXISTS', log) == 1) or redis.call('HEXISTS', log, text(last + 1)) == 1 then
  first, seal = math.huge, ''
  for _, position in ipairs(redis.call('HKEYS', log)) do
    local at = tonumber(position)
    if at and at > last then last = at end
    if at and at < first then first = at end
  end
  if last == 0 then return redis.error_reply('ERR') end
end
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then return {1, last, seal} end
if ARGV[3] == '1' and (tonumber(ARGV[4]) ~= last or ARGV[5] ~= seal) then return {0, last, seal} end
if now > written then written = now end
for i = 6, #ARGV, 6 do
  last, seal = last + 1, ARGV[i + 4]
  local time, account, organisation, request = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local parts = {text(written), time, account, organisation, request, seal, ARGV[i + 5]}
  redis.call('HSET', log, text(last), table.concat(parts, ' '))
  for _, name in ipairs(namesOf(last, tonumber(time), account, organisation, request)) do
    redis.call('ZADD', index, 0, name)
  end
end
local oldest = now - tonumber(ARGV[2])
for _ = 1, ${mostRemoved} do
  local value = first < last and redis.call('HGET', log, text(first))
  if value then
    local at, time, account, organisation, request = parse(value)
    if at and tonumber(at) > oldest then break end
    if at then redis.call('ZREM', index, unpack(namesOf(first, tonumber(time), account, organisation, request))) end
    redis.call('HDEL', log, text(first))
  end
  if first >= last then break end
  first = first + 1
end
redis.call('HSET', log, 'head', table.concat({text(first), text(last), text(written), seal}, ' '))
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - ${batchMs}))
redis.call('PEXPIRE', KEYS[3], ${batchMs})
for i = 1, 2 do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return {1, last, seal}
`);

export const searchScript = new Script(`${prelude}
local names = redis.call('ZRANGE', index, ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
local found = {#names, names[#names] or ''}
for _, name in ipairs(names) do
  local position = text(tonumber(string.sub(name, -12)))
  local value = redis.call('HGET', log, position)
  local at = value and parse(value)
  if at and tonumber(at) > now - tonumber(ARGV[4]) then
    found[#found + 1] = position
    found[#found + 1] = value
  end
end
return found
`);

/** Places of a hole that one call looks at. */
const mostMissed = 10_000;

// What has ended lies at the start, and however much of it waits to be deleted, it must not look like a hole: it is passed
// over by halves.
export const walkScript = new Script(`${prelude}
local oldest = now - tonumber(ARGV[3])
local part = {last, seal, written <= oldest and 1 or 0}
local position, high, missed = math.max(first, tonumber(ARGV[1])), last, 0
while position < high do
  local middle = math.floor((position + high) / 2)
  local at = parse(redis.call('HGET', log, text(middle)) or '')
  if at and tonumber(at) <= oldest then position = middle + 1 else high = middle end
end
while #part < 3 + 3 * ARGV[2] and missed < ${mostMissed} do
  if position > last and redis.call('HEXISTS', log, text(position)) == 0 then break end
  local value = redis.call('HGET', log, text(position))
  local at, time, account, organisation, request
  if value then at, time, account, organisation, request = parse(value) end
  if at and tonumber(at) > oldest then
    local isFound = 1
    for _, name in ipairs(namesOf(position, tonumber(time), account, organisation, request)) do
      if not redis.call('ZSCORE', index, name) then isFound = 0 end
    end
    part[#part + 1] = text(position)
    part[#part + 1] = value
    part[#part + 1] = isFound
  else
    missed = missed + 1
  end
  position = position + 1
end
return part
`);
