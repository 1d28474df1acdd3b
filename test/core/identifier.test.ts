import { describe, expect, it } from '@jest/globals';
import { canonicalIdentifier as canon } from '../../src/core/identifier.js';

function isFixed(given: string): boolean {
  const once = canon(given);
  return once === null || canon(once) === once;
}

describe('one identifier', () => {
  it.each([
    ['alice', 'alice'],
    ['Alice', 'alice'],
    ['ALICE', 'alice'],
    [' alice', 'alice'],
    ['alice ', 'alice'],
    ['\u00a0alice\u00a0', 'alice'],
    ['\u3000alice', 'alice'],
    ['ａｌｉｃｅ', 'alice'],
    ['𝐚𝐥𝐢𝐜𝐞', 'alice'],
    ['𝒜𝓁𝒾𝒸𝑒', 'alice'],
    ['ⓐⓛⓘⓒⓔ', 'alice'],
    ['ﬁona', 'fiona'],
    ['Ⅷ', 'viii'],
    ['K\u0308', 'k\u0308'],
    ['e\u0301ve', '\u00e9ve'],
    ['\u212bngstrom', '\u00e5ngstrom'],
    ['ALICE@Acme.Example', 'alice@acme.example'],
    ['a:60', 'a:60'],
    ['__proto__', '__proto__'],
  ])('has one spelling (IDN-01, IDN-02, IDN-03): %j is %j', (given, canonical) => {
    expect(canon(given)).toBe(canonical);
  });

  it.each(['123', '0123', '1e2', '0x7b', '123.0', '+123', '100'])(
    'is text: %j is its own name (IDN-12)',
    (given) => {
      expect(canon(given)).toBe(given);
    },
  );

  it('keeps inner white space, in one spelling', () => {
    expect(canon('al\u00a0ice')).toBe('al ice');
    expect(canon('al ice')).not.toBe(canon('alice'));
  });

  it('of 255 bytes is processed, of 256 is not, counted as given and as canonicalised (IDN-15)', () => {
    expect(canon('a'.repeat(255))).toBe('a'.repeat(255));
    expect(canon('a'.repeat(256))).toBeNull();
    expect(canon('é'.repeat(127))).toBe('é'.repeat(127));
    expect(canon('é'.repeat(128))).toBeNull();
    // One ligature of three bytes is written out as 33: 14 of them fit, 20 do not.
    expect(canon('\ufdfa'.repeat(7))).not.toBeNull();
    expect(canon('\ufdfa'.repeat(20))).toBeNull();
  });

  it('of 400 KB of combining marks is refused before it is normalised (PWD-09)', () => {
    const long = `A1a${'\u0300\u0316'.repeat(100_000)}`;
    const start = process.cpuUsage();
    expect(canon(long)).toBeNull();
    expect(process.cpuUsage(start).user).toBeLessThan(20_000);
  });
});

describe('no identifier', () => {
  it.each([
    ['nothing', ''],
    ['white space', ' \u00a0\u3000'],
    ['a tab', '\talice'],
    ['a new line', 'alice\r\nDEL k'],
    ['NUL at the end (IDN-13)', 'alice\u0000'],
    ['NUL within (IDN-13)', 'alice\u0000x'],
    ['a zero-width space', 'ali\u200bce'],
    ['a zero-width space in front', '\u200balice'],
    ['a zero-width joiner', 'ali\u200dce'],
    ['a byte order mark', '\ufeffalice'],
    ['a soft hyphen', 'al\u00adice'],
    ['a combining grapheme joiner', 'al\u034fice'],
    ['a variation selector', 'alice\ufe0f'],
    ['a Hangul filler', 'alice\u3164'],
    ['a right-to-left override', '\u202eecila'],
    ['a line separator', 'ali\u2028ce'],
    ['a paragraph separator', 'ali\u2029ce'],
    ['a private-use character', 'alice\ue000'],
    ['an unassigned code point', 'alice\u0378'],
    ['a tag character', 'alice\u{e0041}'],
    ['a lone high surrogate', 'alice\ud800'],
    ['a lone low surrogate', '\udc00alice'],
  ])('is %s (IDN-02)', (_, given) => {
    expect(canon(given)).toBeNull();
  });
});

describe('canonicalising again changes nothing (IDN-04)', () => {
  it('for all 1,112,064 scalar values, alone and between letters', () => {
    const moved: string[] = [];
    let tried = 0;
    for (let point = 0; point <= 0x10_ff_ff; point += 1) {
      if (point >= 0xd8_00 && point <= 0xdf_ff) continue;
      tried += 1;
      const character = String.fromCodePoint(point);
      if (!isFixed(character) || !isFixed(`a${character}b`)) moved.push(point.toString(16));
    }
    expect(tried).toBe(1_112_064);
    expect(moved).toEqual([]);
  });

  it('for 100,000 random strings', () => {
    let seed = 20_300_101;
    const below = (bound: number): number => {
      // mulberry32: the same strings in each run.
      seed = (seed + 0x6d_2b_79_f5) | 0;
      let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
    };
    // Letters, marks, capitals with a mark, Greek, Hangul, compatibility forms and anything else.
    const blocks: readonly [number, number][] = [
      [0x20, 0x60],
      [0xa0, 0x1b0],
      [0x300, 0x70],
      [0x370, 0x90],
      [0x1e00, 0x200],
      [0x1100, 0x100],
      [0x2000, 0x200],
      [0xf900, 0x700],
      [0x1d400, 0x400],
      [0, 0xd800],
      [0xe000, 0x102000],
    ];
    const moved: string[] = [];
    let usable = 0;
    for (let i = 0; i < 100_000; i += 1) {
      const characters = Array.from({ length: 1 + below(12) }, () => {
        const [from, size] = blocks[below(below(4) === 0 ? blocks.length : 9)] ?? [0, 1];
        return String.fromCodePoint(from + below(size));
      });
      const given = characters.join('');
      if (canon(given) !== null) usable += 1;
      if (!isFixed(given)) moved.push(JSON.stringify(given));
    }
    expect(moved).toEqual([]);
    expect(usable).toBeGreaterThan(10_000);
  });
});
