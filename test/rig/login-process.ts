import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bodyParser } from '@koa/bodyparser';
import { Redis } from 'ioredis';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  issueToken,
  lockout,
  redisStore,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  safeBody,
  verifyPassword,
  type AuthEvent,
  type PasswordVerifier,
  type Store,
} from '../../src/index.js';

/** The same in every process; a real key is random. */
export const factorKey: Buffer = createHash('sha256').update('a key of tests').digest();

/** Where the pages of every service are; what is registered for it works on each of them. */
export const origin = 'https://acme.example';

/** What happened in one service since it started. */
export interface Told {
  /** How often the password hook was called. */
  evaluated: number;
  /** Events by name. */
  readonly events: Record<string, number>;
  /** What Koa's `error` event said. */
  readonly errors: string[];
}

export interface LoginService {
  readonly app: Koa;
  readonly told: Told;
  readonly store: Store;
  readonly factors: SecondFactors;
  readonly tokens: AccessTokens;
}

/** The password decides what the hook does, so that a client of another process can say it. */
const verifyByPassword: PasswordVerifier = ({ identifier, password }) => {
  if (password.startsWith('right')) return { id: identifier };
  if (password === 'broken') throw new Error('the database is down');
  if (password === 'stuck') return new Promise(() => {});
  return null;
};

const showAccount: Koa.Middleware = (ctx) => {
  ctx.body = ctx.state['auth'].account;
};

/**
 * A whole login: `POST /tokens`, `POST /tokens/second-factor`, `GET /reports` behind a token and `GET /kept-reports`
 * behind one that the process keeps, and `GET /told`
 * for the test.
 */
export function loginService(store: Store, verify: PasswordVerifier = verifyByPassword): LoginService {
  const app = new Koa();
  const told: Told = { evaluated: 0, events: {}, errors: [] };
  app.on('auth', ({ name }: AuthEvent) => {
    told.events[name] = (told.events[name] ?? 0) + 1;
  });
  app.on('error', (error: unknown) => told.errors.push(String(error)));

  const attempts = new Lockout({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [factorKey], origin });
  const tokens = new AccessTokens({ store });
  // The same tokens as a process sees them that keeps what it has verified; its connections are made when it is asked.
  let guardOfKept: Koa.Middleware | undefined;
  const requireKept: Koa.Middleware = (ctx, next) => {
    guardOfKept ??= requireToken(
      new AccessTokens({ store, cache: { maxStaleSeconds: 60 } }),
    ) as Koa.Middleware;
    return guardOfKept(ctx, next);
  };
  const counted: PasswordVerifier = (credentials, ctx) => {
    told.evaluated += 1;
    return verify(credentials, ctx);
  };
  const routes: Record<string, Koa.Middleware[]> = {
    'POST /tokens': [
      lockout(attempts),
      verifyPassword(counted),
      requireSecondFactor(factors),
      issueToken(tokens),
    ] as Koa.Middleware[],
    'POST /tokens/second-factor': [
      resumeLogin(factors),
      lockout(attempts),
      requireSecondFactor(factors),
      issueToken(tokens),
    ] as Koa.Middleware[],
    'GET /reports': [requireToken(tokens) as Koa.Middleware, showAccount],
    'GET /kept-reports': [requireKept, showAccount],
    'GET /told': [
      (ctx) => {
        ctx.body = told;
      },
    ],
  };
  app.use(safeBody(bodyParser()));
  app.use(async (ctx, next) => {
    const steps = routes[`${ctx.method} ${ctx.path}`] ?? [];
    const run = (index: number): Promise<unknown> =>
      Promise.resolve(steps[index]?.(ctx, () => run(index + 1)) ?? next());
    await run(0);
  });
  return { app, told, store, factors, tokens };
}

/** A service that listens on a port of its own, in this process or another one. */
export interface Listening {
  readonly port: number;
  told(): Promise<Told>;
  stop(): Promise<unknown>;
}

export interface LoginProcess extends Listening {
  readonly child: ChildProcess;
}

