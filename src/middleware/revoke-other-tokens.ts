import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import { knownDevices, type KnownDevices } from '../core/known-devices.js';
import { readOptions } from '../core/options.js';
import type { VerifiedToken } from '../core/token-record.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { forgetOtherDevices } from '../http/device-requests.js';
import { endOtherTokens } from '../http/other-tokens.js';
import { decided } from '../http/refuse.js';
import { demandLoginToken } from '../http/token-requests.js';

export interface RevokeOtherTokensOptions {
  /**
   * The account's known devices are forgotten too, but the one that acts: a thief may have logged in from one of them.
   *
   * @default they stay known
   */
  readonly devices?: KnownDevices;
}

/**
 * Ends, after a change such as that of a password, what an earlier thief of it holds: all tokens of the account but the
 * one presented, and its logins under way. Mount it after `requireToken` and before the handler of the change. It acts
 * where the handler answered with success or a redirect, before that answer goes out; where it cannot, the answer is
 * 503 `store_unavailable`, and the change stands.
 *
 * @see OWASP ASVS 5.0 requirement 7.4.3
 */
export function revokeOtherTokens(
  tokens: AccessTokens,
  options: RevokeOtherTokensOptions = {},
): AuthMiddleware {
  demandInstance('revokeOtherTokens', AccessTokens, tokens);
  const { devices } = readOptions<RevokeOtherTokensOptions>('revokeOtherTokens', options, {
    devices: knownDevices,
  });

  return async function revokeOtherTokens(ctx, next) {
    const found = demandLoginToken(ctx, 'revokeOtherTokens');
    if (found === undefined) return;
    await next();
    // Pages answer a change with a redirect. A redirect for a failure ends too much, which harms less than too little.
    if (ctx.status < 400) await decided(ctx, endOthers(ctx, found));
  };

  async function endOthers(ctx: AuthContext, found: VerifiedToken): Promise<void> {
    await endOtherTokens(ctx, tokens, found);
    if (devices !== undefined) await forgetOtherDevices({ ctx, devices, found });
  }
}
