/** A request with a credential to a Koa app that does nothing but check it. */
import { createSecretKey, randomBytes } from 'node:crypto';
import { Router } from '@koa/router';
import { jwtVerify, SignJWT } from 'jose';
import Koa from 'koa';
import koaJwt from 'koa-jwt';
import { AccessTokens, issueToken, passwordVerified, requireToken } from 'koa-portcullis';
import session from 'koa-session';
import type { RedisServer } from '../rig/redis-server.js';
import { askOnce, type Apps } from './apps.js';
import {
  closeClients,
  connectRedis,
  connectStore,
  figure,
  interleave,
  serve,
  type ServedApp,
} from './harness.js';
import { loadRound, requestBytes } from './load.js';
import { redisSession } from './redis-session.js';
import type { Figure, Goal } from './table.js';

// Many and short: whatever else the machine does then meets a contestant and its peer alike.
const rounds = 15;
const load = { connections: 64, milliseconds: 250 };

const logIn: Koa.Middleware = (ctx, next) => {
  passwordVerified(ctx, { id: 'carol' });
  return next();
};

const requireSession: Koa.Middleware = (ctx, next) => {
  if (ctx.session?.['account'] !== 'carol') ctx.throw(401);
  return next();
};

/** Every app ends here. */
const answer: Koa.Middleware = (ctx) => {
  ctx.body = 'ok';
};

function appOf(...middleware: readonly Koa.Middleware[]): Koa {
  const app = new Koa();
  for (const one of middleware) app.use(one);
  return app;
}

function routed(...middleware: readonly Koa.Middleware[]): Koa {
  const router = new Router();
  router.get('/', ...middleware);
  return appOf(router.routes() as Koa.Middleware);
}

async function strict(redisUrl: string): Promise<{ check: Koa.Middleware; headers: Record<string, string> }> {
  const tokens = new AccessTokens({ store: connectStore(redisUrl) });
  const issue = issueToken(tokens, { dangerouslyWithoutLockout: true, dangerouslyWithoutSecondFactor: true });
  const issued = await askOnce(appOf(logIn, issue as Koa.Middleware));
  const { access_token: token } = (await issued.json()) as { access_token: string };
  return { check: requireToken(tokens) as Koa.Middleware, headers: { Authorization: `Bearer ${token}` } };
}

async function signedToken() {
  const secret = createSecretKey(randomBytes(32));
  const claims = new SignJWT({ scope: '' }).setProtectedHeader({ alg: 'HS256' }).setSubject('carol');
  const token = await claims.setIssuedAt().setExpirationTime('7d').sign(secret);
  return { secret, headers: { Authorization: `Bearer ${token}` } };
}

export const apps = {
  bare: () => ({ app: appOf(answer) }),
  async strict(redisUrl) {
    const { check, headers } = await strict(redisUrl);
    return { app: appOf(check, answer), headers };
  },
  router: () => ({ app: routed(answer) }),
  async strictRouted(redisUrl) {
    const { check, headers } = await strict(redisUrl);
    return { app: routed(check, answer), headers };
  },
  async koaJwt() {
    const { secret, headers } = await signedToken();
    // Its types do not know key objects; jsonwebtoken below it does, and they are its quickest way.
    const check = koaJwt({ secret: secret as unknown as Buffer, algorithms: ['HS256'] });
    return { app: appOf(check, answer), headers };
  },
  async jose() {
    const { secret, headers } = await signedToken();
    const check: Koa.Middleware = async (ctx, next) => {
      const token = /^Bearer (\S+)$/i.exec(ctx.get('authorization'))?.[1] ?? '';
      const { payload } = await jwtVerify(token, secret, { algorithms: ['HS256'] }).catch(() =>
        ctx.throw(401),
      );
      ctx.state['user'] = payload;
      return next();
    };
    return { app: appOf(check, answer), headers };
  },
  async koaSession(redisUrl) {
    const options = redisSession(connectRedis(redisUrl));
    const withSession = (...middleware: readonly Koa.Middleware[]): Koa => {
      const app = new Koa({ keys: ['not a secret'] });
      app.use(session(options, app));
      for (const one of middleware) app.use(one);
      return app;
    };
    const begun = await askOnce(
      withSession((ctx) => {
        ctx.session = { account: 'carol' };
        ctx.body = 'ok';
      }),
    );
    const cookies = begun.headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
    return { app: withSession(requireSession, answer), headers: { Cookie: cookies.join('; ') } };
  },
} satisfies Apps;

type Name = keyof typeof apps;

export async function tokenBench(redis: RedisServer): Promise<Figure[]> {
  const admin = connectRedis(redis.url);
  const names = Object.keys(apps) as Name[];
  const served = new Map<Name, ServedApp>();
  try {
    for (const name of names) served.set(name, await serve('token', name, redis.url));
    const contestants = [...served].map(([name, server]) => {
      const requests = [requestBytes('GET', '/', server.headers)];
      return [name, () => loadRound(server, requests, load, admin)] as const;
    });
    const readings = await interleave<Name>(rounds, Object.fromEntries(contestants) as Record<Name, never>);
    const bare = { name: 'bare Koa', readings: readings.bare };
    const router = { name: '@koa/router', readings: readings.router };
    const rows = (unit: string, key: string, goal?: Goal): Figure[] => [
      figure(`strict, one Redis read, ${unit}`, key, readings.strict, bare, goal),
      figure('strict, one Redis read behind @koa/router', key, readings.strictRouted, router),
      figure('@koa/router alone', key, readings.router, bare),
      figure('koa-session on Redis', key, readings.koaSession, bare),
      figure('koa-jwt HS256', key, readings.koaJwt, bare),
      figure('jose HS256', key, readings.jose, bare),
    ];
    return [
      ...rows('requests/s', 'perSecond', { of: 'ratio', atLeast: 0.6 }),
      ...rows('requests/s of Node CPU', 'perCpuSecond'),
      figure('strict, one Redis read, Redis CPU us/request', 'redisMicros', readings.strict, {
        name: 'koa-session',
        readings: readings.koaSession,
      }),
    ];
  } finally {
    await Promise.all([...served.values()].map((app) => app.stop()));
    closeClients();
  }
}
