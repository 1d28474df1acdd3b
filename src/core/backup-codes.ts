import { randomBytes } from 'node:crypto';
import { accountKey } from './access-tokens.js';
import type { Account } from './account.js';
import type { BackupCodeSet } from './factor-record.js';
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
 * One spelling for each code: capitals, no hyphens or spaces, O as 0, I and L as 1. Null for what no code can be.
 */
export function canonicalBackupCode(given: string): string | null {
  if (given.length > 2 * codeLength || !/^[0-9A-Za-z -]+$/.test(given)) return null;
  const code = given.toUpperCase().replaceAll(/[ -]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  return code.length === codeLength && !code.includes('U') ? code : null;
}

/** The set without the code; null when it does not hold it. One hash, whatever the number of codes. */
export function useBackupCode(
  set: BackupCodeSet,
  account: Account,
  code: string,
  now: number,
): BackupCodeSet | null {
  const hash = hashOf(account, code);
  if (!set.hashes.includes(hash)) return null;
  return { ...set, lastUsedAt: now, hashes: set.hashes.filter((one) => one !== hash) };
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