export async function listen(service: LoginService): Promise<Listening> {
  const server: Server = service.app.listen(0, '127.0.0.1');
  server.keepAliveTimeout = 60_000;
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    told: async () => service.told,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/**
 * Plain JavaScript of the sources as they are now, for processes without a test runner. Not `dist`, which may be
 * of yesterday.
 */
export async function compileSources(): Promise<{ readonly directory: string; remove(): void }> {
  const { transformFileSync } = await import('@swc/core');
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-build-'));
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join('src', path));
  for (const path of [...sources, 'test/rig/login-process.ts', 'test/rig/log-process.ts']) {
    const { code } = transformFileSync(path, {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
      module: { type: 'es6' },
    });
    const target = join(directory, path.replace(/ts$/, 'js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, code);
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  symlinkSync(resolve('node_modules'), join(directory, 'node_modules'));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Starts a service in a process of its own, which ends with this one. */
export async function startLoginProcess(
  directory: string,
  redisUrl: string,
  { clockSkewMs = 0 } = {},
): Promise<LoginProcess> {
  const child = fork(join(directory, 'test/rig/login-process.js'), [redisUrl, String(clockSkewMs)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const port = await Promise.race([
    once(child, 'message').then(([message]) => Number(message)),
    ended.then(() => Promise.reject(new Error('A login process ended while starting'))),
  ]);
  return {
    port,
    child,
    told: async () => (await fetch(`http://127.0.0.1:${port}/told`)).json() as Promise<Told>,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** What a service answered. */
export interface Answer {
  readonly status: number;
  /** In lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** One connection that sends all of a request but its last byte, and that byte when it is told to. */
export class HeldRequest {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<HeldRequest> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    await once(socket, 'connect');
    socket.setMaxListeners(20);
    return new HeldRequest(socket);
  }

  /** Resolves once the first part is on its way. */
  async hold(path: string, body: object): Promise<{ release(): Promise<Answer> }> {
    const json = Buffer.from(JSON.stringify(body));
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      'Content-Type: application/json',
      `Content-Length: ${json.length}`,
    ];
    const request = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), json]);
    await new Promise((done) => this.#socket.write(request.subarray(0, -1), done));
    return {
      release: () => {
        const answer = this.#answer();
        this.#socket.write(request.subarray(-1));
        return answer;
      },
    };
  }

  close(): void {
    this.#socket.destroy();
  }

  #answer(): Promise<Answer> {
    return new Promise((done, fail) => {
      const socket = this.#socket;
      let text = '';
      const receive = (chunk: Buffer): void => {
        text += chunk.toString();
        const end = text.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
        if (end === -1 || Buffer.byteLength(text.slice(end + 4)) < length) return;
        settle();
        const [status = '', ...lines] = text.slice(0, end).split('\r\n');
        const headers = lines.map((line) => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 2),
        ]);
        done({
          status: Number(status.split(' ')[1]),
          headers: Object.fromEntries(headers) as Record<string, string>,
          body: JSON.parse(text.slice(end + 4)) as Record<string, unknown>,
        });
      };
      const lose = (): void => {
        settle();
        fail(new Error('The connection ended before the answer'));
      };
      const settle = (): void => void socket.off('data', receive).off('error', lose).off('close', lose);
      socket.on('data', receive).on('error', lose).on('close', lose);
    });
  }
}

/** Sends JSON, or nothing, and reads JSON. */
export async function ask(
  port: number,
  path: string,
  { body, token }: { body?: object; token?: string } = {},
): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: (text.startsWith('{') ? JSON.parse(text) : { text }) as Record<string, unknown>,
  };
}

async function main(redisUrl: string, clockSkewMs: number): Promise<void> {
  const trueNow = Date.now.bind(Date);
  if (clockSkewMs !== 0) Date.now = () => trueNow() + clockSkewMs;
  const service = loginService(redisStore(new Redis(redisUrl)));
  process.on('unhandledRejection', (error) => service.told.errors.push(`unhandled: ${String(error)}`));
  process.on('disconnect', () => process.exit());
  const { port } = await listen(service);
  process.send?.(port);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv[2] ?? '', Number(process.argv[3]));
}
