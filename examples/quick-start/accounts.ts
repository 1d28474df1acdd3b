// The quick start's own users, in memory or in Redis. An existing app has this part already.
import { randomUUID } from 'node:crypto';
import type { ChainableCommander, Redis } from 'ioredis';
import { StoreUnavailable } from 'koa-portcullis';

export interface Accounts {
  /** The new account's id, or null when the name is taken. */
  add(username: string, hash: string): Promise<string | null>;
  find(username: string): Promise<{ id: string; hash: string } | null>;
  nameOf(id: string): Promise<string | null>;
  setHash(id: string, hash: string): Promise<void>;
}

export function memoryAccounts(): Accounts {
  const byName = new Map<string, { id: string; hash: string }>();
  const names = new Map<string, string>();
  return {
    async add(username, hash) {
      if (byName.has(username)) return null;
      const id = randomUUID();
      byName.set(username, { id, hash });
      names.set(id, username);
      return id;
    },
    async find(username) {
      return byName.get(username) ?? null;
    },
    async nameOf(id) {
      return names.get(id) ?? null;
    },
    async setHash(id, hash) {
      const name = names.get(id);
      if (name !== undefined) byName.set(name, { id, hash });
    },
  };
}

export function redisAccounts(redis: Redis): Accounts {
  const ids = 'quick-start:ids';
  const names = 'quick-start:names';
  const hashes = 'quick-start:hashes';
  return {
    async add(username, hash) {
      const id = randomUUID();
      await all(redis.multi().hset(names, id, username).hset(hashes, id, hash));
      if ((await orUnavailable(redis.hsetnx(ids, username, id))) === 1) return id;
      await all(redis.multi().hdel(names, id).hdel(hashes, id));
      return null;
    },
    async find(username) {
      const id = await orUnavailable(redis.hget(ids, username));
      const hash = id === null ? null : await orUnavailable(redis.hget(hashes, id));
      return id === null || hash === null ? null : { id, hash };
    },
    async nameOf(id) {
      return orUnavailable(redis.hget(names, id));
    },
    async setHash(id, hash) {
      await orUnavailable(redis.hset(hashes, id, hash));
    },
  };
}

async function all(commands: ChainableCommander): Promise<void> {
  const replies = await orUnavailable(commands.exec());
  if (replies?.every(([error]) => error === null) !== true) throw new StoreUnavailable('the accounts');
}

/** A database that is down is a 503, like the store of the middleware. */
async function orUnavailable<T>(reply: Promise<T>): Promise<T> {
  return reply.catch(() => {
    throw new StoreUnavailable('the accounts');
  });
}
