import { describe, expect, it } from '@jest/globals';
import { coversScope, isScope } from '../../src/core/scope.js';

describe('isScope', () => {
  it.each(['read', 'read write', 'repo:read https://acme.example/x', '!#[]~', 'x'.repeat(1024)])(
    'accepts values of RFC 6749 section 3.3, single spaces between: %.40j',
    (scope) => {
      expect(isScope(scope)).toBe(true);
    },
  );

  it.each([
    '',
    ' ',
    ' read',
    'read ',
    'read  write',
    'read\twrite',
    'read\nwrite',
    'read"',
    'read\\',
    'lesen-ö',
    'read\u007f',
    'read\0',
    'x'.repeat(1025),
    undefined,
    null,
    7,
    ['read'],
    { length: 1 },
  ])('refuses the rest, which could break out of a header: %.40j', (scope) => {
    expect(isScope(scope)).toBe(false);
  });
});

describe('coversScope', () => {
  it.each<[string, string[], boolean]>([
    ['', [], true],
    ['read', [], true],
    ['read', ['read'], true],
    ['read write', ['write', 'read'], true],
    ['', ['read'], false],
    ['read', ['read', 'write'], false],
    ['read:all', ['read'], false],
    ['Read', ['read'], false],
    ['', [''], true],
  ])('%j covers %j: %s', (granted, demanded, covers) => {
    expect(coversScope(granted, demanded)).toBe(covers);
  });
});
