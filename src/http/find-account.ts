import { isAccount, type Account } from '../core/account.js';
import type { AuthContext } from './auth-state.js';
import { askHook } from './hook.js';

/** Loads an account by its id; null when it may do nothing any more. */
export type AccountFinder = (id: string, ctx: AuthContext) => Promise<Account | null> | Account | null;

/**
 * The account as the app knows it now; as it is where the app gave no finder. An answer with another id is none.
 *
 * @returns undefined when the request has been refused.
 */
export async function findAgain(
  ctx: AuthContext,
  findAccount: AccountFinder | undefined,
  account: Account,
): Promise<{ readonly answer: Account | null } | undefined> {
  if (findAccount === undefined) return { answer: account };
  const { id } = account;
  return askHook(
    ctx,
    'findAccount',
    () => findAccount(id, ctx),
    (answer) => answer === null || (isAccount(answer) && answer.id === id),
  );
}
