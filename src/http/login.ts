import { isAccount, type Account } from '../core/account.js';
import { Login } from '../core/login.js';
import type { AuthContext } from './auth-state.js';

// Keyed by the context object itself: nothing that a client or another middleware writes can name a login.
const logins = new WeakMap<object, Login>();

/** The login that this request is a part of; a new one where none has begun. */
export function loginOf(ctx: AuthContext): Login {
  const login = logins.get(ctx) ?? new Login();
  logins.set(ctx, login);
  return login;
}

/**
 * Vouches, in an app that keeps its own password step, that this request proved the password of `account`.
 * Call it under `lockout`, then go on with `requireSecondFactor` and `issueToken`.
 *
 * @throws {TypeError} when `account` has no usable `id`, or a password was already judged in this request.
 */
export function passwordVerified(ctx: AuthContext, account: Account): void {
  if (!isAccount(account))
    throw new TypeError('passwordVerified: account.id must be a string of 1 to 255 bytes');
  const login = loginOf(ctx);
  if (login.password !== 'open')
    throw new TypeError('passwordVerified: this request has judged a password before');
  login.verifyPassword(account, Date.now());
}

/**
 * Tells `lockout` that the password was wrong, in an app whose own step answers so with another status than
 * 401: a page shown again with 200, or a redirect.
 */
export function passwordRefused(ctx: AuthContext): void {
  loginOf(ctx).failPassword();
}
