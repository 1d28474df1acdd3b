import { describe, expect, it } from '@jest/globals';
import { qrCode } from '../../src/core/qr-code.js';
import { totpUri } from '../../src/core/totp.js';

/** The modules of a QR code that is drawn as squares of ten units, without its margin; true for dark. */
function modulesOf(dataUrl: string): { modules: boolean[][]; margin: number } {
  const [, base64 = ''] = /^data:image\/svg\+xml;base64,([A-Za-z0-9+/]+=*)$/.exec(dataUrl) ?? [];
  const svg = Buffer.from(base64, 'base64').toString();
  const [, width, height] =
    /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 (\d+) (\d+)">/.exec(svg) ?? [];
  expect(width).toBe(height);
  const side = Number(width) / 10;
  const dark = [...svg.matchAll(/M(\d+),(\d+)h10v10h-10z/g)].map(
    ([, x, y]) => [Number(x) / 10, Number(y) / 10] as const,
  );
  const margin = Math.min(...dark.flat());
  const size = side - 2 * margin;
  const modules = Array.from({ length: size }, () => Array<boolean>(size).fill(false));
  for (const [x, y] of dark) {
    const row = modules[y - margin];
    if (row === undefined || x - margin >= size) throw new Error('a module outside');
    row[x - margin] = true;
  }
  return { modules, margin };
}

const masks: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** ISO/IEC 18004 tables 9 and E.1, for level M: data codewords of each block, and centres of the alignment patterns. */
const versions: Readonly<Record<number, { blocks: readonly number[]; centres: readonly number[] }>> = {
  5: { blocks: [43, 43], centres: [6, 30] },
  6: { blocks: [27, 27, 27, 27], centres: [6, 34] },
  7: { blocks: [31, 31, 31, 31], centres: [6, 22, 38] },
  8: { blocks: [38, 38, 39, 39], centres: [6, 24, 42] },
  9: { blocks: [36, 36, 36, 37, 37], centres: [6, 26, 46] },
  10: { blocks: [43, 43, 43, 43, 44], centres: [6, 28, 50] },
};

/** Reads a clean QR code of level M in byte mode, versions 5 to 10, as a scanner does but for errors. */
function read(modules: readonly (readonly boolean[])[]): string {
  const size = modules.length;
  const version = (size - 17) / 4;
  const at = (x: number, y: number): boolean => modules[y]?.[x] === true;
  const { blocks, centres } = versions[version] ?? { blocks: [], centres: [] };

  // Format information: bits 0 to 14 around the first finder pattern, masked by 101010000010010.
  const places = [
    ...[0, 1, 2, 3, 4, 5, 7, 8].map((x) => [x, 8]),
    ...[7, 5, 4, 3, 2, 1, 0].map((y) => [8, y]),
  ];
  const format =
    places.reduce((bits, [x = 0, y = 0]) => (bits << 1) | Number(at(x, y)), 0) ^ 0b101010000010010;
  expect(format >> 13).toBe(0b00); // level M
  const isMasked = masks[(format >> 10) & 7] ?? (() => false);

  const isFunction = (x: number, y: number): boolean => {
    const nearFinder = (x < 9 && y < 9) || (x >= size - 8 && y < 9) || (x < 9 && y >= size - 8);
    const ofVersion = version >= 7 && ((x < 6 && y >= size - 11) || (y < 6 && x >= size - 11));
    const last = centres.at(-1);
    const ofAlignment = centres.some((cx) =>
      centres.some((cy) => {
        const isFinder = (cx === 6 && (cy === 6 || cy === last)) || (cx === last && cy === 6);
        return !isFinder && Math.abs(x - cx) <= 2 && Math.abs(y - cy) <= 2;
      }),
    );
    return nearFinder || ofVersion || ofAlignment || x === 6 || y === 6;
  };
  const bits: number[] = [];
  let goesUp = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right -= 1;
    for (let step = 0; step < size; step += 1) {
      const y = goesUp ? size - 1 - step : step;
      for (const x of [right, right - 1])
        if (!isFunction(x, y)) bits.push(Number(at(x, y) !== isMasked(x, y)));
    }
    goesUp = !goesUp;
  }
  const codewords = Array.from({ length: bits.length >> 3 }, (_, i) =>
    bits.slice(8 * i, 8 * i + 8).reduce((byte, bit) => 2 * byte + bit, 0),
  );
  // Codewords of the blocks alternate; the shorter blocks come first.
  const data: number[][] = blocks.map(() => []);
  let next = 0;
  for (let i = 0; i < Math.max(...blocks); i += 1)
    for (const [block, length] of blocks.entries()) if (i < length) data[block]?.push(codewords[next++] ?? 0);
  const stream = data
    .flat()
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('');
  expect(stream.slice(0, 4)).toBe('0100'); // byte mode
  const countBits = version < 10 ? 8 : 16;
  const length = Number.parseInt(stream.slice(4, 4 + countBits), 2);
  const start = 4 + countBits;
  const bytes = Array.from({ length }, (_, i) =>
    Number.parseInt(stream.slice(start + 8 * i, start + 8 * i + 8), 2),
  );
  return Buffer.from(bytes).toString();
}

const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

describe('qrCode', () => {
  it.each([
    ['a short name', totpUri('A', 'a', secret)],
    ['a user name', totpUri('Acme', 'alice', secret)],
    ['a mail address', totpUri('Acme', 'alice@acme.example', secret)],
    ['an id', totpUri('Acme', '7f0c1d3e-52a4-4b6f-9c8d-0e1f2a3b4c5d', secret)],
    ['another script', totpUri('Änderung', 'Ελένη', secret)],
  ])('draws a code that scans as the URI of %s', (_, uri) => {
    const { modules } = modulesOf(qrCode(uri));
    expect(read(modules)).toBe(uri);
  });

  it('leaves the margin that scanners need', () => {
    expect(modulesOf(qrCode(totpUri('Acme', 'alice', secret))).margin).toBe(4);
  });

  it('draws nothing but squares on white: no script, no link', () => {
    const svg = Buffer.from(qrCode('<script>&"').split(',')[1] ?? '', 'base64').toString();
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="[\d ]+"><rect fill="white" width="\d+" height="\d+"\/><path fill="black" d="[Mhvz\d,-]+"\/><\/svg>$/,
    );
  });

  it('holds the longest name that a factor can be shown with', () => {
    const uri = totpUri('Acme Incorporated', 'ä'.repeat(127), secret);
    expect(modulesOf(qrCode(uri)).modules.length).toBeGreaterThan(60);
  });
});
