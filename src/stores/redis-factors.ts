import { StoreUnavailable } from '../core/errors.js';
import type { ChallengeStore, FactorStore } from '../core/factor-store.js';
import { isCount } from '../core/store-call.js';
import { Script, type RedisConnection } from './redis-connection.js';

// The factors of an account are one string without an end, "<revision> <record>"; a credential's owner is another.
const write = new Script(`
local value = redis.call('GET', KEYS[1])
local revision = value and string.match(value, '^(%d+) ') or '0'
if revision ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f ', ARGV[2] + 1) .. ARGV[1])
return 1
`);

const release = new Script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`);

export function redisFactors(connection: RedisConnection): FactorStore {
  const factorsKey = (account: string): string => connection.key('factors', account);
  const credentialKey = (credential: string): string => connection.key('credential', credential);

  return {
    async readFactors(account) {
      const value = await connection.send('GET', factorsKey(account));
      if (value === null) return null;
      const text = typeof value === 'string' ? value : '';
      const revision = Number(text.slice(0, text.indexOf(' ')));
      if (!isCount(revision) || revision === 0) throw broken();
      return { revision, record: text.slice(text.indexOf(' ') + 1) };
    },
    async writeFactors(account, record, expected) {
      return isOne(await connection.run(write, [factorsKey(account)], [record, expected]));
    },
    async claimCredential(credential, account) {
      const key = credentialKey(credential);
      if ((await connection.send('SET', key, account, 'NX')) === 'OK') return true;
      return (await connection.send('GET', key)) === account;
    },
    async releaseCredential(credential, account) {
      await connection.run(release, [credentialKey(credential)], [account]);
    },
  };
}

export function redisChallenges(connection: RedisConnection): ChallengeStore {
  const keyOf = (key: string): string => connection.key('challenge', key);

  return {
    async saveChallenge(key, record, lifetimeMs) {
      await connection.send('SET', keyOf(key), record, 'PX', lifetimeMs);
    },
    async readChallenge(key) {
      return textOrNull(await connection.send('GET', keyOf(key)));
    },
    async takeChallenge(key) {
      return textOrNull(await connection.send('GETDEL', keyOf(key)));
    },
  };
}

function isOne(reply: unknown): boolean {
  if (reply !== 0 && reply !== 1) throw broken();
  return reply === 1;
}

function textOrNull(reply: unknown): string | null {
  if (reply !== null && typeof reply !== 'string') throw broken();
  return reply;
}

function broken(): StoreUnavailable {
  return new StoreUnavailable('an answer that makes no sense');
}
