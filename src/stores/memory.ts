import type { AttemptStore } from '../core/attempt-store.js';
import type { DocumentStore } from '../core/document-store.js';
import type { ChallengeStore, FactorStore } from '../core/factor-store.js';
import type { LogStore } from '../core/log-store.js';
import { callback, integer, readOptions } from '../core/options.js';
import type { PendingLoginStore } from '../core/pending-store.js';
import type { SessionStore } from '../core/session-store.js';
import type { InspectedStore } from '../core/store-facts.js';
import type { TokenStore } from '../core/token-store.js';
import { memoryAttempts } from './memory-attempts.js';
import { memoryClock } from './memory-clock.js';
import { memoryCutoffs } from './memory-cutoffs.js';
import { memoryDocuments } from './memory-documents.js';
import { memoryChallenges, memoryFactors } from './memory-factors.js';
import { memoryLog } from './memory-log.js';
import { memoryPending } from './memory-pending.js';
import { memorySessions } from './memory-sessions.js';
import { memoryTokens } from './memory-tokens.js';

/** Every port that the core declares. */
export type Store = AttemptStore &
  TokenStore &
  PendingLoginStore &
  FactorStore &
  ChallengeStore &
  SessionStore &
  DocumentStore &
  LogStore &
  InspectedStore;

export interface MemoryStoreOptions {
  /**
   * Most records of each kind: counted accounts, counted addresses, tokens, sessions, accounts with a pending login,
   * accounts with factors, credentials of security keys, challenges, documents. Beyond it new ones are refused with
   * `store_unavailable`; only of the login log the oldest go, at 1.2 KB each. About 0.4 KB for
   * a subject, 0.8 KB for a token, 0.5 KB for a credential or a challenge, 0.4 KB and its content for a session or a document, 1.2 KB for
   * an account and 1 KB more for each of its factors, and up to 3.3 KB for the pending logins of an account.
   *
   * @default 100_000
   */
  readonly maxEntries?: number;
  /**
   * Clock in milliseconds since the epoch.
   *
   * @default Date.now
   */
  readonly now?: () => number;
}

/**
 * Keeps everything in this process: for development, tests and services of one process. A restart forgets
 * failures, tokens and factors, and two processes do not see each other.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const { maxEntries = 100_000, now = Date.now } = readOptions<MemoryStoreOptions>('memoryStore', options, {
    maxEntries: integer(1, 10_000_000),
    now: callback,
  });
  const weakness = 'memoryStore() is not shared between processes and forgets all on a restart';
  const inProduction = process.env['NODE_ENV'] === 'production';
  if (inProduction) process.emitWarning(weakness, { code: 'PORTCULLIS_MEMORY_STORE' });
  const clock = memoryClock(now);
  const cutoffs = memoryCutoffs(clock, maxEntries);
  return {
    ...memoryAttempts(clock, maxEntries),
    ...memoryTokens(clock, maxEntries, cutoffs),
    ...memoryPending(clock, maxEntries, cutoffs),
    ...memoryFactors(clock, maxEntries),
    ...memoryChallenges(clock, maxEntries),
    ...memorySessions(clock, maxEntries),
    ...memoryDocuments(clock, maxEntries),
    ...memoryLog(clock, maxEntries),
    weaknesses: () => (inProduction ? [weakness] : []),
    inspectStore: async () => ({ kind: 'memory', isShared: false, isDurable: false, weaknesses: [weakness] }),
  };
}
