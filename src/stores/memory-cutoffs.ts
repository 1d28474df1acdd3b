import { cutoffMs } from '../core/token-store.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

/** For each account the time before which no login may have begun. */
export interface Cutoffs {
  cutOff(account: string): void;
  isCutOff(account: string, startedAt: number): boolean;
}

export function memoryCutoffs(clock: MemoryClock, maxEntries: number): Cutoffs {
  const times = new BoundedMap<number>(clock.ms, maxEntries);
  return {
    cutOff: (account) => times.set(account, clock.us(), cutoffMs),
    isCutOff: (account, startedAt) => startedAt <= (times.get(account) ?? -1),
  };
}
