import { keyHash } from './key-hash.js';
import { describe } from './options.js';

/** Who an identifier proved to be. The app may add what it likes beside `id`. */
export interface Account {
  /** Stable and unique; never reused for another person. At most 255 bytes. */
  readonly id: string;
}

/** Answers from the app are checked by their own `id`: `true`, `1`, `{}` and `[]` are nobody. */
export function isAccount(value: unknown): value is Account {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'id')) return false;
  const { id } = value as Account;
  return typeof id === 'string' && id !== '' && Buffer.byteLength(id) <= 255 && id.isWellFormed();
}

/** Answers of a look-up: an account, or null for nobody. */
export function isAccountOrNull(value: unknown): boolean {
  return value === null || isAccount(value);
}

/** @throws {TypeError} naming `owner`, for what is no account. */
export function checkedAccount(owner: string, account: Account): Account {
  if (!isAccount(account)) throw new TypeError(`${owner}: account must have an id, not ${describe(account)}`);
  return account;
}

/** The key that an account's records are filed under. */
export function accountKey(id: string): string {
  return keyHash('account-records', id);
}
