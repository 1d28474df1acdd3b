/** An app whose password hash takes 150 ms, and what a flood of logins does to its process. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { bodyParser } from '@koa/bodyparser';
import { Redis } from 'ioredis';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  PasswordHashes,
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

/** Everybody's. */
export const password = 'Correct horse 7';

const hashMs = 150;
const megabyte = 1024 * 1024;

/** What the process noted since it was asked last; times in milliseconds. */
export interface FloodFacts {
  readonly [name: string]: number;
  /** One hash alone. */
  readonly hashMs: number;
  /** Of the delay of the event loop. */
  readonly loopP99: number;
  readonly loopMax: number;
  /** The most memory that the process ever had, over what it had when it had started. */
  readonly grownMb: number;
  /** Passwords that were being hashed or waited for that, at most. */
  readonly mostAtOnce: number;
  /** What Koa's `error` event said so far. */
  readonly errors: number;
}

export interface FloodedAppOptions {
  /** Where attempts are counted and tokens are kept; in memory where there is none. */
  readonly redisUrl?: string;
  /** Of PasswordHashes. */
  readonly queue?: number;
}

/** `POST /tokens` is a login, `GET /reports` is behind a token. */
export async function floodedApp({ redisUrl, queue }: FloodedAppOptions = {}) {
  const { hashes, tookMs } = await hashesOf(hashMs, queue);
  const stored = await hashes.hash(password);
  const store = redisUrl === undefined ? memoryStore() : redisStore(new Redis(redisUrl));
  const attempts = new Lockout({ store });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });
  const tokens = new AccessTokens({ store });

  let atOnce = 0;
  let mostAtOnce = 0;
  const verify = verifyPassword(async ({ identifier, password: given }) => {
    atOnce += 1;
    try {
      const hash = identifier.startsWith('nobody') ? undefined : stored;
      return (await hashes.verify(hash, given)) ? { id: identifier } : null;
    } finally {
      atOnce -= 1;
    }
  });
  // Between turns of the event loop: who finds no place is gone by then.
  setInterval(() => {
    mostAtOnce = Math.max(mostAtOnce, atOnce);
  }, 5);

  // Each client says where it comes from, as a proxy would.
  const app = new Koa<AuthState>({ proxy: true, maxIpsCount: 1 });
  let errors = 0;
  app.on('error', () => (errors += 1));
  app.use(safeBody(bodyParser()));
  const routes: Record<string, Koa.Middleware[]> = {
    'POST /tokens': [
      lockout(attempts),
      verify,
      requireSecondFactor(factors),
      issueToken(tokens),
    ] as Koa.Middleware[],
    'GET /reports': [
      requireToken(tokens) as Koa.Middleware,
      (ctx) => {
        ctx.body = { reports: [] };
      },
    ],
  };
  app.use(async (ctx, next) => {
    const steps = routes[`${ctx.method} ${ctx.path}`] ?? [];
    const run = (index: number): Promise<unknown> =>
      Promise.resolve(steps[index]?.(ctx, () => run(index + 1)) ?? next());
    await run(0);
  });

  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const startedMb = process.memoryUsage.rss() / megabyte;
  const facts = (): FloodFacts => {
    const said = {
      hashMs: tookMs,
      loopP99: loop.percentile(99) / 1e6,
      loopMax: loop.max / 1e6,
      grownMb: process.resourceUsage().maxRSS / 1024 - startedMb,
      mostAtOnce,
      errors,
    };
    loop.reset();
    mostAtOnce = 0;
    return said;
  };
  return { app, facts };
}

/** As many iterations as take that long here, one hash at a time. */
async function hashesOf(
  milliseconds: number,
  queue = 32,
): Promise<{ hashes: PasswordHashes; tookMs: number }> {
  const timed = async (iterations: number) => {
    const hashes = new PasswordHashes({ iterations, concurrency: 2, queue });
    const hash = await hashes.hash(password);
    const start = performance.now();
    await hashes.verify(hash, password);
    await hashes.verify(hash, password);
    return { hashes, tookMs: (performance.now() - start) / 2 };
  };
  const { tookMs } = await timed(4);
  return timed(Math.min(100, Math.max(1, Math.round((4 * milliseconds) / tookMs))));
}

async function main(queue: number): Promise<void> {
  const { app, facts } = await floodedApp({ queue });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.on('message', () => process.send?.(facts()));
  process.on('disconnect', () => process.exit());
  process.send?.((server.address() as AddressInfo).port);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(Number(process.argv[2]));
