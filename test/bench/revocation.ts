/** How soon a process refuses a token that another process revoked, as a client of both sees it on one clock. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Router } from '@koa/router';
import type { Redis } from 'ioredis';
import type Koa from 'koa';
import {
  AccessTokens,
  issueToken,
  passwordVerified,
  requireToken,
  type AccessTokensOptions,
} from 'koa-portcullis';
import type { RedisServer } from '../rig/redis-server.js';
import type { Apps } from './apps.js';
import { closeClients, connectRedis, connectStore, serve } from './harness.js';
import { Connection, requestBytes } from './load.js';
import type { Figure } from './table.js';
import { answer, appOf, bearer } from './token-apps.js';

const tokenCount = 1000;
/** So that tokens are kept, and it is Redis that tells of their end. */
const maxStaleSeconds = 60;
/** A connection that tells of nothing for so long is not relied on. */
const boundSeconds = 1;

const logIn: Koa.Middleware = (ctx, next) => {
  passwordVerified(ctx, { id: randomUUID() });
  return next();
};

function service(redisUrl: string, options: Omit<AccessTokensOptions, 'store'> = {}): Koa {
  const tokens = new AccessTokens({ store: connectStore(redisUrl), ...options });
  const issue = issueToken(tokens, { dangerouslyWithoutLockout: true, dangerouslyWithoutSecondFactor: true });
  const router = new Router();
  router.get('/', requireToken(tokens) as Koa.Middleware, answer);
  router.post('/tokens', logIn, issue as Koa.Middleware);
  router.delete('/tokens/:id', async (ctx) => {
    ctx.body = { revoked: await tokens.revoke(ctx.params['id'] ?? '') };
  });
  return appOf(router.routes() as Koa.Middleware);
}

export const apps = {
  strict: (redisUrl) => ({ app: service(redisUrl) }),
  cached: (redisUrl) => ({ app: service(redisUrl, { cache: { maxStaleSeconds } }) }),
} satisfies Apps;

/** What one client saw of many revocations. */
interface Seen {
  /** First refusal by the other process minus the answer to the revocation; negative when it came first. */
  readonly delaysMs: readonly number[];
  /** Tokens that passed although they were sent later than the bound after that answer. */
  readonly late: number;
  readonly commandsPerCheck: number;
}

export async function revocationBench(redis: RedisServer): Promise<Figure[]> {
  const admin = connectRedis(redis.url);
  try {
    const strict = await observe('strict', redis.url, admin, 0);
    const cached = await observe('cached', redis.url, admin, boundSeconds * 1000);
    return [
      {
        name: 'cached, Redis commands/check once warm',
        value: cached.commandsPerCheck,
        goal: { of: 'value', atMost: 0.1 },
      },
      ...delays('cached', cached, strict),
      {
        name: `cached, tokens let in ${boundSeconds} s after the answer`,
        value: cached.late,
        goal: { of: 'value', atMost: 0 },
      },
      { name: 'strict, Redis commands/check', value: strict.commandsPerCheck },
      {
        name: 'strict, tokens let in after the answer',
        value: strict.late,
        goal: { of: 'value', atMost: 0 },
      },
    ];
  } finally {
    closeClients();
  }
}

/** Beside those of the strict check, which has none of its own: they are what the machine and the client add. */
function delays(name: string, { delaysMs }: Seen, strict: Seen): Figure[] {
  const at = (share: number): Figure => ({
    name: `${name}, refused elsewhere after the answer, p${share * 100} ms`,
    value: quantile(delaysMs, share),
    peer: { name: 'strict', value: quantile(strict.delaysMs, share) },
  });
  return [at(0.5), { ...at(0.99), goal: { of: 'value', atMost: 5 } }];
}

async function observe(
  name: keyof typeof apps,
  redisUrl: string,
  admin: Redis,
  boundMs: number,
): Promise<Seen> {
  const servers = [
    await serve('revocation', name, redisUrl),
    await serve('revocation', name, redisUrl),
  ] as const;
  try {
    const [revoker, other] = servers;
    const [here, there] = [await Connection.open(revoker.port), await Connection.open(other.port)];
    const tokens: Token[] = [];
    while (tokens.length < tokenCount) tokens.push(await issueAt(revoker.port));
    // Twice: whatever a process keeps of a token, it has then kept and used.
    for (const { check } of [...tokens, ...tokens]) await passAt([here, there], check);
    const commandsPerCheck = await commandsOf(admin, () => passAll(there, tokens));

    const delaysMs: number[] = [];
    const late = new Set<Token>();
    for (const token of tokens) {
      const { delayMs, passedLate } = await revokeOne(here, there, token, boundMs);
      delaysMs.push(delayMs);
      if (passedLate) late.add(token);
    }
    await sleep(boundMs);
    for (const token of tokens) {
      const statuses = [await here.send(token.check), await there.send(token.check)];
      if (statuses.includes(200)) late.add(token);
    }
    here.close();
    there.close();
    return { delaysMs, late: late.size, commandsPerCheck };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** Requests of the client of one token. */
interface Token {
  readonly check: Buffer;
  readonly revoke: Buffer;
}

async function issueAt(port: number): Promise<Token> {
  const response = await fetch(`http://127.0.0.1:${port}/tokens`, { method: 'POST' });
  const { access_token: secret, id } = (await response.json()) as { access_token: string; id: string };
  return { check: requestBytes('GET', '/', bearer(secret)), revoke: requestBytes('DELETE', `/tokens/${id}`) };
}

/** Asks the one process without a pause while the other one revokes. */
async function revokeOne(
  here: Connection,
  there: Connection,
  token: Token,
  boundMs: number,
): Promise<{ delayMs: number; passedLate: boolean }> {
  let answeredAt = Infinity;
  let passedLate = false;
  const refused = async (): Promise<number> => {
    for (;;) {
      const sentAt = performance.now();
      const status = await there.send(token.check);
      if (status === 401) return performance.now();
      if (status !== 200) throw new Error(`The check was answered ${status}`);
      passedLate ||= sentAt > answeredAt + boundMs;
      // Not a figure, a failure.
      if (sentAt > answeredAt + 10_000) throw new Error('A revoked token passed for ten seconds');
    }
  };
  const revoked = async (): Promise<void> => {
    const status = await here.send(token.revoke);
    answeredAt = performance.now();
    if (status !== 200) throw new Error(`The revocation was answered ${status}`);
  };
  const [refusedAt] = await Promise.all([refused(), revoked()]);
  return { delayMs: refusedAt - answeredAt, passedLate };
}

async function passAt(connections: readonly Connection[], request: Buffer): Promise<void> {
  for (const connection of connections) {
    const status = await connection.send(request);
    if (status !== 200) throw new Error(`A live token was answered ${status}`);
  }
}

async function passAll(connection: Connection, tokens: readonly Token[]): Promise<number> {
  for (const { check } of tokens) await passAt([connection], check);
  return tokens.length;
}

/** Commands that Redis ran for each operation of `work`. */
async function commandsOf(admin: Redis, work: () => Promise<number>): Promise<number> {
  const ran = async (): Promise<number> =>
    Number(/^total_commands_processed:(\d+)/m.exec(await admin.info('stats'))?.[1]);
  const before = await ran();
  const operations = await work();
  // The first of the two questions counts as well.
  return ((await ran()) - before - 1) / operations;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}
