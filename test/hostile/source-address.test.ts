import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bodyParser } from '@koa/bodyparser';
import Koa from 'koa';
import {
  Lockout,
  lockout,
  memoryStore,
  safeBody,
  verifyPassword,
  type AuthEvent,
  type AuthMiddleware,
  type LockoutLimit,
  type LockoutMiddlewareOptions,
} from '../../src/index.js';
import { until } from '../rig/until.js';

interface Setup {
  readonly proxy?: { proxy: boolean; maxIpsCount?: number };
  readonly addressLimits?: readonly LockoutLimit[] | false;
  readonly options?: LockoutMiddlewareOptions;
  readonly parser?: AuthMiddleware;
  /** Listens there, and on no port. */
  readonly socketPath?: string;
}

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const limits = [{ failures: 10, withinSeconds: 60 }];
const ofAddress = [{ failures: 5, withinSeconds: 60 }];

/** A login that listens on IPv6 and IPv4 at once, as `app.listen(port)` does, where `right` is everybody's password. */
async function serve({ proxy, addressLimits = ofAddress, options, parser, socketPath }: Setup = {}) {
  const attempts = new Lockout({ store: memoryStore(), limits, addressLimits });
  const app = new Koa(proxy);
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(safeBody(parser ?? bodyParser()));
  app.use(lockout(attempts, options));
  app.use(verifyPassword((claim) => (claim.password === 'right' ? { id: claim.identifier } : null)));
  app.use((ctx) => {
    ctx.body = 'in';
  });
  const server = socketPath === undefined ? app.listen(0, '::') : app.listen(socketPath);
  await once(server, 'listening');
  const { port = 0 } = server.address() as Partial<AddressInfo>;
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });

  /** One login over a socket of its own, from and to the addresses that are given. */
  async function login(
    username: string,
    password: string,
    {
      from = '127.0.0.1',
      forwarded,
    }: { from?: string; forwarded?: string | readonly string[] | undefined } = {},
  ): Promise<number> {
    const body = JSON.stringify({ username, password });
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        {
          ...(socketPath === undefined ? { port, localAddress: from } : { socketPath }),
          host: from.includes(':') ? '::1' : '127.0.0.1',
          agent: false,
          method: 'POST',
          headers: {
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(body),
            ...(forwarded !== undefined && { 'X-Forwarded-For': [forwarded].flat() }),
          },
        },
        (response) => response.resume().on('end', () => resolve(response.statusCode ?? 0)),
      );
      sent.on('error', reject).end(body);
    });
  }

  const told = (name: AuthEvent['name']): AuthEvent[] => events.filter((event) => event.name === name);
  return { port, attempts, events, errors, login, told };
}

