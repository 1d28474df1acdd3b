import { Cluster, Redis } from 'ioredis';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { redisStore } from '../../src/stores/redis.js';
import { sqlStore } from '../../src/stores/sql.js';
import { startRedisCluster, type RedisCluster } from '../rig/redis-cluster.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { migrate, startDatabases, type Databases } from './databases.js';

/** One kind of store as a process would open it: all that it opens are one store. */
export interface Opened {
  readonly store: Store;
  readonly factorStore?: Store;
}

export interface StoreKinds {
  readonly kinds: readonly (readonly [name: string, open: () => Opened])[];
  /** Starts the servers; nothing can be opened before. */
  readonly start: () => Promise<void>;
  /** Closes all that was opened, and ends the servers. */
  readonly end: () => Promise<void>;
}

/** Every set-up that the README offers, on real servers. */
export function storeKinds(): StoreKinds {
  const memory = memoryStore();
  const ends: (() => void)[] = [];
  let redis: RedisServer;
  let cluster: RedisCluster;
  let databases: Databases;
  let sqlite: Store | undefined;

  function keep(client: Redis | Cluster): Store {
    const store = redisStore(client);
    ends.push(() => {
      store.close();
      client.disconnect();
    });
    return store;
  }
  const openRedis = (): Store => keep(new Redis(redis.url));
  const openCluster = (): Store => keep(new Cluster([...cluster.nodes]));
  const openPostgres = (): Store => sqlStore(databases.openPostgres());

  return {
    kinds: [
      ['memory', () => ({ store: memory })],
      ['Redis', () => ({ store: openRedis() })],
      ['Redis Cluster', () => ({ store: openCluster() })],
      ['PostgreSQL', () => ({ store: openPostgres() })],
      // A file belongs to one process.
      ['SQLite', () => ({ store: (sqlite ??= sqlStore(databases.openSqlite())) })],
      ['Redis, with factors in PostgreSQL', () => ({ store: openRedis(), factorStore: openPostgres() })],
    ],
    async start() {
      [redis, cluster, databases] = await Promise.all([startRedis(), startRedisCluster(), startDatabases()]);
      await Promise.all([databases.openPostgres(), databases.openSqlite()].map((db) => migrate(db)));
    },
    async end() {
      for (const end of ends) end();
      await Promise.all([redis.stop(), cluster.stop(), databases.end()]);
    },
  };
}
