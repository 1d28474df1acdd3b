import { once } from 'node:events';
import { Agent, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { LoginWatch, memoryStore } from '../src/index.js';
import { newTotpSecret } from '../src/core/totp.js';
import { added } from './rig/factor-rig.js';
import { fakeClock } from './rig/fake-clock.js';
import { codeOf } from './rig/totp-code.js';
import { keepingSink } from './rig/watch-rig.js';
import { rightPassword, watchedApp, watchedDevices, watchedFactors } from './rig/watched-app.js';

/** A person, a program or an office, on devices that keep their cookies. */
interface Client {
  readonly ip: string;
  readonly userAgent: string;
  readonly cookies: Map<string, string>;
}

interface Visit {
  /** Second of the day. */
  readonly at: number;
  readonly client: Client;
  readonly name: string;
  readonly password?: string;
  /** The code of an authenticator, right or wrong, or an emergency code. */
  readonly code?: () => string;
  readonly status?: (status: number) => void;
}

const hour = 3600;
const minute = 60;

/** The same day each time. */
let seed = 20_300_101;
function random(below: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

const clientOf = (ip: string, userAgent = 'Browser/1'): Client => ({ ip, userAgent, cookies: new Map() });

const clock = fakeClock();
const store = memoryStore({ now: clock.now });
const factors = watchedFactors(store, clock.now);
const sink = keepingSink();
const watch = new LoginWatch({ store, sinks: [sink] });
const app = watchedApp({ store, watch, factors, devices: watchedDevices(store) });
const visits: Visit[] = [];
/** The alerts that this day must raise: the kind, and whom or where it is about. */
const labels: (readonly [kind: string, about: string])[] = [];
const statusesOfAlice: number[] = [];
const statusesOfVandal = new Map<number, number>();
const countVandal = (one: number): void =>
  void statusesOfVandal.set(one, (statusesOfVandal.get(one) ?? 0) + 1);

/** Wrong passwords, some seconds apart, and then the right one. */
function logsIn(name: string, client: Client, at: number, mistakes = 0): void {
  for (let i = 0; i < mistakes; i += 1) {
    visits.push({ at: at + 8 * i, client, name, password: `mistyped ${i}` });
  }
  visits.push({ at: at + 8 * mistakes, client, name, password: rightPassword });
}

async function enrol(
  name: string,
): Promise<{ code: () => string; wrong: () => string; codes: readonly string[] }> {
  const secret = newTotpSecret();
  const { backupCodes } = added(await factors.importTotp({ id: name }, { secret }));
  const code = (): string => codeOf(secret, Math.floor(clock.now() / 30_000));
  const wrong = (): string => String((Number(code()) + 123_457) % 1_000_000).padStart(6, '0');
  return { code, wrong, codes: backupCodes ?? [] };
}

function usersAtHome(): void {
  for (let i = 0; i < 300; i += 1) {
    const home = clientOf(`100.${i & 63}.${i >> 6}.9`, `Browser/${i % 7}`);
    for (let time = 3 + random(4); time > 0; time -= 1) {
      logsIn(`user-${i}`, home, 6 * hour + random(17 * hour), random(5) === 0 ? 1 : 0);
    }
  }
}

function officeBehindOneAddress(): void {
  for (let i = 0; i < 40; i += 1) {
    const desk = clientOf('203.0.113.40', `Office/${i % 3}`);
    for (const begin of [9 * hour, 13 * hour]) logsIn(`office-${i}`, desk, begin + i * 45, i % 3);
  }
}

/** One password for many accounts, out of all addresses of one network, in the night and once more in the evening. */
function spraying(): void {
  for (const begin of [3 * hour, 20 * hour]) {
    for (let i = 0; i < 200; i += 1) {
      const client = clientOf(`2001:db8:bad:1:${random(65_536).toString(16)}::${i}`, 'Mozilla/5.0');
      visits.push({ at: begin + i * 10, client, name: `user-${i}`, password: 'Summer 2030!' });
    }
    labels.push(['password_spraying', '2001:db8:bad:1::/64']);
  }
}

/** A list of names and passwords of another service, tried out by 400 machines. */
function stuffing(): void {
  for (let i = 0; i < 1600; i += 1) {
    const client = clientOf(`45.${(i % 400) >> 8}.${(i % 400) & 255}.1`, 'python');
    visits.push({ at: 10 * hour + i * 6, client, name: `nobody-${i}`, password: 'leaked' });
  }
  labels.push(['unknown_names', 'nobody']);
  for (let i = 0; i < 60; i += 1) {
    const client = clientOf(`46.0.${i % 30}.1`, 'python');
    visits.push({ at: 11 * hour + i * 100, client, name: 'victim', password: `leaked ${i}` });
  }
  labels.push(['many_sources', 'victim']);
}

/** Locks alice out for as long as he can. */
function vandal(): void {
  const client = clientOf('198.51.100.66', '<script>alert("\u00E9")</script>');
  for (let at = 8 * hour; at < 20 * hour; at += 20) {
    visits.push({ at, client, name: 'alice', password: 'no', status: countVandal });
  }
  labels.push(['repeated_failures', 'alice']);
  const home = clientOf('100.70.1.1');
  for (const at of [7 * hour, 12 * hour, 16 * hour, 19 * hour]) {
    const status = (one: number): void => void statusesOfAlice.push(one);
    visits.push({ at, client: home, name: 'alice', password: rightPassword, status });
  }
}

async function clumsyUser(): Promise<void> {
  const { code, wrong } = await enrol('clumsy');
  const home = clientOf('100.71.1.1');
  for (const at of [7 * hour, 12 * hour, 18 * hour]) {
    for (let i = 0; i < 4; i += 1) {
      visits.push({ at: at + i * 20, client: home, name: 'clumsy', password: `mistyped ${i}` });
    }
    const right = { client: home, name: 'clumsy', password: rightPassword };
    visits.push({ at: at + 90, ...right }, { at: at + 100, ...right, code: wrong });
    visits.push({ at: at + 130, ...right, code });
  }
}

async function thiefWithoutFactor(): Promise<void> {
  const { code, wrong } = await enrol('alice2');
  const right = { name: 'alice2', password: rightPassword };
  const home = clientOf('100.72.1.1');
  visits.push({ at: 8 * hour, client: home, ...right, code });
  for (let i = 0; i < 4; i += 1) {
    visits.push({ at: 14 * hour + i * 40, client: clientOf('185.1.1.1', 'Stolen/1'), ...right, code: wrong });
  }
  visits.push({ at: 15 * hour, client: home, ...right, code });
  labels.push(['password_known', 'alice2']);
}

function guesser(): void {
  logsIn('carol', clientOf('100.73.1.1'), 9 * hour);
  logsIn('carol', clientOf('185.2.2.2', 'Guess/1'), 15 * hour, 7);
  labels.push(['success_after_failures', 'carol'], ['new_device', 'carol']);
}

async function others(): Promise<void> {
  logsIn('dave', clientOf('100.74.1.1'), 9 * hour);
  logsIn('dave', clientOf('100.74.1.1', 'Laptop/1'), 19 * hour);
  labels.push(['new_device', 'dave']);

  const erin = await enrol('erin');
  const home = clientOf('100.75.1.1');
  const [emergency = ''] = erin.codes;
  const right = { client: home, name: 'erin', password: rightPassword };
  visits.push({ at: 18 * hour, ...right, code: () => emergency });
  labels.push(['backup_code_used', 'erin']);

  const frank = await enrol('frank');
  const frankRight = {
    client: clientOf('100.76.1.1'),
    name: 'frank',
    password: rightPassword,
    code: frank.code,
  };
  visits.push({ at: 17 * hour, ...frankRight }, { at: 17 * hour + 5, ...frankRight });
  labels.push(['totp_replayed', 'frank']);
}

let server: Server;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** One login over HTTP, as the app's proxy hands it on. */
async function visit({ client, name, password, code }: Visit): Promise<number> {
  const body = JSON.stringify({ username: name, password, otp_token: code?.() });
  const sent = request({
    agent,
    port: (server.address() as AddressInfo).port,
    method: 'POST',
    path: '/tokens',
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      'X-Forwarded-For': client.ip,
      'User-Agent': client.userAgent,
      ...(client.cookies.size > 0 && { Cookie: [...client.cookies.values()].join('; ') }),
    },
  });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
  for (const cookie of response.headers['set-cookie'] ?? []) {
    const [pair = ''] = cookie.split(';');
    client.cookies.set(pair.split('=')[0] ?? '', pair);
  }
  response.resume();
  await once(response, 'end');
  return response.statusCode ?? 0;
}

describe('a day of mixed traffic', () => {
  const statuses = new Map<number, number>();

  beforeAll(async () => {
    jest.spyOn(Date, 'now').mockImplementation(clock.now);
    server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    usersAtHome();
    officeBehindOneAddress();
    spraying();
    stuffing();
    vandal();
    await clumsyUser();
    await thiefWithoutFactor();
    guesser();
    await others();
    const midnight = clock.now();
    for (const one of visits.toSorted((first, second) => first.at - second.at)) {
      const now = midnight + one.at * 1000;
      if (clock.now() !== now) await watch.flush();
      clock.set(now);
      const status = await visit(one);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      one.status?.(status);
    }
    await watch.flush();
    clock.advance(10 * minute);
    await watch.flush();
  }, 600_000);
  afterAll(async () => {
    jest.restoreAllMocks();
    agent.destroy();
    server.close();
    await watch.close();
  });

  it('raises exactly the alerts of the list: none missed, none twice, none of the clumsy user or the office', () => {
    const told = sink.alerts.map(({ kind, account, subject, address }) => {
      const about = account ?? subject ?? (kind === 'unknown_names' ? 'nobody' : address);
      return `${kind} ${about}`;
    });
    expect(told.toSorted()).toEqual(labels.map((label) => label.join(' ')).toSorted());
    expect(watch.lost).toEqual({ events: 0, alerts: 0 });
  });

  it('is a busy one, with all sorts of answers', () => {
    expect(visits.length).toBeGreaterThan(5000);
    expect(new Set(statuses.keys())).toEqual(new Set([200, 401, 429]));
    expect(statuses.get(200)).toBeGreaterThan(1000);
  });

  it('lets alice in on her own device all the time, and the vandal nowhere (DOS-02)', () => {
    expect(statusesOfAlice).toEqual([200, 200, 200, 200]);
    expect(statusesOfVandal.size).toBe(2);
    expect(statusesOfVandal.get(401)).toBe(35);
  });

  it('tells what a client called itself in characters that end no line (ALR-06)', () => {
    const alert = sink.alerts.find(({ account }) => account === 'alice');
    expect(alert?.userAgent).toBe('<script>alert("\\u00c3\\u00a9")</script>');
  });
});
