import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const secretLength = 43;
const checksumLength = 6;

/**
 * Text for a secret that a client holds: a fixed prefix that secret scanners can look for, 256 random bits in
 * base64url, and a CRC-32 of all that. The checksum proves nothing; it tells a mistyped or cut secret from a
 * real one without asking the store.
 */
export class SecretText {
  /** For secret scanners. */
  readonly pattern: string;
  readonly #length: number;
  readonly #shape: RegExp;

  /** @param addressed - Whether 256 bits in clear, which say where the secret is stored, follow the prefix. */
  constructor(
    readonly prefix: string,
    addressed = false,
  ) {
    const characters = secretLength * (addressed ? 2 : 1) + checksumLength;
    this.pattern = `${prefix}[A-Za-z0-9_-]{${characters}}`;
    this.#shape = new RegExp(`^${this.pattern}$`);
    this.#length = prefix.length + characters;
  }

  create(address = ''): string {
    const text = `${this.prefix}${address}${randomBytes(32).toString('base64url')}`;
    return text + checksum(text);
  }

  isWellFormed(given: string): boolean {
    return (
      given.length === this.#length &&
      this.#shape.test(given) &&
      checksum(given.slice(0, -checksumLength)) === given.slice(-checksumLength)
    );
  }

  /** The address that a well-formed secret carries. */
  addressOf(given: string): string {
    return given.slice(this.prefix.length, this.prefix.length + secretLength);
  }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** CRC-32 as base64url: six letters, the last of which holds two bits. By hand, as it is a part of every request. */
function checksum(text: string): string {
  const bits = crc32(text);
  let letters = '';
  for (let shift = 26; shift > 0; shift -= 6) letters += alphabet[(bits >>> shift) & 63];
  return letters + alphabet[(bits & 3) << 4];
}
