import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { redisStore, type RedisStore } from 'koa-portcullis';
import { startFaultProxy } from '../rig/fault-proxy.js';
import type { Figure, Goal } from './table.js';

/** What one contestant did in one round. */
export type Reading = Readonly<Record<string, number>>;

/** A Koa app in a process of its own: its CPU is its own, and no peer's code shapes its compiled code. */
export interface ServedApp {
  readonly port: number;
  /** Headers that a request must have to be let in. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers like those that must be refused. */
  readonly refused: readonly Readonly<Record<string, string>>[];
  /** CPU time used so far, in microseconds. */
  readonly cpuMicros: () => Promise<number>;
  /** What the app noted since it was asked last. */
  readonly facts: () => Promise<Reading>;
  stop(): Promise<void>;
}

/** What a process that serves an app says about it. */
export type Served = Pick<ServedApp, 'port' | 'headers' | 'refused'>;

/** Starts one of the `apps` that a bench file exports. */
export async function serve(bench: string, app: string, redisUrl: string): Promise<ServedApp> {
  const child = fork(new URL('serve.js', import.meta.url), [bench, app, redisUrl], {
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const waiting: { resolve: (message: unknown) => void; reject: (error: Error) => void }[] = [];
  child.on('message', (message) => waiting.shift()?.resolve(message));
  child.on('exit', () => {
    for (const { reject } of waiting) reject(new Error(`The process that served ${bench} ${app} ended`));
  });
  const reply = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
    });
  const ask = (question: string): Promise<unknown> => {
    child.send(question);
    return reply();
  };
  const said = (await reply()) as Served;
  return {
    ...said,
    cpuMicros: async () => (await ask('cpu')) as number,
    facts: async () => (await ask('facts')) as Reading,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/**
 * Runs every contestant once a round, in turn, so that whatever else the machine does meets all of them, and in the
 * other direction every other round, so that nobody always runs after the same one. The first round only warms up; not
 * so where each round starts from nothing.
 */
export async function interleave<Name extends string>(
  rounds: number,
  contestants: Readonly<Record<Name, () => Promise<Reading>>>,
  warmUps = 1,
): Promise<Record<Name, Reading[]>> {
  const names = Object.keys(contestants) as Name[];
  const readings = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Reading[]>;
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const reading = await contestants[name]();
      if (round >= 0) readings[name].push(reading);
    }
  }
  return readings;
}

/** One figure of a contestant, beside a peer's if there is one. `key` names it in the readings. */
export function figure(
  name: string,
  key: string,
  ours: readonly Reading[],
  peer?: { readonly name: string; readonly readings: readonly Reading[] },
  goal?: Goal,
): Figure {
  const of = (reading: Reading | undefined): number => reading?.[key] ?? Number.NaN;
  return {
    name,
    value: median(ours.map(of)),
    ...(peer !== undefined && {
      peer: { name: peer.name, value: median(peer.readings.map(of)) },
      ratio: median(ours.map((reading, round) => of(reading) / of(peer.readings[round]))),
    }),
    ...(goal !== undefined && { goal }),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/**
 * Work that tells how many operations it did, by wall time and by CPU time of all that took part. `cores` says how
 * much of the time the measured process was at work, `generatorCores` the same of the one that gave it work.
 */
export async function measure(
  work: () => Promise<number>,
  cpuMicros: () => Promise<number>,
  admin?: Redis,
): Promise<Reading> {
  const [cpu, redis, own] = [await cpuMicros(), await redisCpuMicros(admin), await ownCpuMicros()];
  const start = performance.now();
  const operations = await work();
  const micros = (performance.now() - start) * 1000;
  const ownUsed = (await ownCpuMicros()) - own;
  const used = (await cpuMicros()) - cpu;
  return {
    perSecond: (operations * 1e6) / micros,
    perCpuSecond: (operations * 1e6) / used,
    nodeMicros: used / operations,
    redisMicros: ((await redisCpuMicros(admin)) - redis) / operations,
    cores: used / micros,
    generatorCores: ownUsed / micros,
  };
}

/** Of this process. */
export async function ownCpuMicros(): Promise<number> {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function redisCpuMicros(admin: Redis | undefined): Promise<number> {
  if (admin === undefined) return 0;
  const info = await admin.info('cpu');
  const seconds = [...info.matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)].map(([, used]) => Number(used));
  return seconds.reduce((sum, one) => sum + one, 0) * 1e6;
}

/** `total` tasks, `width` at a time. Answers how many that were. */
export async function inFlight(
  width: number,
  total: number,
  task: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < total) {
      const index = next;
      next += 1;
      await task(index);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return total;
}

/**
 * What one operation asks of Redis. Replies are held up: an operation that waits for n of them, one after the
 * other, takes n times as long.
 *
 * @param prepare - Connects to the address that it is given, and answers the operation.
 */
export async function countTrips(
  redisPort: number,
  prepare: (url: string) => Promise<() => Promise<unknown>>,
): Promise<{ commands: number; roundTrips: number }> {
  const delayMs = 100;
  const proxy = await startFaultProxy(redisPort);
  try {
    const operation = await prepare(proxy.url);
    // Scripts are loaded by their first call.
    await operation();
    proxy.forget();
    proxy.switchTo({ delayMs });
    const start = performance.now();
    await operation();
    const roundTrips = Math.floor((performance.now() - start) / delayMs);
    return { commands: proxy.commands.length, roundTrips };
  } finally {
    await proxy.close();
  }
}

const open: (() => void)[] = [];

/** A connection that `closeClients` ends. */
export function connectRedis(url: string): Redis {
  const client = new Redis(url);
  client.on('error', () => {});
  open.push(() => client.disconnect());
  return client;
}

/** A store that `closeClients` closes. */
export function connectStore(url: string): RedisStore {
  const store = redisStore(connectRedis(url));
  open.push(() => store.close());
  return store;
}

export function closeClients(): void {
  for (const close of open.splice(0)) close();
}
