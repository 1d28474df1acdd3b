import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Reading } from './harness.js';

/** An app of Koa, or of a peer. */
export interface Listening {
  listen(port: number, hostname: string): Server;
}

/** An app under load, with what its clients must send to be let in. */
export interface BenchApp {
  readonly app: Listening;
  readonly headers?: Readonly<Record<string, string>>;
  /** What clients send who must be refused, well-formed all of it. */
  readonly refused?: readonly Readonly<Record<string, string>>[];
  /** What the app noted since it was asked last. */
  readonly facts?: () => Reading;
}

/** The apps of a bench, by name. Each file with apps exports them as `apps`. */
export type Apps = Readonly<Record<string, (redisUrl: string) => Promise<BenchApp> | BenchApp>>;

export async function listen(app: Listening): Promise<{ port: number; server: Server }> {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port');
  return { port: address.port, server };
}

/** One request to an app that nobody else needs. */
export async function askOnce(app: Listening, init?: RequestInit): Promise<Response> {
  const { port, server } = await listen(app);
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, init);
    if (!response.ok) throw new Error(`The app answered ${response.status}`);
    return response;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
