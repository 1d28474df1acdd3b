import { Agent, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { afterEach, describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  PasswordHashes,
  SecondFactors,
  issueToken,
  lockout,
  memoryStore,
  requireSecondFactor,
  verifyPassword,
  type PasswordVerifier,
} from 'koa-portcullis';
import { generateSync } from 'otplib/functional';
import { added } from './rig/factor-rig.js';

const servers: Server[] = [];
const agents: Agent[] = [];
afterEach(() => {
  for (const agent of agents.splice(0)) agent.destroy();
  for (const server of servers.splice(0)) server.close();
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly ms: number;
}

const hashes = new PasswordHashes({ memoryKiB: 7168, iterations: 1 });
const stored = hashes.hash('Correct horse 1');

const careful: PasswordVerifier = async ({ identifier, password }) => {
  const known = ['alice', 'carol'].includes(identifier);
  return (await hashes.verify(known ? await stored : undefined, password)) ? { id: identifier } : null;
};

function mount(verify: PasswordVerifier = careful) {
  const store = memoryStore();
  // Limits that this test does not reach: what is measured is an answer, not a lock.
  const attempts = new Lockout({
    store,
    limits: [{ failures: 1000, withinSeconds: 60 }],
    addressLimits: false,
  });
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });
  const tokens = new AccessTokens({ store });
  let asked = 0;
  const app = new Koa();
  app.use(bodyParser({ jsonLimit: '2mb' }));
  const chain = [
    lockout(attempts),
    verifyPassword((credentials, ctx) => {
      asked += 1;
      return verify(credentials, ctx);
    }),
    requireSecondFactor(factors),
    issueToken(tokens),
  ];
  for (const step of chain) app.use(step);
  const server = app.listen(0);
  servers.push(server);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  const { port } = server.address() as AddressInfo;

  const logIn = (username: string, password: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({ username, password });
      const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
      const start = performance.now();
      const sent = httpRequest({ port, agent, method: 'POST', path: '/tokens', headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const ms = performance.now() - start;
          const text = Buffer.concat(chunks).toString();
          resolve({ status: answer.statusCode, headers: { ...answer.headers, date: '' }, text, ms });
        });
      });
      sent.on('error', reject).end(body);
    });
  return { factors, logIn, asked: () => asked };
}

function withoutTime({ status, headers, text }: Answer): object {
  return { status, headers, text };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** The 95 % interval of the median, by bootstrap. */
function interval(differences: readonly number[]): readonly [number, number] {
  const medians = Array.from({ length: 2000 }, () =>
    median(differences.map(() => differences[Math.floor(Math.random() * differences.length)] ?? 0)),
  ).toSorted((a, b) => a - b);
  return [medians[50] ?? 0, medians[1949] ?? 0];
}

/** Milliseconds that an unknown name takes longer than a known one, in interleaved pairs of changing order. */
async function measure(rig: ReturnType<typeof mount>, pairs: number): Promise<readonly [number, number]> {
  const differences: number[] = [];
  for (let i = 0; i < 5; i += 1)
    await Promise.all([rig.logIn('alice', 'wrong'), rig.logIn('nobody', 'wrong')]);
  for (let i = 0; i < pairs; i += 1) {
    const names = i % 2 === 0 ? ['alice', 'nobody'] : ['nobody', 'alice'];
    const [first, second] = [
      await rig.logIn(names[0] ?? '', 'wrong'),
      await rig.logIn(names[1] ?? '', 'wrong'),
    ];
    differences.push(i % 2 === 0 ? second.ms - first.ms : first.ms - second.ms);
  }
  return interval(differences);
}

describe('a wrong password', () => {
  it('is answered with the same bytes and headers for a known and an unknown name (TIM-01, I11)', async () => {
    const rig = mount();
    const known = await rig.logIn('alice', 'wrong');
    expect(known.status).toBe(401);
    for (const name of ['nobody', 'ALICE', '__proto__', 'x'.repeat(255), 'ünknown']) {
      expect(withoutTime(await rig.logIn(name, 'wrong'))).toEqual(withoutTime(known));
    }
  });

  it('takes the same time for both: the median differs by under a millisecond (TIM-02)', async () => {
    const rig = mount();
    // Another program on the machine can spoil one measurement, but a leak is in each.
    let low = Number.NEGATIVE_INFINITY;
    let high = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 3 && !(low > -1 && high < 1); attempt += 1) {
      [low, high] = await measure(attempt === 0 ? rig : mount(), 400);
    }
    expect(low).toBeGreaterThan(-1);
    expect(high).toBeLessThan(1);
  }, 90_000);

  it('takes another time where unknown names are not hashed: the measurement would tell', async () => {
    const rig = mount((credentials, ctx) =>
      credentials.identifier === 'alice' ? careful(credentials, ctx) : null,
    );
    const [, high] = await measure(rig, 60);
    expect(high).toBeLessThan(-1);
  });

  it('is answered alike with and without a second factor (TIM-06)', async () => {
    const rig = mount();
    const { secret } = await rig.factors.beginTotp({ id: 'carol' }, { label: 'carol' });
    const counter = Math.floor(Date.now() / 30_000);
    const code = generateSync({ secret, strategy: 'hotp', counter });
    added(await rig.factors.confirmTotp({ id: 'carol' }, code));
    const without = await rig.logIn('alice', 'wrong');
    expect(withoutTime(await rig.logIn('carol', 'wrong'))).toEqual(withoutTime(without));
    // With the right one it shows, by design.
    expect((await rig.logIn('carol', 'Correct horse 1')).text).toContain('second_factor_required');
    expect((await rig.logIn('alice', 'Correct horse 1')).text).toContain('access_token');
  });

  it.each([
    ['over-long', 'a'.repeat(1025)],
    ['of 1 MB', 'a'.repeat(1_000_000)],
    ['ill-formed', 'Aa1\ud800'],
    ['empty', ''],
    ['with a NUL', 'Correct horse 1\0'],
  ])('that is %s is answered alike for both, without a look at it (TIM-07, PWD-08)', async (_, password) => {
    const rig = mount();
    const known = await rig.logIn('alice', password);
    const unknown = await rig.logIn('nobody', password);
    expect(withoutTime(unknown)).toEqual(withoutTime(known));
    expect([400, 401]).toContain(known.status);
    expect(rig.asked()).toBe(0);
  });
});

describe('a locked account', () => {
  it('is answered with the same bytes whether it exists or not (I11)', async () => {
    const rig = mount();
    const last = async (name: string): Promise<object> => {
      let answer = await rig.logIn(name, 'a\0b');
      for (let i = 0; i < 1000; i += 1) answer = await rig.logIn(name, 'a\0b');
      const { 'retry-after': _, ...headers } = answer.headers;
      return { ...withoutTime(answer), headers };
    };
    const known = await last('alice');
    expect(known).toMatchObject({ status: 429 });
    expect(await last('nobody')).toEqual(known);
  });
});
