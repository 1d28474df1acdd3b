import { isAccount, type Account } from '../core/account.js';
import type { AuthContext } from './auth-state.js';
import { askHook } from './hook.js';
import { refuse } from './refuse.js';

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

/** The account that acts, with the role that it has now; undefined when the request has been refused. */
export async function findActor(
  ctx: AuthContext,
  findAccount: AccountFinder | undefined,
  account: Account,
): Promise<Account | undefined> {
  const found = await findAgain(ctx, findAccount, account);
  if (found === undefined || found.answer !== null) return found?.answer ?? undefined;
  refuse(ctx, 'forbidden');
  return undefined;
}
