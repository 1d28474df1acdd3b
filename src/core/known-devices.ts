import { checkedAccount, type Account } from './account.js';
import { DeviceMarks, secretHash, type DeviceMark } from './device-marks.js';
import { DeviceBook } from './device-book.js';
import { devicesKey, rotated, withRoom, type KeptDevice } from './device-record.js';
import { documentStoreMethods, type DocumentStore } from './document-store.js';
import type { FactorKey } from './key-ring.js';
import { integer, offering, readOptions, required, text, type Rule } from './options.js';
import { isSecureOrigin } from './relying-party.js';
import { SigningKeys } from './signing-keys.js';

export interface KnownDevicesOptions {
  /** Where devices are kept: `memoryStore()`, `redisStore(redis)` or `sqlStore(kysely)`. */
  readonly store: DocumentStore;
  /** Keys that sign the cookies: 32 random bytes each, and none that is used elsewhere; the first signs, every one verifies. */
  readonly keys: readonly FactorKey[];
  /** Origin of the app's pages, such as `https://acme.example`: it decides the cookie. Http for localhost only. */
  readonly origin: string;
  /**
   * How long a device stays known after its last login, in seconds, 1 hour to 400 days.
   *
   * @default 15_552_000
   */
  readonly lifetimeSeconds?: number;
  /**
   * Most devices of one account.
   *
   * @default 20
   */
  readonly maxPerAccount?: number;
}

/** What may be known of a device. */
export type DeviceFacts = Pick<KeptDevice, 'id' | 'createdAt' | 'lastUsedAt' | 'userAgent' | 'address'>;

/** What a cookie with a good signature proves: a known device, or one whose secret was used up by another login. */
export interface FoundDevice {
  readonly account: string;
  readonly id: string;
  readonly isReplayed: boolean;
}

/** A device that has logged in. */
export interface RememberedDevice {
  readonly id: string;
  readonly isNew: boolean;
  /** The cookie's new value; it holds a secret. */
  readonly cookie: string;
}

/**
 * Devices that completed a login of an account before. Given to a `Lockout`, they are counted apart, so that strangers
 * who use up an account's attempts lock out strangers. A known device skips nothing: neither the password nor the factor.
 *
 * @see OWASP, "Slow Down Online Guessing Attacks with Device Cookies"
 */
export class KnownDevices {
  /** Of the app's pages. */
  readonly origin: string;
  readonly lifetimeSeconds: number;
  readonly maxPerAccount: number;
  readonly #book: DeviceBook;
  readonly #marks: DeviceMarks;

  /** @throws {TypeError} on an unknown option or a wrong value. */
  constructor(options: KnownDevicesOptions) {
    const {
      store,
      keys,
      origin,
      lifetimeSeconds = 15_552_000,
      maxPerAccount = 20,
    } = readOptions<KnownDevicesOptions>('KnownDevices', options, {
      store: required(offering('a document store such as memoryStore()', ...documentStoreMethods)),
      keys: required({ demand: 'a list of 32-byte keys', accepts: Array.isArray, secret: true }),
      origin: required({
        demand: 'an origin such as https://acme.example (http for localhost only)',
        accepts: isSecureOrigin,
      }),
      // Browsers keep no cookie for longer than 400 days (RFC 6265bis).
      lifetimeSeconds: integer(3600, 400 * 86_400),
      maxPerAccount: integer(1, 50),
    });
    this.#book = new DeviceBook(store, lifetimeSeconds * 1000);
    this.#marks = new DeviceMarks(new SigningKeys('KnownDevices', keys, 'portcullis device cookie'));
    this.origin = origin;
    this.lifetimeSeconds = lifetimeSeconds;
    this.maxPerAccount = maxPerAccount;
  }

