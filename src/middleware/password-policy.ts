import { callback, readOptions } from '../core/options.js';
import { PasswordPolicy, passwordPolicyRules, type PasswordPolicyOptions } from '../core/password-policy.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { emitEvent } from '../http/events.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { readNewPassword } from '../http/new-password.js';
import { refuse } from '../http/refuse.js';

export interface PasswordPolicyMiddlewareOptions extends PasswordPolicyOptions {
  /**
   * Reads the new password.
   *
   * @default the field `password` of the body
   */
  readonly readPassword?: FieldReader;
  /**
   * What is known of this user and must not be in the password, beside `contextWords`: user name, e-mail
   * address. Entries that are no strings are left out; an answer that is no array is the app's error.
   *
   * @default the fields `username` and `email` of the body
   */
  readonly readContextWords?: (ctx: AuthContext) => readonly unknown[] | Promise<readonly unknown[]>;
}

/**
 * Refuses a new password that breaks the policy: 422 `password_policy` with `violations`, or 400
 * `invalid_request` for what is no password at all. Belongs before the handler that saves a password; never
 * on a login, where it would lock out those who chose theirs before.
 *
 * @throws {TypeError} on an unknown option or a wrong value.
 */
export function passwordPolicy(options?: PasswordPolicyMiddlewareOptions): AuthMiddleware {
  const {
    readPassword = bodyField('password'),
    readContextWords = namesInBody,
    ...rules
  } = readOptions('passwordPolicy', options, {
    ...passwordPolicyRules,
    readPassword: callback,
    readContextWords: callback,
  });
  const policy = new PasswordPolicy(rules);

  return async function passwordPolicy(ctx, next) {
    const password = readNewPassword(ctx, readPassword);
    if (password === null) return;
    const violations = policy.check(password, stringsOf(await readContextWords(ctx)));
    if (violations.length > 0) {
      refuse(ctx, 'password_policy', { body: { violations } });
      emitEvent(ctx, { name: 'password.refused', reason: violations.map(({ rule }) => rule).join(', ') });
      return;
    }
    await next();
  };
}

const readUsername = bodyField('username');
const readEmail = bodyField('email');

function namesInBody(ctx: AuthContext): readonly unknown[] {
  // A `readPassword` of the app's own may need no body parser.
  if (!('body' in ctx.request) || ctx.request.body === undefined) return [];
  return [readUsername(ctx), readEmail(ctx)];
}

function stringsOf(words: unknown): readonly string[] {
  if (!Array.isArray(words))
    throw new TypeError('passwordPolicy: readContextWords must answer with an array');
  return words.filter((word) => typeof word === 'string');
}
