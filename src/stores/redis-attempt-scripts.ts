import type { AttemptSubject } from '../core/attempt-store.js';
import { longestCheckMs, longestOf, type AttemptLimit } from '../core/attempt-window.js';
import { Script } from './redis-connection.js';

// A subject is one string of 4-byte numbers, milliseconds modulo 2^32: first the stamp that locked last (or 0),
// then the stamps, oldest first. The whole string is read and written: below about 150 stamps that is the
// cheapest structure Redis has. The numbers of the limits are written into the script, not sent.
//
// `d` is how much older than the newest stamp another one is; as stamps are sorted it never wraps.
const prelude = (policies: string): string => `
local T = redis.call('TIME')
local us = T[1] * 1000000 + T[2]
local now = math.floor(us / 1000) % 4294967296
local unpack4, pack4 = struct.unpack, struct.pack
local P = {${policies}}
local function back(from, to) local d = from - to if d < 0 then d = d + 4294967296 end return d end
local function load(k, p)
  local v = redis.call('GET', k)
  if not v then return pack4('>I4', 0), 0, 0 end
  local n = #v / 4 - 1
  if n < 1 or n ~= math.floor(n) then return nil end
  local newest = unpack4('>I4', v, #v - 3)
  local age = back(now, newest)
  if age < 2147483648 then return v, n, age end
  local ahead, parts = 4294967296 - age, {}
  for i = 0, n do
    local s = unpack4('>I4', v, i * 4 + 1)
    if s ~= 0 and back(newest, s) < ahead then s = now end
    parts[i + 1] = pack4('>I4', s)
  end
  v = table.concat(parts)
  redis.call('SET', k, v, 'PX', p.ttl)
  return v, n, 0
end
local function closed(v, n, age, p)
  local longest = 0
  if n == 0 then return 0 end
  local newest = unpack4('>I4', v, #v - 3)
  for i = 1, #p, 3 do
    if p[i] <= n and back(newest, (unpack4('>I4', v, (n - p[i] + 1) * 4 + 1))) < p[i + 1] and p[i + 2] - age > longest then
      longest = p[i + 2] - age
    end
  end
  return longest
end
local function busy(v, age) return age < ${longestCheckMs} and string.sub(v, 1, 4) ~= string.sub(v, -4) end
local function corrupt() return redis.error_reply('CORRUPT') end
`;

function policyTable(limits: readonly AttemptLimit[]): string {
  const numbers = limits.flatMap(({ failures, withinMs, lockMs }) => [failures, withinMs, lockMs]);
  return `{${numbers.join(',')},ttl=${longestOf(limits, 'lockMs')},memory=${longestOf(limits, 'withinMs')}}`;
}

const reserve = `
local V, N, A = {}, {}, {}
local longest, who, all = 0, 0, 1
for i = 1, #KEYS do
  local v, n, age = load(KEYS[i], P[i])
  if not v then return corrupt() end
  V[i], N[i], A[i] = v, n, age
  local c = closed(v, n, age, P[i])
  if c > longest then longest, who = c, i end
  if c > 0 and not busy(v, age) then all = 0 end
end
if longest > 0 then return {0, who - 1, all, longest} end
local full, stamp = 0, pack4('>I4', now)
for i = 1, #KEYS do
  local v, n, p, first = V[i], N[i], P[i], 0
  if n > 0 then
    local newest = unpack4('>I4', v, #v - 3)
    while first < n and A[i] + back(newest, (unpack4('>I4', v, first * 4 + 5))) >= p.memory do first = first + 1 end
  end
  v = string.sub(v, 1, 4) .. string.sub(v, first * 4 + 5) .. stamp
  redis.call('SET', KEYS[i], v, 'PX', p.ttl)
  if closed(v, n - first + 1, 0, p) > 0 then full = 1 end
end
return {1, now, us, full}
`;

const release = `
for i = 1, #KEYS do
  local stamp = pack4('>I4', ARGV[i])
  local v, n = load(KEYS[i], P[i])
  if not v then return corrupt() end
  for at = n, 1, -1 do
    if string.sub(v, at * 4 + 1, at * 4 + 4) == stamp then
      if n == 1 then redis.call('DEL', KEYS[i])
      else redis.call('SET', KEYS[i], string.sub(v, 1, at * 4) .. string.sub(v, at * 4 + 5), 'KEEPTTL') end
      break
    end
  end
end
return {}
`;

const lock = `
local out = {}
for i = 1, #KEYS do
  local stamp = pack4('>I4', ARGV[i])
  local v, n, age = load(KEYS[i], P[i])
  if not v then return corrupt() end
  local c = closed(v, n, age, P[i])
  if c > 0 and string.sub(v, -4) == stamp and string.sub(v, 1, 4) ~= stamp then
    redis.call('SET', KEYS[i], stamp .. string.sub(v, 5), 'KEEPTTL')
  else c = 0 end
  out[i] = c
end
return out
`;

const read = `
local v, n, age = load(KEYS[1], P[1])
if not v then return corrupt() end
local c = closed(v, n, age, P[1])
local lockedAt = unpack4('>I4', v, 1)
if lockedAt ~= 0 then lockedAt = math.floor(us / 1000) - back(now, lockedAt) end
local out = {c, (c > 0 and busy(v, age)) and 1 or 0, lockedAt}
for i = 1, #P[1], 3 do
  local count = 0
  for at = n, 1, -1 do
    if back(now, (unpack4('>I4', v, at * 4 + 1))) >= P[1][i + 1] then break end
    count = count + 1
  end
  out[#out + 1] = count
end
return out
`;

const tables = new WeakMap<readonly AttemptLimit[], string>();

function tableOf(limits: readonly AttemptLimit[]): string {
  const table = tables.get(limits) ?? policyTable(limits);
  tables.set(limits, table);
  return table;
}

/** One script for each set of limits that it is asked for. */
function scriptFamily(body: string): (subjects: readonly AttemptSubject[]) => Script {
  const scripts = new Map<string, Script>();
  return (subjects) => {
    const policies = subjects.map(({ limits }) => tableOf(limits)).join(',');
    const script = scripts.get(policies) ?? new Script(prelude(policies) + body);
    scripts.set(policies, script);
    return script;
  };
}

/** The steps of a lockout as Lua; `core/attempt-window.ts` says the same rule in TypeScript. */
export const attemptScripts = {
  reserve: scriptFamily(reserve),
  release: scriptFamily(release),
  lock: scriptFamily(lock),
  read: scriptFamily(read),
};
