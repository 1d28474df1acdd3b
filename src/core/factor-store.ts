import { isCount, own } from './store-call.js';

/** All factors of an account, as one record with the number of its last change. */
export interface FactorDocument {
  /** 1 for the first version, one more with each change, never again a number that was used before. */
  readonly revision: number;
  readonly record: string;
}

/**
 * Keeps the factors of accounts, by the hash of an account's id. Durable: what it loses, nobody is asked for any
 * more. Every change is a compare-and-set of the whole record, so a code, a counter or a key is used up in the
 * same step that finds it unused.
 */
export interface FactorStore {
  /** Null only for an account that never had a record. */
  readFactors(account: string): Promise<FactorDocument | null>;
  /**
   * Writes the next version, as `expected` + 1. Must answer false, and change nothing, when the present revision is
   * not `expected`; 0 stands for "no record". Must be atomic over all processes.
   */
  writeFactors(account: string, record: string, expected: number): Promise<boolean>;
  /**
   * Makes a security key's credential belong to one account. Must answer true for exactly one account at a time,
   * and again for that same account.
   */
  claimCredential(credential: string, account: string): Promise<boolean>;
  /** Gives a credential up; without effect for an account that does not hold it. */
  releaseCredential(credential: string, account: string): Promise<void>;
}

/** Keeps what a client must answer within minutes: enrolments and challenges, by a hash. */
export interface ChallengeStore {
  /** Replaces the one before. */
  saveChallenge(key: string, record: string, lifetimeMs: number): Promise<void>;
  readChallenge(key: string): Promise<string | null>;
  /** Reads and ends it in one step: must answer the record at most once. */
  takeChallenge(key: string): Promise<string | null>;
}

export const factorStoreMethods = [
  'readFactors',
  'writeFactors',
  'claimCredential',
  'releaseCredential',
] as const satisfies readonly (keyof FactorStore)[];

export const challengeStoreMethods = [
  'saveChallenge',
  'readChallenge',
  'takeChallenge',
] as const satisfies readonly (keyof ChallengeStore)[];

/** Only null means that there is no record; undefined, an empty object or a list is no answer. */
export function isDocumentOrNull(reply: unknown): boolean {
  if (reply === null) return true;
  const revision = own(reply, 'revision');
  return isCount(revision) && revision > 0 && typeof own(reply, 'record') === 'string';
}
