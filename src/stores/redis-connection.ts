import { createHash } from 'node:crypto';
import { StoreUnavailable } from '../core/errors.js';
import { storeDeadlineMs } from '../core/store-call.js';

/** What is used of an ioredis `Redis` or `Cluster`; its own types stay out of ours, so ioredis stays optional. */
export interface RedisClient {
  readonly status: string;
  readonly isCluster?: boolean;
  /** Redis: (override). Cluster: (startup nodes, override). */
  duplicate(...args: never[]): unknown;
  once(event: string, listener: () => void): unknown;
}

interface OwnClient extends RedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  on(event: string, listener: (error: unknown) => void): unknown;
  disconnect(): void;
}

/** A script and its SHA-1, by which Redis knows it. */
export class Script {
  readonly sha: string;

  constructor(readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }
}

// Settings that keep a counting command from being sent twice or from waiting where nobody waits any more.
const safeOptions = {
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
    try {
      return await this.#client.call('EVALSHA', script.sha, ...operands);
    } catch (error) {
      if (reasonOf(error) !== 'Redis answered NOSCRIPT') throw new StoreUnavailable(reasonOf(error));
    }
    return this.send('EVAL', script.source, ...operands);
  }

  onReady(listener: () => void): void {
    this.#client.on('ready', listener);
  }

  close(): void {
    this.#client.disconnect();
  }

  async #untilReady(): Promise<void> {
    if (this.#client.status === 'end') throw new StoreUnavailable('the connection is closed');
    const asked = performance.now();
    this.#ready ??= new Promise<void>((resolve) => this.#client.once('ready', resolve)).finally(() => {
      this.#ready = undefined;
    });
    await this.#ready;
    // Whoever asked has been refused by now: an attempt counted at this point would be nobody's.
    if (performance.now() - asked > storeDeadlineMs) throw new StoreUnavailable('no connection in time');
  }
}

/** The code that Redis puts first, never the text behind it: that can hold keys, script source and names. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const code = /^[A-Z]{2,20}(?= |$)/.exec(message)?.[0];
  return code === undefined ? 'the connection failed' : `Redis answered ${code}`;
}
