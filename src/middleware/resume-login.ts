import { demandInstance } from '../core/instance.js';
import { callback, readOptions } from '../core/options.js';
import { SecondFactors } from '../core/second-factors.js';
import { tell, type AuthMiddleware } from '../http/auth-state.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { findAgain, type AccountFinder } from '../http/find-account.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { readBinding } from '../http/pending-cookie.js';
import { decided, refuse } from '../http/refuse.js';
import { isFromAnotherSite } from '../http/site.js';

export interface ResumeLoginOptions {
  /**
   * Reads the handle of the pending login.
   *
   * @default bodyField('pending')
   */
  readonly readPending?: FieldReader;
  /**
   * Loads the account again, by its id; null when it may not log in any more.
   *
   * @default the account is `{ id }`
   */
  readonly findAccount?: AccountFinder;
}

/**
 * Continues a pending login on the route of the second step, with the handle that `second_factor_required` gave.
 * The handle opens nothing else, and only its account's next step: whatever else the request names is ignored.
 */
export function resumeLogin(factors: SecondFactors, options: ResumeLoginOptions = {}): AuthMiddleware {
  demandInstance('resumeLogin', SecondFactors, factors);
  const { readPending = bodyField('pending'), findAccount } = readOptions<ResumeLoginOptions>(
    'resumeLogin',
    options,
    {
      readPending: callback,
      findAccount: callback,
    },
  );

  return async function resumeLogin(ctx, next) {
    const login = loginOf(ctx);
    if (login.password !== 'open' || login.lockoutPassed) return refuseMisordered(ctx, 'resumeLogin');
    if (isFromAnotherSite(ctx, factors.settings.origin)) return refuse(ctx, 'csrf_rejected');
    const handle = readPending(ctx);
    if (typeof handle !== 'string' || handle === '') return refuse(ctx, 'invalid_request');

    const resumed = await decided(
      ctx,
      factors.pending.find(handle, readBinding(ctx, factors.settings.origin)),
    );
    if (resumed === undefined) return;
    if (resumed === null) return refuse(ctx, 'pending_login_invalid');
    const found = await findAgain(ctx, findAccount, resumed.account);
    if (found === undefined) return;
    if (found.answer === null) return refuse(ctx, 'pending_login_invalid');

    login.resume({ ...resumed, account: found.answer }, Date.now());
    tell(ctx, { account: found.answer, methods: login.methods });
    return next();
  };
}
