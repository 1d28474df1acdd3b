import { createHash } from 'node:crypto';
import { StoreUnavailable } from '../core/errors.js';
import { storeDeadlineMs, nonsense } from '../core/store-call.js';

/** What is used of an ioredis `Redis` or `Cluster`; its own types stay out of ours, so ioredis stays optional. */
export interface RedisClient {
  readonly status: string;
  readonly isCluster?: boolean;
  /** Redis: (override). Cluster: (startup nodes, override). */
  duplicate(...args: never[]): unknown;
  once(event: string, listener: () => void): unknown;
}

interface OwnClient extends RedisClient {
  /** Of a Cluster. */
  nodes?(role: 'master'): readonly OwnClient[];
  /** Of a single server; a Cluster has one for each node, out of reach. */
  readonly stream?: { readonly writableCorked: number; cork(): void; uncork(): void } | null;
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  on(event: string, listener: (error: unknown) => void): unknown;
  off(event: string, listener: () => void): unknown;
  disconnect(): void;
}

/** One server of the store, for what is not about a single key. */
export interface RedisServer {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  duplicate(...args: never[]): unknown;
}

/** Requests that may wait for a connection; beyond it they are refused at once. */
const mostWaiting = 1000;

/** A script and its SHA-1, by which Redis knows it. */
export class Script {
  readonly sha: string;

  constructor(readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }
}

// Settings that keep a counting command from being sent twice or from waiting where nobody waits any more.
export const safeOptions = {
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  maxRetriesPerRequest: 0,
  lazyConnect: false,
  connectTimeout: 1000,
  socketTimeout: 1000,
  commandTimeout: undefined,
  stringNumbers: false,
  replyMapping: 'legacy',
  retryStrategy: (times: number) => Math.min(times * 50, 400),
  // After a failover the old master is read-only: leave it, but never repeat the command.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
} as const;

const safeClusterOptions = {
  enableOfflineQueue: false,
  lazyConnect: false,
  retryDelayOnFailover: 0,
  clusterRetryStrategy: safeOptions.retryStrategy,
  scaleReads: 'master',
  redisOptions: safeOptions,
} as const;

/** A connection of our own beside the caller's client: same server, safe settings, closed when theirs ends. */
export class RedisConnection {
  readonly isCluster: boolean;
  readonly #client: OwnClient;
  #ready: Promise<void> | undefined;
  #waiting = 0;

  constructor(
    client: RedisClient,
    readonly prefix: string,
  ) {
    this.isCluster = client.isCluster === true;
    const duplicate = client.duplicate.bind(client) as (...args: unknown[]) => OwnClient;
    this.#client = this.isCluster ? duplicate([], safeClusterOptions) : duplicate(safeOptions);
    // Without a listener ioredis prints each failed reconnect; every command reports its own failure.
    this.#client.on('error', () => {});
    client.once('end', () => this.close());
  }

  /** `<prefix>:<capability>:{<hash>}`: never a name in clear, and one hash, so one slot, per key. */
  key(capability: string, hash: string): string {
    return `${this.prefix}:${capability}:{${hash}}`;
  }

  /** Sends one command once. Rejects with StoreUnavailable in fixed words. */
  async send(command: string, ...args: (string | number)[]): Promise<unknown> {
    if (this.#client.status === 'ready') this.#gather();
    return this.sendNow(command, ...args);
  }

  /** The same, for a command that stands for many: it does not wait for others of this turn. */
  async sendNow(command: string, ...args: (string | number)[]): Promise<unknown> {
    if (this.#client.status !== 'ready') await this.#untilReady();
    try {
      return await this.#client.call(command, ...args);
    } catch (error) {
      throw new StoreUnavailable(reasonOf(error));
    }
  }

  /** Runs a script by its hash. Only NOSCRIPT leads to a second try: it says that nothing was run. */
  async run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const operands = [keys.length, ...keys, ...args];
    if (this.#client.status !== 'ready') await this.#untilReady();
    this.#gather();
    try {
      return await this.#client.call('EVALSHA', script.sha, ...operands);
    } catch (error) {
      if (reasonOf(error) !== 'Redis answered NOSCRIPT') throw new StoreUnavailable(reasonOf(error));
    }
    return this.send('EVAL', script.source, ...operands);
  }

  /** Commands of one turn of the event loop go out in one write: the system call costs more than the command. */
  #gather(): void {
    const { stream } = this.#client;
    if (stream === undefined || stream === null || stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  /** The servers that may hold a key at this moment: one, or all masters of a Cluster. */
  masters(): readonly RedisServer[] {
    return this.isCluster ? (this.#client.nodes?.('master') ?? []) : [this.#client];
  }

  onReady(listener: () => void): void {
    this.#client.on('ready', listener);
  }

  close(): void {
    this.#client.disconnect();
  }

  /** Waits, no longer than anybody who asked, and with a bounded number of others. */
  async #untilReady(): Promise<void> {
    if (this.#client.status === 'end') throw new StoreUnavailable('the connection is closed');
    if (this.#waiting >= mostWaiting) throw new StoreUnavailable('too many wait for the connection');
    this.#ready ??= this.#nextReady().finally(() => {
      this.#ready = undefined;
    });
    this.#waiting += 1;
    await this.#ready.finally(() => {
      this.#waiting -= 1;
    });
  }

  #nextReady(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ready = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#client.off('ready', ready);
        reject(new StoreUnavailable('no connection in time'));
      }, storeDeadlineMs);
      this.#client.once('ready', ready);
    });
  }
}

/** Whether something was there, from a reply that can only be 0 or 1. */
export function isOne(reply: unknown): boolean {
  if (reply !== 0 && reply !== 1) throw nonsense();
  return reply === 1;
}

/** A string that may not be there. */
export function textOrNull(reply: unknown): string | null {
  if (reply !== null && typeof reply !== 'string') throw nonsense();
  return reply;
}

/** The code that Redis puts first, never the text behind it: that can hold keys, script source and names. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const code = /^[A-Z]{2,20}(?= |$)/.exec(message)?.[0];
  return code === undefined ? 'the connection failed' : `Redis answered ${code}`;
}
