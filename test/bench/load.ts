import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** A keep-alive connection that carries one request at a time. */
class Connection {
  readonly #socket: Socket;
  #received = '';
  #settle: { resolve: (status: number) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#settle?.reject(error));
    socket.on('close', () => this.#settle?.reject(new Error('The server closed the connection')));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Answers the status. */
  send(request: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#received += chunk.toString('latin1');
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const bodyLength = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
    if (this.#received.length < headEnd + 4 + bodyLength) return;
    const status = Number(this.#received.slice(9, 12));
    this.#received = '';
    this.#settle?.resolve(status);
  }
}

/** Each of `connections` sends the next request when its answer is there. Answers how many were answered. */
export async function saturate(
  port: number,
  requests: readonly Buffer[],
  { connections, milliseconds }: { connections: number; milliseconds: number },
): Promise<number> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(port)));
  const end = performance.now() + milliseconds;
  let sent = 0;
  const client = async (connection: Connection): Promise<void> => {
    while (performance.now() < end) {
      const request = requests[sent % requests.length] ?? Buffer.alloc(0);
      sent += 1;
      const status = await connection.send(request);
      if (status !== 200) throw new Error(`The server answered ${status}`);
    }
  };
  try {
    await Promise.all(open.map(client));
  } finally {
    for (const connection of open) connection.close();
  }
  return sent;
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
