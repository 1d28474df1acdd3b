import { isCount, nonsense } from '../core/store-call.js';
import { longestTokenSeconds } from '../core/token-grant.js';
import { cutoffMs, type StoredToken, type TokenStore } from '../core/token-store.js';
import { isOne, Script, type RedisConnection } from './redis-connection.js';
import { cutoffLua } from './redis-cutoff.js';
import { redisReads } from './redis-reads.js';
import type { ReplicaWatch, Write } from './redis-replicas.js';

// A token is one string, "<created> <expires> <used> <record>", that Redis itself ends; used is 0 for never. The
// account's index is a sorted set of token hashes by their end, and its cut-off the time of the last revocation of
// all: both in one slot. What the index has lost, no revocation of all finds: so it holds a token for a minute longer
// than that lives, since it may be on another master, whose clock differs, and is written a moment before or after.
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
redis.call('ZADD', KEYS[1], string.format('%.0f', created + ARGV[6] + ${marginMs}), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ${longestTokenSeconds * 1000 + marginMs})
`;
const write = (key: string): string => `
redis.call('SET', ${key}, string.format('%.0f %.0f 0 ', created, expires) .. ARGV[4], 'PX', ARGV[6])
`;
const answer = 'return {created, expires, gone}';

const issue = new Script(clock + register + write('KEYS[3]') + answer);
const writeAlone = new Script(clock + write('KEYS[1]') + 'return {created, expires, {}}');
const registerAlone = new Script(clock + register + answer);

const cutOff = new Script(`
local T = redis.call('TIME')
redis.call('SET', KEYS[2], string.format('%.0f', T[1] * 1000000 + T[2]), 'PX', ${cutoffMs})
return redis.call('ZRANGE', KEYS[1], 0, -1)
`);

// A touch moves the end by idleness, in the index first, and never that of a token that has gone.
const touch = new Script(`
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

const extend = new Script(`
local T = redis.call('TIME')
local ends = math.min(math.floor((T[1] * 1000000 + T[2]) / 1000) + ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[1], 'XX', 'GT', string.format('%.0f', ends + ${marginMs}), ARGV[1])
return 1
`);

/** Keys in one UNLINK: enough to be quick, few enough not to hold up other commands. */
const unlinkBatch = 500;

