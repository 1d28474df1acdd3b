import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { Cluster, Redis } from 'ioredis';
import Koa from 'koa';
import request from 'supertest';
import { StoreUnavailable } from '../../src/core/errors.js';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  redisStore,
  type AuthState,
  type RedisStore,
} from '../../src/index.js';
import { slotOf } from '../../src/stores/redis-slot.js';
import { proven, sealingKey } from '../rig/factor-rig.js';
import { mountLogin, password } from '../rig/login-chain.js';
import { startRedisCluster, type RedisCluster } from '../rig/redis-cluster.js';

const hash = (): string => randomBytes(32).toString('hex');
const hashes = (count: number): string[] => Array.from({ length: count }, hash);

let cluster: RedisCluster;
/** Past the store: one for each master, in the order of slots. */
let masters: Redis[];
const ends: (() => unknown)[] = [];
const unhandled: unknown[] = [];
const noteUnhandled = (error: unknown): unknown => unhandled.push(error);

beforeAll(async () => {
  process.on('unhandledRejection', noteUnhandled);
  cluster = await startRedisCluster();
  masters = cluster.shards.map(({ master }) => direct(master.port));
}, 60_000);
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  if (unhandled.length > 0) throw new Error(`Unhandled: ${unhandled.splice(0).join(', ')}`);
});
afterAll(async () => {
  process.off('unhandledRejection', noteUnhandled);
  for (const master of masters) master.disconnect();
  await cluster.stop();
});

function direct(port: number): Redis {
  const client = new Redis(port, { retryStrategy: () => 50, disconnectTimeout: 50 });
  return client.on('error', () => {});
}

/** Settings of an app that fears nothing but errors: none of them may reach the store. */
const careless = {
  enableAutoPipelining: true,
  retryDelayOnFailover: 100,
  retryDelayOnClusterDown: 100,
  retryDelayOnMoved: 300,
  maxRedirections: 100,
  clusterNodeRetryStrategy: () => 100,
  scaleReads: 'slave' as const,
  redisOptions: { disconnectTimeout: 50, autoResendUnfulfilledCommands: true, maxRetriesPerRequest: 20 },
};

/** One process as Redis sees it. */
function open(nodes = cluster.nodes): RedisStore {
  const redis = new Cluster([...nodes], careless);
  const store = redisStore(redis);
  ends.push(() => {
    store.close();
    redis.disconnect();
  });
  return store;
}

const issue = (store: RedisStore, account: string, key: string, startedAt?: number) =>
  store.issueToken({ key, account, lifetimeMs: 60_000, maxPerAccount: 2000, startedAt, record: '{}' });

async function startLogin(store: RedisStore): Promise<number> {
  const limits = [{ failures: 1, withinMs: 1000, lockMs: 1000 }];
  const decision = await store.reserveAttempt([{ key: hash(), limits }]);
  return decision.granted ? decision.time : 0;
}

/** On a busy machine the first connection can take longer than a call waits. */
async function untilConnected(store: RedisStore): Promise<void> {
  while (!(await startLogin(store).catch(() => 0)));
}

/** Tokens that each master has. */
async function tokensHeld(): Promise<number[]> {
  return Promise.all(masters.map(async (one) => (await one.keys('portcullis:token:*')).length));
}

