import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { StoreUnavailable } from '../../src/core/errors.js';
import type { LogEntry, LostEntries, NewLogEntry } from '../../src/core/log-entry.js';
import type { LogStore, StoredEntry } from '../../src/core/log-store.js';
import { LoginLog } from '../../src/core/login-log.js';
import type { LoginLogOptions } from '../../src/core/login-log-options.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { until } from '../rig/until.js';

const day = 86_400;
const start = Date.UTC(2030, 0, 1);
const key = randomBytes(32);

const request = { time: start, ip: '192.0.2.1', requestId: 'r-1', userAgent: 'curl/8' };

function failed(account: string, more: object = {}): AuthEvent {
  return { name: 'login.failed', account, subject: 'f00', reason: 'wrong password', ...request, ...more };
}

/** A log on a store whose faults can be switched on; `appended` holds the sizes of its batches. */
function rig(options: Partial<LoginLogOptions> = {}) {
  const clock = fakeClock(start);
  const real = memoryStore({ now: clock.now });
  const appended: number[] = [];
  let fault: ((write: () => Promise<unknown>) => Promise<unknown>) | undefined;
  const store: LogStore = {
    ...real,
    async appendLog(batch) {
      const write = async () => {
        appended.push(batch.entries.length);
        return real.appendLog(batch);
      };
      return (fault === undefined ? write() : fault(write)) as ReturnType<LogStore['appendLog']>;
    },
  };
  const log = new LoginLog({ store, now: clock.now, ...options });
  const breakBy = (how: typeof fault): void => {
    fault = how;
  };
  const all = async (): Promise<LogEntry[]> => {
    const { entries } = await log.query({ limit: 200 });
    return [...entries].toSorted((a, b) => a.position - b.position);
  };
  return { clock, store, real, log, appended, breakBy, all };
}

const down = (): Promise<never> => Promise.reject(new Error('ECONNREFUSED'));
const accountsOf = (entries: readonly LogEntry[]) => entries.map(({ account }) => account);

