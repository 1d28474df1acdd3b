import { createHmac } from 'node:crypto';
import { keyRule, readKey } from './key-ring.js';
import type { LogFacts } from './log-entry.js';
import { logKeysOf, previousOf, readLogRecord, writeLogRecord } from './log-record.js';
import { logKeys, type LogHead, type NewStoredEntry, type StoredEntry } from './log-store.js';

/** What is wrong with an entry, or with its place. README, "LoginLog", says what each comes from. */
export type LogBreak = 'changed' | 'removed' | 'unsealed' | 'forked' | 'rolled_back';

/**
 * Seals entries under a key that the store does not know (HMAC-SHA256). A seal covers the position, the content and,
 * within that, the seal of the entry before: whoever can write to the store can neither make nor move nor change one.
 */
export class LogChain {
  readonly #key: Buffer;

  /** @throws {TypeError} for a key that is not 32 bytes or not random; it is never quoted. */
  constructor(key: unknown) {
    const read = readKey(key);
    if (read === null) {
      throw new TypeError(`LoginLog: chain.key must be ${keyRule.demand}`);
    }
    this.#key = read;
  }

  /** What would be written behind `head`. */
  seal(facts: readonly LogFacts[], head: LogHead): NewStoredEntry[] {
    let { position, seal } = head;
    return facts.map((one) => {
      const record = writeLogRecord(one, seal);
      position += 1;
      seal = this.#sealOf(position, record);
      return { ...logKeysOf(one), time: one.time, record, seal };
    });
  }

  /**
   * Null where all is well.
   *
   * @param before - The entry before, or where the log was known to end; undefined for the oldest that there is.
   */
  check(entry: StoredEntry, before: LogHead | undefined): LogBreak | null {
    if (before !== undefined && entry.position !== before.position + 1) return 'removed';
    if (entry.seal === '') return 'unsealed';
    if (entry.seal !== this.#sealOf(entry.position, entry.record)) return 'changed';
    if (!isFoundByItsOwn(entry)) return 'changed';
    const start = entry.position === 1 ? '' : before?.seal;
    // Two authentic entries that do not follow each other: the log was set back, and went on from there.
    return start !== undefined && previousOf(entry.record) !== start ? 'forked' : null;
  }

  #sealOf(position: number, record: string): string {
    const text = `portcullis login-log entry ${position} ${record}`;
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}

export function sealNothing(facts: readonly LogFacts[]): NewStoredEntry[] {
  return facts.map((one) => ({
    ...logKeysOf(one),
    time: one.time,
    record: writeLogRecord(one, undefined),
    seal: '',
  }));
}

/** What an entry is found by is outside the seal: with another account beside it, it would be in nobody's list. */
function isFoundByItsOwn(entry: StoredEntry): boolean {
  const facts = readLogRecord(entry);
  const keys = logKeysOf(facts);
  return entry.isFound && entry.time === facts.time && logKeys.every((key) => entry[key] === keys[key]);
}
