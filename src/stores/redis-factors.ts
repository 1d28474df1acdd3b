import type { ChallengeStore, FactorStore } from '../core/factor-store.js';
import { isCount, nonsense } from '../core/store-call.js';
import { isOne, Script, textOrNull, type RedisConnection } from './redis-connection.js';

// The factors of an account are one string without an end, "<revision> <record>"; a credential's owner is another.
const write = new Script(`
local value = redis.call('GET', KEYS[1])
local revision = '0'
if value then revision = string.match(value, '^([1-9]%d*) ') end
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
      const value = textOrNull(await connection.send('GET', factorsKey(account)));
      if (value === null) return null;
      // As the script writes it, and nothing else that Number() takes: " 1", "1e3", "0x1".
      const [start, digits = ''] = /^([1-9]\d{0,15}) /.exec(value) ?? [];
      const revision = Number(digits);
      if (start === undefined || !isCount(revision)) throw nonsense();
      return { revision, record: value.slice(start.length) };
    },
    async writeFactors(account, record, expected) {
      return isOne(await connection.run(write, [factorsKey(account)], [record, expected]));
    },
    async claimCredential(credential, account) {
      const key = credentialKey(credential);
      const reply = await connection.send('SET', key, account, 'NX');
      if (reply !== null && reply !== 'OK') throw nonsense();
      return reply === 'OK' || textOrNull(await connection.send('GET', key)) === account;
    },
    async releaseCredential(credential, account) {
      isOne(await connection.run(release, [credentialKey(credential)], [account]));
    },
  };
}

export function redisChallenges(connection: RedisConnection): ChallengeStore {
  const keyOf = (key: string): string => connection.key('challenge', key);

  return {
    async saveChallenge(key, record, lifetimeMs) {
      const reply = await connection.send('SET', keyOf(key), record, 'PX', lifetimeMs);
      if (reply !== 'OK') throw nonsense();
    },
    async readChallenge(key) {
      return textOrNull(await connection.send('GET', keyOf(key)));
    },
    async takeChallenge(key) {
      return textOrNull(await connection.send('GETDEL', keyOf(key)));
    },
  };
}