describe('a login log keeps', () => {
  it('what an event says of who, how and from where', async () => {
    const { log, clock } = rig({ organisation: (account) => (account === 'alice' ? 'acme' : null) });
    clock.advance(5);
    log.record(failed('alice'));
    log.record({
      name: 'login.succeeded',
      account: 'bob',
      subject: 'b0b',
      methods: ['pwd', 'otp'],
      token: 't1',
      ...request,
      time: start + 1,
    });
    log.record({
      name: 'factors.reset',
      account: 'bob',
      actor: 'alice',
      count: 2,
      ...request,
      time: start + 2,
    });
    log.record({ name: 'account.locked', subject: 'x', retryAfterSeconds: 60, ...request, time: start + 3 });
    await log.flush();
    const { entries, next } = await log.query();
    const common = {
      writtenAt: start + 5000,
      account: null,
      subject: null,
      actor: null,
      organisation: null,
      methods: [],
      ip: '192.0.2.1',
      userAgent: 'curl/8',
      requestId: 'r-1',
      reason: null,
      retryAfterSeconds: null,
      details: {},
    };
    expect({ entries, next }).toEqual({
      entries: [
        {
          ...common,
          position: 4,
          time: start + 3,
          name: 'account.locked',
          outcome: 'locked',
          subject: 'x',
          retryAfterSeconds: 60,
        },
        {
          ...common,
          position: 3,
          time: start + 2,
          name: 'factors.reset',
          outcome: 'changed',
          account: 'bob',
          actor: 'alice',
          details: { count: 2 },
        },
        {
          ...common,
          position: 2,
          time: start + 1,
          name: 'login.succeeded',
          outcome: 'succeeded',
          account: 'bob',
          subject: 'b0b',
          methods: ['pwd', 'otp'],
          details: { token: 't1' },
        },
        {
          ...common,
          position: 1,
          time: start,
          name: 'login.failed',
          outcome: 'failed',
          account: 'alice',
          subject: 'f00',
          organisation: 'acme',
          reason: 'wrong password',
        },
      ],
      next: null,
    });
  });

  it('nothing that is about the service alone, and nothing that is no event', async () => {
    const { log, all } = rig();
    log.record({ name: 'store.failed', reason: 'no answer in time', ...request });
    log.record({ name: 'config.weak', reason: 'proxy', ...request });
    for (const odd of [undefined, null, 'login.failed', {}, { name: 'constructor' }, { name: 1 }, []]) {
      log.record(odd as never);
    }
    const reason = 'x\r\n\u001B[2J'.padEnd(1000, 'y');
    log.record({
      name: 'login.failed',
      reason,
      time: Number.NaN,
      methods: [1, Object.create(null), 'otp'],
      account: 1,
      left: -1,
    } as never);
    await log.flush();
    const entries = await all();
    expect(entries).toMatchObject([
      {
        name: 'login.failed',
        time: start,
        account: null,
        methods: ['otp'],
        details: {},
        ip: null,
        reason: 'x\\u000d\\u000a\\u001b[2J'.padEnd(256, 'y'),
      },
    ]);
  });

  it('which device, token or factor an event is about', async () => {
    const { log, all } = rig();
    const account = 'alice';
    log.record({ name: 'device.revoked', account, device: 'd1', ...request });
    log.record({ name: 'token.revoked', account, token: 't1', ...request });
    log.record({ name: 'factor.removed', account, factor: 'totp', ...request });
    log.record({ name: 'login.succeeded', account, methods: [], token: 't2', device: 'new', ...request });
    await log.flush();
    expect((await all()).map(({ details }) => details)).toEqual([
      { device: 'd1' },
      { token: 't1' },
      { factor: 'totp' },
      { token: 't2', device: 'new' },
    ]);
  });

  it('many events in few calls, and no request waits for them', async () => {
    const { log, appended, all } = rig();
    for (let i = 0; i < 150; i += 1) log.record(failed(`u${i}`));
    expect(appended).toEqual([]);
    await log.flush();
    expect(appended).toEqual([100, 50]);
    expect(accountsOf(await all())).toEqual(Array.from({ length: 150 }, (_, i) => `u${i}`));
    await log.flush();
  });

  it('what the app appends, before it is answered, with the time and the organisation where none is given', async () => {
    const { log, clock, all } = rig({ organisation: async () => 'acme' });
    clock.advance(1);
    await log.append({ name: 'account.unlocked', outcome: 'changed', account: 'alice', actor: 'é漢' });
    await log.append({
      name: 'a.b',
      outcome: 'noticed',
      account: 'alice',
      organisation: null,
      time: 7,
      reason: 'x\r\n\u001B[2J'.padEnd(1000, 'y'),
      details: { ticket: 'T-1', tries: 3 },
    });
    expect(await all()).toMatchObject([
      { name: 'account.unlocked', time: start + 1000, organisation: 'acme', actor: 'é漢', methods: [] },
      {
        name: 'a.b',
        time: 7,
        organisation: null,
        reason: 'x\\u000d\\u000a\\u001b[2J'.padEnd(256, 'y'),
        details: { ticket: 'T-1', tries: 3 },
      },
    ]);
  });

  it.each<[string, object]>([
    ['no outcome', { name: 'a.b' }],
    ['an outcome that does not exist', { name: 'a.b', outcome: 'won' }],
    ['a name of one word', { name: 'unlocked', outcome: 'changed' }],
    ['a name with a line end', { name: 'a.b\n', outcome: 'changed' }],
    ['an unknown field', { name: 'a.b', outcome: 'changed', password: 'x' }],
    ['an account that is none', { name: 'a.b', outcome: 'changed', account: '' }],
    ['an address with a line end', { name: 'a.b', outcome: 'changed', ip: '::1\n' }],
    ['methods of another kind', { name: 'a.b', outcome: 'changed', methods: ['p w'] }],
    ['details of another kind', { name: 'a.b', outcome: 'changed', details: { a: {} } }],
    ['details that are negative', { name: 'a.b', outcome: 'changed', details: { a: -1 } }],
    ['a time that is none', { name: 'a.b', outcome: 'changed', time: 8_640_000_000_000_001 }],
  ])('no entry with %s', async (_what, entry) => {
    const { log, appended } = rig();
    await expect(log.append(entry as NewLogEntry)).rejects.toThrow(/LoginLog\.append/);
    expect(appended).toEqual([]);
  });

  it('what hundreds append at once, each behind the other, and all of them without an answer are refused', async () => {
    const { log, all, breakBy, appended } = rig({ chain: { key } });
    const names = Array.from({ length: 300 }, (_, i) => `u${i}`);
    const append = (account: string) => log.append({ name: 'a.b', outcome: 'changed', account });
    await Promise.all(names.slice(0, 150).map(append));
    expect(accountsOf(await all())).toEqual(names.slice(0, 150));
    expect(appended.length).toBeLessThan(5);
    breakBy(down);
    const refused = await Promise.allSettled(names.slice(150).map(append));
    expect(refused.map(({ status }) => status)).toEqual(names.slice(150).map(() => 'rejected'));
    breakBy(undefined);
    await append('last');
    expect(await log.verify()).toMatchObject({ ok: true, entries: 151 });
  });

  it('an entry for a year, and no longer', async () => {
    const { log, clock, all } = rig();
    log.record(failed('alice'));
    await log.flush();
    clock.advance(365 * day - 1);
    expect(await all()).toHaveLength(1);
    clock.advance(1);
    expect(await all()).toEqual([]);
  });
});

