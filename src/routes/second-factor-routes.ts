import { Router } from '@koa/router';
import { AccessTokens } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import {
  freshLoginRule,
  freshLoginRules,
  provedFactor,
  type FreshLoginOptions,
} from '../core/fresh-login.js';
import { demandInstance } from '../core/instance.js';
import { callback, readOptions } from '../core/options.js';
import { SecondFactors } from '../core/second-factors.js';
import type { VerifiedToken } from '../core/token-record.js';
import type { AuthContext, AuthState } from '../http/auth-state.js';
import { readEnrolmentPolicy, type EnrolmentPolicy } from '../http/enrolment-policy.js';
import {
  beginKey,
  beginTotp,
  confirmKey,
  confirmTotp,
  regenerateCodes,
  removeFactor,
  renameFactor,
  showFactors,
  type FactorRequest,
} from '../http/factor-requests.js';
import { demandFreshLogin } from '../http/fresh-login.js';
import { demandJson } from '../http/json-request.js';
import { demandLoginToken } from '../http/token-requests.js';
import { endOtherTokens } from '../http/other-tokens.js';

export interface SecondFactorRoutesOptions extends FreshLoginOptions {
  /**
   * What authenticator apps and browsers show beside the name of the service.
   *
   * @default the account's id
   */
  readonly userName?: (account: Account, ctx: AuthContext) => Promise<string> | string;
  /**
   * The policy of `requireEnrolment`: accounts under it keep their last factor.
   *
   * @default none
   */
  readonly policy?: EnrolmentPolicy;
  /**
   * Ends all other tokens of the account, and its logins under way, when a factor is added, replaced or removed.
   *
   * @default other tokens live on
   */
  readonly revokeOthers?: AccessTokens;
}

/**
 * Routes on which an account manages its own second factors, to be mounted behind `requireToken` under a path of the
 * app. JSON only. Whatever changes a factor demands a fresh login, made with a factor where the account has one, as
 * `requireFreshLogin` does; a request that a cookie carries must come from the app's own origin.
 *
 * GET `/` · POST `/totp` · POST `/totp/confirm` · POST `/security-keys/options` · POST `/security-keys` ·
 * POST `/backup-codes` · PATCH `/:id` · DELETE `/:id`
 */
export function secondFactorRoutes(
  factors: SecondFactors,
  options: SecondFactorRoutesOptions = {},
): Router<AuthState> {
  demandInstance('secondFactorRoutes', SecondFactors, factors);
  const { userName, policy, revokeOthers, withinSeconds, factor } = readOptions<SecondFactorRoutesOptions>(
    'secondFactorRoutes',
    options,
    {
      ...freshLoginRules,
      userName: callback,
      policy: {
        demand: 'a policy as requireEnrolment takes it',
        accepts: (v) => typeof v === 'object' && v !== null,
      },
      revokeOthers: { demand: 'made by new AccessTokens()', accepts: (v) => v instanceof AccessTokens },
    },
  );
  const held = policy && readEnrolmentPolicy('secondFactorRoutes', policy);
  const rule = freshLoginRule(withinSeconds, factor);

  type Answer = (request: FactorRequest) => Promise<void>;
  const asking = (ctx: AuthContext, found: VerifiedToken, onlyFirst: boolean): FactorRequest => {
    const endOthers = revokeOthers && (() => endOtherTokens(ctx, revokeOthers, found));
    const { account } = found;
    return { ctx, factors, account, rule, onlyFirst, userName, policy: held, endOthers };
  };
  const changes = (answer: Answer) => async (ctx: AuthContext) => {
    if (!demandJson(ctx, factors)) return;
    const found = await demandFreshLogin(ctx, factors, rule, 'secondFactorRoutes');
    // Where no factor was proven, the store decides once more that there is none.
    if (found) await answer(asking(ctx, found, rule.factor !== 'never' && !provedFactor(found)));
  };

  const router = new Router<AuthState>();
  router.get('/', async (ctx) => {
    const found = demandLoginToken(ctx, 'secondFactorRoutes');
    if (found) await showFactors(asking(ctx, found, false));
  });
  router.post('/totp', changes(beginTotp));
  router.post('/totp/confirm', changes(confirmTotp));
  router.post('/security-keys/options', changes(beginKey));
  router.post('/security-keys', changes(confirmKey));
  router.post('/backup-codes', changes(regenerateCodes));
  router.patch('/:id', changes(renameFactor));
  router.delete('/:id', changes(removeFactor));
  return router;
}
