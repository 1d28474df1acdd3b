import type { Rule } from './options.js';

const scopeValue = /^[\x21\x23-\x5B\x5D-\x7E]+$/;

/** True for scope values separated by single spaces (RFC 6749 section 3.3). */
export function isScope(given: unknown): given is string {
  return (
    typeof given === 'string' &&
    given.length <= 1024 &&
    given.split(' ').every((value) => scopeValue.test(value))
  );
}

/** True when `granted` holds every value of `demanded`. */
export function coversScope(granted: string, demanded: readonly string[]): boolean {
  if (demanded.length === 0) return true;
  const values = granted.split(' ');
  return demanded.every((value) => values.includes(value));
}

/** An option that holds scope values; empty for none. */
export const scopeText: Rule = {
  demand: 'scope values separated by single spaces',
  accepts: (value) => value === '' || isScope(value),
};
