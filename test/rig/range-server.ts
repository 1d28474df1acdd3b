import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

/** How the server answers one request. */
export type Reply = (request: IncomingMessage, response: ServerResponse) => void;

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface RangeServer {
  readonly url: string;
  /** Every request so far, oldest first. */
  readonly requests: SeenRequest[];
  /** Requests that were being answered at once, at most. */
  readonly mostAtOnce: number;
  /** Bytes of bodies that were handed to the socket. */
  readonly bytesSent: number;
  /** From now on; the default is a padded range in which nothing is breached. */
  reply(reply: Reply): void;
  /** Forgets requests and counts, and answers by default again. */
  reset(): void;
  /** Resolves when no request is being answered any more. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

export function sha1(password: string): string {
  return createHash('sha1').update(password).digest('hex').toUpperCase();
}

/** The 35 digits that a range lists for a password. */
export function suffixOf(password: string): string {
  return sha1(password).slice(5);
}

function padding(index: number): string {
  return `${suffixOf(`padding ${index}`)}:0`;
}

/** Lines of a range: counts by password or by suffix, in between lines of padding. */
export function rangeOf(counts: Readonly<Record<string, number>> = {}): string {
  const lines = Object.entries(counts).map(([name, count]) =>
    /^[0-9A-F]{35}$/.test(name) ? `${name}:${count}` : `${suffixOf(name)}:${count}`,
  );
  return [padding(1), ...lines, ...Array.from({ length: 40 }, (_, index) => padding(index + 2))].join('\r\n');
}

/** Answers at once. */
export function text(body: string, status = 200, headers: Record<string, string> = {}): Reply {
  return (_, response) =>
    void response.writeHead(status, { 'Content-Type': 'text/plain', ...headers }).end(body);
}

export function range(counts: Readonly<Record<string, number>> = {}): Reply {
  return text(rangeOf(counts));
}

/** Takes the request and says nothing. */
export const silence: Reply = () => {};

/** A good beginning, then one byte each so many milliseconds for ever. */
export function drip(everyMs: number): Reply {
  return (_, response) => {
    response.writeHead(200).write(`${rangeOf()}\r\n`);
    const timer = setInterval(() => response.write('A'), everyMs);
    response.once('close', () => clearInterval(timer));
  };
}

/** Good lines for ever, as fast as the client takes them. */
export function endless(status = 200): Reply {
  return (_, response) => {
    response.writeHead(status);
    pipeline(Readable.from(goodLines()), response).catch(() => {});
  };
}

/** Good lines for ever, compressed to a hundredth and less. */
export const gzipBomb: Reply = (_, response) => {
  response.writeHead(200, { 'Content-Encoding': 'gzip' });
  pipeline(Readable.from(goodLines()), createGzip(), response).catch(() => {});
};

function* goodLines(): Generator<Buffer> {
  const lines = Buffer.from(`${rangeOf()}\r\n`.repeat(30));
  for (;;) yield lines;
}

/** Half of a declared body, then the end of the connection. */
export const cutOff: Reply = (_, response) => {
  const body = rangeOf();
  response.writeHead(200, { 'Content-Length': String(body.length) });
  response.write(body.slice(0, body.length / 2), () => response.destroy());
};

/** An HTTP server on loopback that plays the range search of Have I Been Pwned, with faults as scripted. */
export async function startRangeServer(): Promise<RangeServer> {
  const nothing = range();
  const requests: SeenRequest[] = [];
  let answer = nothing;
  let open = 0;
  let mostAtOnce = 0;
  let bytesSent = 0;
  let closed: (() => void)[] = [];

  const server = createServer((request, response) => {
    open += 1;
    mostAtOnce = Math.max(mostAtOnce, open);
    const { socket } = request;
    const before = socket.bytesWritten;
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    requests.push({
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      get body() {
        return body;
      },
    });
    response.once('close', () => {
      open -= 1;
      bytesSent += socket.bytesWritten - before;
      if (open > 0) return;
      for (const resolve of closed) resolve();
      closed = [];
    });
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the range server has no port');

  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    get mostAtOnce() {
      return mostAtOnce;
    },
    get bytesSent() {
      return bytesSent;
    },
    reply(reply) {
      answer = reply;
    },
    reset() {
      requests.length = 0;
      mostAtOnce = 0;
      bytesSent = 0;
      answer = nothing;
    },
    idle: () => (open === 0 ? Promise.resolve() : new Promise((resolve) => closed.push(resolve))),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
