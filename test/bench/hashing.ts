/** A flood of logins against argon2id: how many are answered in time, and what else the process can still do. */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { bodyParser } from '@koa/bodyparser';
import { hash, verify } from '@node-rs/argon2';
import Koa from 'koa';
import { PasswordHashes, verifyPassword } from 'koa-portcullis';
import type { RedisServer } from '../rig/redis-server.js';
import type { Apps, BenchApp } from './apps.js';
import { figure, interleave, measure, median, ownCpuMicros, serve, type Reading } from './harness.js';
import { flood, requestBytes } from './load.js';
import { argon2Alone } from './login.js';
import type { Figure } from './table.js';

const rounds = 5;
const milliseconds = 5000;
const plan = { perSecond: 400, milliseconds, patienceMs: 1000 };
const password = 'Correct horse 7';

export const apps = {
  async bounded() {
    const hashes = new PasswordHashes();
    const stored = await hashes.hash(password);
    return watched(
      verifyPassword(async ({ identifier, password: given }) =>
        (await hashes.verify(stored, given)) ? { id: identifier } : null,
      ) as Koa.Middleware,
    );
  },
  async unlimited() {
    const stored = await hash(password);
    return watched(async (ctx, next) => {
      const { password: given = '' } = ctx.request.body as Record<string, string>;
      if (!(await verify(stored, given))) ctx.throw(401);
      return next();
    });
  },
} satisfies Apps;

/** Serves logins, and takes the times of what shares the thread pool with them. */
function watched(logIn: Koa.Middleware): BenchApp {
  const dns = new Stopwatch();
  const file = new Stopwatch();
  const refusal = new Stopwatch();
  setInterval(() => {
    void dns.time(() => lookup('localhost'));
    void file.time(() => readFile(new URL(import.meta.url)));
  }, 25);

  const app = new Koa();
  app.use(bodyParser());
  app.use(async (ctx, next) => {
    const start = performance.now();
    await next();
    if (ctx.status === 429) refusal.add(performance.now() - start);
  });
  app.use(logIn);
  app.use((ctx) => {
    ctx.body = 'ok';
  });
  const facts = () => ({ dnsMs: dns.take(), fileMs: file.take(), refusalMs: refusal.take() });
  return { app, facts };
}

/** Median of times in milliseconds. What is still under way counts with its time so far. */
class Stopwatch {
  #times: number[] = [];
  readonly #running = new Set<number>();

  async time(work: () => Promise<unknown>): Promise<void> {
    const start = performance.now();
    this.#running.add(start);
    await work();
    if (this.#running.delete(start)) this.add(performance.now() - start);
  }

  add(time: number): void {
    this.#times.push(time);
  }

  take(): number {
    const now = performance.now();
    const times = [...this.#times, ...[...this.#running].map((start) => now - start)];
    this.#times = [];
    this.#running.clear();
    return median(times);
  }
}

export async function hashingBench(redis: RedisServer): Promise<Figure[]> {
  const alone = await argon2Alone();
  const contestants = {
    ours: () => floodRound('bounded', redis),
    unlimited: () => floodRound('unlimited', redis),
    argon2: () => measure(() => alone(1500), ownCpuMicros),
  };
  const readings = await interleave(rounds, contestants, 0);
  const unlimited = { name: 'argon2 without limits', readings: readings.unlimited };
  const argon2 = { name: 'argon2 alone', readings: readings.argon2 };
  const underOneMs = { of: 'value', atMost: 1 } as const;
  return [
    figure('logins/s within 1 s, of 400/s', 'perSecond', readings.ours, argon2, {
      of: 'ratio',
      atLeast: 0.85,
    }),
    figure('logins/s within 1 s, of 400/s', 'perSecond', readings.ours, unlimited, {
      of: 'ratio',
      atLeast: 4,
    }),
    figure('dns.lookup meanwhile, p50 ms', 'dnsMs', readings.ours, unlimited, underOneMs),
    figure('readFile meanwhile, p50 ms', 'fileMs', readings.ours, unlimited, underOneMs),
    figure('refused/s', 'refusedPerSecond', readings.ours),
    figure('time to refuse, p50 ms', 'refusalMs', readings.ours, undefined, underOneMs),
  ];
}

/** In a process of its own each time: the unlimited one would be at it for seconds after its flood. */
async function floodRound(name: keyof typeof apps, redis: RedisServer): Promise<Reading> {
  const server = await serve('hashing', name, redis.url);
  try {
    await server.facts();
    const body = { username: 'carol', password };
    const statuses = await flood(server.port, requestBytes('POST', '/', {}, body), plan);
    const facts = await server.facts();
    const perSecond = (status: number): number => (statuses.get(status) ?? 0) / (milliseconds / 1000);
    return { ...facts, perSecond: perSecond(200), refusedPerSecond: perSecond(429) };
  } finally {
    await server.stop();
  }
}
