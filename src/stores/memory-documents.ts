import type { DocumentStore } from '../core/document-store.js';
import { BoundedMap } from './bounded-map.js';
import type { MemoryClock } from './memory-clock.js';

export function memoryDocuments(clock: MemoryClock, maxEntries: number): DocumentStore {
  const documents = new BoundedMap<string>(clock.ms, maxEntries);

  return {
    async readDocument(key) {
      return { time: clock.ms(), record: documents.get(key) ?? null };
    },
    async replaceDocument(key, expected, record, lifetimeMs) {
      if ((documents.get(key) ?? null) !== expected) return false;
      if (record === null) documents.delete(key);
      else documents.set(key, record, lifetimeMs);
      return true;
    },
  };
}
