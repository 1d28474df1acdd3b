/**
 * A thousand clients log in at once, on a hash of 150 ms, and come back as they are told to: how late is the event loop, and
 * how late are answers to those who have a token?
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { floodedApp, password, type FloodFacts } from '../rig/flooded-app.js';
import type { RedisServer } from '../rig/redis-server.js';
import type { Apps } from './apps.js';
import { figure, median, serve, type Reading } from './harness.js';
import { Connection, requestBytes } from './load.js';
import type { Figure } from './table.js';

const rounds = 3;
const clients = 1000;
const milliseconds = 10_000;
const checksPerSecond = 200;

export const apps = {
  async flooded(redisUrl) {
    const { app, facts } = await floodedApp({ redisUrl });
    return { app, facts };
  },
} satisfies Apps;

export async function floodBench(redis: RedisServer): Promise<Figure[]> {
  const readings: Reading[] = [];
  // In a process of its own each time, as the most memory of one is that of its whole life.
  for (let round = 0; round < rounds; round += 1) readings.push(await floodRound(redis));
  const within50 = { of: 'value', atMost: 50 } as const;
  return [
    figure('one hash, ms', 'hashMs', readings),
    figure('delay of the event loop, p99 ms', 'loopP99', readings, undefined, within50),
    figure('delay of the event loop, most ms', 'loopMax', readings),
    figure('token check, p50 ms', 'checkP50', readings),
    figure('token check, p99 ms', 'checkP99', readings, undefined, within50),
    figure('token check, most ms', 'checkMax', readings),
    figure('logins answered/s', 'hashedPerSecond', readings),
    figure('logins refused as busy/s', 'busyPerSecond', readings),
    figure('logins answered otherwise', 'others', readings, undefined, { of: 'value', atMost: 0 }),
    figure('passwords at once', 'mostAtOnce', readings, undefined, { of: 'value', atMost: 34 }),
    figure('memory over that at the start, MB', 'grownMb', readings, undefined, { of: 'value', atMost: 200 }),
  ];
}

async function floodRound(redis: RedisServer): Promise<Reading> {
  const server = await serve('flood', 'flooded', redis.url);
  try {
    const token = await logIn(server.port);
    const opened = await Promise.all(Array.from({ length: clients }, () => Connection.open(server.port)));
    await server.facts();
    const end = performance.now() + milliseconds;
    const statuses = new Map<number, number>();
    const flooding = opened.map(async (connection, index) => {
      const request = loginOf(index, index % 5 === 0 ? password : 'wrong');
      while (performance.now() < end) {
        const status = await connection.send(request);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        // What Retry-After says, and people are not that exact.
        await sleep(1000 + Math.random() * 200);
      }
    });
    const times = await checkTokens(server.port, token, end);
    await Promise.all(flooding);
    for (const connection of opened) connection.close();

    const facts = (await server.facts()) as FloodFacts;
    const { [200]: right = 0, [401]: wrong = 0, [429]: busy = 0, ...others } = Object.fromEntries(statuses);
    const sorted = times.toSorted((a, b) => a - b);
    return {
      ...facts,
      checkP50: median(sorted),
      checkP99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
      checkMax: sorted.at(-1) ?? Number.NaN,
      hashedPerSecond: ((right + wrong) * 1000) / milliseconds,
      busyPerSecond: (busy * 1000) / milliseconds,
      others: Object.values(others).reduce((sum, count) => sum + count, 0),
    };
  } finally {
    await server.stop();
  }
}

/** A login of a name of its own, from an address of its own: the lockout has nothing against it. */
function loginOf(index: number, given: string): Buffer {
  const from = { 'X-Forwarded-For': `10.0.${index >> 8}.${index & 255}` };
  return requestBytes('POST', '/tokens', from, { username: `user ${index}`, password: given });
}

async function logIn(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/tokens`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username: 'carol', password }),
  });
  return ((await response.json()) as { access_token: string }).access_token;
}

/** Checks at a fixed rate, whether or not they are answered: one that waits holds up none behind it. */
async function checkTokens(port: number, token: string, end: number): Promise<number[]> {
  const request = requestBytes('GET', '/reports', { Authorization: `Bearer ${token}` });
  const idle: Connection[] = [];
  const visit = async (): Promise<number> => {
    const start = performance.now();
    // The one that has been idle longest: the server closes what is idle for five seconds.
    const connection = idle.shift() ?? (await Connection.open(port));
    const status = await connection.send(request);
    idle.push(connection);
    // An answer that is none is never in time.
    return status === 200 ? performance.now() - start : Infinity;
  };
  const visits: Promise<number>[] = [];
  const start = performance.now();
  for (let now = start; now < end; now = performance.now()) {
    while (visits.length < ((now - start) / 1000) * checksPerSecond) visits.push(visit());
    await sleep(2);
  }
  const times = await Promise.all(visits);
  for (const connection of idle) connection.close();
  return times;
}
