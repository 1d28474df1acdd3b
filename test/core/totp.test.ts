import { describe, expect, it, jest } from '@jest/globals';
import { isTotpCode, matchTotpStep, newTotpSecret, totpStep, totpUri } from '../../src/core/totp.js';
import { codeOf } from '../rig/totp-code.js';

/** "12345678901234567890", the secret of RFC 6238 appendix B, in base32. */
const rfcSecret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

describe('the code of a step', () => {
  it.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('is that of RFC 6238 appendix B at %d s, cut to six digits: %s', (seconds, code) => {
    expect(matchTotpStep(rfcSecret, code, seconds * 1000)).toBe(Math.floor(seconds / 30));
    expect(codeOf(rfcSecret, Math.floor(seconds / 30))).toBe(code);
  });

  it.each([
    ['2038-01-19T03:14:07Z', Date.UTC(2038, 0, 19, 3, 14, 7)],
    ['a second later', Date.UTC(2038, 0, 19, 3, 14, 8)],
    ['step 2^31', 2 ** 31 * 30_000],
    ['step 2^32 + 1', (2 ** 32 + 1) * 30_000],
  ])('is right beyond 32 bits (TOT-25): %s', (_, now) => {
    const step = Math.floor(now / 30_000);
    expect(totpStep(now)).toBe(step);
    expect(matchTotpStep(rfcSecret, codeOf(rfcSecret, step), now)).toBe(step);
    expect(matchTotpStep(rfcSecret, codeOf(rfcSecret, step - 1), now)).toBe(step - 1);
  });
});

describe('the window', () => {
  const step = 60_000_000;
  it.each([
    [-31, false],
    [-1, false],
    [0, true],
    [29, true],
    [30, true],
    [59, true],
    [60, false],
    [61, false],
  ])('is the present step and the one before (TOT-06): a code offered at second %d: %s', (second, fits) => {
    const now = (step * 30 + second) * 1000;
    expect(matchTotpStep(rfcSecret, codeOf(rfcSecret, step), now)).toBe(fits ? step : null);
  });

  it('is never wider for a phone that is five minutes off (TOT-23)', () => {
    const now = step * 30_000;
    for (const off of [-10, 10]) {
      expect(matchTotpStep(rfcSecret, codeOf(rfcSecret, step + off), now)).toBeNull();
    }
  });

  it('is compared whole: the same work for a hit in either step and for none (TOT-24)', async () => {
    jest.resetModules();
    const otplib = await import('otplib/functional');
    const crypto = await import('node:crypto');
    const generateSync = jest.fn(otplib.generateSync);
    const timingSafeEqual = jest.fn(crypto.timingSafeEqual);
    jest.unstable_mockModule('otplib/functional', () => ({ ...otplib, generateSync }));
    jest.unstable_mockModule('node:crypto', () => ({ ...crypto, timingSafeEqual }));
    const { matchTotpStep: match } = await import('../../src/core/totp.js');
    const now = step * 30_000;
    for (const [code, hit] of [
      [codeOf(rfcSecret, step - 1), step - 1],
      [codeOf(rfcSecret, step), step],
      [codeOf(rfcSecret, step + 9), null],
    ] as const) {
      generateSync.mockClear();
      timingSafeEqual.mockClear();
      expect(match(rfcSecret, code, now)).toBe(hit);
      expect(generateSync).toHaveBeenCalledTimes(2);
      expect(timingSafeEqual).toHaveBeenCalledTimes(2);
    }
  });
});

describe('what counts as a code', () => {
  it.each(['000000', '123456', '999999'])('six digits: %s', (code) => {
    expect(isTotpCode(code)).toBe(true);
  });

  it.each([
    '',
    ' ',
    '12345',
    '1234567',
    '12345a',
    ' 123456',
    '123456\n',
    '123 456',
    '１２３４５６',
    '١٢٣٤٥٦',
    '1e5',
    '0x1E240',
    '+12345',
    '-12345',
    '123456\u0000',
    '1'.repeat(1_000_000),
  ])('nothing else (TOT-07): %.20j', (code) => {
    expect(isTotpCode(code)).toBe(false);
  });

  it('a malformed one that slips past the check matches no step and throws nothing', () => {
    for (const code of ['', '12345', '1234567', '１２３４５６']) {
      expect(matchTotpStep(rfcSecret, code, 59_000)).toBeNull();
    }
  });
});

describe('a new secret', () => {
  it('is 20 random bytes, 32 letters of base32, never the same twice (TOT-17)', () => {
    const secrets = Array.from({ length: 100_000 }, newTotpSecret);
    expect(new Set(secrets).size).toBe(secrets.length);
    expect(secrets.filter((secret) => !/^[A-Z2-7]{32}$/.test(secret))).toEqual([]);
    // Each of 32 letters about 3,125 times at every place; 2,600 is more than nine standard deviations off.
    for (let place = 0; place < 32; place += 1) {
      const seen = new Map<string, number>();
      for (const secret of secrets) seen.set(secret.charAt(place), (seen.get(secret.charAt(place)) ?? 0) + 1);
      expect(seen.size).toBe(32);
      expect(Math.min(...seen.values())).toBeGreaterThan(2600);
    }
  });
});

describe('the URI for a QR code', () => {
  it('names issuer, label, secret and the numbers of RFC 6238', () => {
    expect(totpUri('Acme', 'alice', rfcSecret)).toBe(
      `otpauth://totp/Acme:alice?secret=${rfcSecret}&issuer=Acme&algorithm=SHA1&digits=6&period=30`,
    );
  });

  it.each([
    ['Acme Co', 'alice smith', 'Acme%20Co:alice%20smith', 'Acme%20Co'],
    ['Acme: Live', 'bob:admin', 'Acme%3A%20Live:bob%3Aadmin', 'Acme%3A%20Live'],
    ['A&B', 'x?secret=EVIL#/..', 'A%26B:x%3Fsecret%3DEVIL%23%2F..', 'A%26B'],
    ['1+1', 'a+b@acme.example', '1%2B1:a%2Bb%40acme.example', '1%2B1'],
  ])(
    'escapes both, so that neither adds a parameter or a second colon: %j, %j',
    (issuer, label, path, query) => {
      const uri = totpUri(issuer, label, rfcSecret);
      expect(uri).toContain(`otpauth://totp/${path}?`);
      expect(uri).toContain(`&issuer=${query}&`);
      expect(new URL(uri).searchParams.getAll('secret')).toEqual([rfcSecret]);
      expect(new URL(uri).searchParams.get('issuer')).toBe(issuer);
    },
  );
});