describe('the organisation of an entry', () => {
  it.each<[string, NonNullable<LoginLogOptions['organisation']>]>([
    ['throws', () => raise()],
    ['rejects', down],
    ['answers a number', () => 7 as never],
    ['answers nothing', () => undefined as never],
    ['answers too much', () => 'x'.repeat(256)],
  ])('is none where the hook %s, and nothing of that is in the log', async (_how, organisation) => {
    const { log, all } = rig({ organisation });
    log.record(failed('alice'));
    await log.append({ name: 'a.b', outcome: 'changed', account: 'alice' });
    await log.flush();
    const entries = await all();
    expect(entries.map((one) => one.organisation)).toEqual([null, null]);
    expect(JSON.stringify(entries)).not.toContain('ECONNREFUSED');
  });

  it('is none where the hook is silent, and is not waited for by whoever records', async () => {
    const { log, all } = rig({
      organisation: (account) => (account === 'slow' ? new Promise(() => {}) : 'acme'),
    });
    const before = performance.now();
    log.record(failed('slow'));
    log.record(failed('alice'));
    expect(performance.now() - before).toBeLessThan(20);
    await log.flush();
    expect((await all()).map((one) => one.organisation)).toEqual([null, 'acme']);
  }, 10_000);

  it('is asked for only where there is an account', async () => {
    const asked: string[] = [];
    const { log } = rig({ organisation: (account) => void asked.push(account) as never });
    log.record({ name: 'address.locked', retryAfterSeconds: 1, ...request });
    log.record(failed('alice'));
    await log.flush();
    expect(asked).toEqual(['alice']);
  });
});

function raise(): never {
  throw new Error('ECONNREFUSED');
}

