import type { LostEntries } from './log-entry.js';
import { logStoreMethods, type LogStore } from './log-store.js';
import type { FactorKey } from './key-ring.js';
import { callback, integer, offering, readOptions, required } from './options.js';

export interface LoginLogOptions {
  /** Where the log is kept: `sqlStore(kysely)` for a long one, `redisStore(redis)`, or `memoryStore()` for one process. */
  readonly store: LogStore;
  /**
   * How long an entry is kept, in seconds, 1 day to 10 years: a year by default, which is what PCI DSS 4.0 (10.5.1) asks
   * for. The same in all processes.
   *
   * @default 31_536_000
   */
  readonly retentionSeconds?: number;
  /** From the id of an account to that of its organisation, or null. Asked when an entry is written. */
  readonly organisation?: (account: string) => Promise<string | null> | string | null;
  /**
   * Makes the log a chain: `key` seals each entry, and is not in the store. 32 random bytes, the same in all processes, and
   * for as long as there are entries that it sealed.
   */
  readonly chain?: { readonly key: FactorKey };
  /**
   * Most entries that wait for the store, about 1 KB each: 10 to 1,000,000.
   *
   * @default 10_000
   */
  readonly maxQueued?: number;
  /**
   * Told that entries are lost: when the first one is, and with their number once that is written or the log is closed.
   * `log.lost` counts them.
   */
  readonly onLost?: (lost: LostEntries) => unknown;
  /**
   * Clock in milliseconds. It only gives the time of what is appended without one.
   *
   * @default Date.now
   */
  readonly now?: () => number;
}

const secondsPerDay = 86_400;

/** @throws {TypeError} on an unknown option or a wrong value. */
export function readLoginLogOptions(options: LoginLogOptions): LoginLogOptions {
  const read = readOptions<LoginLogOptions>('LoginLog', options, {
    store: required(
      offering('a log store such as sqlStore(kysely) or redisStore(redis)', ...logStoreMethods),
    ),
    retentionSeconds: integer(secondsPerDay, 3650 * secondsPerDay),
    organisation: callback,
    chain: { demand: 'an object with a key', accepts: (v) => typeof v === 'object' && v !== null },
    maxQueued: integer(10, 1_000_000),
    onLost: callback,
    now: callback,
  });
  if (read.chain === undefined) return read;
  const chain = readOptions('LoginLog chain', read.chain, {
    key: required({
      demand: 'a 32-byte key',
      accepts: (v) => typeof v === 'string' || v instanceof Uint8Array,
      secret: true,
    }),
  });
  return { ...read, chain };
}