describe('a Cluster of three masters', () => {
  it('has each key in the slot that the store thinks it is in', async () => {
    const ours = hashes(300).map((each) => `portcullis:token:{${each}}`);
    const odd = ['', '123456789', '{}x', '{}{a}', 'a{b}c{d}', 'x{{b}}', '}a{b}', 'a{b', '{é}', 'foo'];
    for (const key of [...ours, ...odd]) {
      expect({ key, slot: slotOf(key) }).toEqual({ key, slot: await masters[0]?.cluster('KEYSLOT', key) });
    }
  });

  it('ends hundreds of tokens of an account at once, on whichever master they are', async () => {
    const store = open();
    await untilConnected(store);
    const [account, other] = [hash(), hash()];
    const keys = hashes(600);
    for (let at = 0; at < keys.length; at += 100) {
      await Promise.all(keys.slice(at, at + 100).map((key) => issue(store, account, key)));
    }
    const foreign = hash();
    await issue(store, other, foreign);
    for (const held of await tokensHeld()) expect(held).toBeGreaterThan(100);
    const [kept = ''] = keys;
    expect(await store.revokeTokens(account, kept)).toBe(599);
    expect((await tokensHeld()).reduce((sum, held) => sum + held)).toBe(2);
    expect((await store.listTokens(account)).map(({ key }) => key)).toEqual([kept]);
    expect(await store.readToken(foreign)).not.toBeNull();
    // Redis counts every error that it has answered.
    for (const master of masters) expect(await master.info('errorstats')).not.toContain('CROSSSLOT');
  });

  it('no token of a login that began before all were revoked outlives the answer, on two processes (RCE-14)', async () => {
    const [one, other] = [open(), open()];
    for (const each of [one, other]) await untilConnected(each);
    for (let round = 0; round < 15; round += 1) {
      const account = hash();
      await Promise.all(hashes(60).map((key) => issue(one, account, key)));
      const startedAt = await startLogin(one);
      const keys = hashes(120);
      const issued: Promise<unknown>[] = [];
      const start = (from: number, to: number): void => {
        for (const [index, key] of keys.slice(from, to).entries()) {
          issued.push(issue(index % 2 === 0 ? one : other, account, key, startedAt));
        }
      };
      start(0, 60);
      await sleep(round % 4);
      const revoked = other.revokeTokens(account);
      start(60, 120);
      await revoked;
      await Promise.all(issued);
      expect(await Promise.all(keys.map((key) => one.readToken(key)))).toEqual(Array(120).fill(null));
      expect(await other.listTokens(account)).toEqual([]);
    }
  });

  it('is found whole from one of its nodes, and again when it has closed all connections (RED-21)', async () => {
    const store = open(cluster.nodes.slice(0, 1));
    await untilConnected(store);
    const keys = hashes(60);
    const readAll = (): Promise<unknown> => Promise.all(keys.map((key) => store.readToken(key)));
    expect(await readAll()).toEqual(Array(60).fill(null));
    for (let round = 0; round < 4; round += 1) {
      const closed = round === 0 ? masters : masters.slice(round - 1, round);
      for (const master of closed) await master.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await sleep(50);
      expect(await readAll()).toEqual(Array(60).fill(null));
    }
  });

  it('counts each attempt once, though connections are closed under it (RED-19)', async () => {
    const store = open();
    await untilConnected(store);
    const limits = [{ failures: 9, withinMs: 60_000, lockMs: 60_000 }];
    let lost = 0;
    for (let round = 0; round < 20; round += 1) {
      const subjects = hashes(60).map((key) => ({ key, limits }));
      const decisions = subjects.map((subject) => store.reserveAttempt([subject]).catch(() => undefined));
      for (const master of masters) void master.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      for (const [index, decision] of (await Promise.all(decisions)).entries()) {
        const key = `portcullis:lockout:{${subjects[index]?.key}}`;
        const bytes = await masters[Math.floor((slotOf(key) * masters.length) / 16_384)]?.strlen(key);
        if (decision === undefined) lost += 1;
        // Four bytes an attempt.
        expect(decision === undefined ? [0, 4] : [4]).toContain(bytes);
      }
    }
    expect(lost).toBeGreaterThan(0);
  });

  it('counts each attempt once while the slot of the account moves to another master', async () => {
    const store = open();
    await untilConnected(store);
    const [source, target] = masters;
    const [from, to] = cluster.shards.map(({ master }) => master);
    let account = hash();
    while (slotOf(`{${account}}`) >= 5000) account = hash();
    const slot = slotOf(`{${account}}`);
    const subject = { key: account, limits: [{ failures: 9, withinMs: 60_000, lockMs: 60_000 }] };
    const attempt = async (): Promise<void> => {
      expect(await store.reserveAttempt([subject])).toMatchObject({ granted: true });
    };
    const setSlot = (on: Redis | undefined, ...how: string[]): unknown =>
      on?.call('CLUSTER', 'SETSLOT', slot, ...how);
    const ids = await Promise.all([source, target].map(async (one) => one?.cluster('MYID')));
    await attempt();
    await issue(store, account, hash());

    await setSlot(target, 'IMPORTING', String(ids[0]));
    await setSlot(source, 'MIGRATING', String(ids[1]));
    await attempt();
    // Two keys, of which one is here and the other nowhere: TRYAGAIN until the move is over.
    const start = performance.now();
    await expect(store.revokeTokens(account)).rejects.toBeInstanceOf(StoreUnavailable);
    expect(performance.now() - start).toBeLessThan(1500);
    const keys = (await source?.call('CLUSTER', 'GETKEYSINSLOT', slot, 10)) as string[];
    expect(keys).toHaveLength(2);
    await source?.call('MIGRATE', '127.0.0.1', to?.port ?? 0, '', 0, 1000, 'KEYS', ...keys);
    await attempt();
    for (const master of masters) await setSlot(master, 'NODE', String(ids[1]));
    await attempt();
    expect((await store.readAttempts(subject)).counts).toEqual([4]);
    expect(await store.revokeTokens(account)).toBe(1);
    expect(from?.port).not.toBe(to?.port);
  });
});

/** What a request came to, in one word, and how long it took. */
interface Noted {
  readonly what: string;
  readonly tookMs: number;
}

