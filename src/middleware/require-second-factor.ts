import { demandInstance } from '../core/instance.js';
import type { Login } from '../core/login.js';
import { callback, readOptions } from '../core/options.js';
import { pendingSeconds } from '../core/pending-store.js';
import { SecondFactors, type EnrolledFactors, type FactorVerdict } from '../core/second-factors.js';
import { isTotpCode } from '../core/totp.js';
import { tell, type AuthContext, type AuthMiddleware } from '../http/auth-state.js';
import { emitEvent } from '../http/events.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { refuse, refuseUndecided } from '../http/refuse.js';

export interface RequireSecondFactorOptions {
  /**
   * Reads the code of an authenticator app: six digits.
   *
   * @default bodyField('otp_token')
   */
  readonly readOtpToken?: FieldReader;
}

/**
 * Asks for a second factor where the account has one. A code in the same request is checked; without one the
 * answer is 401 `second_factor_required` with a `pending` handle, and the login goes on behind `resumeLogin`.
 * An account without a factor passes.
 */
export function requireSecondFactor(
  factors: SecondFactors,
  options: RequireSecondFactorOptions = {},
): AuthMiddleware {
  demandInstance('requireSecondFactor', SecondFactors, factors);
  const { readOtpToken = bodyField('otp_token') } = readOptions<RequireSecondFactorOptions>(
    'requireSecondFactor',
    options,
    { readOtpToken: callback },
  );

  return async function requireSecondFactor(ctx, next) {
    const login = loginOf(ctx);
    const { account, resumed } = login;
    if (account === undefined || login.factorPassed) return refuseMisordered(ctx, 'requireSecondFactor');

    const code = readOtpToken(ctx);
    if (code !== undefined && !(typeof code === 'string' && isTotpCode(code)))
      return refuse(ctx, 'invalid_request');

    const verdict = await decide(login, code).catch((error: unknown) => refuseUndecided(ctx, error));
    if (verdict === undefined) return;
    if (verdict.outcome === 'requested') {
      if (resumed !== undefined) return refuse(ctx, 'invalid_request');
      emitEvent(ctx, { name: 'second_factor.requested', account: account.id });
      const body = { pending: verdict.handle, methods: verdict.methods, expires_in: pendingSeconds };
      return refuse(ctx, 'second_factor_required', { body });
    }
    if (verdict.outcome !== 'verified') return refuseFactor(ctx, account.id, verdict);
    login.passFactor(verdict.method);
    tell(ctx, { methods: login.methods });
    return next();
  };

  async function decide(login: Login, code: string | undefined): Promise<Verdict> {
    const { account, resumed } = login;
    if (account === undefined) throw new TypeError('requireSecondFactor: no account');
    const [enrolled] = await Promise.all([factors.enrolled(account), login.returned]);
    // A factor that came or went since the password was proven voids what was proven then.
    if (resumed !== undefined && resumed.factors !== enrolled.fingerprint) return { outcome: 'dead' };
    if (enrolled.methods.length === 0) return { outcome: 'verified', method: undefined };
    if (code !== undefined) return factors.verify(account, enrolled, code, resumed?.handle);
    const handle = resumed === undefined ? await factors.pending.open(login, enrolled.fingerprint) : '';
    return { outcome: 'requested', handle, methods: enrolled.methods };
  }
}

type Verdict =
  | FactorVerdict
  | { readonly outcome: 'verified'; readonly method: undefined }
  | { readonly outcome: 'requested'; readonly handle: string; readonly methods: EnrolledFactors['methods'] };

type Refused = Exclude<Verdict, { outcome: 'verified' | 'requested' }>;

function refuseFactor(ctx: AuthContext, account: string, verdict: Refused): void {
  if (verdict.outcome === 'dead') return refuse(ctx, 'pending_login_invalid');
  if (verdict.outcome === 'unreadable') {
    emitEvent(ctx, {
      name: 'second_factor.unreadable',
      account,
      reason: 'sealed under a key that is not in the ring',
    });
    return refuse(ctx, 'invalid_second_factor');
  }
  if (verdict.outcome === 'locked') {
    const { busy, retryAfterSeconds } = verdict;
    emitEvent(ctx, {
      name: 'login.refused',
      reason: busy ? 'second factor busy' : 'second factor locked out',
    });
    return refuse(ctx, busy ? 'busy' : 'locked_out', { retryAfterSeconds });
  }
  const { reason, last, lockedSeconds } = verdict;
  emitEvent(ctx, { name: 'second_factor.failed', account, reason });
  if (reason === 'replayed') emitEvent(ctx, { name: 'totp.replayed', account });
  if (last) emitEvent(ctx, { name: 'pending_login.exhausted', account });
  if (lockedSeconds > 0) {
    emitEvent(ctx, { name: 'second_factor.locked', account, retryAfterSeconds: lockedSeconds });
  }
  return refuse(ctx, 'invalid_second_factor');
}