describe('a store that fails', () => {
  it('loses nothing: all is written, once and in order, when it is back', async () => {
    const told: LostEntries[] = [];
    const { log, breakBy, all } = rig({ onLost: (lost) => void told.push(lost) });
    breakBy(down);
    for (let i = 0; i < 250; i += 1) log.record(failed(`u${i}`, { time: start + i }));
    await expect(log.flush()).rejects.toThrow(StoreUnavailable);
    for (let i = 250; i < 300; i += 1) log.record(failed(`u${i}`, { time: start + i }));
    breakBy(undefined);
    await log.flush();
    const first = await log.query({ limit: 200 });
    const second = await log.query({ limit: 200, cursor: first.next ?? '' });
    const accounts = accountsOf([...first.entries, ...second.entries]).toReversed();
    expect(accounts).toEqual(Array.from({ length: 300 }, (_, i) => `u${i}`));
    expect([log.lost, told, second.next, (await all()).length]).toEqual([0, [], null, 200]);
  });

  it('is asked again by itself', async () => {
    const { log, breakBy, all } = rig();
    let calls = 0;
    breakBy(async (write) => ((calls += 1) < 3 ? down() : write()));
    log.record(failed('alice'));
    await until(async () => (await all()).length === 1);
    expect(calls).toBe(3);
  });

  it('that wrote and did not answer has the entries once', async () => {
    const { log, breakBy, all } = rig();
    breakBy(async (write) => {
      await write();
      return down();
    });
    log.record(failed('alice'));
    await expect(log.flush()).rejects.toThrow(StoreUnavailable);
    await expect(log.flush()).rejects.toThrow(StoreUnavailable);
    breakBy(undefined);
    log.record(failed('bob'));
    await log.flush();
    expect(accountsOf(await all())).toEqual(['alice', 'bob']);
  });

  it.each<unknown>([
    undefined,
    null,
    true,
    { appended: true },
    { appended: 1, head: { position: 1, seal: '' } },
  ])('and answers %j is not believed (I9)', async (reply) => {
    const { log, breakBy } = rig();
    breakBy(async () => reply);
    await expect(log.append({ name: 'a.b', outcome: 'changed' })).rejects.toThrow(StoreUnavailable);
  });

  it('refuses what must be in the log before it is done', async () => {
    const { log, breakBy } = rig();
    breakBy(down);
    await expect(log.append({ name: 'a.b', outcome: 'changed' })).rejects.toThrow(StoreUnavailable);
  });

  it('for too long loses entries, says so at once, and the log says how many and of when (ALR-03)', async () => {
    const told: LostEntries[] = [];
    const { log, breakBy, all } = rig({ maxQueued: 10, onLost: (lost) => void told.push(lost) });
    breakBy(down);
    for (let i = 0; i < 25; i += 1) log.record(failed(`u${i}`, { time: start + i }));
    expect(log.lost).toBe(15);
    expect(told).toEqual([{ count: 1, since: start + 10, until: start + 10 }]);
    breakBy(undefined);
    await log.flush();
    const lost = { count: 15, since: start + 10, until: start + 24 };
    expect(await all()).toMatchObject([
      ...Array.from({ length: 10 }, (_, i) => ({ account: `u${i}` })),
      { name: 'log.lost', outcome: 'lost', account: null, time: start + 24, details: lost },
    ]);
    expect(told.slice(1)).toEqual([lost]);
    log.record(failed('next'));
    await log.flush();
    expect((await all()).at(-1)).toMatchObject({ account: 'next', position: 12 });
    expect(log.lost).toBe(15);
  });

  it('holds no more than the queue may, though a batch is under way', async () => {
    const { log, breakBy, all } = rig({ maxQueued: 120 });
    breakBy(down);
    for (let i = 0; i < 110; i += 1) log.record(failed(`a${i}`));
    await expect(log.flush()).rejects.toThrow(StoreUnavailable);
    for (let i = 0; i < 50; i += 1) log.record(failed(`b${i}`));
    expect(log.lost).toBe(40);
    breakBy(undefined);
    await log.flush();
    expect((await all()).filter(({ outcome }) => outcome === 'lost')).toMatchObject([
      { details: { count: 40 } },
    ]);
    expect(await all()).toHaveLength(121);
  });

  it('and a hook that fails when it is told of losses lose no more', async () => {
    const { log, breakBy, all } = rig({ maxQueued: 10, onLost: raise });
    breakBy(down);
    for (let i = 0; i < 12; i += 1) log.record(failed(`u${i}`));
    breakBy(undefined);
    await log.flush();
    expect(await all()).toHaveLength(11);
  });
});

describe('a log that is closed', () => {
  it('has written all that was recorded', async () => {
    const { log, all } = rig();
    for (let i = 0; i < 150; i += 1) log.record(failed(`u${i}`));
    await log.close();
    expect(await all()).toHaveLength(150);
  });

  it('tells what it could not write, and asks no more', async () => {
    const told: LostEntries[] = [];
    const { log, breakBy } = rig({ onLost: (lost) => void told.push(lost) });
    let calls = 0;
    breakBy(() => {
      calls += 1;
      return down();
    });
    for (let i = 0; i < 150; i += 1) log.record(failed(`u${i}`));
    await log.close();
    expect([log.lost, told]).toEqual([150, [{ count: 150, since: start, until: start }]]);
    const before = calls;
    log.record(failed('late'));
    await sleep(200);
    expect([log.lost, calls]).toEqual([151, before]);
  });
});

