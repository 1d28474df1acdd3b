import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Alert, AlertSink } from '../../src/core/alert.js';
import { AlertQueue } from '../../src/core/alert-queue.js';
import { DocumentWork } from '../../src/core/document-work.js';
import { LoginWatch } from '../../src/core/login-watch.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { blankAlert } from '../../src/core/watch-alert.js';
import { keepingSink, slowStore, subjectOf, watchRig } from '../rig/watch-rig.js';

/** Timers are the tests' own; turns of the event loop stay true. */
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] });
});
afterEach(() => {
  jest.useRealTimers();
});

/** Lets time pass until it is done. */
async function passing<T>(work: Promise<T>): Promise<T> {
  const state = { isDone: false };
  const end = (): void => {
    state.isDone = true;
  };
  work.then(end, end);
  while (!state.isDone) {
    await jest.advanceTimersByTimeAsync(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return work;
}

const fails = (): never => {
  throw new Error('down');
};

const alertOf = (i: number): Alert =>
  blankAlert('unknown_names', { since: i, until: i, count: 1 }, `id-${i}`);

function queueTo(send: AlertSink['send']) {
  const lost: string[] = [];
  const queue = new AlertQueue({ name: 'sink', send }, (reason) => lost.push(reason));
  return { queue, lost };
}

const failed = { name: 'login.failed', reason: 'wrong password', account: 'alice' } as const;

describe('a store', () => {
  it('that fails for a while loses nothing', async () => {
    const kept = memoryStore();
    let isDown = true;
    const rig = watchRig({
      store: {
        readDocument: (key) => (isDown ? Promise.reject(new Error('down')) : kept.readDocument(key)),
        replaceDocument: (...change) => kept.replaceDocument(...change),
      },
    });
    for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf(failed));
    const flushed = rig.watch.flush();
    await jest.advanceTimersByTimeAsync(5000);
    expect(rig.kinds()).toEqual([]);
    isDown = false;
    await passing(flushed);
    expect(rig.kinds()).toEqual(['repeated_failures']);
    expect(rig.watch.lost).toEqual({ events: 0, alerts: 0 });
    expect(rig.lost).toEqual([]);
  });

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('down'))],
    ['hangs', () => new Promise(() => {})],
    ['answers nonsense', () => Promise.resolve('x' as never)],
    ['throws', fails],
  ])('that %s for good costs what was seen, which is told', async (_what, readDocument) => {
    const rig = watchRig({ store: { readDocument } });
    for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf(failed));
    rig.watch.observe(rig.eventOf({ name: 'backup_code.used', account: 'alice', left: 3 }));
    await passing(rig.watch.flush());
    // Ten of an account, and ten of a source.
    expect(rig.watch.lost).toEqual({ events: 20, alerts: 1 });
    const told = rig.lost.map(({ what, reason, count }) => [what, reason, count]);
    expect(told.filter(([what]) => what === 'alert')).toEqual([['alert', 'store unavailable', 1]]);
    const events = rig.lost.filter(({ what }) => what === 'event');
    expect(events.reduce((sum, { count }) => sum + count, 0)).toBe(20);
  });

  it.each([
    ['', 0],
    [' and built on by another process', 1],
  ])('whose answer to a write was lost%s raises the alert once all the same', async (_what, others) => {
    const kept = memoryStore();
    const other = new LoginWatch({ store: kept, sinks: [keepingSink()] });
    let lost = 0;
    const rig = watchRig({
      store: {
        readDocument: (key) => kept.readDocument(key),
        async replaceDocument(...change) {
          const wasWritten = await kept.replaceDocument(...change);
          if (!wasWritten || !change[2]?.includes('repeated_failures":[') || lost > 0) return wasWritten;
          lost += 1;
          for (let i = 0; i < others; i += 1) other.observe(rig.eventOf(failed));
          await other.flush();
          throw new Error('connection lost');
        },
      },
    });
    for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf(failed));
    await passing(rig.watch.flush());
    for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf(failed));
    await passing(rig.watch.flush());
    expect(lost).toBe(1);
    expect(rig.kinds()).toEqual(['repeated_failures']);
  });

  it('whose answer was lost to the write that takes a digest away has it sent once all the same', async () => {
    const kept = memoryStore();
    let lost = 0;
    const rig = watchRig({
      options: { alertsPerMinute: 1, digestSeconds: 60 },
      store: {
        readDocument: (key) => kept.readDocument(key),
        async replaceDocument(...change) {
          const wasWritten = await kept.replaceDocument(...change);
          const [, before, after] = change;
          if (before?.includes('"kinds"') !== true || after?.includes('"kinds"') === true) return wasWritten;
          lost += 1;
          throw new Error('connection lost');
        },
      },
    });
    for (let i = 0; i < 3; i += 1) {
      rig.watch.observe(rig.eventOf({ name: 'backup_code.used', account: `user-${i}`, left: 3 }));
    }
    await passing(rig.watch.flush());
    await jest.advanceTimersByTimeAsync(60_000);
    await passing(rig.watch.flush());
    await passing(rig.watch.flush());
    expect(lost).toBe(1);
    expect(rig.kinds()).toEqual(['backup_code_used', 'digest']);
  });

  it('that writes and answers too late makes no attack of one typing error', async () => {
    const kept = memoryStore();
    const rig = watchRig({
      store: {
        readDocument: (key) => kept.readDocument(key),
        async replaceDocument(...change) {
          await kept.replaceDocument(...change);
          throw new Error('no answer in time');
        },
      },
    });
    rig.watch.observe(rig.eventOf(failed));
    await passing(rig.watch.flush());
    expect(rig.kinds()).toEqual([]);
    expect(rig.watch.lost).toEqual({ events: 0, alerts: 0 });
  });

  it('that never changes what it holds is given up', async () => {
    const rig = watchRig({ store: { replaceDocument: async () => false } });
    rig.watch.observe(rig.eventOf(failed));
    await passing(rig.watch.flush());
    expect(rig.watch.lost.events).toBe(2);
  });

  it('whose record is another version, or no record, begins anew', async () => {
    const kept = memoryStore();
    for (const record of [
      '{"v":2,"marks":[],"state":{}}',
      'no JSON',
      '[]',
      '{"v":1,"marks":[1],"state":{"failures":7,"episodes":[],"devices":[[1]]}}',
    ]) {
      const rig = watchRig({
        store: {
          readDocument: async (key) => {
            const document = await kept.readDocument(key);
            return { time: document.time, record: document.record ?? record };
          },
          replaceDocument: (key, expected, ...more) =>
            kept.replaceDocument(key, expected === record ? null : expected, ...more),
        },
      });
      for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf({ ...failed, account: record }));
      await passing(rig.watch.flush());
      expect(rig.kinds()).toContain('repeated_failures');
    }
  });

  it('holds small documents without names, whatever happened', async () => {
    const records = new Map<string, string>();
    const kept = memoryStore();
    const rig = watchRig({
      store: {
        readDocument: (key) => kept.readDocument(key),
        async replaceDocument(key, expected, record, lifetimeMs) {
          if (record !== null) records.set(key, record);
          expect(lifetimeMs).toBeLessThanOrEqual(91 * 86_400_000);
          return kept.replaceDocument(key, expected, record, lifetimeMs);
        },
      },
    });
    const about = { account: 'alice-canary', subject: subjectOf('alice') };
    for (let i = 0; i < 3000; i += 1) {
      const from = { ip: `10.${i >> 8}.${i & 255}.1`, userAgent: `canary-${i}` };
      rig.watch.observe(rig.eventOf({ name: 'login.failed', reason: 'wrong password', ...about }, from));
      rig.watch.observe(rig.eventOf({ name: 'login.refused', reason: 'locked out', ...about }, from));
      rig.watch.observe(
        rig.eventOf({
          name: 'login.failed',
          reason: 'wrong password',
          account: null,
          subject: subjectOf(`c${i}`),
        }),
      );
      rig.watch.observe(
        rig.eventOf({ name: 'second_factor.failed', reason: 'wrong', account: 'alice-canary' }, from),
      );
      rig.watch.observe(
        rig.eventOf({ name: 'login.succeeded', methods: ['pwd'], token: 'canary', ...about }, from),
      );
      if (i % 100 === 0) await passing(rig.watch.flush());
    }
    await passing(rig.watch.flush());
    const all = [...records.values()].filter((record) => !record.includes('"digest"'));
    expect(Math.max(...all.map((record) => record.length))).toBeLessThan(2500);
    expect(all.join('')).not.toMatch(/canary|10\.\d/);
  });
});

