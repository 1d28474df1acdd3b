import type { Redis } from 'ioredis';
import type session from 'koa-session';

type SessionOptions = Exclude<Parameters<typeof session>[0], { use: unknown } | undefined>;

/** koa-session with its sessions in Redis, as its manual describes external stores. */
export function redisSession(redis: Redis): SessionOptions {
  return {
    maxAge: 604_800_000,
    secure: false,
    store: {
      get: async (key: string) => JSON.parse((await redis.get(key)) ?? 'null') as object | null,
      set: (key: string, value: object, maxAge: number) =>
        redis.set(key, JSON.stringify(value), 'PX', maxAge),
      destroy: (key: string) => redis.del(key),
    },
  };
}
