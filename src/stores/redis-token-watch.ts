import { isCount } from '../core/store-call.js';
import type { TokenWatcher } from '../core/token-store.js';
import type { RedisConnection } from './redis-connection.js';

/** Redis tells of changed keys on this channel, to connections that asked for it. */
const channel = '__redis__:invalidate';

/** Heart-beats in the time that is vouched for: some may be late before trust ends. */
const beatsPerTerm = 4;

/** What is used of an ioredis client beside what the store's own connection uses. */
interface TrackerClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  disconnect(reconnect?: boolean): void;
}

/**
 * Redis's own invalidation (CLIENT TRACKING in broadcast mode) on a connection of its own that redirects to itself.
 * Tracking ends with its connection, so it is armed anew on each; and since a connection that is cut can look alive,
 * nothing is vouched for longer than since the last answered ping, counted from when that was sent.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/
 */
export class RedisTokenWatch {
  readonly #prefix: string;
  readonly #client: TrackerClient;
  #beat: NodeJS.Timeout | undefined;
  /** Which connection is armed; another one makes every answer of the one before void. */
  #epoch = 0;
  #storeAheadMs = 0;

  constructor(
    readonly connection: RedisConnection,
    readonly watcher: TokenWatcher,
    readonly maxStaleMs: number,
  ) {
    // Up to the brace of the hash: `token` is not `tokens`.
    this.#prefix = connection.key('token', '').slice(0, -1);
    this.#client = connection.duplicate({ protocol: 2, autoResubscribe: false }) as TrackerClient;
    this.#client.on('ready', () => void this.#arm());
    this.#client.on('close', () => this.#disarm());
    this.#client.on('error', () => this.#disarm());
    // The keys come as a list in place of a text; null where everything was flushed.
    this.#client.on('messageBuffer', (from, keys) => {
      if (String(from) === channel) this.#tell(keys);
    });
  }

  close(): void {
    this.#disarm();
    this.#client.disconnect();
  }

  async #arm(): Promise<void> {
    const epoch = this.#disarm();
    try {
      const id = await this.#client.call('CLIENT', 'ID');
      if (!isCount(id)) throw new Error('no id');
      const tracking = ['TRACKING', 'ON', 'REDIRECT', id, 'BCAST', 'PREFIX', this.#prefix];
      if ((await this.#client.call('CLIENT', ...tracking)) !== 'OK') throw new Error('no tracking');
      await this.#client.call('subscribe', channel);
    } catch {
      // Without tracking every request asks Redis; another connection may be allowed what this one is not.
      return;
    }
    if (epoch !== this.#epoch) return;
    void this.#ping(epoch);
    this.#beat = setInterval(() => void this.#ping(epoch), this.maxStaleMs / beatsPerTerm);
    this.#beat.unref();
  }

  /** What is answered in order behind a ping was told before it: so up to its sending nothing was missed. */
  async #ping(epoch: number): Promise<void> {
    const sentAt = performance.now();
    try {
      const [time] = await Promise.all([this.connection.send('TIME'), this.#client.call('ping')]);
      if (epoch !== this.#epoch) return;
      const [seconds, micros] = Array.isArray(time) ? (time as unknown[]).map(Number) : [];
      if (!isCount(seconds) || !isCount(micros)) return;
      // The store read its clock after `sentAt`: taken as the latest it can be, a token ends early, never late.
      this.#storeAheadMs = seconds * 1000 + micros / 1000 - sentAt;
      this.watcher.vouch(sentAt + this.maxStaleMs, this.#storeAheadMs);
    } catch {
      // Not vouched for: trust ends by itself.
    }
  }

  #disarm(): number {
    clearInterval(this.#beat);
    this.watcher.lost();
    this.#epoch += 1;
    return this.#epoch;
  }

  #tell(keys: unknown): void {
    if (!Array.isArray(keys)) return this.watcher.lost();
    for (const key of keys as unknown[])
      this.watcher.changed(/\{([0-9a-f]{64})\}$/.exec(String(key))?.[1] ?? '');
  }
}
