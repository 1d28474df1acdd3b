import { integer, oneOf, readOptions } from './options.js';
import type { VerifiedToken } from './token-record.js';

export interface FreshLoginOptions {
  /**
   * How long ago the password may have been proven, in seconds.
   *
   * @default 300
   */
  readonly withinSeconds?: number;
  /**
   * Whether the login must have proven a second factor: where the account has one, always, or never.
   *
   * @default 'if_enrolled'
   */
  readonly factor?: 'if_enrolled' | 'always' | 'never';
}

export type FreshLoginRule = Required<FreshLoginOptions>;

export const freshLoginRules = {
  withinSeconds: integer(1, 86_400),
  factor: oneOf('if_enrolled', 'always', 'never'),
};

// Clocks of two processes differ by seconds; a login further ahead was not timed by any clock of ours.
const toleranceSeconds = 60;

/** @throws {TypeError} on an unknown option or a wrong value. */
export function readFreshLoginRule(owner: string, options: FreshLoginOptions): FreshLoginRule {
  const { withinSeconds, factor } = readOptions<FreshLoginOptions>(owner, options, freshLoginRules);
  return freshLoginRule(withinSeconds, factor);
}

/** The rule with its defaults, for options that were read. */
export function freshLoginRule(
  withinSeconds: FreshLoginOptions['withinSeconds'] = 300,
  factor: FreshLoginOptions['factor'] = 'if_enrolled',
): FreshLoginRule {
  return { withinSeconds, factor };
}

/** @param now - Milliseconds since the epoch. */
export function isRecentLogin(
  { authTime }: VerifiedToken,
  { withinSeconds }: FreshLoginRule,
  now: number,
): boolean {
  const age = now / 1000 - authTime;
  return age <= withinSeconds && age >= -toleranceSeconds;
}

/** Whether a second factor was proven, by the references of RFC 8176 that this package gives. */
export function provedFactor({ methods }: VerifiedToken): boolean {
  return methods.includes('otp') || methods.includes('hwk');
}
