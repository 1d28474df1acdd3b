import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { password, type FloodFacts } from '../rig/flooded-app.js';
import { compileSources } from '../rig/login-process.js';

const logins = 1000;
const concurrency = 2;
/** Short, so that a machine that is busy with other things comes to its end in time. */
const queue = 8;

let build: Awaited<ReturnType<typeof compileSources>>;
let child: ChildProcess;
let port: number;

beforeAll(async () => {
  const program = 'test/rig/flooded-app.ts';
  build = await compileSources(program);
  child = fork(join(build.directory, program.replace(/ts$/, 'js')), [String(queue)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const failed = once(child, 'exit').then(() => Promise.reject(new Error('The app ended while starting')));
  port = Number((await Promise.race([once(child, 'message'), failed]))[0]);
}, 60_000);

afterAll(async () => {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  build.remove();
});

async function facts(): Promise<FloodFacts> {
  const reply = once(child, 'message');
  child.send('facts');
  return (await reply)[0] as FloodFacts;
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: Record<string, string>;
}

/** A connection from an address of its own, which sends its login when it is told to, whole. */
async function client(index: number): Promise<() => Promise<Answer>> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const isRight = index % 2 === 0;
  const username = index % 4 < 2 ? `nobody ${index}` : `user ${index}`;
  const body = JSON.stringify({ username, password: isRight ? password : 'wrong' });
  const head = [
    'POST /tokens HTTP/1.1',
    'Host: 127.0.0.1',
    'Connection: close',
    `X-Forwarded-For: 10.0.${index >> 8}.${index & 255}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return async () => {
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    await once(socket, 'close');
    const [top = '', text = ''] = Buffer.concat(pieces).toString().split('\r\n\r\n');
    return {
      status: Number(top.split(' ')[1]),
      retryAfter: /^retry-after: (.+)$/im.exec(top)?.[1],
      body: JSON.parse(text) as Record<string, string>,
    };
  };
}

async function checkToken(agent: Agent, token: string): Promise<{ status: number; ms: number }> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${token}` };
    httpRequest({ port, host: '127.0.0.1', path: '/reports', agent, headers }, (response) => {
      response.resume().on('end', () => {
        resolve({ status: response.statusCode ?? 0, ms: performance.now() - start });
      });
    })
      .on('error', reject)
      .end();
  });
}

it('1,000 logins at once are hashed a few at a time or refused as busy; tokens are checked meanwhile (DOS-04, PWD-17)', async () => {
  // Right, and no name of nobody's: the token that is checked.
  const { body, status } = await (await client(2))();
  expect(status).toBe(200);
  const token = String(body['access_token']);
  await facts();

  const clients = await Promise.all(Array.from({ length: logins }, (_, i) => client(i)));
  const checks: { status: number; ms: number }[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const flood = { over: false };
  const checking = Array.from({ length: 4 }, async () => {
    while (!flood.over) checks.push(await checkToken(agent, token));
  });
  const answers = await Promise.all(clients.map((send) => send()));
  flood.over = true;
  await Promise.all(checking);
  agent.destroy();

  const tally: Record<string, number> = {};
  for (const { status, body, retryAfter } of answers) {
    const kind = `${status} ${body['error'] ?? ''} ${retryAfter ?? ''}`.trim();
    tally[kind] = (tally[kind] ?? 0) + 1;
  }
  const { '200': right = 0, '401 invalid_credentials': wrong = 0, '429 busy 1': busy = 0, ...others } = tally;
  expect(others).toEqual({});
  expect(busy).toBeGreaterThan(logins / 2);
  expect(right + wrong).toBeGreaterThan(0);
  expect(new Set(checks.map(({ status }) => status))).toEqual(new Set([200]));
  const { mostAtOnce, grownMb, errors } = await facts();
  expect(mostAtOnce).toBeLessThanOrEqual(concurrency + queue);
  // Two hashes of 19 MiB at a time, and a thousand connections with what was read of them.
  expect(grownMb).toBeLessThan(200);
  expect(errors).toBe(0);
  // All places are free again, and nothing was counted that was not looked at.
  expect((await (await client(2))()).status).toBe(200);
});
