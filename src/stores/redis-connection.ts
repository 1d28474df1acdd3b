import { createHash } from 'node:crypto';
import { StoreUnavailable } from '../core/errors.js';
import { storeDeadlineMs, nonsense } from '../core/store-call.js';
import { safeClusterOptions, safeOptions, type OwnClient, type RedisClient } from './redis-client.js';
import { slotOf } from './redis-slot.js';

export type Command = readonly [name: string, ...args: (string | number)[]];

/** Requests that may wait for a connection; beyond it they are refused at once. */
const mostWaiting = 1000;

/** A script and its SHA-1, by which Redis knows it. */
export class Script {
  readonly sha: string;

  constructor(readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }
}

/** A connection of our own beside the caller's client: same server, safe settings, closed when theirs ends. */
export class RedisConnection {
  readonly isCluster: boolean;
  readonly #client: OwnClient;
  #ready: Promise<void> | undefined;
  #waiting = 0;
  readonly #closing: (() => void)[] = [];

  /** @param keyPrefix - That ioredis puts before each key, where the client given need not know it. */
  constructor(
    client: RedisClient,
    readonly prefix: string,
    keyPrefix?: string,
  ) {
    this.isCluster = client.isCluster === true;
    const duplicate = client.duplicate.bind(client) as (...args: unknown[]) => OwnClient;
    const own = keyPrefix === undefined ? {} : { keyPrefix };
    this.#client = this.isCluster ? duplicate([], safeClusterOptions) : duplicate({ ...safeOptions, ...own });
    // Without a listener ioredis prints each failed reconnect; every command reports its own failure.
    this.#client.on('error', () => {});
    client.once('end', () => this.close());
  }

  /** `<prefix>:<capability>:{<hash>}`: never a name in clear, and one hash, so one slot, per key. */
  key(capability: string, hash: string): string {
    return `${this.prefix}:${capability}:{${hash}}`;
  }

  /** The caller's own, which ioredis puts before each key. */
  get keyPrefix(): string {
    return this.#client.options.keyPrefix ?? '';
  }

  /** Sends one command once. Rejects with StoreUnavailable in fixed words. */
  async send(command: string, ...args: (string | number)[]): Promise<unknown> {
    if (this.#client.status === 'ready') this.#gather();
    return this.sendNow(command, ...args);
  }

  /** The same, for a command that stands for many: it does not wait for others of this turn. */
  async sendNow(command: string, ...args: (string | number)[]): Promise<unknown> {
    if (this.#client.status !== 'ready') await this.#untilReady();
    return this.#call(command, ...args);
  }

  /** Sends commands in one go, and tells what became of each. Of a single server: one connection takes them all. */
  async sendTogether(commands: readonly Command[]): Promise<PromiseSettledResult<unknown>[]> {
    if (this.#client.status !== 'ready') await this.#untilReady();
    this.#gather();
    return Promise.allSettled(commands.map((command) => this.#call(...command)));
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

  /** The client of the one server that writes this key, as far as is known. */
  masterOf(key: string): RedisClient | undefined {
    if (!this.isCluster) return this.#client;
    const [address] = this.#client.slots?.[slotOf(this.keyPrefix + key)] ?? [];
    const masters = this.#client.nodes?.('master') ?? [];
    return masters.find(({ options }) => `${options.host}:${options.port}` === address);
  }

  async #call(command: string, ...args: (string | number)[]): Promise<unknown> {
    try {
      return await this.#client.call(command, ...args);
    } catch (error) {
      throw new StoreUnavailable(reasonOf(error));
    }
  }

  /** Commands of one turn of the event loop go out in one write: the system call costs more than the command. */
  #gather(): void {
    const { stream } = this.#client;
    if (stream === undefined || stream === null || stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  /** The servers that may hold a key at this moment: one, or all masters of a Cluster. */
  masters(): readonly OwnClient[] {
    return this.isCluster ? (this.#client.nodes?.('master') ?? []) : [this.#client];
  }

  onReady(listener: () => void): void {
    this.#client.on('ready', listener);
  }

  /** For what has connections of its own: they end with this one. */
  onClose(listener: () => void): void {
    this.#closing.push(listener);
  }

  close(): void {
    for (const listener of this.#closing.splice(0)) listener();
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
