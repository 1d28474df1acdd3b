import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { KeyRing } from '../../src/core/key-ring.js';

const key = randomBytes(32);
const ring = new KeyRing('Test', [key]);

describe('KeyRing opens', () => {
  it('what it sealed, for the same context', () => {
    expect(ring.open(ring.seal('JBSWY3DP', 'alice'), 'alice')).toBe('JBSWY3DP');
  });

  it.each([
    ['bytes', new Uint8Array(key)],
    ['base64', key.toString('base64')],
    ['base64url', key.toString('base64url')],
    ['hexadecimal', key.toString('hex')],
    ['upper-case hexadecimal', key.toString('hex').toUpperCase()],
  ])('the same with its key as %s', (_, spelling) => {
    expect(new KeyRing('Test', [spelling]).open(ring.seal('JBSWY3DP', 'alice'), 'alice')).toBe('JBSWY3DP');
  });

  it('what an older key sealed, and seals with the first: that is how keys are rotated', () => {
    const newer = randomBytes(32);
    const rotated = new KeyRing('Test', [newer, key]);
    expect(rotated.open(ring.seal('old', 'alice'), 'alice')).toBe('old');
    const sealed = rotated.seal('new', 'alice');
    expect(new KeyRing('Test', [newer]).open(sealed, 'alice')).toBe('new');
    expect(ring.open(sealed, 'alice')).toBeNull();
  });

  it('as it was made, whatever is done to the bytes of the key afterwards (CFG-13)', () => {
    const mine = Buffer.from(key);
    const own = new KeyRing('Test', [mine]);
    mine.fill(0);
    expect(own.open(ring.seal('JBSWY3DP', 'alice'), 'alice')).toBe('JBSWY3DP');
  });
});

describe('KeyRing does not open', () => {
  it('for another context: a sealed secret moved to another account is nothing', () => {
    expect(ring.open(ring.seal('JBSWY3DP', 'alice'), 'bob')).toBeNull();
  });

  it('under another key (CFG-10)', () => {
    expect(new KeyRing('Test', [randomBytes(32)]).open(ring.seal('JBSWY3DP', 'alice'), 'alice')).toBeNull();
  });

  it('anything of which one bit was changed', () => {
    const bytes = Buffer.from(ring.seal('JBSWY3DP', 'alice'), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(ring.open(changed.toString('base64url'), 'alice')).toBeNull();
    }
  });

  it('anything that was cut, down to nothing: a shorter tag is none', () => {
    const bytes = Buffer.from(ring.seal('JBSWY3DP', 'alice'), 'base64url');
    for (let length = 0; length < bytes.length; length += 1) {
      expect(ring.open(bytes.subarray(0, length).toString('base64url'), 'alice')).toBeNull();
    }
  });

  it.each(['', 'AA', '{}', '\0', 'AQ'.repeat(100)])('text that never was sealed: %j', (text) => {
    expect(ring.open(text, 'alice')).toBeNull();
  });
});

it('KeyRing seals the same secret differently each time, and not in clear', () => {
  const sealed = Array.from({ length: 100 }, () => ring.seal('JBSWY3DP', 'alice'));
  expect(new Set(sealed).size).toBe(100);
  expect(Buffer.from(sealed[0] ?? '', 'base64url').toString('latin1')).not.toContain('JBSWY3DP');
});

describe('KeyRing rejects', () => {
  it.each<[string, unknown]>([
    ['31 bytes', randomBytes(31)],
    ['33 bytes', randomBytes(33)],
    ['no bytes', new Uint8Array()],
    ['all zero', new Uint8Array(32)],
    ['a repeated byte', new Uint8Array(32).fill(7)],
    ['a short pattern', Buffer.from('0123456789ab'.repeat(3)).subarray(0, 32)],
    ['zero in hexadecimal', '0'.repeat(64)],
    ['zero in base64', Buffer.alloc(32).toString('base64')],
    ['a word', 'changeme'],
    ['a word that fills the length', 'changeme'.repeat(4)],
    ['nothing', ''],
    ['hexadecimal that is cut', key.toString('hex').slice(1)],
    ['base64 with a new line', `${key.toString('base64')}\n`],
    ['a number', 7],
    ['null', null],
    ['undefined', undefined],
    ['an array of numbers', [...key]],
    ['an object', { key }],
  ])('a key that is no 32 random bytes (CFG-05): %s', (_, weak) => {
    expect(() => new KeyRing('Owner', [key, weak])).toThrow(
      new TypeError('Owner: keys[1] must be 32 random bytes, or those in base64 or hexadecimal'),
    );
  });

  it.each([[[]], [undefined], [null], ['key'], [{ 0: key, length: 1 }]])('no list of keys: %j', (keys) => {
    expect(() => new KeyRing('Owner', keys)).toThrow(
      new TypeError('Owner: option keys must be a list of at least one 32-byte key'),
    );
  });

  it('a key without quoting it, and shows none when it is printed (LOG-06)', () => {
    const canary = 'CANARY-key-CANARY-key-CANARY-key';
    let thrown: unknown;
    try {
      ring.seal('x', 'y');
      thrown = new KeyRing('Owner', [canary.repeat(2)]);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    const shown = [thrown, ring].map((value) => inspect(value, { depth: Infinity, showHidden: true }));
    expect(shown.join()).not.toContain('CANARY');
    expect(shown.join() + JSON.stringify(ring)).not.toContain(key.toString('hex').slice(0, 16));
    expect(JSON.stringify(ring)).toBe('{}');
  });
});
