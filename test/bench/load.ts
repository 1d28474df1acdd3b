import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { measure, type Reading, type ServedApp } from './harness.js';

/** A request as bytes, made once: the server must be the limit, not the generator. */
export function requestBytes(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: object,
): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body);
  const entity = { 'Content-Type': 'application/json', 'Content-Length': `${Buffer.byteLength(text)}` };
  const all = { Host: '127.0.0.1', ...(body !== undefined && entity), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${text}`);
}

const headEnd = Buffer.from('\r\n\r\n');
const lengthField = Buffer.from('\r\nContent-Length: ');

/** In bytes, head and body; undefined while the head is not there as a whole. */
function lengthOf(answer: Buffer): number | undefined {
  const end = answer.indexOf(headEnd);
  if (end < 0) return undefined;
  const field = answer.indexOf(lengthField);
  if (field < 0 || field > end) throw new Error('The answer does not say how long it is');
  return end + headEnd.length + numberAt(answer, field + lengthField.length);
}

function numberAt(bytes: Buffer, start: number): number {
  let number = 0;
  for (let at = start; ; at += 1) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return number;
    number = number * 10 + digit;
  }
}

/**
 * A keep-alive connection that carries one request at a time. Reads into one buffer and looks at bytes: what the
 * generator spends, it takes from a server that shares the machine.
 */
export class Connection {
  readonly #socket: Socket;
  /** The beginning of an answer that came in pieces. */
  #begun: Buffer | undefined;
  #answered: ((status: number) => void) | undefined;
  #broken: ((error: Error) => void) | undefined;

  private constructor(port: number) {
    const buffer = Buffer.allocUnsafe(16_384);
    const callback = (bytes: number): boolean => this.#receive(buffer.subarray(0, bytes));
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer, callback } });
    this.#socket.on('error', (error) => this.#broken?.(error));
    this.#socket.on('close', () => this.#broken?.(new Error('The server closed the connection')));
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(port);
    await once(connection.#socket, 'connect');
    return connection;
  }

  /** Calls one of the two, with the status of the answer or with why there is none. */
  ask(request: Buffer, answered: (status: number) => void, broken: (error: Error) => void): void {
    this.#answered = answered;
    this.#broken = broken;
    this.#socket.write(request);
  }

  /** Answers the status. */
  send(request: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.ask(request, resolve, reject);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(piece: Buffer): boolean {
    const answer = this.#begun === undefined ? piece : Buffer.concat([this.#begun, piece]);
    const length = lengthOf(answer);
    if (length === undefined || answer.length < length) {
      // The piece lies where the next one will be read.
      this.#begun = Buffer.from(answer);
      return true;
    }
    this.#begun = undefined;
    this.#answered?.(numberAt(answer, 9));
    return true;
  }
}

/** Every client sends the next request as soon as its answer is there. Answers how many were answered. */
function saturate(
  clients: readonly Connection[],
  requests: readonly Buffer[],
  milliseconds: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let ended = false;
    setTimeout(() => {
      ended = true;
    }, milliseconds);
    let sent = 0;
    let busy = clients.length;
    for (const client of clients) {
      const sendNext = (): void => {
        const request = requests[sent % requests.length] ?? Buffer.alloc(0);
        sent += 1;
        client.ask(request, proceed, reject);
      };
      const proceed = (status: number): void => {
        if (status !== 200) return reject(new Error(`The server answered ${status}`));
        if (!ended) return sendNext();
        busy -= 1;
        if (busy === 0) resolve(sent);
      };
      sendNext();
    }
  });
}

/** What a server does under as much load as it can take. Connections are made before the clock starts. */
export async function loadRound(
  server: ServedApp,
  requests: readonly Buffer[],
  { connections, milliseconds }: { readonly connections: number; readonly milliseconds: number },
  admin: Redis,
): Promise<Reading> {
  const opening = Array.from({ length: connections }, () => Connection.open(server.port));
  const clients = await Promise.all(opening);
  try {
    return await measure(() => saturate(clients, requests, milliseconds), server.cpuMicros, admin);
  } finally {
    for (const client of clients) client.close();
  }
}

/**
 * Requests at a fixed rate, whether or not the server keeps up; a client hangs up when its patience ends.
 * Answers how many got which status; 0 stands for those that hung up.
 */
export async function flood(
  port: number,
  request: Buffer,
  plan: { perSecond: number; milliseconds: number; patienceMs: number },
): Promise<ReadonlyMap<number, number>> {
  const { perSecond, milliseconds, patienceMs } = plan;
  const idle: Connection[] = [];
  const statuses = new Map<number, number>();
  const count = (status: number): unknown => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const visit = async (): Promise<void> => {
    const connection = idle.pop() ?? (await Connection.open(port));
    const hangUp = setTimeout(() => connection.close(), patienceMs);
    const status = await connection.send(request).catch(() => 0);
    clearTimeout(hangUp);
    count(status);
    if (status !== 0) idle.push(connection);
  };

  const visits: Promise<void>[] = [];
  const start = performance.now();
  for (let elapsed = 0; elapsed < milliseconds; elapsed = performance.now() - start) {
    while (visits.length < (elapsed / 1000) * perSecond) visits.push(visit());
    await sleep(2);
  }
  await Promise.all(visits);
  for (const connection of idle) connection.close();
  return statuses;
}
