import { isCount, own } from './store-call.js';

/** Lifetime of a pending login, in seconds. */
export const pendingSeconds = 300;

/** A pending login to be opened. */
export interface NewPendingLogin {
  /** Hash of the account's id. */
  readonly account: string;
  /** Hash of the handle: 64 hexadecimal digits. */
  readonly handle: string;
  /** Store time in microseconds at which the login began; the store's own where undefined. */
  readonly startedAt: number | undefined;
  readonly lifetimeMs: number;
  readonly maxPerAccount: number;
  readonly record: string;
}

export interface StoredPendingLogin {
  readonly startedAt: number;
  readonly record: string;
}

/**
 * Keeps logins whose password is proven and whose factor is outstanding. One that has ended, or began before the
 * account's tokens were last revoked (`TokenStore.revokeTokens`), must be dead to every method; tries must not
 * prolong it. One whose tries are used up takes no more of them, but a try under way may still close it.
 */
export interface PendingLoginStore {
  /**
   * Beyond `maxPerAccount` live ones, the oldest must go. One that began before the account's cut-off is dead from
   * the start, and takes nobody's place.
   */
  openPendingLogin(login: NewPendingLogin): Promise<void>;
  readPendingLogin(account: string, handle: string): Promise<StoredPendingLogin | null>;
  /** Counts one try, atomically. Answers how many there are now, or null when it is dead or `maxTries` are used. */
  tryPendingLogin(account: string, handle: string, maxTries: number): Promise<number | null>;
  /** Ends a live one. Must answer true at most once for each. */
  closePendingLogin(account: string, handle: string): Promise<boolean>;
}

export const pendingStoreMethods = [
  'openPendingLogin',
  'readPendingLogin',
  'tryPendingLogin',
  'closePendingLogin',
] as const satisfies readonly (keyof PendingLoginStore)[];

export function isPendingOrNull(reply: unknown): boolean {
  return reply === null || (isCount(own(reply, 'startedAt')) && typeof own(reply, 'record') === 'string');
}

export function isTries(reply: unknown): boolean {
  return reply === null || (isCount(reply) && reply > 0);
}
