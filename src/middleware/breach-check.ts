import { BreachCheck, breachCheckRules, type BreachCheckOptions } from '../core/breach-check.js';
import { tellBreachCheck } from '../core/check-channels.js';
import { callback, oneOf, readOptions } from '../core/options.js';
import type { AuthMiddleware } from '../http/auth-state.js';
import { emitEvent } from '../http/events.js';
import { bodyField, type FieldReader } from '../http/fields.js';
import { readNewPassword } from '../http/new-password.js';
import { refuse } from '../http/refuse.js';

/** Have I Been Pwned is seldom away for longer, and a client that waits keeps its user's attention. */
const retryAfterSeconds = 5;

export interface BreachCheckMiddlewareOptions extends BreachCheckOptions {
  /**
   * Reads the new password.
   *
   * @default the field `password` of the body
   */
  readonly readPassword?: FieldReader;
  /**
   * What to do when a source could not tell and none knew the password. `allow` sets passwords unchecked and
   * emits `breach.skipped`, so that the app can look again later.
   *
   * @default 'refuse'
   */
  readonly whenUnavailable?: 'refuse' | 'allow';
}

/**
 * Refuses a new password that is known from a breach: 422 `password_breached`; 503
 * `breach_check_unavailable` where that cannot be told; 400 `invalid_request` for what is no password at all.
 * Belongs before the handler that saves a password, never on a login: it asks the network.
 *
 * @throws {TypeError} on an unknown option or a wrong value.
 */
export function breachCheck(options?: BreachCheckMiddlewareOptions): AuthMiddleware {
  const {
    readPassword = bodyField('password'),
    whenUnavailable = 'refuse',
    ...rules
  } = readOptions('breachCheck', options, {
    ...breachCheckRules,
    readPassword: callback,
    whenUnavailable: oneOf('refuse', 'allow'),
  });
  const breaches = new BreachCheck(rules);

  return async function breachCheck(ctx, next) {
    const password = readNewPassword(ctx, readPassword);
    if (password === null) return;
    const verdict = await breaches.check(password);
    tellBreachCheck(verdict.outcome);
    if (verdict.outcome === 'breached') {
      refuse(ctx, 'password_breached');
      emitEvent(ctx, { name: 'password.refused', reason: 'breached' });
      return;
    }
    if (verdict.outcome === 'unavailable' && whenUnavailable === 'refuse') {
      refuse(ctx, 'breach_check_unavailable', { retryAfterSeconds });
      emitEvent(ctx, { name: 'password.refused', reason: 'breach_check_unavailable' });
      return;
    }
    if (verdict.outcome === 'unavailable') {
      emitEvent(ctx, { name: 'breach.skipped', reason: verdict.sources.join(', ') });
    }
    await next();
  };
}
