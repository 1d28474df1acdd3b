import { canonicalIdentifier } from '../core/identifier.js';
import { demandInstance } from '../core/instance.js';
import { deviceName, deviceNameIn } from '../core/lockout-lanes.js';
import { Lockout } from '../core/lockout.js';
import type { Login, ResumedLogin } from '../core/login.js';
import { callback, readOptions } from '../core/options.js';
import { isUnauthorized, refuseLocked, settleAttempt } from '../http/attempt.js';
import { isSubject, sourceOf, trustedAddress, type Subject } from '../http/attempt-names.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { isGone } from '../http/client-address.js';
import { meetDevice, rememberDevice } from '../http/device-cookie.js';
import { emitWeakness } from '../http/events.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { askHook } from '../http/hook.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { decided, refuse } from '../http/refuse.js';

export interface LockoutMiddlewareOptions {
  /**
   * Reads the identifier.
   *
   * @default bodyField('username')
   */
  readonly readUsername?: FieldReader;
  /**
   * The id of the account that an identifier belongs to, or null for none, where one account has several names
   * or names repeat across tenants. Parts of a list are kept apart. Counted instead of the identifier.
   *
   * @default the canonical identifier is counted
   */
  readonly subject?: (identifier: string, ctx: AuthContext) => Subject | Promise<Subject>;
  /**
   * The client's address, for apps behind proxies that Koa's settings do not describe. Null for none.
   *
   * @default ctx.ip, or no address while `app.proxy` is set without `app.maxIpsCount`
   */
  readonly readAddress?: (ctx: AuthContext) => string | null;
}

/**
 * Stops password guessing: counts each attempt before the password is checked and refuses those beyond the
 * limits. Mount it before the password step; after `resumeLogin` it refuses the logins of a locked account.
 *
 * Under it a login handler of the app works unchanged: an answer or error of 401 is a failure, anything else is
 * given back; `passwordVerified` and `passwordRefused` say it where the status does not.
 */
export function lockout(attempts: Lockout, options: LockoutMiddlewareOptions = {}): AuthMiddleware {
  demandInstance('lockout', Lockout, attempts);
  const {
    readUsername = bodyField('username'),
    subject,
    readAddress = trustedAddress,
  } = readOptions<LockoutMiddlewareOptions>('lockout', options, {
    readUsername: callback,
    subject: callback,
    readAddress: callback,
  });

  return async function lockout(ctx, next) {
    for (const weakness of attempts.weaknesses()) emitWeakness(ctx, weakness);
    if (isGone(ctx)) return refuse(ctx, 'invalid_request');
    const login = loginOf(ctx);
    if (login.resumed !== undefined) return passResumed(ctx, login, login.resumed, next);
    if (login.lockoutPassed || login.password !== 'open') return refuseMisordered(ctx, 'lockout');

    const identifier = canonicalIdentifier(readUsername(ctx));
    if (identifier === null) return refuse(ctx, 'invalid_request');
    const asked =
      subject === undefined
        ? { answer: undefined }
        : await askHook(ctx, 'subject', () => subject(identifier, ctx), isSubject);
    if (asked === undefined) return;
    const account = asked.answer;
    const address = sourceOf(readAddress(ctx));
    const names = { identifier, account: account ?? undefined, address };
    const device = attempts.devices && deviceName(names);
    const isKnownDevice = await meetDevice(ctx, login, attempts.devices, device);
    if (isKnownDevice === undefined) return;
    const attempt = await decided(ctx, attempts.reserve({ ...names, isKnownDevice }));
    if (attempt === undefined) return;
    const owner = typeof account === 'object' && account !== null ? undefined : account;
    if (!attempt.granted) return refuseLocked(ctx, attempt, owner);

    login.count({
      identifier,
      account: owner,
      subject: attempt.subject,
      told: attempt.told,
      startedAt: attempt.time,
      giveBack: attempt.giveBack,
    });
    try {
      await next();
    } catch (error) {
      // Only told apart, never answered: the error goes on as it is.
      await settleAttempt(ctx, login, attempt, isUnauthorized(error)).catch(() => {});
      throw error;
    }
    await decided(ctx, settleAttempt(ctx, login, attempt, ctx.status === 401));
    await rememberDevice(ctx, login, attempts.devices, device);
  };

  async function passResumed(
    ctx: AuthContext,
    login: Login,
    { account, subject: key, startedAt }: ResumedLogin,
    next: () => Promise<unknown>,
  ): Promise<unknown> {
    // A password that was proven uncounted was guessed for free: lockout belongs on both routes.
    if (key === undefined || login.lockoutPassed || login.factorPassed)
      return refuseMisordered(ctx, 'lockout');
    const state = await decided(ctx, attempts.check(key, startedAt));
    if (state === undefined) return;
    if (!state.granted) return refuseLocked(ctx, state, account.id);
    if (state.lockedSince) return refuse(ctx, 'pending_login_invalid');
    const device = deviceNameIn(key);
    if ((await meetDevice(ctx, login, attempts.devices, device)) === undefined) return;
    login.passLockout(state.told);
    await next();
    await rememberDevice(ctx, login, attempts.devices, device);
  }
}
