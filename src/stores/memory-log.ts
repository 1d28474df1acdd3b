import type { LogHead, LogPlace, LogStore, StoredEntry } from '../core/log-store.js';
import type { MemoryClock } from './memory-clock.js';

const isOlder = (one: LogPlace, other: LogPlace): boolean =>
  one.time < other.time || (one.time === other.time && one.position < other.position);

/**
 * The newest entries: where others are refused when the store is full, the oldest of the log go, or an attacker could
 * fill it up and then go on unseen.
 */
export function memoryLog(clock: MemoryClock, maxEntries: number): LogStore {
  const written = new Map<number, StoredEntry>();
  /** The same, oldest first. */
  const byTime: StoredEntry[] = [];
  /** Position of the last entry of each batch: one that comes again is known for as long as that is there. */
  const batches = new Map<string, number>();
  let head: LogHead = { position: 0, seal: '' };
  let lastWrittenAt = 0;

  /** Index of the first that is not older than `place`. */
  function indexOf(place: LogPlace): number {
    let [low, high] = [0, byTime.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = byTime[middle];
      if (entry !== undefined && isOlder(entry, place)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function removeOldest(retentionMs: number): void {
    // What is oldest in both orders goes in one piece: to move all that is kept, once for each, would take too long.
    let gone = 0;
    for (const [position, entry] of written) {
      if (written.size <= maxEntries && entry.writtenAt > clock.ms() - retentionMs) break;
      written.delete(position);
      if (byTime[gone] === entry) gone += 1;
      else byTime.splice(indexOf(entry), 1);
    }
    byTime.splice(0, gone);
    const [oldest = head.position + 1] = written.keys();
    for (const [id, last] of batches) {
      if (last >= oldest) break;
      batches.delete(id);
    }
  }

  return {
    async appendLog({ id, entries, retentionMs, expected }) {
      if (batches.has(id)) return { appended: true, head };
      const isExpected = expected?.position === head.position && expected.seal === head.seal;
      if (expected !== undefined && !isExpected) return { appended: false, head };
      lastWrittenAt = Math.max(lastWrittenAt, clock.ms());
      for (const given of entries) {
        const entry = { ...given, position: head.position + 1, writtenAt: lastWrittenAt, isFound: true };
        written.set(entry.position, entry);
        byTime.splice(indexOf(entry), 0, entry);
        head = { position: entry.position, seal: entry.seal };
      }
      batches.set(id, head.position);
      removeOldest(retentionMs);
      return { appended: true, head };
    },

    async searchLog({ by, since, until, before, limit, retentionMs }) {
      const end = until === null ? byTime.length : indexOf({ time: until, position: 0 });
      const oldest = clock.ms() - retentionMs;
      const found: StoredEntry[] = [];
      for (let i = Math.min(end, before === null ? end : indexOf(before)) - 1; i >= 0; i -= 1) {
        const entry = byTime[i];
        if (entry === undefined || entry.time < since) break;
        if (entry.writtenAt <= oldest || (by !== null && entry[by.key] !== by.value)) continue;
        found.push(entry);
        if (found.length === limit) return { entries: found, next: entry };
      }
      return { entries: found, next: null };
    },

    async walkLog(from, limit, retentionMs) {
      const oldest = clock.ms() - retentionMs;
      const entries: StoredEntry[] = [];
      const [first = from] = written.keys();
      for (let position = Math.max(from, first); position <= head.position; position += 1) {
        const entry = written.get(position);
        if (entry !== undefined && entry.writtenAt > oldest) entries.push(entry);
        if (entries.length === limit) break;
      }
      return { entries, head, isOver: lastWrittenAt <= oldest };
    },
  };
}