describe('a query', () => {
  /** 60 entries of three accounts, one a second. */
  async function filled() {
    const mounted = rig({ organisation: (account) => (account === 'carol' ? 'other' : 'acme') });
    const accounts = ['alice', 'bob', 'carol'];
    for (let i = 0; i < 60; i += 1) {
      const account = accounts[i % 3] ?? '';
      const at = { time: start + i * 1000, requestId: `r${i}` };
      if (i % 2 === 0) mounted.log.record(failed(account, at));
      else mounted.log.record({ name: 'backup_codes.regenerated', account, ...request, ...at });
    }
    await mounted.log.flush();
    return mounted;
  }

  it.each<[Parameters<LoginLog['query']>[0], number]>([
    [{}, 60],
    [{ account: 'alice' }, 20],
    [{ account: 'Alice' }, 0],
    [{ organisation: 'acme' }, 40],
    [{ organisation: 'other', account: 'alice' }, 0],
    [{ outcome: 'failed' }, 30],
    [{ outcome: 'changed', account: 'bob' }, 10],
    [{ names: ['login.failed'] }, 30],
    [{ names: ['login.failed', 'backup_codes.regenerated'], account: 'bob' }, 20],
    [{ names: ['x'] }, 0],
    [{ requestId: 'r7' }, 1],
    [{ requestId: 'r7', account: 'alice' }, 0],
    [{ since: start + 50_000 }, 10],
    [{ until: start + 50_000 }, 50],
    [{ since: start + 10_000, until: start + 20_000, account: 'alice' }, 3],
  ])('%j finds %d', async (query, count) => {
    const { log } = await filled();
    const whole = await log.query(query);
    expect(whole.entries).toHaveLength(count);
    expect(whole.next).toBeNull();
    const times = whole.entries.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const paged: LogEntry[] = [];
    let cursor: string | null = null;
    do {
      const page = await log.query({ ...query, limit: 7, ...(cursor !== null && { cursor }) });
      expect(page.entries.length).toBeLessThanOrEqual(7);
      paged.push(...page.entries);
      cursor = page.next;
      log.record(failed('alice', { time: start + 1e9 }));
      await log.flush();
    } while (cursor !== null);
    expect(paged.filter(({ time }) => time < start + 1e9)).toEqual(whole.entries);
  });

  it('that finds little among much looks at a part, and goes on from there', async () => {
    const { log } = rig();
    for (let i = 0; i < 10_100; i += 1) {
      log.record(failed('alice', { time: start + i }));
      if (i % 1000 === 0) await log.flush();
    }
    log.record({ name: 'totp.suspended', account: 'alice', ...request, time: start - 1 });
    await log.flush();
    const first = await log.query({ outcome: 'locked' });
    expect(first.entries).toEqual([]);
    const { entries, next } = await log.query({ outcome: 'locked', cursor: first.next ?? '' });
    expect([entries.length, next]).toEqual([1, null]);
  });

  it.each<object>([
    { account: '' },
    { account: null },
    { outcome: 'won' },
    { names: [] },
    { names: 'login.failed' },
    { since: -1 },
    { since: 1.5 },
    { until: '2030' },
    { limit: 0 },
    { limit: 201 },
    { cursor: '' },
    { cursor: 'a' },
    { cursor: '1.2.3' },
    { cursor: 'zzzzzzzzzzz.1' },
    { cursor: '1.1\n' },
    { acount: 'alice' },
  ])('%j is refused', async (query) => {
    await expect(rig().log.query(query)).rejects.toThrow(TypeError);
  });

  it.each<[string, string]>([
    ['no JSON', '{'],
    ['another version', '{"v":2,"time":1,"name":"a.b","outcome":"failed"}'],
    ['no time', '{"v":1,"name":"a.b","outcome":"failed"}'],
    ['an unknown outcome', '{"v":1,"time":1,"name":"a.b","outcome":"won"}'],
    ['an account that is none', '{"v":1,"time":1,"name":"a.b","outcome":"failed","account":1}'],
    ['methods that are none', '{"v":1,"time":1,"name":"a.b","outcome":"failed","methods":[1]}'],
  ])('of a record with %s says nothing rather than something wrong (I9)', async (_what, record) => {
    const { log, store } = rig();
    const keys = { account: null, organisation: null, request: null };
    await store.appendLog({
      id: 'x',
      entries: [{ ...keys, time: 1, record, seal: '' }],
      retentionMs: 1e9,
      expected: undefined,
    });
    await expect(log.query()).rejects.toThrow(StoreUnavailable);
  });
});

