import { randomBytes } from 'node:crypto';
import { accountKey, type Account } from './account.js';
import type { FactorBook } from './factor-book.js';
import type { BackupCodeSet } from './factor-record.js';
import type { FactorJudgement } from './factor-verdict.js';
import { keyHash } from './key-hash.js';

/** How many codes are given at a time. */
const codeCount = 10;

/** 80 random bits a code: a guess by the thousand a second would take longer than the universe is old. */
const codeBytes = 10;

// Crockford's base32: no letter that is read as a digit, and no vowel-like U.
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const codeLength = (codeBytes * 8) / 5;

/** New codes, and the form in which they are kept. They are shown once. */
export function newBackupCodes(
  account: Account,
  now: number,
): { codes: readonly string[]; set: BackupCodeSet } {
  const codes = Array.from({ length: codeCount }, newCode);
  const hashes = codes.map((code) => hashOf(account, canonicalBackupCode(code) ?? ''));
  return { codes, set: { createdAt: now, lastUsedAt: null, hashes } };
}

/**
 * One spelling for each code: capitals, half-width, no hyphens or spaces, O as 0, I and L as 1. Null for what no code
 * can be.
 */
export function canonicalBackupCode(given: string): string | null {
  // Cut before it is normalised, which takes long for long text.
  if (given.length > 2 * codeLength) return null;
  const plain = given.normalize('NFKC');
  if (!/^[0-9A-Za-z -]+$/.test(plain)) return null;
  const code = plain.toUpperCase().replaceAll(/[ -]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  return code.length === codeLength && !code.includes('U') ? code : null;
}

/** Uses a code up, in one compare-and-set. One hash a guess, whatever the number of codes. */
export async function acceptBackupCode(
  book: FactorBook,
  account: Account,
  given: string,
  now: number,
): Promise<FactorJudgement> {
  const code = canonicalBackupCode(given);
  const hash = code === null ? null : hashOf(account, code);
  return book.change<FactorJudgement>(account, (factors) => {
    const { codes } = factors;
    if (hash === null || codes?.hashes.includes(hash) !== true) return { factors: null, answer: 'wrong' };
    const hashes = codes.hashes.filter((one) => one !== hash);
    return {
      factors: { ...factors, codes: { ...codes, lastUsedAt: now, hashes }, wrongCodes: 0 },
      answer: { codesLeft: hashes.length },
    };
  });
}

/** New codes in place of all old ones; null for an account without a factor. */
export async function regenerateBackupCodes(
  book: FactorBook,
  account: Account,
  now: number,
): Promise<readonly string[] | null> {
  const { codes, set } = newBackupCodes(account, now);
  return book.change<readonly string[] | null>(account, (factors) =>
    factors.list.length === 0
      ? { factors: null, answer: null }
      : { factors: { ...factors, codes: set }, answer: codes },
  );
}

function newCode(): string {
  let bits = 0n;
  for (const byte of randomBytes(codeBytes)) bits = (bits << 8n) | BigInt(byte);
  const text = Array.from(
    { length: codeLength },
    (_, i) => alphabet[Number((bits >> BigInt(5 * i)) & 31n)],
  ).join('');
  return text.replaceAll(/(.{4})(?=.)/g, '$1-');
}

function hashOf(account: Account, code: string): string {
  return keyHash('backup code', accountKey(account.id), code);
}
