import { storeDeadlineMs } from '../core/store-call.js';

/** What is used of an ioredis `Redis` or `Cluster`; its own types stay out of ours, so ioredis stays optional. */
export interface RedisClient {
  readonly status: string;
  readonly isCluster?: boolean;
  /** Redis: (override). Cluster: (startup nodes, override). */
  duplicate(...args: never[]): unknown;
  once(event: string, listener: () => void): unknown;
}

/** What is used of a client of our own. */
export interface OwnClient extends RedisClient {
  readonly options: { readonly host?: string; readonly port?: number; readonly keyPrefix?: string };
  /** Of a Cluster: "host:port" of each slot's nodes, its master first. */
  readonly slots?: readonly (readonly string[] | undefined)[];
  /** Of a Cluster: a client for each of its masters. */
  nodes?(role: 'master'): readonly OwnClient[];
  /** Of a single server; a Cluster has one for each node, out of reach. */
  readonly stream?: { readonly writableCorked: number; cork(): void; uncork(): void } | null;
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  on(event: string, listener: (error: unknown) => void): unknown;
  off(event: string, listener: () => void): unknown;
  disconnect(): void;
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

// Every setting of a Cluster that would send a command again, hold it back or keep a dead node: the caller's own
// would stay in force. A node whose connection broke is dropped, and made again when another node points to it
// (MOVED), which is also how a failover is learnt of. What was MOVED was not run, so it may be sent on.
export const safeClusterOptions = {
  // Commands wait for a node that is being connected to. Without it they fail at once, the check of a new
  // connection among them: that would then find the one connected node of many by luck only.
  enableOfflineQueue: true,
  enableAutoPipelining: false,
  lazyConnect: false,
  retryDelayOnMoved: 0,
  retryDelayOnFailover: 0,
  // A Cluster that is down stays down for longer than a caller waits.
  retryDelayOnClusterDown: 0,
  // Keys that move to another node are tried again every 100 ms, for no longer than a caller waits.
  retryDelayOnTryAgain: 100,
  maxRedirections: 6,
  clusterRetryStrategy: safeOptions.retryStrategy,
  // A node that reconnects by itself would hide that another has taken its place.
  clusterNodeRetryStrategy: null,
  shardedSubscribers: false,
  scaleReads: 'master',
  redisOptions: { ...safeOptions, connectTimeout: storeDeadlineMs },
} as const;
