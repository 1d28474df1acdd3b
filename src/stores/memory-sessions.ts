import type { SessionStore } from '../core/session-store.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

export function memorySessions(clock: MemoryClock, maxEntries: number): SessionStore {
  const sessions = new BoundedMap<string>(clock.ms, maxEntries);

  return {
    async saveSession(key, record, lifetimeMs) {
      sessions.set(key, record, lifetimeMs);
    },
    async updateSession(key, record, lifetimeMs) {
      if (sessions.get(key) === undefined) return false;
      sessions.set(key, record, lifetimeMs);
      return true;
    },
    async readSession(key) {
      return sessions.get(key) ?? null;
    },
    async removeSession(key) {
      sessions.delete(key);
    },
  };
}
