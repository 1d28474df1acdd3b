import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { StoreUnavailable } from '../../src/core/errors.js';
import { RedisConnection } from '../../src/stores/redis-connection.js';
import { RedisTokenWatch } from '../../src/stores/redis-token-watch.js';
import { redisStore, type RedisStore } from '../../src/stores/redis.js';
import { proven } from '../rig/factor-rig.js';
import { startFaultProxy, type FaultProxy } from '../rig/fault-proxy.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { until } from '../rig/until.js';

let server: RedisServer;
let proxy: FaultProxy;
let direct: Redis;
const opened: { client: Redis; store: RedisStore }[] = [];

beforeAll(async () => {
  server = await startRedis();
  proxy = await startFaultProxy(server.port);
  direct = new Redis(server.url);
});
afterEach(async () => {
  proxy.switchTo('pass');
  for (const { client, store } of opened.splice(0)) {
    store.close();
    client.disconnect();
  }
  await direct.flushall();
});
afterAll(async () => {
  direct.disconnect();
  await proxy.close();
  await server.stop();
});

function open(url: string, keyPrefix = ''): RedisStore {
  const client = new Redis(url, { keyPrefix });
  client.on('error', () => {});
  const store = redisStore(client);
  opened.push({ client, store });
  return store;
}

/** One process that keeps tokens, behind the proxy, and one beside it that issues and revokes. */
async function twoProcesses(cache: { maxStaleSeconds?: number; maxTokens?: number } = {}) {
  const keeping = new AccessTokens({ store: open(proxy.url), cache });
  const other = new AccessTokens({ store: open(server.url) });
  async function issue(id = 'alice'): Promise<{ secret: string; id: string }> {
    const login = proven({ id });
    login.passFactor();
    const issued = await other.issue(login);
    if (issued === null) throw new Error('no token');
    return { secret: issued.secret, id: issued.facts.token.id };
  }
  /** A token that is kept: asked for until it is. */
  async function issueKept(id?: string): Promise<{ secret: string; id: string }> {
    const token = await issue(id);
    await until(async () => {
      await keeping.check(token.secret).catch(() => null);
      return keeping.recall(token.secret) !== undefined;
    });
    return token;
  }
  return { keeping, other, issue, issueKept };
}

/** Connections that Redis tells of changes. */
async function listening(): Promise<number> {
  const clients = String(await direct.client('LIST'));
  return clients.split('\n').filter((line) => line.includes(' sub=1 ')).length;
}

describe('the watch', () => {
  it('vouches for nothing while no master is known', async () => {
    const vouched: number[] = [];
    const watcher = { changed() {}, lost() {}, vouch: (untilMs: number) => void vouched.push(untilMs) };
    const client = new Redis(server.url);
    const connection = new RedisConnection(client, 'portcullis');
    let masters = connection.masters();
    const watch = new RedisTokenWatch(Object.assign(connection, { masters: () => masters }), watcher, 200);
    await until(() => vouched.length > 0);
    masters = [];
    await sleep(200);
    vouched.splice(0);
    await sleep(200);
    expect(vouched).toEqual([]);
    expect(watch.maxStaleMs).toBe(200);
    connection.close();
    client.disconnect();
  });
});

