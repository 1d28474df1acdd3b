import type { ChallengeStore, FactorDocument, FactorStore } from '../core/factor-store.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

export function memoryFactors(clock: MemoryClock, maxEntries: number): FactorStore {
  const documents = new BoundedMap<FactorDocument>(clock.ms, maxEntries);
  const owners = new BoundedMap<string>(clock.ms, maxEntries);

  return {
    async readFactors(account) {
      return documents.get(account) ?? null;
    },
    async writeFactors(account, record, expected) {
      if ((documents.get(account)?.revision ?? 0) !== expected) return false;
      documents.set(account, { revision: expected + 1, record }, Number.POSITIVE_INFINITY);
      return true;
    },
    async claimCredential(credential, account) {
      const owner = owners.get(credential);
      if (owner === undefined) owners.set(credential, account, Number.POSITIVE_INFINITY);
      return (owner ?? account) === account;
    },
    async releaseCredential(credential, account) {
      if (owners.get(credential) === account) owners.delete(credential);
    },
  };
}

export function memoryChallenges(clock: MemoryClock, maxEntries: number): ChallengeStore {
  const challenges = new BoundedMap<string>(clock.ms, maxEntries);

  return {
    async saveChallenge(key, record, lifetimeMs) {
      challenges.set(key, record, lifetimeMs);
    },
    async readChallenge(key) {
      return challenges.get(key) ?? null;
    },
    async takeChallenge(key) {
      const record = challenges.get(key) ?? null;
      challenges.delete(key);
      return record;
    },
  };
}
