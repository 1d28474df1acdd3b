import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { Rule } from './options.js';

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const idBytes = 4;
const version = 1;

/** A key as the app hands it over: 32 bytes, or those in base64, base64url or hexadecimal. */
export type FactorKey = Uint8Array | string;

/**
 * Seals secrets at rest with AES-256-GCM. The first key seals, every key opens: to rotate, put a new key in
 * front and drop the old one once nothing is sealed under it.
 *
 * @see NIST SP 800-38D; OWASP Cryptographic Storage Cheat Sheet
 */
export class KeyRing {
  readonly #keys: readonly { readonly id: Buffer; readonly key: Buffer }[];

  /** @throws {TypeError} on no keys, and on a key that is not 32 bytes or not random; it is never quoted. */
  constructor(owner: string, keys: unknown) {
    this.#keys = readKeys(owner, keys).map((key) => ({
      id: createHash('sha256').update('portcullis key').update(key).digest().subarray(0, idBytes),
      key,
    }));
  }

  /** @param context - What the secret belongs to; it opens for nothing else. */
  seal(secret: string, context: string): string {
    const [{ id, key } = this.#missing()] = this.#keys;
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes }).setAAD(
      Buffer.from(context),
    );
    const sealed = [
      Buffer.of(version),
      id,
      nonce,
      cipher.update(secret, 'utf8'),
      cipher.final(),
      cipher.getAuthTag(),
    ];
    return Buffer.concat(sealed).toString('base64url');
  }

  /** Null when it was sealed under another key or for another context, or was changed. */
  open(sealed: string, context: string): string | null {
    const bytes = Buffer.from(sealed, 'base64url');
    const start = 1 + idBytes + nonceBytes;
    if (bytes.length < start + tagBytes || bytes[0] !== version) return null;
    const key = this.#keys.find(({ id }) => id.equals(bytes.subarray(1, 1 + idBytes)))?.key;
    if (key === undefined) return null;
    const nonce = bytes.subarray(1 + idBytes, start);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-tagBytes));
    try {
      return decipher.update(bytes.subarray(start, -tagBytes), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      return null;
    }
  }

  #missing(): never {
    throw new TypeError('KeyRing: no key');
  }
}

/** @throws {TypeError} on no keys, and on a key that is not 32 bytes or not random; it is never quoted. */
export function readKeys(owner: string, keys: unknown): readonly Buffer[] {
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new TypeError(`${owner}: option keys must be a list of at least one 32-byte key`);
  }
  return (keys as unknown[]).map((given, index) => {
    const key = readKey(given);
    if (key !== null) return key;
    throw new TypeError(`${owner}: keys[${index}] must be ${keyRule.demand}`);
  });
}

/** The rule for an option that is one key. */
export const keyRule: Rule = {
  demand: '32 random bytes, or those in base64 or hexadecimal',
  accepts: (given) => readKey(given) !== null,
  secret: true,
};

/** Null for what is no key. */
export function readKey(given: unknown): Buffer | null {
  const key =
    typeof given === 'string' ? decodeKey(given) : given instanceof Uint8Array ? Buffer.from(given) : null;
  // 32 random bytes hold about 30 different ones; fewer than 16 happens to nobody and is a placeholder.
  return key === null || key.length !== keyBytes || new Set(key).size < 16 ? null : key;
}

function decodeKey(text: string): Buffer | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : null;
}