describe('tokens that a process keeps', () => {
  it('ask Redis once, and then not until they are as old as allowed', async () => {
    const { keeping, issueKept } = await twoProcesses({ maxStaleSeconds: 60 });
    const { secret } = await issueKept();
    proxy.forget();
    for (let i = 0; i < 1000; i += 1) {
      expect((await keeping.check(secret))?.account).toEqual({ id: 'alice' });
    }
    expect(proxy.sent('MGET')).toBe(0);
  });

  it('are gone in another process once their revocation was told: 300 of them, most within milliseconds', async () => {
    const { keeping, other, issueKept } = await twoProcesses();
    const late: number[] = [];
    for (let i = 0; i < 300; i += 1) {
      const token = await issueKept();
      await other.revoke(token.id);
      const answered = performance.now();
      await until(() => keeping.recall(token.secret) === undefined, 1000);
      late.push(performance.now() - answered);
      expect(await keeping.check(token.secret)).toBeNull();
    }
    expect(late.toSorted((a, b) => a - b)[150]).toBeLessThan(100);
  }, 60_000);

  it('are told of where the client puts a prefix of its own before each key', async () => {
    const [keeping, other] = [
      new AccessTokens({ store: open(server.url, 'app:'), cache: {} }),
      new AccessTokens({ store: open(server.url, 'app:') }),
    ];
    const login = proven();
    login.passFactor();
    const { secret = '', facts } = (await other.issue(login)) ?? {};
    await until(async () => (await keeping.check(secret)) !== null && keeping.recall(secret) !== undefined);
    await other.revoke(facts?.token.id ?? '');
    await until(() => keeping.recall(secret) === undefined, 900);
    expect(await keeping.check(secret)).toBeNull();
  });

  it('are gone with all of their account, and those of others are not (TOK-12)', async () => {
    const { keeping, other, issueKept } = await twoProcesses();
    const alices = [await issueKept(), await issueKept()];
    const bobs = await issueKept('bob');
    await other.revokeAll({ id: 'alice' });
    await until(() => alices.every(({ secret }) => keeping.recall(secret) === undefined), 1000);
    expect(keeping.recall(bobs.secret)?.account.id).toBe('bob');
  });

  it('are gone when everything is flushed', async () => {
    const { keeping, issueKept } = await twoProcesses();
    const { secret } = await issueKept();
    await direct.flushall();
    await until(() => keeping.recall(secret) === undefined, 1000);
    expect(await keeping.check(secret)).toBeNull();
  });

  it('end when they expire, whether or not Redis has noticed (TOK-02)', async () => {
    const { keeping, other } = await twoProcesses();
    const login = proven();
    login.passFactor();
    const issued = await other.issue(login, { lifetimeSeconds: 1 });
    const { secret = '', facts } = issued ?? {};
    await until(async () => {
      await keeping.check(secret);
      return keeping.recall(secret) !== undefined;
    }, 900);
    await until(() => keeping.recall(secret) === undefined, 2000);
    expect(Date.now()).toBeLessThanOrEqual((facts?.token.expiresAt ?? 0) + 50);
    // Here it ends a little early rather than late; then Redis decides.
    await until(async () => (await keeping.check(secret)) === null, 1000);
  });

  it.each([
    ['its connections are cut', 'refuse'],
    ['its connections are silent', 'blackhole'],
  ] as const)(
    'pass no longer than maxStaleSeconds after a revocation while %s',
    async (_, mode) => {
      const { keeping, other, issueKept } = await twoProcesses({ maxStaleSeconds: 1 });
      const tokens = await Promise.all(Array.from({ length: 50 }, () => issueKept()));
      proxy.switchTo(mode);
      await Promise.all(tokens.map(({ id }) => other.revoke(id)));
      const answered = performance.now();
      await sleep(Math.max(0, 1000 - (performance.now() - answered)));
      for (const { secret } of tokens) expect(keeping.recall(secret)).toBeUndefined();
      // What cannot be asked is refused, not let through.
      await expect(keeping.check(tokens[0]?.secret ?? '')).rejects.toThrow(StoreUnavailable);
      proxy.switchTo('pass');
      await until(async () => (await keeping.check(tokens[0]?.secret ?? '').catch(() => undefined)) === null);
      const next = await issueKept();
      expect(keeping.recall(next.secret)?.account.id).toBe('alice');
    },
    30_000,
  );

  it('are never stale while connections are killed at random', async () => {
    const { keeping, other, issue, issueKept } = await twoProcesses();
    for (let i = 0; i < 60; i += 1) {
      const token = await issueKept();
      if (i % 3 === 0) void direct.call('CLIENT', 'KILL', 'TYPE', i % 2 === 0 ? 'pubsub' : 'normal');
      await until(() =>
        other.revoke(token.id).then(
          () => true,
          () => false,
        ),
      );
      const answered = performance.now();
      await until(() => keeping.recall(token.secret) === undefined, 1000);
      expect(performance.now() - answered).toBeLessThan(1000);
    }
    await until(async () => {
      const { secret } = await issue();
      await keeping.check(secret);
      return keeping.recall(secret) !== undefined;
    });
  }, 60_000);

  it('pass no longer than maxStaleSeconds where changes are heard of another server than the one that is asked', async () => {
    const [asked, heard] = await Promise.all([startRedis(), startRedis()]);
    // One address for two servers: the first connection, which asks, comes to one of them, the next, which listens, to the other.
    let connections = 0;
    const fork = createServer((near) => {
      const far = connect(connections === 0 ? asked.port : heard.port, '127.0.0.1');
      connections += 1;
      near.pipe(far).pipe(near);
      for (const end of [near, far])
        end.on('error', () => {}).on('close', () => void (near.destroy(), far.destroy()));
    }).listen(0, '127.0.0.1');
    await once(fork, 'listening');
    const client = new Redis((fork.address() as AddressInfo).port, { lazyConnect: true });
    const store = redisStore(client);
    try {
      await until(() => connections === 1);
      const keeping = new AccessTokens({ store, cache: {} });
      const other = new AccessTokens({ store: open(asked.url) });
      const login = proven();
      login.passFactor();
      const { secret = '', facts } = (await other.issue(login)) ?? {};
      await until(async () => {
        await keeping.check(secret).catch(() => null);
        return keeping.recall(secret) !== undefined;
      });
      expect(connections).toBeGreaterThan(1);
      await other.revoke(facts?.token.id ?? '');
      await sleep(1000);
      expect(keeping.recall(secret)).toBeUndefined();
      expect(await keeping.check(secret)).toBeNull();
    } finally {
      store.close();
      client.disconnect();
      fork.close();
      await Promise.all([asked.stop(), heard.stop()]);
    }
  });

  it('are kept also where the store was ready long before', async () => {
    const store = open(server.url);
    await store.readSession('a'.repeat(64));
    await sleep(100);
    const keeping = new AccessTokens({ store, cache: {} });
    const login = proven();
    login.passFactor();
    const { secret = '' } = (await keeping.issue(login)) ?? {};
    await until(async () => (await keeping.check(secret)) !== null && keeping.recall(secret) !== undefined);
    expect(keeping.recall(secret)?.account.id).toBe('alice');
  });

  it('leave no connection where the store is closed while it connects', async () => {
    for (let round = 0; round < 60; round += 1) {
      const client = new Redis(server.url);
      const store = redisStore(client);
      store.watchTokens?.({ changed() {}, lost() {}, vouch() {} }, 1000);
      await sleep(round % 12);
      store.close();
      client.disconnect();
    }
    await until(async () => (await listening()) === 0);
    await sleep(300);
    expect(await listening()).toBe(0);
  });

  it('are told of by no connection that outlives the client of the app', async () => {
    const client = new Redis(server.url);
    const store = redisStore(client);
    const keeping = new AccessTokens({ store, cache: {} });
    await until(async () => (await listening()) === 1);
    expect(keeping.recall('')).toBeUndefined();
    await client.quit();
    await until(async () => (await listening()) === 0);
  });

  it('are none where Redis does not allow to be told: every request asks', async () => {
    await direct.call('ACL', 'SETUSER', 'plain', 'on', '>secret', '~*', '&*', '+@all', '-client|tracking');
    const { keeping, issue } = await twoProcesses();
    const plain = new AccessTokens({
      store: open(server.url.replace('redis://', 'redis://plain:secret@')),
      cache: {},
    });
    const { secret } = await issue();
    await sleep(300);
    for (let i = 0; i < 3; i += 1) expect((await plain.check(secret))?.account.id).toBe('alice');
    expect(plain.recall(secret)).toBeUndefined();
    expect(keeping.recall('')).toBeUndefined();
  });
});