/** Asks again and again until told to stop, or until the test is over. */
function watch(request: () => Promise<string>, everyMs: number): () => Promise<Noted[]> {
  const noted: Noted[] = [];
  const over = new AbortController();
  const done = (async () => {
    while (!over.signal.aborted) {
      const start = performance.now();
      const what = await request().catch((error: unknown) =>
        error instanceof StoreUnavailable ? 'unavailable' : String(error),
      );
      noted.push({ what, tookMs: performance.now() - start });
      await sleep(everyMs);
    }
  })();
  const stop = async (): Promise<Noted[]> => {
    over.abort();
    await done;
    return noted;
  };
  ends.push(stop);
  return stop;
}

/** A whole login, as the README has it. */
function serve(store: RedisStore) {
  const errors: string[] = [];
  const attempts = new Lockout({ store, addressLimits: false });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [sealingKey] });
  const tokens = new AccessTokens({ store });
  const router = new Router<AuthState>();
  mountLogin(router, { attempts, factors, tokens });
  const app = new Koa().use(bodyParser()).use(router.routes());
  app.on('error', (error: unknown) => errors.push(String(error)));
  const agent = request(app.callback());
  const login = async (username: string, typed: string): Promise<number> =>
    (await agent.post('/tokens').send({ username, password: typed })).status;
  return { attempts, tokens, login, errors };
}

const wordsOf = (noted: readonly Noted[]): string[] => [...new Set(noted.map(({ what }) => what))].toSorted();

describe.each([
  ['is killed', 0],
  ['falls silent', 1],
] as const)('when a master %s', (how, shard) => {
  it('others serve or refuse, nothing is let through wrongly or late, and all is served without a restart', async () => {
    const store = open();
    await untilConnected(store);
    const { attempts, tokens, login, errors } = serve(store);
    const secretOf = async (id: string): Promise<string> => {
      const proof = proven({ id });
      proof.passFactor();
      return (await tokens.issue(proof))?.secret ?? '';
    };
    const live = await Promise.all(hashes(30).map(secretOf));
    const dead = await Promise.all(hashes(30).map(secretOf));
    for (const secret of dead) await tokens.revoke((await tokens.check(secret))?.token.id ?? '');
    // A replica of each master has all of it.
    for (const replica of masters.slice(shard)) await replica.wait(1, 5000);

    const check = async (secret: string): Promise<string> =>
      (await tokens.check(secret)) === null ? 'unknown' : 'accepted';
    const watches = {
      live: live.map((secret) => watch(() => check(secret), 20)),
      dead: dead.map((secret) => watch(() => check(secret), 20)),
    };
    const guessed: string[] = [];
    const logins = [
      watch(async () => String(await login(hash(), password)), 10),
      watch(async () => {
        guessed.push(hash());
        return String(await login(guessed.at(-1) ?? '', 'wrong'));
      }, 10),
    ];

    const old = cluster.shards[shard]?.master;
    await sleep(200);
    if (how === 'falls silent') await cluster.silenceMaster(shard);
    else await cluster.killMaster(shard);
    const start = performance.now();
    const isAccepted = async (secret: string): Promise<boolean> =>
      (await check(secret).catch(() => '')) === 'accepted';
    const isInTime = (): boolean => performance.now() - start < 5000;
    for (const secret of live) while (!(await isAccepted(secret)) && isInTime()) await sleep(5);
    expect(isInTime()).toBe(true);

    const afterwards = hashes(60);
    const account = { id: hash() };
    for (const id of afterwards) {
      expect(await login(id, password)).toBe(200);
      const secret = await secretOf(id);
      const found = await tokens.check(secret);
      expect(found?.account).toEqual({ id });
      expect(await tokens.revoke(found?.token.id ?? '')).toBe(true);
      expect(await tokens.check(secret)).toBeNull();
      await secretOf(account.id);
      expect(await tokens.revokeAll({ id })).toBe(1);
    }
    expect(await tokens.revokeAll(account)).toBe(60);
    if (how === 'falls silent') {
      // It still has all tokens that were ended since, and does not know yet that it has a successor.
      old?.thaw();
      await sleep(500);
    }

    const noted = {
      live: (await Promise.all(watches.live.map((end) => end()))).flat(),
      dead: (await Promise.all(watches.dead.map((end) => end()))).flat(),
      logins: (await Promise.all(logins.map((end) => end()))).flat(),
    };
    expect(wordsOf(noted.live)).toEqual(['accepted', 'unavailable']);
    expect(wordsOf(noted.dead)).toEqual(['unavailable', 'unknown']);
    expect(wordsOf(noted.logins)).toEqual(['200', '401', '503']);
    for (const { what, tookMs } of Object.values(noted).flat()) {
      expect({ what, isInTime: tookMs < 3000 }).toEqual({ what, isInTime: true });
    }
    expect(errors).toEqual([]);
    for (const id of guessed) {
      expect((await attempts.status(id)).failures[0]).toBeLessThanOrEqual(1);
    }
  }, 60_000);
});
