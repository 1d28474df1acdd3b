import type { FactorStore, StoredEnrolment, StoredFactor } from '../core/factor-store.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

export function memoryFactors(clock: MemoryClock, maxEntries: number): FactorStore {
  const factors = new BoundedMap<readonly StoredFactor[]>(clock.ms, maxEntries);
  const enrolments = new BoundedMap<StoredEnrolment>(clock.ms, maxEntries);

  return {
    async readFactors(account) {
      return factors.get(account) ?? [];
    },
    async saveEnrolment(account, enrolment, lifetimeMs) {
      enrolments.set(account, enrolment, lifetimeMs);
    },
    async readEnrolment(account) {
      return enrolments.get(account) ?? null;
    },
    async confirmEnrolment(account, factor) {
      if (enrolments.get(account)?.id !== factor.id || factors.get(account) !== undefined) return false;
      factors.set(account, [factor], Number.POSITIVE_INFINITY);
      enrolments.delete(account);
      return true;
    },
    async acceptStep(account, id, step) {
      const before = factors.get(account) ?? [];
      const factor = before.find((one) => one.id === id);
      if (factor === undefined || (factor.lastStep ?? -1) >= step) return false;
      const after = before.map((one) => (one === factor ? { ...one, lastStep: step } : one));
      factors.set(account, after, Number.POSITIVE_INFINITY);
      return true;
    },
    async removeFactors(account) {
      const count = factors.get(account)?.length ?? 0;
      factors.delete(account);
      enrolments.delete(account);
      return count;
    },
  };
}