/** @param changed - Told of each token that ended, before the caller is: this process need not wait to hear of it. */
export function redisTokens(
  connection: RedisConnection,
  replicas: ReplicaWatch,
  changed: (key: string) => void,
): TokenStore {
  const read = redisReads(connection);
  const tokenKey = (key: string): string => connection.key('token', key);
  const placesOf = (account: string): [index: string, cutoff: string] => [
    connection.key('tokens', account),
    connection.key('cutoff', account),
  ];

  async function unlink(keys: readonly string[]): Promise<number> {
    const size = connection.isCluster ? 1 : unlinkBatch;
    const batches = Array.from({ length: Math.ceil(keys.length / size) }, (_, i) =>
      keys.slice(i * size, (i + 1) * size),
    );
    const counts = await Promise.all(
      batches.map((batch) => connection.send('UNLINK', ...batch.map(tokenKey))),
    );
    for (const key of keys) changed(key);
    // Anything but a count may mean that a token lives on.
    if (!counts.every(isCount)) throw nonsense();
    return counts.reduce((sum, count) => sum + count, 0);
  }

  const unlinks = (keys: readonly string[]): Write[] =>
    keys.map(tokenKey).map((key) => ({ key, command: ['UNLINK', key] }));

  /** Out of the index last: what is in it, a revocation of all still finds if this is cut short. */
  async function makeRoom(index: string, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await unlink(keys);
    await connection.send('ZREM', index, ...keys);
  }

  return {
    async issueToken({ key, account, lifetimeMs, idleMs, maxPerAccount, startedAt, record }) {
      const places = placesOf(account);
      const leftMs = Math.min(lifetimeMs, idleMs ?? lifetimeMs);
      const args = [key, lifetimeMs, startedAt ?? '', record, maxPerAccount, leftMs];
      let written: Issued | null;
      let registered: Issued | null;
      if (connection.isCluster) {
        // Two slots: written first, registered second. A revocation in between refuses the registration, and the
        // token goes before anybody has seen it.
        written = issuedOf(await connection.run(writeAlone, [tokenKey(key)], args));
        registered = issuedOf(await connection.run(registerAlone, places, args));
        if (registered === null) await unlink([key]);
      } else {
        written = issuedOf(await connection.run(issue, [...places, tokenKey(key)], args));
        registered = written;
      }
      if (written === null || registered === null) return null;
      await makeRoom(places[0], registered.gone);
      return { key, createdAt: written.createdAt, expiresAt: written.expiresAt, usedAt: null, record };
    },

    async readToken(key) {
      const value = await read(tokenKey(key));
      return value === null ? null : parseToken(key, value);
    },

    async revokeToken(key) {
      const isEnded = isOne(await unlink([key]));
      await replicas.confirm(unlinks([key]));
      return isEnded;
    },

    async revokeTokens(account, except) {
      const places = placesOf(account);
      const keys = keysOf(await connection.run(cutOff, places, [])).filter((key) => key !== except);
      const ended = await unlink(keys);
      const again: Write = { key: places[1], command: ['EVAL', cutOff.source, places.length, ...places] };
      await replicas.confirm([again, ...unlinks(keys)]);
      // Last: if the process dies before this, a second revocation still finds every token.
      if (keys.length > 0) await connection.send('ZREM', places[0], ...keys);
      return ended;
    },

    async listTokens(account) {
      const keys = keysOf(await connection.send('ZRANGE', placesOf(account)[0], 0, -1));
      const values = await Promise.all(keys.map(async (key) => ({ key, value: await read(tokenKey(key)) })));
      return values.flatMap(({ key, value }) => (value === null ? [] : [parseToken(key, value)]));
    },

    async touchToken({ key, account, idleMs, expiresAt }) {
      const [index] = placesOf(account);
      // Two slots: the index first, so that it lists the token as long as it lives.
      if (idleMs !== undefined) isOne(await connection.run(extend, [index], [key, idleMs, expiresAt]));
      const isLive = isOne(await connection.run(touch, [tokenKey(key)], [idleMs ?? '']));
      if (!isLive) await connection.send('ZREM', index, key);
      return isLive;
    },
  };
}

interface Issued {
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Tokens of the account that had to make room. */
  readonly gone: readonly string[];
}

/** Null for the empty answer: the account was cut off. */
function issuedOf(reply: unknown): Issued | null {
  if (Array.isArray(reply) && reply.length === 0) return null;
  const [createdAt, expiresAt, gone] = Array.isArray(reply) ? (reply as unknown[]) : [];
  if (isCount(createdAt) && isCount(expiresAt)) return { createdAt, expiresAt, gone: keysOf(gone) };
  throw nonsense();
}

function keysOf(reply: unknown): string[] {
  if (Array.isArray(reply) && reply.every((key) => typeof key === 'string')) return reply;
  throw nonsense();
}

function parseToken(key: string, text: string): StoredToken {
  const first = text.indexOf(' ');
  const second = text.indexOf(' ', first + 1);
  const third = text.indexOf(' ', second + 1);
  const createdAt = Number(text.slice(0, first));
  const expiresAt = Number(text.slice(first + 1, second));
  const usedAt = Number(text.slice(second + 1, third));
  const isOurs = first > 0 && second > first + 1 && third > second + 1;
  if (!isOurs || !isCount(createdAt) || !isCount(expiresAt) || !isCount(usedAt)) throw nonsense();
  return { key, createdAt, expiresAt, usedAt: usedAt === 0 ? null : usedAt, record: text.slice(third + 1) };
}
