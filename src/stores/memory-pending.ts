import type { PendingLoginStore } from '../core/pending-store.js';
import { BoundedMap } from './bounded-map.js';
import type { Cutoffs } from './memory-cutoffs.js';
import type { MemoryClock } from './memory-clock.js';

interface Pending {
  readonly startedAt: number;
  readonly endsAt: number;
  readonly record: string;
  tries: number;
}

export function memoryPending(clock: MemoryClock, maxEntries: number, cutoffs: Cutoffs): PendingLoginStore {
  const accounts = new BoundedMap<Map<string, Pending>>(clock.ms, maxEntries);

  function find(account: string, handle: string): Pending | null {
    const pending = accounts.get(account)?.get(handle);
    if (pending === undefined || pending.endsAt <= clock.ms()) return null;
    return cutoffs.isCutOff(account, pending.startedAt) ? null : pending;
  }

  return {
    async openPendingLogin({ account, handle, startedAt = clock.us(), lifetimeMs, maxPerAccount, record }) {
      const now = clock.ms();
      if (cutoffs.isCutOff(account, startedAt)) return;
      const isLive = (one: Pending): boolean => one.endsAt > now && !cutoffs.isCutOff(account, one.startedAt);
      const kept = [...(accounts.get(account) ?? [])].filter(([, one]) => isLive(one));
      const opened = new Map(kept.slice(Math.max(0, kept.length - maxPerAccount + 1)));
      opened.set(handle, { startedAt, endsAt: now + lifetimeMs, record, tries: 0 });
      accounts.set(account, opened, lifetimeMs);
    },
    async readPendingLogin(account, handle) {
      return find(account, handle);
    },
    async tryPendingLogin(account, handle, maxTries) {
      const pending = find(account, handle);
      // Left in place: one of the tries that are under way may yet be right.
      if (pending === null || pending.tries >= maxTries) return null;
      pending.tries += 1;
      return pending.tries;
    },
    async closePendingLogin(account, handle) {
      return find(account, handle) !== null && accounts.get(account)?.delete(handle) === true;
    },
  };
}
