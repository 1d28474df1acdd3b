/**
 * A thousand clients log in at once, on a hash of 150 ms: how late is the event loop until all of them are answered, and how
 * late are answers to those who have a token?
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
    figure('token check in the first second, most ms', 'waveMax', readings),
    figure('token check after that, p50 ms', 'checkP50', readings),
    figure('token check after that, p99 ms', 'checkP99', readings, undefined, within50),
    figure('logins that were hashed', 'hashed', readings),
    figure('logins refused as busy', 'busy', readings),
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
    // The first wave compiles what the second one runs; it is counted for other names and addresses.
    await Promise.all(opened.map((connection, index) => connection.send(loginOf(index + clients))));
    await server.facts();
    const statuses = new Map<number, number>();
    const wave = { isOver: false };
    const flooding = opened.map(async (connection, index) => {
      const status = await connection.send(loginOf(index));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    const checking = checkTokens(server.port, token, wave);
    await Promise.all(flooding);
    wave.isOver = true;
    const [early, late] = await checking;
    for (const connection of opened) connection.close();

    const facts = (await server.facts()) as FloodFacts;
    const { [200]: right = 0, [401]: wrong = 0, [429]: busy = 0, ...others } = Object.fromEntries(statuses);
    const sorted = late.toSorted((a, b) => a - b);
    return {
      ...facts,
      checkP50: median(sorted),
      checkP99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
      waveMax: Math.max(...early),
      hashed: right + wrong,
      busy,
      others: Object.values(others).reduce((sum, count) => sum + count, 0),
    };
  } finally {
    await server.stop();
  }
}

/** A login of a name of its own, from an address of its own: the lockout has nothing against it. */
function loginOf(index: number): Buffer {
  const given = index % 5 === 0 ? password : 'wrong';
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

/**
 * Checks at a fixed rate, whether or not they are answered: one that waits holds up none behind it. Those of the first
 * second are told apart: they wait until a thousand requests, which come in one turn of the event loop, are read.
 */
async function checkTokens(
  port: number,
  token: string,
  wave: { readonly isOver: boolean },
): Promise<[early: number[], late: number[]]> {
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
  while (!wave.isOver) {
    while (visits.length < ((performance.now() - start) / 1000) * checksPerSecond) visits.push(visit());
    await sleep(2);
  }
  const times = await Promise.all(visits);
  for (const connection of idle) connection.close();
  return [times.slice(0, checksPerSecond), times.slice(checksPerSecond)];
}
