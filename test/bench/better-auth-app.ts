import { randomBytes } from 'node:crypto';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { fromNodeHeaders } from 'better-auth/node';
import type { Redis } from 'ioredis';
import type Koa from 'koa';
import type { BenchApp } from './apps.js';
import { connectRedis } from './harness.js';
import { answer, appOf } from './token-apps.js';

type Clients = Readonly<Record<string, string>>;

/**
 * Its session check as it is called in handlers of one's own, with sessions in Redis: quicker than its database
 * adapter for memory, which is asked twice. `cookieCache` trusts a second signed cookie instead, which a log-out does
 * not end for five minutes.
 */
export async function betterAuthApp(redisUrl: string, cookieCache: boolean): Promise<BenchApp> {
  const redis = connectRedis(redisUrl);
  const auth = server(redis, cookieCache);
  const check: Koa.Middleware = async (ctx, next) => {
    const session = await auth.api.getSession({ headers: fromNodeHeaders(ctx.headers) });
    if (session === null) return ctx.throw(401);
    ctx.state['user'] = session.user;
    return next();
  };
  await signUp(auth);
  const [headers, loggedOut] = [await logIn(auth), await logIn(auth)];
  await auth.api.signOut({ headers: new Headers(loggedOut) });
  const other = server(redis, cookieCache);
  await signUp(other);
  const foreign = await logIn(other);
  return { app: appOf(check, answer), headers, refused: cookieCache ? [foreign] : [foreign, loggedOut] };
}

function server(redis: Redis, cookieCache: boolean) {
  return betterAuth({
    baseURL: 'http://127.0.0.1',
    secret: randomBytes(32).toString('base64url'),
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    secondaryStorage: {
      get: (key) => redis.get(key),
      getAndDelete: (key) => redis.getdel(key),
      set: (key, value, seconds) =>
        seconds === undefined ? redis.set(key, value) : redis.set(key, value, 'EX', seconds),
      delete: async (key) => {
        await redis.del(key);
      },
      async increment(key, seconds) {
        await redis.set(key, 0, 'EX', seconds, 'NX');
        return redis.incr(key);
      },
    },
    emailAndPassword: { enabled: true },
    session: { cookieCache: { enabled: cookieCache } },
  });
}

const credentials = { email: 'carol@example.org', password: 'Correct horse 7' };

async function signUp(auth: ReturnType<typeof server>): Promise<void> {
  await auth.api.signUpEmail({ body: { name: 'Carol', ...credentials } });
}

async function logIn(auth: ReturnType<typeof server>): Promise<Clients> {
  const response = await auth.api.signInEmail({ body: credentials, asResponse: true });
  return cookiesOf(response);
}

/** What a browser would send next. */
export function cookiesOf(response: Response): Clients {
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
  return { Cookie: cookies.join('; ') };
}
