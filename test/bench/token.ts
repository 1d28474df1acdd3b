/** A request with a credential to an app that does nothing but check it. */
import type { RedisServer } from '../rig/redis-server.js';
import type { Apps } from './apps.js';
import {
  closeClients,
  connectRedis,
  figure,
  interleave,
  serve,
  type Reading,
  type ServedApp,
} from './harness.js';
import { loadRound, requestBytes } from './load.js';
import type { Figure, Goal } from './table.js';
import { ours } from './token-apps.js';
import { peers } from './token-peers.js';

// Many and short: whatever else the machine does then meets a contestant and its peer alike.
const rounds = 15;
const load = { connections: 64, milliseconds: 250 };
/** A process that begins takes over 10,000 requests until its code is compiled for good, at a fourth of its pace. */
const warmUp = { connections: 64, milliseconds: 3000 };

export const apps = { ...ours, ...peers } satisfies Apps;

type Name = keyof typeof apps;

/** They let everybody in. */
const open: ReadonlySet<Name> = new Set(['bare', 'router', 'express']);

export async function tokenBench(redis: RedisServer): Promise<Figure[]> {
  const admin = connectRedis(redis.url);
  const names = Object.keys(apps) as Name[];
  const served = new Map<Name, ServedApp>();
  try {
    for (const name of names) {
      const server = await serve('token', name, redis.url);
      served.set(name, server);
      await proveCheck(name, server);
      await loadRound(server, [requestBytes('GET', '/', server.headers)], warmUp, admin);
    }
    const contestants = [...served].map(([name, server]) => {
      const requests = [requestBytes('GET', '/', server.headers)];
      return [name, () => loadRound(server, requests, load, admin)] as const;
    });
    const readings = await interleave<Name>(rounds, Object.fromEntries(contestants) as Record<Name, never>);
    return [
      ...rows(readings, 'requests/s', 'perSecond', {
        strict: { of: 'ratio', atLeast: 0.6 },
        cached: { of: 'ratio', atLeast: 0.9 },
      }),
      ...rows(readings, 'requests/s of Node CPU', 'perCpuSecond'),
      figure('strict, one Redis read, Redis CPU us/request', 'redisMicros', readings.strict, {
        name: 'koa-session',
        readings: readings.koaSession,
      }),
      coresOf('bare Koa', readings.bare),
      coresOf('cached', readings.cached),
      coresOf('strict', readings.strict),
    ];
  } finally {
    await Promise.all([...served.values()].map((app) => app.stop()));
    closeClients();
  }
}

/** A peer that lets everybody in, or nobody, would be measured at something else. */
async function proveCheck(name: Name, server: ServedApp): Promise<void> {
  if (server.refused.length === 0 && !open.has(name)) throw new Error(`Whom does ${name} refuse?`);
  const strangers = open.has(name) ? [] : [{}, ...server.refused];
  const visits = [
    { headers: server.headers, expected: 200 },
    ...strangers.map((headers) => ({ headers, expected: 401 })),
    // Once more: no refusal ends what a good credential can do.
    { headers: server.headers, expected: 200 },
  ];
  for (const { headers, expected } of visits) {
    const response = await fetch(`http://127.0.0.1:${server.port}/`, { headers });
    await response.arrayBuffer();
    if (response.status === expected) continue;
    throw new Error(`${name} answered ${response.status} where ${expected} was due`);
  }
}

function rows(
  readings: Record<Name, Reading[]>,
  unit: string,
  key: string,
  goals: { readonly strict?: Goal; readonly cached?: Goal } = {},
): Figure[] {
  const bare = { name: 'bare Koa', readings: readings.bare };
  const router = { name: '@koa/router', readings: readings.router };
  const express = { name: 'bare Express', readings: readings.express };
  return [
    figure(`cached, told of changes by Redis, ${unit}`, key, readings.cached, bare, goals.cached),
    figure(`strict, one Redis read, ${unit}`, key, readings.strict, bare, goals.strict),
    figure('strict, one Redis read behind @koa/router', key, readings.strictRouted, router),
    figure('@koa/router alone', key, readings.router, bare),
    figure('koa-session on Redis', key, readings.koaSession, bare),
    figure('koa-jwt HS256', key, readings.koaJwt, bare),
    figure('jose HS256', key, readings.jose, bare),
    figure('bare Express', key, readings.express, bare),
    figure('express-oauth2-jwt-bearer HS256', key, readings.expressJwt, express),
    figure('express-oauth2-jwt-bearer HS256', key, readings.expressJwt, bare),
    figure('better-auth on Redis', key, readings.betterAuth, bare),
    figure('better-auth with its cookie cache', key, readings.betterAuthCookieCache, bare),
  ];
}

/** The server must be what is at its limit. Less than a whole core says that the generator was, or the machine. */
function coresOf(name: string, readings: readonly Reading[]): Figure {
  const generator = readings.map(({ generatorCores = Number.NaN }) => ({ cores: generatorCores }));
  const peer = { name: 'load generator', readings: generator };
  return figure(`cores kept at work, ${name}`, 'cores', readings, peer, { of: 'value', atLeast: 0.9 });
}
