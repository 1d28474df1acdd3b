import { describe, expect, it } from '@jest/globals';
import { SecretText } from '../../src/core/secret-text.js';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('SecretText', () => {
  const text = new SecretText('pctest_');

  it('makes a prefix, 256 random bits and a checksum, matched by its pattern', () => {
    const secret = text.create();
    expect(secret).toMatch(new RegExp(`^${text.pattern}$`));
    expect(secret).toMatch(/^pctest_[A-Za-z0-9_-]{49}$/);
    expect(text.isWellFormed(secret)).toBe(true);
    expect(text.create()).not.toBe(secret);
  });

  it('recognises no secret in which a character was flipped, dropped or added (TOK-04)', () => {
    const secret = text.create();
    const wrong: string[] = [];
    for (let at = 0; at < secret.length; at += 1) {
      const before = secret.slice(0, at);
      const after = secret.slice(at + 1);
      wrong.push(before + after);
      for (const letter of alphabet) {
        if (letter !== secret[at]) wrong.push(before + letter + after);
        wrong.push(before + letter + secret.slice(at));
      }
    }
    for (const letter of alphabet) wrong.push(secret + letter);
    expect(wrong.filter((one) => text.isWellFormed(one))).toEqual([]);
  });

  it.each(['pctest_', 'PCTEST_', '\n', ' ', '\0'])(
    'recognises no other text: %j around a secret',
    (other) => {
      const secret = text.create();
      for (const wrong of ['', other, other + secret, secret + other])
        expect(text.isWellFormed(wrong)).toBe(false);
    },
  );

  it('keeps kinds apart: a secret of another prefix is none', () => {
    expect(text.isWellFormed(new SecretText('pcthat_').create())).toBe(false);
  });

  it('carries an address in clear when it is addressed', () => {
    const addressed = new SecretText('pctest_', true);
    const address = Buffer.alloc(32, 7).toString('base64url');
    const secret = addressed.create(address);
    expect(addressed.isWellFormed(secret)).toBe(true);
    expect(addressed.addressOf(secret)).toBe(address);
    expect(addressed.isWellFormed(text.create())).toBe(false);
    expect(text.isWellFormed(secret)).toBe(false);
    const other = Buffer.alloc(32, 8).toString('base64url');
    expect(addressed.isWellFormed(secret.replace(address, other))).toBe(false);
  });
});
