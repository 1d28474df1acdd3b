import type { AccessTokens } from '../core/access-tokens.js';
import type { VerifiedToken } from '../core/token-record.js';
import type { AuthContext } from './auth-state.js';
import { emitEvent } from './events.js';

/**
 * Ends every token of an account but the one that acts, and its logins under way. Answers how many tokens ended.
 *
 * @throws {StoreUnavailable} when the store cannot tell whether it did.
 */
export async function endOtherTokens(
  ctx: AuthContext,
  tokens: AccessTokens,
  { account, token }: VerifiedToken,
): Promise<number> {
  const count = await tokens.revokeAll(account, { except: token.id });
  if (count > 0) emitEvent(ctx, { name: 'tokens.revoked', account: account.id, count });
  return count;
}
