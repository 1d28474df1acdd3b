import { canonicalBackupCode } from '../core/backup-codes.js';
import type { FactorMethod, OfferedFactor } from '../core/factor-verdict.js';
import { demandInstance } from '../core/instance.js';
import type { Login } from '../core/login.js';
import { callback, readOptions } from '../core/options.js';
import { pendingSeconds } from '../core/pending-store.js';
import { SecondFactors } from '../core/second-factors.js';
import { isTotpCode } from '../core/totp.js';
import { tell, type AuthContext, type AuthMiddleware } from '../http/auth-state.js';
import { emitEvent } from '../http/events.js';
import {
  refuseFactor,
  tellFactorUsed,
  type Refusable,
  type VerifiedFactor,
} from '../http/factor-refusals.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { giveBinding } from '../http/pending-cookie.js';
import { decided, refuse } from '../http/refuse.js';

export interface RequireSecondFactorOptions {
  /**
   * Reads the code of an authenticator app (six digits) or an emergency code.
   *
   * @default bodyField('otp_token')
   */
  readonly readOtpToken?: FieldReader;
  /**
   * Reads the answer of a security key: an `AuthenticationResponseJSON`.
   *
   * @default bodyField('webauthn')
   */
  readonly readWebauthn?: FieldReader;
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
  const { readOtpToken = bodyField('otp_token'), readWebauthn = bodyField('webauthn') } =
    readOptions<RequireSecondFactorOptions>('requireSecondFactor', options, {
      readOtpToken: callback,
      readWebauthn: callback,
    });

  return async function requireSecondFactor(ctx, next) {
    const login = loginOf(ctx);
    const { account, resumed } = login;
    if (account === undefined || login.factorPassed) return refuseMisordered(ctx, 'requireSecondFactor');

    const offered = readOffered(readOtpToken(ctx), readWebauthn(ctx));
    // The challenge of a security key belongs to a pending login: without one there is nothing to answer.
    const isAnswerToNothing = offered?.kind === 'webauthn' && resumed === undefined;
    const isStandstill = offered === undefined && resumed !== undefined;
    if (offered === null || isAnswerToNothing || isStandstill) {
      // Whoever comes this far knows the password: that must not go unheard.
      emitEvent(ctx, { name: 'second_factor.failed', account: account.id, reason: 'malformed' });
      return refuse(ctx, 'invalid_request');
    }

    const verdict = await decided(ctx, decide(ctx, login, offered));
    if (verdict === undefined) return;
    if (verdict.outcome === 'requested') {
      emitEvent(ctx, { name: 'second_factor.requested', account: account.id });
      return refuse(ctx, 'second_factor_required', { body: askingFor(verdict) });
    }
    if (verdict.outcome === 'none') login.passFactor();
    else if (verdict.outcome === 'verified') {
      login.passFactor(verdict.method);
      tellFactorUsed(ctx, account.id, verdict);
    } else return refuseFactor(ctx, account.id, verdict);
    tell(ctx, { methods: login.methods });
    return next();
  };

  async function decide(
    ctx: AuthContext,
    login: Login,
    offered: OfferedFactor | undefined,
  ): Promise<Verdict> {
    const { account, resumed } = login;
    if (account === undefined) throw new TypeError('requireSecondFactor: no account');
    const [enrolled] = await Promise.all([factors.enrolled(account), login.returned]);
    // A factor that came or went since the password was proven voids what was proven then.
    if (resumed !== undefined && resumed.factors !== enrolled.fingerprint) return { outcome: 'dead' };
    if (enrolled.methods.length === 0) return { outcome: 'none' };
    if (offered === undefined) {
      const binding = factors.settings.bindPending ? giveBinding(ctx, factors.settings.origin) : undefined;
      const handle = await factors.pending.open(login, enrolled.fingerprint, binding);
      const challenge = await factors.challenge(account, enrolled, handle);
      return { outcome: 'requested', handle, methods: enrolled.methods, challenge };
    }
    const verdict = await factors.verify(account, offered, resumed?.handle);
    const isToRepeat = verdict.outcome === 'refused' && verdict.factor === 'webauthn' && !verdict.last;
    if (!isToRepeat || resumed === undefined) return verdict;
    // The challenge is used up, so the next try needs another one.
    return { ...verdict, challenge: await factors.challenge(account, enrolled, resumed.handle) };
  }
}

interface Requested {
  readonly outcome: 'requested';
  readonly handle: string;
  readonly methods: readonly FactorMethod[];
  readonly challenge: object | null;
}

type Verdict = Refusable | VerifiedFactor | Requested | { readonly outcome: 'none' };

/** Undefined where nothing is offered, null for what no factor can be. */
function readOffered(code: unknown, response: unknown): OfferedFactor | undefined | null {
  if (code === undefined && response === undefined) return undefined;
  if (code !== undefined && response !== undefined) return null;
  if (response !== undefined) {
    const isObject = typeof response === 'object' && response !== null && !Array.isArray(response);
    return isObject ? { kind: 'webauthn', response } : null;
  }
  if (typeof code !== 'string') return null;
  if (isTotpCode(code)) return { kind: 'totp', code };
  return canonicalBackupCode(code) === null ? null : { kind: 'backup_code', code };
}

function askingFor({ handle, methods, challenge }: Requested): Readonly<Record<string, unknown>> {
  const asked = { pending: handle, methods, expires_in: pendingSeconds };
  return challenge === null ? asked : { ...asked, webauthn: challenge };
}
