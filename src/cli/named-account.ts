import { isAccount, type Account } from '../core/account.js';
import type { Asked } from './command.js';
import { Misuse } from './failure.js';

/** @throws {Misuse} for what is no account. */
export function namedAccount({ name = '' }: Asked): Account {
  const account = { id: name };
  if (!isAccount(account)) throw new Misuse('an account has 1 to 255 bytes');
  return account;
}
