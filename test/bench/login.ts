/** A whole login over HTTP: lockout, password, second factor (none enrolled), token. */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { hash, verify } from '@node-rs/argon2';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  PasswordHashes,
  SecondFactors,
  issueToken,
  lockout,
  requireSecondFactor,
  safeBody,
  verifyPassword,
  type PasswordVerifier,
} from 'koa-portcullis';
import session from 'koa-session';
import type { RedisServer } from '../rig/redis-server.js';
import { listen, type Apps } from './apps.js';
import { DocumentedLockout } from './documented-lockout.js';
import {
  closeClients,
  connectRedis,
  connectStore,
  countTrips,
  figure,
  interleave,
  measure,
  ownCpuMicros,
  serve,
  type Reading,
  type ServedApp,
} from './harness.js';
import { loadRound, requestBytes } from './load.js';
import { redisSession } from './redis-session.js';
import type { Figure } from './table.js';

const rounds = 15;
const peerName = 'rate-limiter-flexible + koa-session';
const password = 'Correct horse 7';

function chain(redisUrl: string, check: PasswordVerifier): Koa {
  const store = connectStore(redisUrl);
  const factors = new SecondFactors({ store, issuer: 'Bench', keys: [randomBytes(32)] });
  const router = new Router();
  router.post(
    '/tokens',
    lockout(new Lockout({ store })),
    verifyPassword(check),
    requireSecondFactor(factors),
    issueToken(new AccessTokens({ store })),
  );
  const app = behindProxy();
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
}

function peer(redisUrl: string): Koa {
  const redis = connectRedis(redisUrl);
  const attempts = new DocumentedLockout(redis);
  const app = behindProxy();
  app.keys = ['not a secret'];
  const router = new Router();
  router.post('/tokens', session(redisSession(redis), app), async (ctx) => {
    const { username, password: given } = ctx.request.body as { username: string; password: string };
    if (await attempts.isLocked(username, ctx.ip)) ctx.throw(429);
    if (given !== password) {
      await attempts.consume(username, ctx.ip);
      ctx.throw(401);
    }
    ctx.session = { account: username };
    ctx.body = { account: username };
  });
  app.use(bodyParser());
  app.use(router.routes());
  return app;
}

/** Clients come from many addresses, as they do behind a load balancer. */
function behindProxy(): Koa {
  return new Koa({ proxy: true, maxIpsCount: 1 });
}

const stub: PasswordVerifier = ({ identifier, password: given }) =>
  given === password ? { id: identifier } : null;

export const apps = {
  stubbed: (redisUrl) => ({ app: chain(redisUrl, stub) }),
  peer: (redisUrl) => ({ app: peer(redisUrl) }),
  async hashed(redisUrl) {
    const hashes = new PasswordHashes();
    const stored = await hashes.hash(password);
    return {
      app: chain(redisUrl, async ({ identifier, password: given }) =>
        (await hashes.verify(stored, given)) ? { id: identifier } : null,
      ),
    };
  },
} satisfies Apps;

/** Different accounts from different addresses. */
const requests = Array.from({ length: 4096 }, (_, index) =>
  requestBytes(
    'POST',
    '/tokens',
    { 'X-Forwarded-For': `10.1.${index >> 8}.${index & 255}` },
    { username: `user-${index}@example.org`, password },
  ),
);

export async function loginBench(redis: RedisServer): Promise<Figure[]> {
  const admin = connectRedis(redis.url);
  const served: ServedApp[] = [];
  const start = async (name: keyof typeof apps): Promise<ServedApp> => {
    const app = await serve('login', name, redis.url);
    served.push(app);
    return app;
  };
  const logIns = async (server: ServedApp, milliseconds: number): Promise<Reading> => {
    await admin.flushall();
    return loadRound(server, requests, { connections: 32, milliseconds }, admin);
  };
  try {
    const [stubbed, other, hashed] = [await start('stubbed'), await start('peer'), await start('hashed')];
    const quick = await interleave(rounds, {
      ours: () => logIns(stubbed, 300),
      peer: () => logIns(other, 300),
    });
    const alone = await argon2Alone();
    const slow = await interleave(5, {
      ours: async () => withAllCpu(await logIns(hashed, 3000)),
      argon2: async () => withAllCpu(await measure(() => alone(3000), ownCpuMicros)),
    });
    const trips = {
      ours: await tripsOf(redis, (url) => chain(url, stub)),
      peer: await tripsOf(redis, peer),
    };

    const composition = { name: peerName, readings: quick.peer };
    const argon2 = { name: 'argon2id alone', readings: slow.argon2 };
    return [
      {
        name: 'round trips/login',
        value: trips.ours.roundTrips,
        peer: { name: peerName, value: trips.peer.roundTrips },
        goal: { of: 'value', atMost: 3 },
      },
      {
        name: 'commands/login',
        value: trips.ours.commands,
        peer: { name: peerName, value: trips.peer.commands },
      },
      figure('logins/s without the hash', 'perSecond', quick.ours, composition),
      figure('Node CPU, us/login', 'nodeMicros', quick.ours, composition),
      figure('Redis CPU, us/login', 'redisMicros', quick.ours, composition),
      figure('logins/s with argon2id', 'perSecond', slow.ours, argon2, { of: 'ratio', atLeast: 0.95 }),
      figure('Node + Redis CPU, us/login', 'allMicros', slow.ours, argon2),
    ];
  } finally {
    await Promise.all(served.map((app) => app.stop()));
    closeClients();
  }
}

function withAllCpu(reading: Reading): Reading {
  const { nodeMicros = Number.NaN, redisMicros = 0 } = reading;
  return { ...reading, allMicros: nodeMicros + redisMicros };
}

/** The most that hashing alone can do: as many at once as there are cores, and nothing else to do. */
export async function argon2Alone(): Promise<(milliseconds: number) => Promise<number>> {
  const stored = await hash(password);
  return async (milliseconds) => {
    const end = performance.now() + milliseconds;
    let done = 0;
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        if (!(await verify(stored, password))) throw new Error('argon2 does not know its own hash');
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), 3) }, lane));
    return done;
  };
}

async function tripsOf(redis: RedisServer, make: (url: string) => Koa): ReturnType<typeof countTrips> {
  const servers: { close(): unknown; closeAllConnections(): void }[] = [];
  try {
    return await countTrips(redis.port, async (url) => {
      const { port, server } = await listen(make(url));
      servers.push(server);
      return async () => {
        const response = await fetch(`http://127.0.0.1:${port}/tokens`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ username: 'carol', password }),
        });
        if (!response.ok) throw new Error(`The login was answered ${response.status}`);
        await response.arrayBuffer();
      };
    });
  } finally {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}
