import { StoreUnavailable } from '../core/errors.js';
import { isCount } from '../core/store-call.js';
import type { RedisClient } from './redis-client.js';
import { RedisConnection, type Command } from './redis-connection.js';

/** A command that may be run again without harm, and the key by which its server is found. */
export interface Write {
  readonly key: string;
  readonly command: Command;
}

type Outcome = PromiseSettledResult<unknown>;

/** Longest wait for replicas: with the write before it, a store call must end in time. */
const longestWaitMs = 500;

/**
 * Confirms writes: that replicas have them, so that a failover cannot lose them.
 *
 * WAIT speaks of the writes of its own connection only, and holds up all that comes behind it. So each server has a
 * connection for this alone, and the writes are made on it again: were they not, a master that took over without
 * them could confirm them.
 */
export class ReplicaWatch {
  readonly #lines = new WeakMap<RedisClient, Line>();

  /** @param count - Replicas that must have a write; 0 confirms nothing. */
  constructor(
    readonly connection: RedisConnection,
    readonly count: number,
  ) {}

  /** @throws {StoreUnavailable} when too few replicas have the writes in time, or it cannot be told. */
  async confirm(writes: readonly Write[]): Promise<void> {
    if (this.count === 0) return;
    const shares = new Map<Line, Write[]>();
    for (const write of writes) {
      const line = this.#lineTo(write.key);
      const share = shares.get(line) ?? [];
      share.push(write);
      shares.set(line, share);
    }
    await Promise.all(Array.from(shares, ([line, share]) => line.confirm(share)));
  }

  #lineTo(key: string): Line {
    const { connection } = this;
    const master = connection.masterOf(key);
    if (master === undefined) throw new StoreUnavailable('the master of a key is not known');
    const known = this.#lines.get(master);
    if (known !== undefined) return known;
    const line = new Line(master, connection, this.count);
    // It also ends with the master's client, which does not say so when it is closed while it reconnects.
    connection.onClose(() => line.close());
    this.#lines.set(master, line);
    return line;
  }
}

/**
 * A connection to one server, for one WAIT at a time: what comes meanwhile goes together in the next. If replicas
 * are gone, each wait lasts its full time, and one for each write would pile up.
 */
class Line {
  readonly #connection: RedisConnection;
  #last: Promise<unknown> = Promise.resolve();
  #next: Promise<Outcome[]> | undefined;
  #writes: Write[] = [];

  constructor(
    master: RedisClient,
    { prefix, keyPrefix }: RedisConnection,
    readonly count: number,
  ) {
    this.#connection = new RedisConnection(master, prefix, keyPrefix);
  }

  close(): void {
    this.#connection.close();
  }

  async confirm(writes: readonly Write[]): Promise<void> {
    const from = this.#writes.length;
    this.#writes.push(...writes);
    this.#next ??= this.#round();
    const outcomes = await this.#next;
    const own = outcomes.slice(from, from + writes.length);
    for (const outcome of [...own, ...outcomes.slice(-2)]) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
    const waited = outcomes.at(-1);
    const replicas = waited?.status === 'fulfilled' ? waited.value : undefined;
    if (!isCount(replicas) || replicas < this.count) throw new StoreUnavailable('too few replicas answered');
  }

  async #round(): Promise<Outcome[]> {
    await this.#last;
    const writes = this.#writes;
    this.#writes = [];
    this.#next = undefined;
    const round = this.#connection.sendTogether([
      ...writes.map(({ command }) => command),
      // What had been written before leaves nothing to wait for: this is new in any case, and behind the rest.
      ['SET', this.#connection.key('fence', hashIn(writes[0]?.key ?? '')), '', 'PX', 1],
      ['WAIT', this.count, longestWaitMs],
    ]);
    this.#last = round.catch(() => {});
    return round;
  }
}

/** The part of a key that its slot follows from. */
function hashIn(key: string): string {
  return key.slice(key.indexOf('{') + 1, -1);
}
