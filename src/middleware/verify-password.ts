import { isAccountOrNull, type Account } from '../core/account.js';
import { canonicalIdentifier } from '../core/identifier.js';
import { callback, describe, readOptions } from '../core/options.js';
import { isPassword } from '../core/password.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { tell } from '../http/auth-state.js';
import { emitEvent } from '../http/events.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { askHook } from '../http/hook.js';
import { loginOf } from '../http/login.js';
import { refuseMisordered } from '../http/misordered.js';
import { refuse } from '../http/refuse.js';

export interface VerifyPasswordOptions {
  /**
   * Reads the identifier. Under `lockout` the identifier that was counted is used, so that counted and verified
   * are one.
   *
   * @default bodyField('username')
   */
  readonly readUsername?: FieldReader;
  /**
   * Reads the password.
   *
   * @default bodyField('password')
   */
  readonly readPassword?: FieldReader;
}

/** What a client claims: the canonical identifier, and the password as it was sent. */
export interface Credentials {
  readonly identifier: string;
  readonly password: string;
}

/**
 * Finds the account and checks its password. Answers the account, or null when the name is unknown or the
 * password is wrong, after the same work for both (`PasswordHashes.verify(undefined, password)`).
 */
export type PasswordVerifier = (
  credentials: Credentials,
  ctx: AuthContext,
) => Promise<Account | null> | Account | null;

/**
 * Reads the credentials and asks the app whose they are. A wrong password and an unknown name are answered alike;
 * whatever else `verify` does (an error, no answer within 5 seconds, an answer of another kind) refuses the login
 * and is not counted as a failure.
 */
export function verifyPassword(
  verify: PasswordVerifier,
  options: VerifyPasswordOptions = {},
): AuthMiddleware {
  if (typeof verify !== 'function') {
    throw new TypeError(`verifyPassword: the first argument must be a function, not ${describe(verify)}`);
  }
  const { readUsername = bodyField('username'), readPassword = bodyField('password') } =
    readOptions<VerifyPasswordOptions>('verifyPassword', options, {
      readUsername: callback,
      readPassword: callback,
    });

  return async function verifyPassword(ctx, next) {
    const login = loginOf(ctx);
    if (login.password !== 'open' || login.resumed !== undefined)
      return refuseMisordered(ctx, 'verifyPassword');

    const password = readPassword(ctx);
    const identifier = login.counted?.identifier ?? canonicalIdentifier(readUsername(ctx));
    if (identifier === null || !isPassword(password)) return refuse(ctx, 'invalid_request');

    // A NUL ends the password for hashes written in C: what follows it would not be compared.
    const asked = password.includes('\0')
      ? { answer: null }
      : await askHook(ctx, 'verifyPassword', () => verify({ identifier, password }, ctx), isAccountOrNull);
    if (asked === undefined) return;
    if (asked.answer === null) {
      login.failPassword();
      if (login.counted === undefined) emitEvent(ctx, { name: 'login.failed', reason: 'wrong password' });
      return refuse(ctx, 'invalid_credentials');
    }
    login.verifyPassword(asked.answer, Date.now());
    tell(ctx, { account: asked.answer, methods: login.methods });
    return next();
  };
}
