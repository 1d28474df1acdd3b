import { keyHash } from './key-hash.js';
import { parseRecord } from './record.js';
import { isCount, own } from './store-call.js';

/** A device as the store keeps it. */
export interface KeptDevice {
  readonly id: string;
  /**
   * Hashes of the secrets that are good: first the one that was used last, then those given out since. Which of these
   * the browser has nobody knows before one comes back: answers get lost, and tabs log in at once.
   */
  readonly secrets: readonly string[];
  /** Milliseconds since the epoch, by the store. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** Printable, as the client wrote it. */
  readonly userAgent: string;
  readonly address: string;
}

/** The devices of one account. */
export interface AccountDevices {
  /** Its id. */
  readonly account: string;
  readonly devices: readonly KeptDevice[];
}

/** The key that the devices of an account are filed under. */
export function devicesKey(account: string): string {
  return keyHash('devices', account);
}

export function writeDevices({ account, devices }: AccountDevices): string {
  return JSON.stringify({ v: 1, account, devices });
}

/** Null for a record that is not exactly ours: then no device is known, and the next login writes it anew. */
export function readDevices(key: string, record: string | null): AccountDevices | null {
  const read = record === null ? null : parseRecord(record);
  const [account, devices] = [own(read, 'account'), own(read, 'devices')];
  const isOurs = own(read, 'v') === 1 && typeof account === 'string' && devicesKey(account) === key;
  return isOurs && Array.isArray(devices) && devices.every(isKeptDevice) ? { account, devices } : null;
}

function isKeptDevice(device: unknown): device is KeptDevice {
  const texts = ['id', 'userAgent', 'address'].map((field) => own(device, field));
  const secrets = own(device, 'secrets');
  return (
    texts.every((text) => typeof text === 'string') &&
    Array.isArray(secrets) &&
    secrets.every((secret) => typeof secret === 'string') &&
    isCount(own(device, 'createdAt')) &&
    isCount(own(device, 'lastUsedAt'))
  );
}

/** Secrets that may be given out beside the one that was used last. */
const mostGivenOut = 3;

/**
 * The secrets of a device that logged in with `used` and is given `next`. With the first use of one, the one used before
 * and those given out beside it are void. Where the same one comes again, its answers were lost or two tabs log in:
 * then the browser has any of those given out.
 */
export function rotated(secrets: readonly string[], used: string, next: string): readonly string[] {
  const givenOut = secrets[0] === used ? secrets.slice(1) : [];
  return [used, ...[...givenOut, next].slice(-mostGivenOut)];
}

/**
 * Makes room for one more. First go devices that never came back, those of the same user agent before others: a client that
 * keeps no cookies is a new device at each login, and must not push out the browser of its owner. Then the one that was
 * not used for longest.
 */
export function withRoom(
  devices: readonly KeptDevice[],
  userAgent: string,
  most: number,
): readonly KeptDevice[] {
  const rank = ({ createdAt, lastUsedAt, userAgent: other }: KeptDevice): number =>
    lastUsedAt > createdAt ? 2 : other === userAgent ? 0 : 1;
  const leaving = new Set(
    devices
      .toSorted((a, b) => rank(a) - rank(b) || a.lastUsedAt - b.lastUsedAt)
      .slice(0, Math.max(devices.length - most + 1, 0)),
  );
  return devices.filter((device) => !leaving.has(device));
}
