import { afterEach, describe, expect, it } from '@jest/globals';
import {
  callback,
  describe as describeValue,
  flag,
  integer,
  offering,
  oneOf,
  readOptions,
  required,
  text,
} from '../../src/core/options.js';

interface Options {
  readonly count?: number;
  readonly name?: string;
  readonly secret?: string;
}

const rules = {
  count: integer(1, 9),
  name: text,
  secret: { demand: 'long', accepts: (v: unknown) => typeof v === 'string' && v.length > 8, secret: true },
};

function read(given: unknown): Options {
  return readOptions<Options>('owner', given as Options, rules);
}

describe('readOptions takes', () => {
  it('own properties that fit, on an object without a prototype (INP-06)', () => {
    const options = read({ count: 3, name: 'x' });
    expect({ ...options }).toEqual({ count: 3, name: 'x' });
    expect(Object.getPrototypeOf(options)).toBeNull();
  });

  it('nothing, and undefined for what is not given', () => {
    expect(Object.keys(read(undefined))).toEqual([]);
    expect(Object.keys(read({ count: undefined }))).toEqual([]);
  });

  it('each option once, and leaves the object as it was (CFG-13)', () => {
    let reads = 0;
    const given = Object.freeze(
      Object.defineProperty({ name: 'x' }, 'count', { enumerable: true, get: () => (reads += 1) }),
    );
    expect(read(given).count).toBe(1);
    expect(reads).toBe(1);
    expect(Object.keys(given)).toEqual(['name', 'count']);
  });

  it('nothing from a prototype, an inherited one included', () => {
    expect(Object.keys(read(Object.create({ count: 3 })))).toEqual([]);
  });
});

describe('readOptions under a polluted Object.prototype (INP-06)', () => {
  const names = ['count', 'name', 'secret', 'required', 'demand', 'given'];
  afterEach(() => {
    for (const name of names) Reflect.deleteProperty(Object.prototype, name);
  });

  it.each(names)('takes nothing from %s', (name) => {
    Reflect.defineProperty(Object.prototype, name, { configurable: true, writable: true, value: 5 });
    const options = read({});
    expect(Object.keys(options)).toEqual([]);
    expect(options.count).toBeUndefined();
    expect(() => read({ count: 10 })).toThrow(TypeError);
  });
});

describe('readOptions throws a TypeError that names owner, option, demand and value', () => {
  it.each<[unknown, string]>([
    [{ count: 10 }, 'owner: option count must be a whole number from 1 to 9, not 10'],
    [{ count: '3' }, 'owner: option count must be a whole number from 1 to 9, not "3"'],
    [{ count: Number.NaN }, 'owner: option count must be a whole number from 1 to 9, not NaN'],
    [{ count: 1.5 }, 'owner: option count must be a whole number from 1 to 9, not 1.5'],
    [{ count: null }, 'owner: option count must be a whole number from 1 to 9, not null'],
    [{ name: '' }, 'owner: option name must be a non-empty string, not ""'],
    [{ name: [1, 2] }, 'owner: option name must be a non-empty string, not an array of 2'],
    [{ name: {} }, 'owner: option name must be a non-empty string, not an object'],
    [{ name: () => '' }, 'owner: option name must be a non-empty string, not a function'],
    [{ cuont: 3 }, 'owner: unknown option "cuont"; it takes count, name, secret'],
    [
      { __proto__: null, constructor: 1 },
      'owner: unknown option "constructor"; it takes count, name, secret',
    ],
    [JSON.parse('{"__proto__": 1}'), 'owner: unknown option "__proto__"; it takes count, name, secret'],
    [null, 'owner: options must be an object, not null'],
    [7, 'owner: options must be an object, not 7'],
    ['count', 'owner: options must be an object, not "count"'],
    [[3], 'owner: options must be an object, not an array of 1'],
  ])('%j', (given, message) => {
    expect(() => read(given)).toThrow(new TypeError(message));
  });

  it('a required option that is missing', () => {
    expect(() => readOptions<{ name: string }>('owner', {} as never, { name: required(text) })).toThrow(
      new TypeError('owner: option name must be a non-empty string, not undefined'),
    );
  });

  it('an option where there are none', () => {
    expect(() => readOptions('owner', { a: 1 }, {} as never)).toThrow(
      new TypeError('owner: unknown option "a"; it takes none'),
    );
  });

  it('a secret by its type only', () => {
    expect(() => read({ secret: 'CANARY' })).toThrow(
      new TypeError('owner: option secret must be long, not another string'),
    );
    expect(() => read({ secret: 12_345_678 })).toThrow(/not another number$/);
  });
});

describe('a value in a message', () => {
  it.each<[unknown, string]>([
    ['x'.repeat(41), `"${'x'.repeat(40)}…"`],
    ['a\nb', '"a\\nb"'],
    [undefined, 'undefined'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [2n, '2'],
    [Symbol('s'), 'Symbol(s)'],
    [new Map(), 'an object'],
  ])('is cut, escaped and never an object: %p', (value, named) => {
    expect(describeValue(value)).toBe(named);
  });
});

describe('rules', () => {
  const store = { get: () => 1, set: () => 2 };
  it.each([
    [flag, [true, false], ['true', 1, 0, null, undefined, {}]],
    [callback, [() => 1, async () => 1], ['f', {}, null]],
    [text, ['x', ' '], ['', 7, null, ['x'], {}]],
    [
      integer(1, 9),
      [1, 9],
      [0, 10, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', 5n, null, [5], 2 ** 53],
    ],
    [oneOf('a', 'b'), ['a', 'b'], ['c', 'A', ['a'], 0, null, 'toString']],
    [
      offering('a store', 'get', 'set'),
      [store, Object.create(store)],
      [{ get: 1, set: 2 }, { get: () => 1 }, null, 'x'],
    ],
  ])('$demand', (rule, good, bad) => {
    expect(good.map((value) => rule.accepts(value))).toEqual(good.map(() => true));
    expect(bad.map((value) => rule.accepts(value))).toEqual(bad.map(() => false));
  });
});