/** A chain, of 10 entries if not said otherwise, and what the store then says of it. */
async function chained(change: (entries: StoredEntry[]) => StoredEntry[] = (entries) => entries, count = 10) {
  const mounted = rig({ chain: { key } });
  for (let i = 0; i < count; i += 1) {
    mounted.log.record(failed(`u${i}`, { time: start + i }));
    if (i % 4 === 3) await mounted.log.flush();
  }
  await mounted.log.flush();
  const { entries, head } = await mounted.real.walkLog(1, 1000, 1e12);
  const shown = change([...entries]).toSorted((a, b) => a.position - b.position);
  const store: LogStore = {
    ...mounted.real,
    async walkLog(from, limit) {
      const part = shown.filter(({ position }) => position >= from).slice(0, limit);
      return { entries: part, head, isOver: false };
    },
  };
  const verify = new LoginLog({ store, chain: { key } });
  return { ...mounted, entries, head, verify: (given?: object) => verify.verify(given) };
}

const at =
  (position: number, change: (entry: StoredEntry) => Partial<StoredEntry>) => (entries: StoredEntry[]) =>
    entries.map((one) => (one.position === position ? { ...one, ...change(one) } : one));

/** How many other things could begin while `work` was under way. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isOver = true;
  return turns;
}

describe('a long log', () => {
  it('is searched and verified in parts, so that it holds nobody up (I13)', async () => {
    const { log } = rig({ chain: { key } });
    for (let i = 0; i < 6000; i += 1) log.record(failed(`u${i}`));
    await log.flush();
    const search = () => log.query({ outcome: 'succeeded' });
    expect(await turnsDuring(search)).toBeGreaterThanOrEqual(6000 / 500);
    expect(await turnsDuring(() => log.verify())).toBeGreaterThanOrEqual(6000 / 200);
  });
});

describe('a chain', () => {
  it('that nobody touched is in order, and says where it ends', async () => {
    const { log, head } = await chained();
    expect(head).toEqual({ position: 10, seal: expect.stringMatching(/^[\w-]{43}$/) });
    const verdict = { ok: true, entries: 10, first: { position: 1, time: start }, head };
    expect(await log.verify()).toEqual(verdict);
    log.record(failed('later'));
    await log.flush();
    const after = await log.verify({ head });
    expect(after).toMatchObject({ ok: true, entries: 11 });
    expect(await log.verify({ since: head })).toMatchObject({ ok: true, entries: 1 });
    expect(await log.verify({ since: (after as { head: object }).head } as object)).toMatchObject({
      ok: true,
      entries: 0,
      first: null,
    });
  });

  it('without an entry is in order', async () => {
    const { log } = rig({ chain: { key } });
    expect(await log.verify()).toEqual({
      ok: true,
      entries: 0,
      first: null,
      head: { position: 0, seal: '' },
    });
  });

  it('whose oldest entries have gone by their age is in order', async () => {
    const { log, clock, head } = await chained();
    clock.advance(364 * day);
    await log.append({ name: 'a.b', outcome: 'changed' });
    clock.advance(2 * day);
    expect(await log.verify({ head, since: head })).toMatchObject({ ok: true, entries: 1 });
    expect(await log.verify()).toMatchObject({ ok: true, entries: 1, first: { position: 11 } });
    clock.advance(365 * day);
    expect(await log.verify()).toMatchObject({ ok: true, entries: 0, first: null });
    expect(await log.verify({ since: head })).toMatchObject({ ok: true, entries: 0 });
    await log.append({ name: 'a.b', outcome: 'changed' });
    expect(await log.verify({ since: head })).toMatchObject({
      ok: true,
      entries: 1,
      first: { position: 12 },
    });
  });

  it.each<[string, (entries: StoredEntry[]) => StoredEntry[], string, number]>([
    ['its content', at(4, ({ record }) => ({ record: record.replace('u3', 'u4') })), 'changed', 4],
    [
      'the content of the first',
      at(1, ({ record }) => ({ record: record.replace('u0', 'u4') })),
      'changed',
      1,
    ],
    ['its seal', at(4, () => ({ seal: 'x'.repeat(43) })), 'changed', 4],
    ['no seal', at(4, () => ({ seal: '' })), 'unsealed', 4],
    ['the account that it is found by', at(4, () => ({ account: '0'.repeat(16) })), 'changed', 4],
    ['no account that it is found by', at(4, () => ({ account: null })), 'changed', 4],
    ['the time that it is found by', at(4, () => ({ time: 1 })), 'changed', 4],
    ['no place in the index', at(4, () => ({ isFound: false })), 'changed', 4],
    ['one deleted in the middle', (all) => all.filter(({ position }) => position !== 4), 'removed', 4],
    ['three deleted in the middle', (all) => all.filter(({ position: p }) => p < 4 || p > 6), 'removed', 4],
    ['its tail deleted', (all) => all.filter(({ position }) => position < 8), 'removed', 8],
    ['all deleted', () => [], 'removed', 1],
    [
      'two swapped',
      (all) =>
        all.map((one) => ({ ...one, position: [0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10][one.position] ?? 0 })),
      'changed',
      4,
    ],
    [
      'one inserted',
      (all) => [
        ...all.map((one) => (one.position < 4 ? one : { ...one, position: one.position + 1 })),
        { ...(all[0] as StoredEntry), position: 4 },
      ],
      'changed',
      4,
    ],
    [
      'one more at the end',
      (all) => [...all, { ...(all[9] as StoredEntry), position: 11 }],
      'rolled_back',
      11,
    ],
  ])('with %s is found out', async (_what, change, reason, position) => {
    const { verify } = await chained(change);
    expect(await verify()).toEqual({ ok: false, entries: expect.any(Number), position, reason });
  });

  it('with one deleted where a page of the verification ends, or right behind a head, is found out', async () => {
    const { verify, entries } = await chained((all) => all.filter(({ position }) => position !== 201), 210);
    expect(await verify()).toEqual({ ok: false, entries: 200, position: 201, reason: 'removed' });
    const { position = 0, seal = '' } = entries[199] ?? {};
    expect(await verify({ since: { position, seal } })).toMatchObject({ ok: false, position: 201 });
  });

  it('under another key is found out', async () => {
    const { real } = await chained();
    const other = new LoginLog({ store: real, chain: { key: randomBytes(32) } });
    expect(await other.verify()).toMatchObject({ ok: false, reason: 'changed', position: 1 });
    const another = new LoginLog({ store: real, chain: { key: randomBytes(32) }, now: () => start });
    await another.append({ name: 'a.b', outcome: 'changed' });
    const mine = new LoginLog({ store: real, chain: { key } });
    expect(await mine.verify()).toMatchObject({ ok: false, reason: 'changed', position: 11 });
  });

  it('that a process without the key wrote to is found out, and goes on', async () => {
    const { log, real, head } = await chained();
    const plain = new LoginLog({ store: real, now: () => start });
    await plain.append({ name: 'a.b', outcome: 'changed' });
    await log.append({ name: 'a.b', outcome: 'changed' });
    expect(await log.verify()).toMatchObject({ ok: false, reason: 'unsealed', position: 11 });
    const { head: now } = await real.walkLog(1, 1, 1e12);
    const since = { position: 11, seal: '' };
    expect(await log.verify({ since })).toMatchObject({ ok: true, entries: 1, head: now });
    expect(head.position).toBe(10);
  });

  it('that was set back is found out by who kept its end, also after it went on from there', async () => {
    const kept = (await chained()).head;
    const { log, store } = rig({ chain: { key } });
    expect(await log.verify({ head: kept })).toMatchObject({ ok: false, reason: 'rolled_back', position: 1 });
    expect(await log.verify({ since: kept })).toMatchObject({
      ok: false,
      reason: 'rolled_back',
      position: 1,
    });
    for (let i = 0; i < 10; i += 1) await log.append({ name: 'a.b', outcome: 'changed' });
    expect(await log.verify()).toMatchObject({ ok: true });
    expect(await log.verify({ head: kept })).toMatchObject({ ok: false, reason: 'forked', position: 10 });
    expect(await log.verify({ since: kept })).toMatchObject({ ok: false, reason: 'forked', position: 10 });
    await log.append({ name: 'a.b', outcome: 'changed' });
    expect(await log.verify({ since: kept })).toMatchObject({ ok: false, reason: 'forked', position: 11 });
    expect(store).toBeDefined();
  });

  it('is one for all that write to it at once', async () => {
    const { real, clock } = rig();
    const logs = Array.from(
      { length: 4 },
      () => new LoginLog({ store: real, chain: { key }, now: clock.now }),
    );
    await Promise.all(
      logs.flatMap((log, i) =>
        Array.from({ length: 25 }, async (_, j) => {
          log.record(failed(`u${i} ${j}`));
          await log.append({ name: 'a.b', outcome: 'changed' });
        }),
      ),
    );
    await Promise.all(logs.map((log) => log.flush()));
    expect(await logs[0]?.verify()).toMatchObject({ ok: true, entries: 200 });
  });

  it('is none without a key', async () => {
    await expect(rig().log.verify()).rejects.toThrow('LoginLog.verify: there is no option chain');
  });

  it.each<object>([{ head: {} }, { since: { position: -1, seal: '' } }, { head: 'x' }, { from: 1 }])(
    'is not verified against %j',
    async (given) => {
      await expect(rig({ chain: { key } }).log.verify(given)).rejects.toThrow(TypeError);
    },
  );
});

describe('a login log rejects', () => {
  it.each<[string, object, RegExp]>([
    ['no store', {}, /option store must be a log store/],
    ['a store without a log', { store: { appendLog() {} } }, /option store/],
    ['less than a day', { store: memoryStore(), retentionSeconds: day - 1 }, /retentionSeconds/],
    ['more than ten years', { store: memoryStore(), retentionSeconds: 3651 * day }, /retentionSeconds/],
    ['an organisation that is none', { store: memoryStore(), organisation: 'acme' }, /organisation/],
    ['a chain that is none', { store: memoryStore(), chain: true }, /chain/],
    ['a chain without a key', { store: memoryStore(), chain: {} }, /chain: option key/],
    ['a chain with more', { store: memoryStore(), chain: { key, since: 1 } }, /since/],
    ['a key that is too short', { store: memoryStore(), chain: { key: 'CANARY' } }, /chain\.key/],
    ['a key that is no secret', { store: memoryStore(), chain: { key: Buffer.alloc(32) } }, /chain\.key/],
    ['a queue that is too small', { store: memoryStore(), maxQueued: 9 }, /maxQueued/],
    ['a listener that is none', { store: memoryStore(), onLost: 1 }, /onLost/],
    ['an unknown option', { store: memoryStore(), retention: 1 }, /unknown option "retention"/],
  ])('%s', (_what, options, message) => {
    expect(() => new LoginLog(options as LoginLogOptions)).toThrow(message);
    expect(() => new LoginLog(options as LoginLogOptions)).not.toThrow(/CANARY/);
  });

  it('no key in base64 or hexadecimal', () => {
    for (const text of [key.toString('base64'), key.toString('hex'), key.toString('base64url')]) {
      expect(() => new LoginLog({ store: memoryStore(), chain: { key: text } })).not.toThrow();
    }
  });
});
