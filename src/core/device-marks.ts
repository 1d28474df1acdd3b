import { randomBytes } from 'node:crypto';
import { keyHash } from './key-hash.js';
import type { SigningKeys } from './signing-keys.js';

/** What a browser keeps of one login: which device it is, and whose. */
export interface DeviceMark {
  readonly id: string;
  /** Key of the account's record of devices. */
  readonly account: string;
  /** Key of the name that was counted at the login: see `deviceName`. */
  readonly name: string;
  readonly secret: string;
}

const version = 1;
const [idBytes, hashBytes, secretBytes, macBytes] = [18, 32, 32, 32];
const bodyBytes = 1 + idBytes + 2 * hashBytes + secretBytes;
// 147 bytes, a multiple of three: base64url has no bits to spare, so each mark has one spelling.
const characters = ((bodyBytes + macBytes) / 3) * 4;

/** Marks in one cookie. One browser may be the device of several accounts, such as those of a family. */
const mostMarks = 5;
const shape = new RegExp(
  `^[A-Za-z0-9_-]{${characters}}(?:\\.[A-Za-z0-9_-]{${characters}}){0,${mostMarks - 1}}$`,
);

/**
 * The text of a device cookie: up to five signed marks, newest first. A mark is looked at only after its signature, which
 * asks no store, so that garbage costs nothing.
 *
 * @see OWASP, "Slow Down Online Guessing Attacks with Device Cookies"
 */
export class DeviceMarks {
  constructor(readonly keys: SigningKeys) {}

  /** A mark of another device, or of the same with a new secret. */
  make(account: string, name: string, id: string = randomBytes(idBytes).toString('base64url')): DeviceMark {
    return { id, account, name, secret: randomBytes(secretBytes).toString('base64url') };
  }

  /** The marks in a cookie that we have signed, and that `isWanted`. */
  read(cookie: string, isWanted: (mark: DeviceMark) => boolean): readonly DeviceMark[] {
    // However long the client made it, no more than five marks are worked on.
    if (!shape.test(cookie)) return [];
    return cookie.split('.').flatMap((text) => {
      const bytes = Buffer.from(text, 'base64url');
      const mark = decode(bytes);
      if (mark === null || !isWanted(mark)) return [];
      return this.keys.verify(bytes.subarray(0, bodyBytes), bytes.subarray(bodyBytes)) ? [mark] : [];
    });
  }

  /** The cookie with this mark in front, in place of any for the same account and name. */
  write(mark: DeviceMark, cookie: string): string {
    const others = this.read(cookie, ({ account, name }) => account !== mark.account || name !== mark.name);
    return [mark, ...others]
      .slice(0, mostMarks)
      .map((one) => this.#encode(one))
      .join('.');
  }

  #encode({ id, account, name, secret }: DeviceMark): string {
    const body = Buffer.concat([
      Buffer.of(version),
      Buffer.from(id, 'base64url'),
      Buffer.from(account, 'hex'),
      Buffer.from(name, 'hex'),
      Buffer.from(secret, 'base64url'),
    ]);
    return Buffer.concat([body, this.keys.sign(body)]).toString('base64url');
  }
}

/** As the store keeps a secret. */
export function secretHash({ secret }: DeviceMark): string {
  return keyHash('device secret', secret);
}

function decode(bytes: Buffer): DeviceMark | null {
  if (bytes[0] !== version) return null;
  let at = 1;
  const take = (length: number): Buffer => bytes.subarray(at, (at += length));
  const [id, account, name, secret] = [take(idBytes), take(hashBytes), take(hashBytes), take(secretBytes)];
  return {
    id: id.toString('base64url'),
    account: account.toString('hex'),
    name: name.toString('hex'),
    secret: secret.toString('base64url'),
  };
}
