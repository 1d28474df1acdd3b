import type { TokenWatcher } from '../core/token-store.js';
import type { OwnClient } from './redis-client.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisServerWatch } from './redis-server-watch.js';

/** Beats in the time that is vouched for: some may be late before trust ends. */
const beatsPerTerm = 4;

/** What is known of one server. */
interface Watched {
  readonly watch: RedisServerWatch;
  /** Until when it is vouched for, in milliseconds of `performance.now()`. */
  untilMs: number;
  storeAheadMs: number;
}

/**
 * Hears of every change of a token on all servers that may hold one: one, or all masters of a Cluster. Nothing is vouched
 * for while any of them is silent, nor once another one has become a master.
 */
export class RedisTokenWatch {
  readonly #watched = new Map<OwnClient, Watched>();
  readonly #keyPrefix: string;
  /** A connection that is closed while it is made may still be said to be ready. */
  #isOver = false;

  constructor(
    readonly connection: RedisConnection,
    readonly watcher: TokenWatcher,
    readonly maxStaleMs: number,
  ) {
    // Up to the brace of the hash: `token` is not `tokens`.
    this.#keyPrefix = connection.keyPrefix + connection.key('token', '').slice(0, -1);
    // Another connection may lead to another server: what was heard of the one before says nothing of it.
    connection.onReady(() => {
      this.#drop();
      this.#follow();
    });
    connection.onClose(() => {
      this.#isOver = true;
      this.#drop();
    });
    this.#follow();
  }

  #drop(): void {
    this.watcher.lost();
    for (const { watch } of this.#watched.values()) watch.close();
    this.#watched.clear();
  }

  /** Takes up new masters and leaves those that are none any more. What was kept before is not trusted after. */
  #follow(): void {
    if (this.#isOver) return;
    const servers = this.connection.masters();
    const isSame = servers.length === this.#watched.size && servers.every((one) => this.#watched.has(one));
    if (isSame) return;
    this.watcher.lost();
    for (const [server, { watch }] of this.#watched) {
      if (servers.includes(server)) continue;
      this.#watched.delete(server);
      watch.close();
    }
    for (const server of servers) if (!this.#watched.has(server)) this.#take(server);
  }

  #take(server: OwnClient): void {
    const watcher = {
      // What a watch that was left says late is of no weight.
      changed: (keys: readonly string[] | null) => {
        if (this.#watched.get(server) === watched) this.#tell(watched, keys);
      },
      answered: (sentAt: number, storeAheadMs: number) => {
        if (this.#watched.get(server) === watched) this.#vouch(watched, sentAt, storeAheadMs);
      },
    };
    const watch = new RedisServerWatch(server, this.#keyPrefix, watcher, this.maxStaleMs / beatsPerTerm);
    const watched: Watched = { watch, untilMs: Number.NEGATIVE_INFINITY, storeAheadMs: 0 };
    this.#watched.set(server, watched);
  }

  #tell(watched: Watched, keys: readonly string[] | null): void {
    if (keys === null) {
      watched.untilMs = Number.NEGATIVE_INFINITY;
      this.watcher.lost();
    } else for (const key of keys) this.watcher.changed(/\{([0-9a-f]{64})\}$/.exec(key)?.[1] ?? '');
  }

  #vouch(answering: Watched, sentAt: number, storeAheadMs: number): void {
    answering.untilMs = sentAt + this.maxStaleMs;
    answering.storeAheadMs = storeAheadMs;
    this.#follow();
    const all = [...this.#watched.values()];
    // Of no server at all nothing can be said.
    if (all.length === 0) return;
    const untilMs = Math.min(...all.map((one) => one.untilMs));
    // Of several clocks the one furthest ahead: a token ends early, never late.
    if (untilMs > sentAt) this.watcher.vouch(untilMs, Math.max(...all.map((one) => one.storeAheadMs)));
  }
}