  /**
   * The device that a cookie proves for this name; null for none. The store is asked only after a good signature for the
   * very name.
   *
   * @param name - As `deviceName` makes it.
   * @throws {StoreUnavailable} when the store cannot tell.
   */
  async recognise(cookie: string, name: string): Promise<FoundDevice | null> {
    const [mark] = this.#marks.read(cookie, (one) => one.name === name);
    if (mark === undefined) return null;
    const { devices, account } = await this.#book.read(mark.account);
    const found = devices.find(({ id }) => id === mark.id);
    if (found === undefined) return null;
    return { account, id: found.id, isReplayed: !found.secrets.includes(secretHash(mark)) };
  }

  /**
   * Notes a completed login: the device gets a new secret, and one that is not known becomes known.
   *
   * @throws {StoreUnavailable} when the store cannot tell.
   * @throws {Busy} when many logins of the account end at the same moment.
   */
  async remember(
    account: Account,
    name: string,
    cookie: string,
    about: Pick<KeptDevice, 'userAgent' | 'address'>,
  ): Promise<RememberedDevice> {
    const key = devicesKey(checkedAccount('remember', account).id);
    const [mark] = this.#marks.read(cookie, (one) => one.name === name && one.account === key);
    return this.#book.change(account.id, (devices, time) => {
      const used = mark && secretHash(mark);
      const known = devices.find(
        (one) => one.id === mark?.id && used !== undefined && one.secrets.includes(used),
      );
      const next = this.#marks.make(key, name, known?.id);
      const answer = { id: next.id, isNew: known === undefined, cookie: this.#marks.write(next, cookie) };
      const fresh = { id: next.id, ...about, lastUsedAt: time };
      if (known === undefined || used === undefined) {
        const added = { ...fresh, secrets: [secretHash(next)], createdAt: time };
        return { devices: [...withRoom(devices, about.userAgent, this.maxPerAccount), added], answer };
      }
      const secrets = rotated(known.secrets, used, secretHash(next));
      const renewed = { ...fresh, secrets, createdAt: known.createdAt };
      return { devices: devices.map((one) => (one === known ? renewed : one)), answer };
    });
  }

  /** The known devices of an account, oldest first. */
  async list(account: Account): Promise<readonly DeviceFacts[]> {
    const { id } = checkedAccount('list', account);
    const { devices } = await this.#book.read(devicesKey(id));
    return devices.map(({ id: device, createdAt, lastUsedAt, userAgent, address }) => ({
      id: device,
      createdAt,
      lastUsedAt,
      userAgent,
      address,
    }));
  }

  /** Ids of the account's devices that a cookie is signed for, whether they are still known or not. */
  marked(account: Account, cookie: string): readonly string[] {
    const key = devicesKey(account.id);
    return this.#marks.read(cookie, (mark: DeviceMark) => mark.account === key).map(({ id }) => id);
  }

  /** Forgets one device of the account. Answers whether it was known. */
  async revoke(account: Account, id: string): Promise<boolean> {
    const owner = checkedAccount('revoke', account);
    return (await this.#remove(owner, (device) => device.id === id)) > 0;
  }

  /**
   * Forgets the devices of an account: for a changed password, a closed account. Answers how many there were.
   *
   * @param options - `except`: id of a device that stays, usually the one acting.
   */
  async revokeAll(account: Account, options: { readonly except?: string } = {}): Promise<number> {
    const owner = checkedAccount('revokeAll', account);
    const { except } = readOptions<{ readonly except?: string }>('revokeAll', options, { except: text });
    return this.#remove(owner, ({ id }) => id !== except);
  }

  #remove({ id }: Account, isLeaving: (device: KeptDevice) => boolean): Promise<number> {
    return this.#book.change(id, (devices) => {
      const left = devices.filter((device) => !isLeaving(device));
      const count = devices.length - left.length;
      return { devices: count === 0 ? null : left, answer: count };
    });
  }
}

/** The rule for an option that takes them. */
export const knownDevices: Rule = {
  demand: 'made by new KnownDevices()',
  accepts: (v) => v instanceof KnownDevices,
};