describe('the queue of signs', () => {
  it('is bounded, tells what it could not take, and keeps room for what takes a password', async () => {
    const rig = watchRig({ options: { maxQueued: 20 } });
    for (let i = 0; i < 100; i += 1) rig.watch.observe(rig.eventOf({ ...failed, account: `user-${i}` }));
    const about = { account: 'alice', methods: ['pwd'], token: 'token' };
    rig.watch.observe(rig.eventOf({ name: 'second_factor.locked', account: 'alice', retryAfterSeconds: 1 }));
    rig.watch.observe(rig.eventOf({ name: 'login.succeeded', ...about }));
    await passing(rig.watch.flush());
    expect(rig.kinds()).toContain('password_known');
    // Eighteen had room, and what an account and a source have to say are two.
    expect(rig.watch.lost.events).toBe(200 - 18 + 1);
    expect(rig.lost).toEqual([{ what: 'event', reason: 'queue full', sink: null, count: 183 }]);
  });

  it('holds what one attacker does to one account as one', async () => {
    const rig = watchRig({ options: { maxQueued: 20 } });
    for (let i = 0; i < 10_000; i += 1) rig.watch.observe(rig.eventOf(failed));
    await passing(rig.watch.flush());
    expect(rig.watch.lost.events).toBe(0);
    expect(rig.sink.alerts).toMatchObject([{ kind: 'repeated_failures' }]);
  });

  it('is looked at in parts, each of them soon done, whatever waits for one account', async () => {
    const looked: number[] = [];
    const work = new DocumentWork<null, number, number>(
      memoryStore(),
      (_state, signs) => {
        looked.push(signs.length);
        return { state: { signs }, lifetimeMs: 1000, outcome: signs.length, isOnce: false };
      },
      () => {},
      () => {},
    );
    for (let i = 0; i < 1000; i += 1) work.add(subjectOf('alice'), null, i, () => null);
    expect(work.size).toBe(1000);
    await passing(work.idle());
    expect(Math.max(...looked)).toBeLessThanOrEqual(64);
    expect(looked.reduce((sum, one) => sum + one, 0)).toBe(1000);
    expect(work.size).toBe(0);
  });

  it('takes nothing that is no event, and throws at nobody', () => {
    const rig = watchRig();
    for (const event of [undefined, null, 7, {}, { name: 'login.failed' }, { name: 'factors.reset' }]) {
      expect(() => rig.watch.observe(event as never)).not.toThrow();
    }
    expect(rig.watch.lost.events).toBeGreaterThan(0);
  });

  it.each<[string, () => unknown]>([
    ['throws', fails],
    ['rejects', () => Promise.reject(new Error('the log is away too'))],
  ])('survives an onLost that %s', async (_what, onLost) => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const rig = watchRig({ options: { maxQueued: 10, onLost } });
    for (let i = 0; i < 100; i += 1) rig.watch.observe(rig.eventOf({ ...failed, account: `user-${i}` }));
    await passing(rig.watch.flush());
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect(rig.watch.lost.events).toBeGreaterThan(0);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('close', () => {
  it('hands on what was raised, and then takes nothing more', async () => {
    const rig = watchRig();
    for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf(failed));
    await passing(Promise.all([rig.watch.close(), rig.watch.close()]));
    expect(rig.kinds()).toEqual(['repeated_failures']);
    rig.watch.observe(rig.eventOf(failed));
    rig.watch.observe(rig.eventOf({ name: 'backup_code.used', account: 'alice', left: 3 }));
    await passing(rig.watch.flush());
    expect(rig.watch.lost).toEqual({ events: 2, alerts: 1 });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('waits ten seconds for a sink that hangs, and counts what it did not take', async () => {
    const hanging: AlertSink = { name: 'hanging', send: () => new Promise(() => {}) };
    const rig = watchRig({ options: { sinks: [hanging] } });
    rig.watch.observe(rig.eventOf({ name: 'backup_code.used', account: 'alice', left: 3 }));
    await passing(rig.watch.close());
    expect(rig.watch.lost).toEqual({ events: 0, alerts: 1 });
    expect(rig.lost).toEqual([{ what: 'alert', reason: 'closed', sink: 'hanging', count: 1 }]);
    await jest.advanceTimersByTimeAsync(600_000);
    expect(rig.watch.lost.alerts).toBe(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it.each<[string, Partial<Store>]>([
    ['is down', { readDocument: () => Promise.reject(new Error('down')) }],
    ['hangs', { readDocument: () => new Promise(() => {}) }],
    ['changes nothing', { replaceDocument: async () => false }],
  ])('ends the wait for a store that %s, and has counted what was under way', async (_what, store) => {
    let asked = 0;
    const broken = { ...memoryStore(), ...store };
    const rig = watchRig({
      store: {
        ...broken,
        readDocument: (key) => {
          asked += 1;
          return broken.readDocument(key);
        },
      },
    });
    rig.watch.observe(rig.eventOf(failed));
    await passing(rig.watch.close());
    expect(rig.watch.lost.events).toBe(2);
    expect(rig.lost).toEqual([{ what: 'event', reason: 'closed', sink: null, count: 2 }]);
    const before = asked;
    await jest.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(before);
    expect(rig.watch.lost.events).toBe(2);
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('a queue for a sink', () => {
  it('asks again with the same id until it is taken', async () => {
    const asked: string[] = [];
    const { queue, lost } = queueTo(async ({ id }) => {
      asked.push(id);
      if (asked.length < 4) throw new Error('not now');
    });
    queue.add(alertOf(1));
    await passing(queue.idle());
    expect(asked).toEqual(Array(4).fill('id-1'));
    expect(lost).toEqual([]);
  });

  it.each<[string, AlertSink['send']]>([
    ['rejects', () => Promise.reject(new Error('down'))],
    ['throws', fails],
    ['hangs and heeds no signal', () => new Promise(() => {})],
    [
      'hangs until it is told to end',
      (_alert, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')));
        }),
    ],
  ])('gives up one that %s after eight tries within minutes', async (_what, send) => {
    const asked: number[] = [];
    const { queue, lost } = queueTo((alert, signal) => {
      asked.push(Date.now());
      return send(alert, signal);
    });
    queue.add(alertOf(1));
    await passing(queue.idle());
    expect(lost).toEqual(['sink failed']);
    expect(asked).toHaveLength(8);
    const tookMs = (asked.at(-1) ?? 0) - (asked[0] ?? 0);
    expect(tookMs).toBeGreaterThan(2 * 60_000);
    expect(tookMs).toBeLessThan(8 * 60_000);
  });

  it('sends a few at a time, and is bounded (ALR-04)', async () => {
    let sending = 0;
    let most = 0;
    const { queue, lost } = queueTo(async () => {
      sending += 1;
      most = Math.max(most, sending);
      await new Promise((resolve) => setTimeout(resolve, 10));
      sending -= 1;
    });
    for (let i = 0; i < 1500; i += 1) queue.add(alertOf(i));
    expect(lost).toEqual(Array(500).fill('queue full'));
    await passing(queue.idle());
    expect(most).toBe(4);
    expect(lost).toHaveLength(500);
    queue.close();
    queue.add(alertOf(0));
    expect(lost.at(-1)).toBe('closed');
  });

  it("of one sink is not held up by another's", async () => {
    const good = keepingSink('good');
    const bad: AlertSink = {
      name: 'bad',
      send: fails,
    };
    const rig = watchRig({ options: { sinks: [bad, good] } });
    for (let i = 0; i < 10; i += 1) rig.watch.observe(rig.eventOf(failed));
    const flushed = rig.watch.flush();
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await jest.advanceTimersByTimeAsync(100);
    expect(good.alerts).toHaveLength(1);
    await passing(flushed);
    expect(rig.watch.lost).toEqual({ events: 0, alerts: 1 });
    const error = expect.objectContaining({ message: expect.any(String) });
    expect(rig.lost).toEqual([{ what: 'alert', reason: 'sink failed', sink: 'bad', count: 1, error }]);
  });
});

describe('processes', () => {
  it('that change one document at a time raise one alert', async () => {
    const store = slowStore();
    const sinks = Array.from({ length: 4 }, (_, i) => keepingSink(`sink-${i}`));
    const watches = sinks.map((sink) => new LoginWatch({ store, sinks: [sink] }));
    const rig = watchRig();
    for (let i = 0; i < 100; i += 1) watches[i % 4]?.observe(rig.eventOf(failed));
    await passing(Promise.all(watches.map((watch) => watch.flush())));
    expect(sinks.flatMap(({ alerts }) => alerts.map(({ kind }) => kind))).toEqual(['repeated_failures']);
  });
});
