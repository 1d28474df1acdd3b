/**
 * How often a password was seen in breaches: 0 is clean, and `Infinity` is known but not counted.
 * `'unavailable'` where the source cannot tell.
 */
export type BreachAnswer = number | 'unavailable';

/** Somewhere to look up breached passwords. */
export interface BreachSource {
  /** For events: fixed words, never a part of a request. */
  readonly name: string;
  /**
   * Must not log, store or send the password, nor put it into an error. A rejection and any answer that is
   * neither a whole number from 0 nor `Infinity` count as `'unavailable'`.
   */
  find(password: string): Promise<BreachAnswer>;
}

export function isBreachSource(value: unknown): value is BreachSource {
  if (typeof value !== 'object' || value === null || !('name' in value) || !('find' in value)) return false;
  return typeof value.find === 'function' && typeof value.name === 'string' && value.name !== '';
}
