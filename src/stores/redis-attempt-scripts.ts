import type { AttemptSubject } from '../core/attempt-store.js';
import { longestCheckMs, longestOf, type AttemptLimit } from '../core/attempt-window.js';
import { Script } from './redis-connection.js';

//   | stamp | stamp | … | newest |                      never locked: 4 bytes each, length % 4 == 0
//   | stamp | stamp | … | newest | locked by | . |      locked before: length % 4 == 1
//
// A subject is one string: its stamps, oldest first, in 4 bytes each, milliseconds modulo 2^32; behind them, once
// it has been locked, the stamp that locked last and one more byte, by which the length tells that it is there.
// The whole string is read and written: below about 150 stamps that is the cheapest structure Redis has. The
// numbers of the limits are written into the script, not sent.
//
// Ages are taken from the newest stamp backwards: as stamps are sorted, that difference never wraps.
const prelude = (policies: string): string => `
local T = redis.call('TIME')
local us = T[1] * 1000000 + T[2]
local now = math.floor(us / 1000) % 4294967296
local P = {${policies}}
local function back(from, to) local d = from - to if d < 0 then d = d + 4294967296 end return d end
local function at(v, i) return (struct.unpack('>I4', v, i * 4 - 3)) end
local function save(k, v, lockedBy, ...)
  if lockedBy ~= '' then v = v .. lockedBy .. '.' end
  redis.call('SET', k, v, ...)
end
local function load(k, p)
  local v, lockedBy = redis.call('GET', k), ''
  if not v then return '', '', 0, 0 end
  if #v % 4 == 1 then v, lockedBy = string.sub(v, 1, -6), string.sub(v, -5, -2) end
  local n = #v / 4
  if n < 1 or n ~= math.floor(n) then return nil end
  local newest = at(v, n)
  local age = back(now, newest)
  if age < 2147483648 then return v, lockedBy, n, age end
  local ahead, parts = 4294967296 - age, {}
  local function present(s) if back(newest, s) < ahead then s = now end return struct.pack('>I4', s) end
  for i = 1, n do parts[i] = present(at(v, i)) end
  if lockedBy ~= '' then lockedBy = present(at(lockedBy, 1)) end
  v = table.concat(parts)
  save(k, v, lockedBy, 'PX', p.ttl)
  return v, lockedBy, n, 0
end
local function closed(v, n, age, p)
  local longest = 0
  if n == 0 then return 0 end
  local newest = at(v, n)
  for i = 1, #p, 3 do
    if p[i] <= n and back(newest, at(v, n - p[i] + 1)) < p[i + 1] and p[i + 2] - age > longest then
      longest = p[i + 2] - age
    end
  end
  return longest
end
local function busy(v, lockedBy, age) return age < ${longestCheckMs} and lockedBy ~= string.sub(v, -4) end
local function corrupt() return redis.error_reply('CORRUPT') end
`;

const reserve = `
local V, L, N, A = {}, {}, {}, {}
local longest, who, all = 0, 0, 1
for i = 1, #KEYS do
  local v, lockedBy, n, age = load(KEYS[i], P[i])
  if not v then return corrupt() end
  V[i], L[i], N[i], A[i] = v, lockedBy, n, age
  local c = closed(v, n, age, P[i])
  if c > longest then longest, who = c, i end
  if c > 0 and not busy(v, lockedBy, age) then all = 0 end
end
if longest > 0 then return {0, who - 1, all, longest} end
local full, stamp = 0, struct.pack('>I4', now)
for i = 1, #KEYS do
  local v, n, p, gone = V[i], N[i], P[i], 0
  while gone < n and A[i] + back(at(v, n), at(v, gone + 1)) >= p.memory do gone = gone + 1 end
  v = string.sub(v, gone * 4 + 1) .. stamp
  save(KEYS[i], v, L[i], 'PX', p.ttl)
  if closed(v, n - gone + 1, 0, p) > 0 then full = 1 end
end
return {1, now, us, full}
`;

const release = `
for i = 1, #KEYS do
  local v, lockedBy, n = load(KEYS[i], P[i])
  if not v then return corrupt() end
  local stamp = struct.pack('>I4', ARGV[i])
  for j = n, 1, -1 do
    if string.sub(v, j * 4 - 3, j * 4) == stamp then
      v = string.sub(v, 1, j * 4 - 4) .. string.sub(v, j * 4 + 1)
      if v == '' then redis.call('DEL', KEYS[i]) else save(KEYS[i], v, lockedBy, 'KEEPTTL') end
      break
    end
  end
end
return {}
`;

const lock = `
local out = {}
for i = 1, #KEYS do
  local v, lockedBy, n, age = load(KEYS[i], P[i])
  if not v then return corrupt() end
  local stamp = struct.pack('>I4', ARGV[i])
  local c = closed(v, n, age, P[i])
  if c > 0 and string.sub(v, -4) == stamp and lockedBy ~= stamp then save(KEYS[i], v, stamp, 'KEEPTTL')
  else c = 0 end
  out[i] = c
end
return out
`;

const read = `
local v, lockedBy, n, age = load(KEYS[1], P[1])
if not v then return corrupt() end
local c = closed(v, n, age, P[1])
local lockedAt = 0
if lockedBy ~= '' then lockedAt = math.floor(us / 1000) - back(now, at(lockedBy, 1)) end
local out = {c, (c > 0 and busy(v, lockedBy, age)) and 1 or 0, lockedAt}
for i = 1, #P[1], 3 do
  local count = 0
  for j = n, 1, -1 do
    if back(now, at(v, j)) >= P[1][i + 1] then break end
    count = count + 1
  end
  out[#out + 1] = count
end
return out
`;

const tables = new WeakMap<readonly AttemptLimit[], string>();

function tableOf(limits: readonly AttemptLimit[]): string {
  const known = tables.get(limits);
  if (known !== undefined) return known;
  const numbers = limits.flatMap(({ failures, withinMs, lockMs }) => [failures, withinMs, lockMs]);
  const table = `{${numbers.join(',')},ttl=${longestOf(limits, 'lockMs')},memory=${longestOf(limits, 'withinMs')}}`;
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

/** The steps of a lockout as Lua; `core/attempt-rule.ts` says the same rule in TypeScript. */
export const attemptScripts = {
  reserve: scriptFamily(reserve),
  release: scriptFamily(release),
  lock: scriptFamily(lock),
  read: scriptFamily(read),
};
