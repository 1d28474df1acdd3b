import { clockToleranceUs, cutoffMs } from '../core/token-store.js';
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
    isCutOff: (account, startedAt) => {
      const now = clock.us();
      const kept = times.get(account) ?? -1;
      // Times from the future: the clock was set back, see the Redis store's cutoffLua.
      const isAhead = kept > now + clockToleranceUs;
      if (isAhead) times.set(account, now, cutoffMs);
      return startedAt <= (isAhead ? now : kept) || startedAt > now + clockToleranceUs;
    },
  };
}
