/**
 * Options are read once, in the factory: own properties only (a polluted prototype configures nothing),
 * unknown keys and wrong values refused by name, and the caller's object left as it was.
 */

/** What one option must be; `demand` completes the sentence "must be …". */
export interface Rule {
  readonly demand: string;
  accepts(value: unknown): boolean;
  readonly required?: boolean;
  /** The value is never quoted in an error. */
  readonly secret?: boolean;
}

type Rules<T> = { readonly [K in keyof T]-?: Rule };

/** @throws {TypeError} naming owner, option, demand and value given. */
export function readOptions<T extends object>(owner: string, given: T | undefined, rules: Rules<T>): T {
  const options = Object.create(null) as T;
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
    throw new TypeError(`${owner}: options must be an object, not ${describe(given)}`);
  }
  const names = Object.keys(rules) as (keyof T & string)[];
  for (const key of given === undefined ? [] : Object.keys(given)) {
    if (names.includes(key as keyof T & string)) continue;
    const known = names.length === 0 ? 'it takes none' : `it takes ${names.join(', ')}`;
    throw new TypeError(`${owner}: unknown option ${JSON.stringify(key)}; ${known}`);
  }
  for (const name of names) {
    const rule = rules[name];
    const value = given !== undefined && Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined && rule.required !== true) continue;
    if (!rule.accepts(value)) {
      const found = rule.secret === true && value !== undefined ? `another ${typeof value}` : describe(value);
      throw new TypeError(`${owner}: option ${name} must be ${rule.demand}, not ${found}`);
    }
    options[name] = value as T[typeof name];
  }
  return options;
}

/** Names a value in an error message: numbers and flags in full, text cut, objects by kind. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

export const flag: Rule = { demand: 'true or false', accepts: (v) => typeof v === 'boolean' };

export const callback: Rule = { demand: 'a function', accepts: (v) => typeof v === 'function' };

export const text: Rule = { demand: 'a non-empty string', accepts: (v) => typeof v === 'string' && v !== '' };

export function integer(least: number, most: number): Rule {
  return {
    demand: `a whole number from ${least} to ${most}`,
    accepts: (v) => Number.isSafeInteger(v) && (v as number) >= least && (v as number) <= most,
  };
}

export function oneOf(...choices: readonly string[]): Rule {
  return {
    demand: `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`,
    accepts: (v) => typeof v === 'string' && choices.includes(v),
  };
}

/** An object that offers these methods: a store, or another port that the caller fills. */
export function offering(what: string, ...methods: readonly string[]): Rule {
  return {
    demand: what,
    accepts: (v) =>
      typeof v === 'object' &&
      v !== null &&
      methods.every((method) => typeof (v as Record<string, unknown>)[method] === 'function'),
  };
}

export function required(rule: Rule): Rule {
  return { ...rule, required: true };
}
