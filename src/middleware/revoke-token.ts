import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import { flag, readOptions } from '../core/options.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { demandToken } from '../http/bearer.js';
import { emitEvent } from '../http/events.js';
import { decided } from '../http/refuse.js';
import { endSession } from '../http/session-login.js';
import { demandLoginToken } from '../http/token-requests.js';

export interface RevokeTokenOptions {
  /**
   * End all tokens of the account, and its logins under way, instead of the presented one.
   *
   * @default false
   */
  readonly all?: boolean;
}

/** Logs out: revokes the token that `requireToken` has verified before it, ends the session that carried it, and answers 204. */
export function revokeToken(tokens: AccessTokens, options: RevokeTokenOptions = {}): AuthMiddleware {
  demandInstance('revokeToken', AccessTokens, tokens);
  const { all = false } = readOptions<RevokeTokenOptions>('revokeToken', options, { all: flag });

  return async function revokeToken(ctx) {
    // What a robot was given ends itself, and nothing else.
    const found = all ? demandLoginToken(ctx, 'revokeToken') : demandToken(ctx, 'revokeToken');
    if (found === undefined) return;
    const { account, token } = found;
    const revoked = all ? tokens.revokeAll(account) : tokens.revoke(token.id).then(Number);
    const count = await decided(ctx, revoked);
    if (count === undefined) return;
    if (token.carry === 'session') endSession(ctx);
    ctx.status = 204;
    if (all) emitEvent(ctx, { name: 'tokens.revoked', account: account.id, count });
    else emitEvent(ctx, { name: 'token.revoked', account: account.id, token: token.id });
  };
}
