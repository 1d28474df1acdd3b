/** A day of logins in one process, on a clock that runs as fast as it can be served, and what is left of it. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
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
  memoryStore,
  redisStore,
  requireSecondFactor,
  requireToken,
  safeBody,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';

export interface SoakPlan {
  readonly logins: number;
  /** Logins between two looks at the process. */
  readonly every: number;
  /** That go by, evenly; the clock of Redis is its own. */
  readonly hours: number;
  /** How many people log in. */
  readonly people: number;
  readonly redisUrl?: string;
}

/** One look at the process. */
export interface SoakSample {
  /** In use, after garbage has been collected. */
  readonly heapMb: number;
  /** What keeps the process alive: timers, sockets, requests to the system. */
  readonly handles: number;
  /** Listeners of the process and of the app. */
  readonly listeners: number;
  /** Of Redis; 0 without one. */
  readonly keys: number;
}

export interface SoakReport {
  readonly statuses: Readonly<Record<string, number>>;
  readonly samples: readonly SoakSample[];
}

const megabyte = 1024 * 1024;

/**
 * One login in five is wrong, half of those for names that are nobody's. Every tenth of the people has an authenticator and never
 * gets beyond the password; the others use each token once.
 */
export async function soak({ logins, every, hours, people, redisUrl }: SoakPlan): Promise<SoakReport> {
  const start = Date.UTC(2030, 0, 1);
  let served = 0;
  const now = (): number => start + Math.floor((served / logins) * hours * 3_600_000);
  const client = redisUrl === undefined ? undefined : new Redis(redisUrl);
  const store = client === undefined ? memoryStore({ now }) : redisStore(client);
  const attempts = new Lockout({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)], now });
  // As many tokens end as are issued: by their time in memory, by their number on Redis.
  const tokens = new AccessTokens({ store, lifetimeSeconds: 3600, maxPerAccount: 3 });
  for (let person = 0; person < people; person += 10) {
    await factors.importTotp({ id: `person ${person}` }, { secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' });
  }

  const app = new Koa<AuthState>({ proxy: true, maxIpsCount: 1 });
  let told = 0;
  app.on('auth', () => (told += 1));
  app.on('error', (error: Error) => process.stderr.write(`${error.stack}\n`));
  app.use(safeBody(bodyParser()));
  const routes: Record<string, Koa.Middleware[]> = {
    '/tokens': [
      lockout(attempts),
      verifyPassword(({ identifier, password }) => (password === 'right' ? { id: identifier } : null)),
      requireSecondFactor(factors),
      issueToken(tokens),
    ] as Koa.Middleware[],
    '/reports': [
      requireToken(tokens) as Koa.Middleware,
      (ctx) => {
        ctx.body = 'reports';
      },
    ],
  };
  app.use(async (ctx, next) => {
    const steps = routes[ctx.path] ?? [];
    const run = (index: number): Promise<unknown> =>
      Promise.resolve(steps[index]?.(ctx, () => run(index + 1)) ?? next());
    await run(0);
  });
  const listener = app.callback();

  const statuses: Record<string, number> = {};
  const count = ({ status, body }: Answer): void => {
    const { error } = (body.startsWith('{') ? JSON.parse(body) : {}) as { error?: string };
    const kind = error === undefined ? `${status}` : `${status} ${error}`;
    statuses[kind] = (statuses[kind] ?? 0) + 1;
  };
  async function visit(index: number): Promise<void> {
    const from = `10.0.0.${index % 251}`;
    const isRight = index % 5 !== 0;
    const name = index % 10 === 0 ? `nobody ${index % (10 * people)}` : `person ${index % people}`;
    const claim = JSON.stringify({ username: name, password: isRight ? 'right' : 'wrong' });
    const answer = await send(listener, 'POST', '/tokens', { 'x-forwarded-for': from }, claim);
    count(answer);
    if (answer.status !== 200) return;
    const { access_token: token } = JSON.parse(answer.body) as { access_token: string };
    count(await send(listener, 'GET', '/reports', { authorization: `Bearer ${token}` }));
  }

  const samples: SoakSample[] = [];
  for (let end = every; end <= logins; end += every) {
    const lane = async (): Promise<void> => {
      while (served < end) await visit(served++);
    };
    await Promise.all(Array.from({ length: 20 }, lane));
    const handles = await handlesAtRest(samples.at(-1)?.handles ?? 0);
    globalThis.gc?.();
    samples.push({
      heapMb: process.memoryUsage().heapUsed / megabyte,
      handles,
      listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
      keys: client === undefined ? 0 : await client.dbsize(),
    });
  }
  statuses['events'] = told;
  return { statuses, samples };
}

/** What is noted beside the requests, such as the use of a token, is given its time to end. */
async function handlesAtRest(before: number): Promise<number> {
  let handles = Infinity;
  for (let looks = 0; handles > before && looks < 50; looks += 1) {
    await sleep(10);
    handles = Math.min(handles, process.getActiveResourcesInfo().length);
  }
  return handles;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A request without a network: what is looked at is what the app keeps of it. */
async function send(
  listener: (req: IncomingMessage, res: ServerResponse) => unknown,
  method: string,
  url: string,
  given: Record<string, string>,
  body = '',
): Promise<Answer> {
  const request = new IncomingMessage(new Socket());
  const headers: Record<string, string> = {
    host: 'localhost',
    'content-type': 'application/json',
    'content-length': `${Buffer.byteLength(body)}`,
    ...given,
  };
  Object.assign(request, { method, url, headers, rawHeaders: Object.entries(headers).flat() });
  request.push(body);
  request.push(null);
  const pieces: Buffer[] = [];
  const wire = new Writable({
    write(piece: Buffer, _, done) {
      pieces.push(piece);
      done();
    },
  });
  const response = new ServerResponse(request);
  response.assignSocket(wire as Socket);
  const sent = once(response, 'finish');
  listener(request, response);
  await sent;
  const text = Buffer.concat(pieces).toString();
  return { status: response.statusCode, body: text.slice(text.indexOf('\r\n\r\n') + 4) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const report = await soak(JSON.parse(process.argv[2] ?? '') as SoakPlan);
  process.send?.(report, () => process.exit());
}
