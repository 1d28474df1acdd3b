import { timingSafeEqual } from 'node:crypto';
import { createGuardrails } from 'otplib';
import { generateSecret, generateSync } from 'otplib/functional';

/** RFC 6238 with the numbers of Google Authenticator: SHA-1, 6 digits, steps of 30 seconds from the epoch. */
const stepSeconds = 30;
const digits = 6;
const secretBytes = 20;

/** RFC 4226 asks for 128 bits; many services gave 80, as Google Authenticator's own samples do. */
const leastSecretBytes = 10;
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const guardrails = createGuardrails({ MIN_SECRET_BYTES: leastSecretBytes });

/** Exactly six ASCII digits: no sign, space, exponent or other script's digits reaches the comparison. */
export function isTotpCode(given: unknown): given is string {
  return typeof given === 'string' && /^[0-9]{6}$/.test(given);
}

/** A new secret of 160 random bits (RFC 4226 section 4), in base32. */
export function newTotpSecret(): string {
  return generateSecret({ length: secretBytes });
}

/**
 * A secret of another system in this one's spelling; null for one that is no base32, under 80 bits or over 512. Bits
 * beyond the last whole byte are cut off: authenticator apps ignore them, and the library throws on them.
 */
export function canonicalTotpSecret(given: string): string | null {
  if (given.length > 200) return null;
  const secret = given.replaceAll(/[ -]/g, '').replace(/=+$/, '').toUpperCase();
  const bytes = Math.floor((secret.length * 5) / 8);
  if (!/^[A-Z2-7]+$/.test(secret) || bytes < leastSecretBytes || bytes > 64) return null;
  const letters = Math.ceil((bytes * 8) / 5);
  const spareBits = letters * 5 - bytes * 8;
  const last = base32.indexOf(secret.charAt(letters - 1));
  return secret.slice(0, letters - 1) + base32.charAt((last >> spareBits) << spareBits);
}

/** The step that a time, in milliseconds since the epoch, falls into. */
export function totpStep(now: number): number {
  return Math.floor(now / 1000 / stepSeconds);
}

/**
 * The step whose code this is: the present one, or the one before for a code that was typed late (RFC 6238
 * section 5.2). Null for none. Both candidates are always computed and compared, in constant time.
 */
export function matchTotpStep(secret: string, offered: string, now: number): number | null {
  const given = Buffer.from(offered);
  let matched: number | null = null;
  for (const step of [totpStep(now) - 1, totpStep(now)]) {
    const code = generateSync({ secret, strategy: 'hotp', counter: step, digits, guardrails });
    const expected = Buffer.from(code);
    if (given.length === expected.length && timingSafeEqual(given, expected)) matched = step;
  }
  return matched;
}

/**
 * The URI that an authenticator app reads from a QR code. Issuer and label are escaped whole, a colon in them
 * too: the one colon between them is what tells them apart.
 *
 * @see https://github.com/google/google-authenticator/wiki/Key-Uri-Format
 */
export function totpUri(issuer: string, label: string, secret: string): string {
  const path = `${encodeURIComponent(issuer)}:${encodeURIComponent(label)}`;
  const query = new URLSearchParams({
    secret,
    issuer,
    algorithm: 'SHA1',
    digits: '6',
    period: String(stepSeconds),
  });
  // URLSearchParams writes a space as "+", which authenticator apps show as it is.
  return `otpauth://totp/${path}?${query.toString().replaceAll('+', '%20')}`;
}
