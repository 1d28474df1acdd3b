import { isCount, nonsense } from '../core/store-call.js';
import type { StoredToken, TokenStore } from '../core/token-store.js';
import { isOne, type RedisConnection } from './redis-connection.js';
import { redisReads } from './redis-reads.js';
import type { ReplicaWatch, Write } from './redis-replicas.js';
import {
  cutOffScript,
  extendScript,
  issueScript,
  registerAloneScript,
  touchScript,
  writeAloneScript,
} from './redis-token-scripts.js';

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
  const placesOf = (account: string): [index: string, cutoff: string, leaving: string] => [
    connection.key('tokens', account),
    connection.key('cutoff', account),
    connection.key('leaving', account),
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

  /** Out of the list last: what is in it, a revocation of all still finds if this is cut short. */
  async function remove(list: string, keys: readonly string[]): Promise<number> {
    const ended = await unlink(keys);
    if (keys.length > 0) await connection.send('ZREM', list, ...keys);
    return ended;
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
        written = issuedOf(await connection.run(writeAloneScript, [tokenKey(key)], args));
        registered = issuedOf(await connection.run(registerAloneScript, places, args));
        if (registered === null) await unlink([key]);
      } else {
        written = issuedOf(await connection.run(issueScript, [...places, tokenKey(key)], args));
        registered = written;
      }
      if (written === null || registered === null) return null;
      await remove(places[2], registered.gone);
      return { key, createdAt: written.createdAt, expiresAt: written.expiresAt, usedAt: null, record };
    },

    async readToken(key) {
      const value = await read(tokenKey(key));
      return value === null ? null : parseToken(key, value);
    },

    async revokeToken(key, account) {
      const isEnded = isOne(await unlink([key]));
      await replicas.confirm(unlinks([key]));
      if (account !== undefined) await connection.send('ZREM', placesOf(account)[0], key);
      return isEnded;
    },

    async revokeTokens(account, except) {
      const places = placesOf(account);
      const keys = keysOf(await connection.run(cutOffScript, places, [])).filter((key) => key !== except);
      const ended = await unlink(keys);
      const again: Write = {
        key: places[1],
        command: ['EVAL', cutOffScript.source, places.length, ...places],
      };
      await replicas.confirm([again, ...unlinks(keys)]);
      // Last: if the process dies before this, a second revocation still finds every token.
      for (const list of [places[0], places[2]]) {
        // oxlint-disable-next-line no-await-in-loop -- two of them
        if (keys.length > 0) await connection.send('ZREM', list, ...keys);
      }
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
      if (idleMs !== undefined) isOne(await connection.run(extendScript, [index], [key, idleMs, expiresAt]));
      const isLive = isOne(await connection.run(touchScript, [tokenKey(key)], [idleMs ?? '']));
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
