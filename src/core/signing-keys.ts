import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readKeys } from './key-ring.js';

/**
 * Signs what a client keeps for us, with HMAC-SHA-256. The first key signs, every key verifies: to rotate, put a new
 * key in front, and drop the old one once nothing that it signed is wanted any more.
 *
 * @see RFC 2104; RFC 5869
 */
export class SigningKeys {
  readonly #keys: readonly Buffer[];

  /**
   * @param purpose - Each has keys of its own, derived from those given: what is signed for one is nothing to another.
   * @throws {TypeError} on no keys, and on a key that is not 32 bytes or not random; it is never quoted.
   */
  constructor(owner: string, keys: unknown, purpose: string) {
    this.#keys = readKeys(owner, keys).map((key) => Buffer.from(hkdfSync('sha256', key, '', purpose, 32)));
  }

  sign(message: Uint8Array): Buffer {
    const [key] = this.#keys;
    if (key === undefined) throw new TypeError('SigningKeys: no key');
    return macOf(key, message);
  }

  verify(message: Uint8Array, mac: Uint8Array): boolean {
    return this.#keys.some((key) => {
      const expected = macOf(key, message);
      return expected.length === mac.length && timingSafeEqual(expected, mac);
    });
  }
}

function macOf(key: Buffer, message: Uint8Array): Buffer {
  return createHmac('sha256', key).update(message).digest();
}
