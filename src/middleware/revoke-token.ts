import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import { flag, readOptions } from '../core/options.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { refuseBearer, verifiedTokenOf } from '../http/bearer.js';
import { emitEvent } from '../http/events.js';
import { tellMisordered } from '../http/misordered.js';
import { refuseUndecided } from '../http/refuse.js';

export interface RevokeTokenOptions {
  /**
   * End all tokens of the account, and its logins under way, instead of the presented one.
   *
   * @default false
   */
  readonly all?: boolean;
}

/** Logs out: revokes the token that `requireToken` has verified before it, and answers 204. */
export function revokeToken(tokens: AccessTokens, options: RevokeTokenOptions = {}): AuthMiddleware {
  demandInstance('revokeToken', AccessTokens, tokens);
  const { all = false } = readOptions<RevokeTokenOptions>('revokeToken', options, { all: flag });

  return async function revokeToken(ctx) {
    const found = verifiedTokenOf(ctx);
    if (found === undefined) {
      tellMisordered(ctx, 'revokeToken');
      return refuseBearer(ctx, 'none');
    }
    const { account, token } = found;
    const revoked = all ? tokens.revokeAll(account) : tokens.revoke(token.id).then(Number);
    const count = await revoked.catch((error: unknown) => refuseUndecided(ctx, error));
    if (count === undefined) return;
    ctx.status = 204;
    if (all) emitEvent(ctx, { name: 'tokens.revoked', account: account.id, count });
    else emitEvent(ctx, { name: 'token.revoked', account: account.id, token: token.id });
  };
}
