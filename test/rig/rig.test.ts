import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { transformFileSync } from '@swc/core';
import { Redis, type RedisOptions } from 'ioredis';
import { fakeClock } from './fake-clock.js';
import { startFaultProxy, type FaultProxy } from './fault-proxy.js';
import { startRedis, type RedisServer } from './redis-server.js';
import { commandWords, valueCutter } from './resp.js';

type ClientOptions = Omit<RedisOptions, 'replyMapping'>;

const impatient: ClientOptions = {
  commandTimeout: 300,
  retryStrategy: () => 20,
  // Its timer outlives a connection that was closed already, and holds up the end of the process.
  disconnectTimeout: 50,
};
const broken = /max retries|Connection is closed|ECONNRESET|ECONNREFUSED/;
const clients: Redis[] = [];
let redis: RedisServer;

function client(url: string, options: ClientOptions = {}): Redis {
  const made = new Redis(url, { ...impatient, ...options });
  made.on('error', () => {});
  clients.push(made);
  return made;
}

/** Resolves when the connection has ended; errors before it are expected. */
function closing(made: Redis): Promise<void> {
  return new Promise((resolve) => {
    made.once('close', resolve);
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Dead, but nobody has asked for its exit code: an init process may be slow or missing in a container. */
function isZombie(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && / Z /.test(readFileSync(stat, 'utf8'));
}

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(() => {
  for (const made of clients.splice(0)) made.disconnect();
});
afterAll(() => redis.stop());

describe('the clock', () => {
  it('moves only when told', () => {
    const { now, advance, set } = fakeClock(1000);
    expect(now()).toBe(1000);
    advance(1.5);
    expect(now()).toBe(2500);
    set(7);
    expect(now()).toBe(7);
  });
});

describe('the server', () => {
  it('answers, without anything on disk', async () => {
    const direct = client(redis.url);
    expect(await direct.set('key', 'value')).toBe('OK');
    expect(await direct.config('GET', 'save')).toEqual(['save', '']);
    expect(await direct.config('GET', 'appendonly')).toEqual(['appendonly', 'no']);
    expect(await direct.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
  });

  it('takes arguments, a password among them', async () => {
    const locked = await startRedis({ args: ['--requirepass', 'open sesame', '--maxmemory', '4mb'] });
    try {
      await expect(client(locked.url).get('key')).rejects.toThrow('NOAUTH');
      const direct = client(locked.url, { password: 'open sesame' });
      expect(await direct.config('GET', 'maxmemory')).toEqual(['maxmemory', String(4 * 1024 * 1024)]);
    } finally {
      await locked.stop();
    }
  });

  it('says why it could not start', async () => {
    await expect(startRedis({ args: ['--no-such-directive', '1'] })).rejects.toThrow('no-such-directive');
  });

  it('has a port of its own each time', async () => {
    const servers = await Promise.all(Array.from({ length: 8 }, () => startRedis()));
    try {
      expect(new Set(servers.map((server) => server.port)).size).toBe(8);
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
    expect(servers.filter((server) => isAlive(server.pid))).toEqual([]);
  });

  it('answers nothing while frozen and everything afterwards', async () => {
    const direct = client(redis.url);
    await direct.set('frozen', '0');
    redis.freeze();
    await expect(direct.incr('frozen')).rejects.toThrow('timed out');
    redis.thaw();
    // The command that timed out was executed all the same.
    expect(await direct.get('frozen')).toBe('1');
  });

  it('stops even when frozen, and twice', async () => {
    const server = await startRedis();
    server.freeze();
    await server.stop();
    await server.stop();
    expect(isAlive(server.pid)).toBe(false);
  });

  it('comes back empty on the same port after a kill', async () => {
    const server = await startRedis();
    try {
      const { port, pid } = server;
      const direct = client(server.url, { maxRetriesPerRequest: 0 });
      await direct.set('key', 'value');
      await server.kill();
      expect(isAlive(pid)).toBe(false);
      await expect(direct.get('key')).rejects.toThrow(broken);
      await server.restart();
      expect(server.port).toBe(port);
      expect(server.pid).not.toBe(pid);
      expect(await client(server.url).get('key')).toBeNull();
    } finally {
      await server.stop();
    }
  });

  it('ends with the process that started it, even by SIGKILL', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'portcullis-rig-'));
    try {
      writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
      for (const name of ['redis-server', 'server-process']) {
        const { code } = transformFileSync(`test/rig/${name}.ts`, {
          jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
          module: { type: 'es6' },
        });
        writeFileSync(join(directory, `${name}.js`), code);
      }
      const script = join(directory, 'start.js');
      writeFileSync(
        script,
        `import { startRedis } from './redis-server.js';
        console.log((await startRedis()).pid);
        await new Promise((r) => setTimeout(r, 60_000));`,
      );
      const parent = spawn(process.execPath, [script], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TMPDIR: directory },
      });
      const [line] = await once(parent.stdout, 'data');
      const pid = Number(String(line));
      expect(isAlive(pid)).toBe(true);
      parent.kill('SIGKILL');
      const isGone = () => !isAlive(pid) || isZombie(pid);
      for (let tries = 0; tries < 200 && !isGone(); tries += 1) await sleep(10);
      expect(isGone()).toBe(true);
    } finally {
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});

describe('the cutter of values', () => {
  const values = [
    '*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n',
    '+OK\r\n',
    '$-1\r\n',
    '%1\r\n+a\r\n*2\r\n:1\r\n_\r\n',
    '>2\r\n+message\r\n$0\r\n\r\n',
    '|1\r\n+ttl\r\n:3\r\n:42\r\n',
    '*0\r\n',
    '=7\r\ntxt:abc\r\n',
    ',1e308\r\n',
  ];

  it.each([1, 2, 3, 7, 1000])('finds the same values in chunks of %i bytes', (size) => {
    const cut = valueCutter();
    const stream = Buffer.from(values.join(''));
    const found: string[] = [];
    for (let from = 0; from < stream.length; from += size) {
      found.push(...cut(stream.subarray(from, from + size)).map(String));
    }
    expect(found).toEqual(values);
  });

  it('reads the words of a command', () => {
    expect(commandWords(Buffer.from('*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$0\r\n\r\n'))).toEqual([
      'SET',
      '\r\n',
      '',
    ]);
    expect(commandWords(Buffer.from('PING hello\r\n'))).toEqual(['PING', 'hello']);
  });
});

describe('the proxy', () => {
  let proxy: FaultProxy;

  beforeEach(async () => {
    await client(redis.url).flushall();
    proxy = await startFaultProxy(redis.port);
  });
  afterEach(() => proxy.close());

  /** Connected and past its set-up. */
  async function ready(options: ClientOptions = {}): Promise<Redis> {
    const made = client(proxy.url, options);
    await made.ping();
    proxy.forget();
    return made;
  }

  it('passes commands, pipelines and large replies, and counts each command', async () => {
    const through = await ready();
    const large = 'x'.repeat(3_000_000);
    await through.pipeline().set('a', large).incr('b').incr('b').exec();
    expect(await through.get('a')).toBe(large);
    expect(await through.multi().incr('b').get('b').exec()).toEqual([
      [null, 3],
      [null, '3'],
    ]);
    expect(proxy.sent('incr')).toBe(3);
    expect(proxy.forwarded('INCR')).toBe(3);
    expect(proxy.sent('GET')).toBe(2);
    expect(proxy.commands.find((command) => command.name === 'INCR')).toEqual({
      name: 'INCR',
      args: ['b'],
      connection: 1,
      isForwarded: true,
    });
  });

  it('passes pushes to a subscriber', async () => {
    const through = await ready();
    const heard = once(through, 'message');
    await through.subscribe('news');
    await client(redis.url).publish('news', 'flash');
    expect(await heard).toEqual(['news', 'flash']);
  });

  it('refuses connections old and new, until it passes again', async () => {
    const through = await ready({ maxRetriesPerRequest: 0 });
    const closed = closing(through);
    proxy.switchTo('refuse');
    await closed;
    await expect(through.incr('n')).rejects.toThrow(broken);
    await expect(client(proxy.url, { maxRetriesPerRequest: 0 }).incr('n')).rejects.toThrow(broken);
    expect(proxy.sent('INCR')).toBe(0);
    proxy.switchTo('pass');
    expect(await client(proxy.url).incr('n')).toBe(1);
  });

  it('swallows commands and connections, and resets them afterwards', async () => {
    const through = await ready();
    proxy.switchTo('blackhole');
    await expect(through.incr('n')).rejects.toThrow('timed out');
    await expect(client(proxy.url).incr('n')).rejects.toThrow('timed out');
    expect(through.status).toBe('ready');
    expect(proxy.sent('INCR')).toBe(1);
    expect(proxy.forwarded('INCR')).toBe(0);
    expect(await client(redis.url).exists('n')).toBe(0);
    const closed = closing(through);
    proxy.switchTo('pass');
    await closed;
    expect(await through.ping()).toBe('PONG');
  });

  it('swallows a reply that is under way', async () => {
    const through = await ready();
    proxy.switchTo({ delayMs: 250 });
    const answered = through.incr('n');
    await sleep(30);
    proxy.switchTo('blackhole');
    await expect(answered).rejects.toThrow('timed out');
    expect(proxy.forwarded('INCR')).toBe(1);
    expect(await client(redis.url).get('n')).toBe('1');
  });

  it('delays replies side by side and in order', async () => {
    const through = await ready({ commandTimeout: 5000 });
    proxy.switchTo({ delayMs: 300 });
    const start = performance.now();
    const slow = [through.incr('n'), through.incr('n')];
    await sleep(50);
    proxy.switchTo('pass');
    expect(await Promise.all([...slow, through.incr('n')])).toEqual([1, 2, 3]);
    const elapsed = performance.now() - start;
    expect(elapsed).toBeGreaterThanOrEqual(295);
    expect(elapsed).toBeLessThan(590);
  });

  it.each([0, 2])(
    'cuts once after %i bytes: the command was executed, the client cannot know',
    async (bytes) => {
      const through = await ready({ maxRetriesPerRequest: 0 });
      proxy.switchTo({ cutAfterBytes: bytes });
      await expect(through.incr('n')).rejects.toThrow(broken);
      expect(proxy.mode).toBe('pass');
      expect(proxy.forwarded('INCR')).toBe(1);
      expect(await client(proxy.url).get('n')).toBe('1');
    },
  );

  it('shows a command that a client sends twice after a cut', async () => {
    const through = await ready({ maxRetriesPerRequest: 1 });
    proxy.switchTo({ cutAfterBytes: 2 });
    expect(await through.incr('n')).toBe(2);
    expect(proxy.sent('INCR')).toBe(2);
    const connections = proxy.commands
      .filter(({ name }) => name === 'INCR')
      .map(({ connection }) => connection);
    expect(connections).toEqual([1, 2]);
  });

  it.each([
    ['a number', ':9\r\n', 9],
    ['nil', '$-1\r\n', null],
    ['null', '_\r\n', null],
    ['an empty array', '*0\r\n', []],
    ['text', '$3\r\nabc\r\n', 'abc'],
  ])('answers with %s in place of the server', async (_what, raw, value) => {
    const through = await ready();
    proxy.switchTo({ swap: Buffer.from(raw) });
    expect(await through.incr('n')).toEqual(value);
    expect(proxy.sent('INCR')).toBe(1);
    expect(proxy.forwarded('INCR')).toBe(0);
    expect(await client(redis.url).exists('n')).toBe(0);
  });

  it('answers with an error to a client that connects meanwhile', async () => {
    proxy.switchTo({ swap: Buffer.from('-OOM command not allowed\r\n') });
    const through = client(proxy.url);
    await expect(through.incr('n')).rejects.toThrow('OOM');
    expect(through.status).toBe('ready');
    expect(proxy.forwarded('HELLO')).toBe(1);
  });

  it('keeps the order of true and swapped answers', async () => {
    const through = await ready();
    proxy.switchTo({ swap: Buffer.from(':9\r\n') });
    expect(
      await through.pipeline().ping('a').incr('n').ping('b').incr('n').incr('n').ping('c').exec(),
    ).toEqual(['a', 9, 'b', 9, 9, 'c'].map((value) => [null, value]));
    const before = through.pipeline().ping('x').exec();
    proxy.switchTo('pass');
    expect(await before).toEqual([[null, 'x']]);
    expect(await through.incr('n')).toBe(1);
  });

  it('takes no push for the reply that a swapped answer waits behind', async () => {
    const socket = connect(proxy.port, '127.0.0.1');
    try {
      let heard = '';
      socket.on('data', (chunk) => {
        heard += String(chunk);
      });
      socket.write('HELLO 3\r\n');
      await once(socket, 'data');
      heard = '';
      redis.freeze();
      socket.write('SUBSCRIBE news\r\nPING\r\n');
      while (proxy.sent('PING') === 0) await sleep(5);
      proxy.switchTo({ swap: Buffer.from(':9\r\n') });
      socket.write('INCR n\r\n');
      while (proxy.sent('INCR') === 0) await sleep(5);
      expect(heard).toBe('');
      redis.thaw();
      while (!heard.includes(':9')) await sleep(5);
      expect(heard).toMatch(/^>3\r\n\$9\r\nsubscribe[^+]*\+PONG\r\n:9\r\n$/);
    } finally {
      redis.thaw();
      socket.destroy();
    }
  });

  it('ends connections when the server dies, and serves its successor', async () => {
    const server = await startRedis();
    const front = await startFaultProxy(server.port);
    try {
      const through = client(front.url, { maxRetriesPerRequest: 0 });
      await through.ping();
      const closed = closing(through);
      await server.kill();
      await closed;
      await expect(through.incr('n')).rejects.toThrow(broken);
      await server.restart();
      expect(await client(front.url).incr('n')).toBe(1);
    } finally {
      await front.close();
      await server.stop();
    }
  });
});