/** What a client may write, or a proxy pass on, where an address should be. */
const oddities: readonly (readonly [what: string, forwarded: string | readonly string[]])[] = [
  ['one address', '192.0.2.1'],
  ['a chain', '192.0.2.1, 192.0.2.2'],
  ['no spaces', '192.0.2.1,192.0.2.2,192.0.2.3'],
  ['spaces and tabs', ' \t 192.0.2.1 \t,  192.0.2.2  '],
  ['a port', '192.0.2.1:4711'],
  ['IPv6', '2001:db8::1'],
  ['IPv6 with a port', '[2001:db8::1]:4711'],
  ['IPv6 with a zone', 'fe80::1%eth0'],
  ['IPv4 in IPv6', '::ffff:192.0.2.1'],
  ['empty entries', ', ,,'],
  ['nothing', ''],
  ['two headers', ['192.0.2.1', '192.0.2.2']],
  ['no address', 'unknown, _hidden, "quoted", localhost'],
  ['a name that objects have', '__proto__'],
  ['10 KB of addresses', Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`).join(',')],
  ['10 KB of commas', ','.repeat(10_000)],
  ['10 KB of one word', '1'.repeat(10_000)],
];

describe('without a proxy', () => {
  it.each(oddities)('X-Forwarded-For of %s moves neither lock nor address (SIP-01)', async (_, forwarded) => {
    const rig = await serve();
    for (let i = 0; i < 5; i += 1) expect(await rig.login(`user ${i}`, 'wrong', { forwarded })).toBe(401);
    expect(await rig.login('bob', 'right', { forwarded })).toBe(429);
    expect(await rig.login('bob', 'right', { from: '127.0.0.2', forwarded })).toBe(200);
    expect(new Set(rig.events.map(({ ip }) => ip))).toEqual(new Set(['127.0.0.1']));
    expect(rig.told('config.weak')).toEqual([]);
    expect(rig.errors).toEqual([]);
  });

  it('another X-Forwarded-For on each of eleven guesses opens no lock (SIP-01)', async () => {
    const rig = await serve({ addressLimits: false });
    const chains = oddities.map(([, forwarded]) => forwarded);
    for (let i = 0; i < 10; i += 1)
      expect(await rig.login('alice', 'wrong', { forwarded: chains[i] })).toBe(401);
    expect(await rig.login('alice', 'right', { forwarded: chains[10] })).toBe(429);
    expect(rig.told('account.locked')).toHaveLength(1);
    expect(new Set(rig.events.map(({ ip }) => ip))).toEqual(new Set(['127.0.0.1']));
  });

  it('each socket address is a source of its own; IPv4 on a socket of IPv6 is IPv4 (SIP-05)', async () => {
    const rig = await serve();
    for (const from of ['127.0.0.1', '127.0.0.2', '::1']) {
      for (let i = 0; i < 5; i += 1) expect(await rig.login(`${from} ${i}`, 'wrong', { from })).toBe(401);
      expect(await rig.login('bob', 'right', { from })).toBe(429);
    }
    expect(await rig.login('bob', 'right', { from: '127.0.0.3' })).toBe(200);
    expect(rig.told('address.locked').map(({ ip }) => ip)).toEqual(['127.0.0.1', '127.0.0.2', '::1']);
  });
});

describe('behind one proxy', () => {
  const proxy = { proxy: true, maxIpsCount: 1 };

  it.each([
    ['one address', '192.0.2.7'],
    ['what the client wrote before it', '10.9.9.9, unknown, , 192.0.2.7'],
    ['10 KB that the client wrote before it', `${'10.9.9.9,'.repeat(1100)} 192.0.2.7`],
    ['spaces', '  10.9.9.9  ,   192.0.2.7  '],
    ['a header of the client and one of the proxy', ['10.9.9.9', '192.0.2.7']],
    ['a port', '192.0.2.7:4711'],
    ['IPv4 in IPv6', '::ffff:192.0.2.7'],
    ['IPv4 in IPv6, in hexadecimal', '::FFFF:c000:0207'],
    ['IPv4 in IPv6 with a port', '[::ffff:192.0.2.7]:4711'],
  ])('%s is the same source (SIP-01, SIP-05)', async (_, forwarded) => {
    const rig = await serve({ proxy });
    for (let i = 0; i < 4; i += 1)
      expect(await rig.login(`user ${i}`, 'wrong', { forwarded: '192.0.2.7' })).toBe(401);
    expect(await rig.login('user 4', 'wrong', { forwarded })).toBe(401);
    expect(await rig.login('bob', 'right', { forwarded: '192.0.2.7' })).toBe(429);
    expect(await rig.login('bob', 'right', { forwarded })).toBe(429);
    expect(await rig.login('bob', 'right', { forwarded: '192.0.2.8' })).toBe(200);
    expect(new Set(rig.events.map(({ ip }) => ip))).toEqual(new Set(['192.0.2.7']));
  });

  it('10,000 addresses of one /64 are one source, as events and limits see it (SIP-04)', async () => {
    const rig = await serve({ proxy });
    for (let i = 0; i < 5; i += 1) {
      const forwarded = `2001:db8:0:7:${(i * 7919).toString(16)}::${i + 1}`;
      expect(await rig.login(`user ${i}`, 'wrong', { forwarded })).toBe(401);
    }
    for (const forwarded of ['2001:DB8:0:7:ffff::1', '[2001:db8:0:7::9]:4711', '2001:db8:0:7::1%eth0'])
      expect(await rig.login('bob', 'right', { forwarded })).toBe(429);
    expect(await rig.login('bob', 'right', { forwarded: '2001:db8:0:8::1' })).toBe(200);
    expect(rig.told('address.locked')).toHaveLength(1);
  });

  it.each(['unknown', '_hidden', '192.0.2', '[192.0.2.7]:1', '192.0.2.7:4711:1', '192.0.2.7:123456', '::g'])(
    'a proxy that writes %j counts nobody, and the operator is told once (SIP-02)',
    async (forwarded) => {
      const rig = await serve({ proxy });
      for (let i = 0; i < 7; i += 1) expect(await rig.login(`user ${i}`, 'wrong', { forwarded })).toBe(401);
      expect(rig.told('config.weak')).toEqual([
        expect.objectContaining({
          ip: '',
          reason: expect.stringContaining('the proxy writes something else'),
        }),
      ]);
      expect(JSON.stringify(rig.events)).not.toContain(forwarded);
      // The limits of the account stand.
      for (let i = 0; i < 10; i += 1) expect(await rig.login('alice', 'wrong', { forwarded })).toBe(401);
      expect(await rig.login('alice', 'right', { forwarded })).toBe(429);
    },
  );
});

describe('behind proxies that nobody counted', () => {
  it.each(oddities)(
    'X-Forwarded-For of %s counts for nobody, and is told once (SIP-02)',
    async (_, forwarded) => {
      const rig = await serve({ proxy: { proxy: true } });
      for (let i = 0; i < 7; i += 1)
        expect(await rig.login(`user ${i}`, 'wrong', { from: '127.0.0.9', forwarded })).toBe(401);
      for (let i = 0; i < 10; i += 1)
        expect(await rig.login('alice', 'wrong', { from: '127.0.0.9', forwarded })).toBe(401);
      expect(await rig.login('alice', 'right', { forwarded: '192.0.2.99' })).toBe(429);
      expect(rig.told('config.weak')).toHaveLength(1);
      expect(rig.told('address.locked')).toEqual([]);
      expect(new Set(rig.events.slice(0, -1).map(({ ip }) => ip))).toEqual(new Set(['127.0.0.9']));
    },
  );
});

it('own logins between guesses give back neither the guesses on the account nor on the address (SIP-06)', async () => {
  const rig = await serve({ addressLimits: [{ failures: 15, withinSeconds: 60 }] });
  for (let i = 0; i < 10; i += 1) {
    expect(await rig.login('alice', 'wrong')).toBe(401);
    expect(await rig.login('mallory', 'right')).toBe(200);
  }
  expect(await rig.login('alice', 'right')).toBe(429);
  expect(await rig.login('alice', 'right', { from: '127.0.0.2' })).toBe(429);
  for (let i = 0; i < 5; i += 1) {
    expect(await rig.login('bob', 'wrong')).toBe(401);
    // The last wrong one has closed the address, for mallory too.
    expect(await rig.login('mallory', 'right')).toBe(i < 4 ? 200 : 429);
  }
  expect(rig.told('address.locked')).toHaveLength(1);
});

async function nameAfterAWhile(name: string): Promise<string> {
  await sleep(30);
  return name;
}

describe('a client that resets its connection behind its guess', () => {
  const guess = Buffer.from(JSON.stringify({ username: 'alice', password: 'wrong' }));
  const large = Buffer.from(
    JSON.stringify({ username: 'alice', password: 'wrong', more: 'x'.repeat(500_000) }),
  );

  it.each<[string, LockoutMiddlewareOptions, Buffer, string]>([
    ['at once', {}, guess, ''],
    ['while its body is unpacked', {}, gzipSync(large), 'Content-Encoding: gzip\r\n'],
    ['while its account is looked up', { subject: nameAfterAWhile }, guess, ''],
  ])('%s guesses from an address, or not at all (SIP-01)', async (_, options, body, more) => {
    let requests = 0;
    const parser = bodyParser();
    const rig = await serve({
      options,
      parser: async (ctx, next) => {
        await parser(ctx, next);
        requests += 1;
      },
    });
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${more}`;
    const sent = Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
    for (let i = 1; i <= 8; i += 1) {
      const socket = connect(rig.port, '127.0.0.1');
      await once(socket, 'connect');
      await new Promise((done) => socket.write(sent, done));
      socket.resetAndDestroy();
      await until(() => requests === i);
    }
    await sleep(60);
    for (const event of rig.events) expect(event).toMatchObject({ ip: '127.0.0.1' });
    const { failures } = await rig.attempts.status('alice');
    // Never more than the address may: what was counted for the account was counted for where it came from.
    expect(failures[0]).toBe(rig.told('login.failed').length);
    expect(failures[0]).toBeLessThanOrEqual(5);
    expect(rig.errors).toEqual([]);
  });
});

it('an app behind a Unix socket serves logins, counts no address and says so once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-socket-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  const rig = await serve({ socketPath: join(folder, 'app.sock') });
  for (let i = 0; i < 7; i += 1) expect(await rig.login(`user ${i}`, 'wrong')).toBe(401);
  expect(await rig.login('bob', 'right')).toBe(200);
  expect(rig.told('config.weak')).toEqual([
    expect.objectContaining({ ip: '', reason: expect.stringContaining('the client has no address') }),
  ]);
});
