import { isCount } from '../core/store-call.js';
import { safeOptions, type OwnClient } from './redis-client.js';

/** Redis tells of changed keys on this channel, to connections that asked for it. */
const channel = '__redis__:invalidate';

/** What is used of an ioredis client that listens. */
interface Listener {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  disconnect(): void;
}

/** Who hears what one server tells. */
export interface ServerWatcher {
  /** The keys that changed; null where everything may have. */
  changed(keys: readonly string[] | null): void;
  /** Every change up to now was told; until the next time at the latest `maxStaleMs` after `sentAt`. */
  answered(sentAt: number, storeAheadMs: number): void;
}

/**
 * Redis's own invalidation (CLIENT TRACKING in broadcast mode) on a connection of its own that redirects to itself.
 * Tracking ends with its connection, so it is armed anew on each; and since a connection that is cut can look alive,
 * only an answered ping says that it is not, and of no later time than when it was sent.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/
 */
export class RedisServerWatch {
  readonly #listener: Listener;
  #beat: NodeJS.Timeout | undefined;
  /** Which connection is armed; another one makes every answer of the one before void. */
  #epoch = 0;

  /** @param keyPrefix - Keys that begin so are told of. */
  constructor(
    readonly server: OwnClient,
    readonly keyPrefix: string,
    readonly watcher: ServerWatcher,
    readonly beatMs: number,
  ) {
    const duplicate = server.duplicate.bind(server) as (options: object) => unknown;
    this.#listener = duplicate({
      ...safeOptions,
      protocol: 2,
      autoResubscribe: false,
      keyPrefix: '',
    }) as Listener;
    this.#listener.on('ready', () => void this.#arm());
    this.#listener.on('close', () => this.#disarm());
    this.#listener.on('error', () => this.#disarm());
    // The keys come as a list in place of a text; null where everything was flushed.
    this.#listener.on('messageBuffer', (from, keys) => {
      if (String(from) !== channel) return;
      this.watcher.changed(Array.isArray(keys) ? (keys as unknown[]).map(String) : null);
    });
  }

  close(): void {
    this.#disarm();
    this.#listener.disconnect();
  }

  async #arm(): Promise<void> {
    const epoch = this.#disarm();
    try {
      const id = await this.#listener.call('CLIENT', 'ID');
      if (!isCount(id)) throw new Error('no id');
      const tracking = ['TRACKING', 'ON', 'REDIRECT', id, 'BCAST', 'PREFIX', this.keyPrefix];
      if ((await this.#listener.call('CLIENT', ...tracking)) !== 'OK') throw new Error('no tracking');
      await this.#listener.call('subscribe', channel);
    } catch {
      // Without tracking every request asks Redis; another connection may be allowed what this one is not.
      return;
    }
    if (epoch !== this.#epoch) return;
    void this.#ping(epoch);
    this.#beat = setInterval(() => void this.#ping(epoch), this.beatMs);
    this.#beat.unref();
  }

  /** What is answered in order behind a ping was told before it: so up to its sending nothing was missed. */
  async #ping(epoch: number): Promise<void> {
    const sentAt = performance.now();
    try {
      const [time] = await Promise.all([this.server.call('TIME'), this.#listener.call('ping')]);
      if (epoch !== this.#epoch) return;
      const [seconds, micros] = Array.isArray(time) ? (time as unknown[]).map(Number) : [];
      if (!isCount(seconds) || !isCount(micros)) return;
      // The server read its clock after `sentAt`: taken as the latest it can be, a token ends early, never late.
      this.watcher.answered(sentAt, seconds * 1000 + micros / 1000 - sentAt);
    } catch {
      // Not vouched for: trust ends by itself.
    }
  }

  #disarm(): number {
    clearInterval(this.#beat);
    this.#epoch += 1;
    this.watcher.changed(null);
    return this.#epoch;
  }
}
