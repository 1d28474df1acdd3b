import {
  devicesKey,
  readDevices,
  writeDevices,
  type AccountDevices,
  type KeptDevice,
} from './device-record.js';
import { isStoredDocument, type DocumentStore } from './document-store.js';
import { Busy } from './errors.js';
import { ask, isBoolean } from './store-call.js';

// Only logins of one account at the same moment collide.
const mostTries = 16;

const none: AccountDevices = { account: '', devices: [] };

/** What a change makes of the devices: null leaves them as they are. */
export interface DeviceChange<T> {
  readonly devices: readonly KeptDevice[] | null;
  readonly answer: T;
}

/** The devices of accounts, read and changed as a whole. */
export class DeviceBook {
  constructor(
    readonly store: DocumentStore,
    readonly lifetimeMs: number,
  ) {}

  /** @throws {StoreUnavailable} when the store cannot tell: that never means "none". */
  async read(key: string): Promise<AccountDevices> {
    return (await this.#load(key)).kept;
  }

  /**
   * Changes the devices by compare-and-set. `decide` is asked again, with what is there then and the store's time, whenever
   * somebody else was faster.
   */
  async change<T>(
    account: string,
    decide: (devices: readonly KeptDevice[], time: number) => DeviceChange<T>,
  ): Promise<T> {
    const key = devicesKey(account);
    for (let tries = 0; tries < mostTries; tries += 1) {
      // oxlint-disable-next-line no-await-in-loop -- each try depends on what the one before found
      const { kept, record, time } = await this.#load(key);
      const { devices, answer } = decide(kept.devices, time);
      if (devices === null) return answer;
      const next = devices.length === 0 ? null : writeDevices({ account, devices });
      const write = (): Promise<boolean> => this.store.replaceDocument(key, record, next, this.lifetimeMs);
      // oxlint-disable-next-line no-await-in-loop -- as above
      if (await ask(write, isBoolean)) return answer;
    }
    throw new Busy(1);
  }

  /** What the store has, without devices whose time is over. */
  async #load(
    key: string,
  ): Promise<{ readonly kept: AccountDevices; readonly record: string | null; readonly time: number }> {
    const { record, time } = await ask(() => this.store.readDocument(key), isStoredDocument);
    const { account, devices } = readDevices(key, record) ?? none;
    const isLive = ({ lastUsedAt }: KeptDevice): boolean => time - lastUsedAt < this.lifetimeMs;
    return { kept: { account, devices: devices.filter(isLive) }, record, time };
  }
}
