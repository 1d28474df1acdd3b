import { isCount, own } from './store-call.js';

/** A record, and the store's time at which it was read, in milliseconds since the epoch. */
export interface StoredDocument {
  readonly time: number;
  /** Null where there is none, or it has ended. */
  readonly record: string | null;
}

/**
 * Keeps small records that several processes change: what is seen of an attack, and the devices of an account. Each is
 * changed by a compare-and-set of the whole record, so a step that one process takes no other takes again. Keys are 64
 * hexadecimal digits.
 */
export interface DocumentStore {
  readDocument(key: string): Promise<StoredDocument>;
  /**
   * Writes `record` in place of `expected`, where null stands for none. Must answer false, and change nothing, when what
   * is there is anything else. Must be atomic over all processes.
   */
  replaceDocument(
    key: string,
    expected: string | null,
    record: string | null,
    lifetimeMs: number,
  ): Promise<boolean>;
}

export const documentStoreMethods = [
  'readDocument',
  'replaceDocument',
] as const satisfies readonly (keyof DocumentStore)[];

export function isStoredDocument(reply: unknown): boolean {
  const record = own(reply, 'record');
  return isCount(own(reply, 'time')) && (record === null || typeof record === 'string');
}
