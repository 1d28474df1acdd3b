import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { Alert, AlertSink } from '../../src/core/alert.js';
import { LoginWatch } from '../../src/core/login-watch.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { keepingSink, slowStore, subjectOf, watchRig, type WatchRig } from '../rig/watch-rig.js';

afterEach(() => {
  jest.useRealTimers();
});

const perMinute = 10;
const criticalPerMinute = 60;

/** Notices of so many accounts. */
async function useCodes(rig: WatchRig, count: number, from = 0): Promise<void> {
  for (let i = from; i < from + count; i += 1) {
    rig.watch.observe(rig.eventOf({ name: 'backup_code.used', account: `user-${i}`, left: 3 }));
  }
  await rig.watch.flush();
}

const digestsOf = (alerts: readonly Alert[]): Alert[] => alerts.filter(({ kind }) => kind === 'digest');

/** How many alerts of each kind are told, one by one and in digests. */
function toldOf(alerts: readonly Alert[]): Record<string, number> {
  const told: Record<string, number> = {};
  for (const { kind, digest } of alerts) {
    const kinds = digest === null ? { [kind]: 1 } : digest.kinds;
    for (const [one, count] of Object.entries(kinds)) told[one] = (told[one] ?? 0) + count;
  }
  return told;
}

/** Lets everything happen that waits for no time. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('the budget of messages', () => {
  it('lets so many out in any minute, and gathers the rest in one digest', async () => {
    const rig = watchRig({ options: { alertsPerMinute: perMinute } });
    await useCodes(rig, 100);
    expect(rig.sink.alerts).toHaveLength(perMinute);
    rig.clock.advance(59);
    await useCodes(rig, 100, 100);
    expect(rig.sink.alerts).toHaveLength(perMinute);
    rig.clock.advance(1);
    await useCodes(rig, 100, 200);
    expect(rig.sink.alerts).toHaveLength(2 * perMinute);
    rig.clock.advance(239);
    await rig.watch.flush();
    expect(digestsOf(rig.sink.alerts)).toEqual([]);
    rig.clock.advance(1);
    await rig.watch.flush();
    await rig.watch.flush();
    const [digest, ...more] = digestsOf(rig.sink.alerts);
    expect(more).toEqual([]);
    expect(digest).toMatchObject({
      severity: 'warning',
      account: null,
      count: 280,
      accounts: 50,
      digest: { kinds: { backup_code_used: 280 } },
    });
    expect(digest?.digest?.accounts).toHaveLength(50);
    expect(new Set(digest?.digest?.accounts).size).toBe(50);
    expect((digest?.until ?? 0) - (digest?.since ?? 0)).toBe(60_000);
  });

  it('of critical alerts is not spent by the others', async () => {
    const rig = watchRig({ options: { alertsPerMinute: perMinute } });
    await useCodes(rig, 1000);
    for (let i = 0; i < 2 * criticalPerMinute; i += 1) {
      await rig.see({ name: 'security_key.cloned', account: `user-${i}` });
    }
    const critical = rig.sink.alerts.filter(({ kind }) => kind === 'security_key_cloned');
    expect(critical).toHaveLength(criticalPerMinute);
    rig.clock.advance(300);
    await rig.watch.flush();
    expect(digestsOf(rig.sink.alerts)).toMatchObject([{ severity: 'critical' }]);
    expect(toldOf(rig.sink.alerts)).toEqual({ backup_code_used: 1000, security_key_cloned: 120 });
  });

  it('of what takes a right password is not spent by what anybody can cause, nor the other way round', async () => {
    const locked = { name: 'account.locked', subject: subjectOf('x'), retryAfterSeconds: 60 } as const;
    const rig = watchRig({ options: { alertsPerMinute: perMinute } });
    for (let i = 0; i < 2 * perMinute; i += 1) await rig.see({ ...locked, account: `user-${i}` });
    expect(rig.kinds()).toEqual(Array(perMinute).fill('repeated_failures'));
    await rig.succeed('alice');
    await rig.succeed('alice', { userAgent: 'Thief' });
    await useCodes(rig, 2 * perMinute);
    expect(rig.kinds().slice(perMinute)).toEqual([
      'new_device',
      ...Array<string>(perMinute - 1).fill('backup_code_used'),
    ]);
    rig.clock.advance(60);
    await useCodes(rig, 2 * perMinute);
    await rig.see({ ...locked, account: 'alice' });
    expect(rig.kinds().at(-1)).toBe('repeated_failures');
  });

  it('bounds what 10,000 attacked accounts send by the formula, and loses none of it (ALR-03)', async () => {
    const rig = watchRig({ options: { alertsPerMinute: perMinute } });
    const minutes = 30;
    const accounts = 10_000;
    for (let minute = 0; minute < minutes; minute += 1) {
      for (let i = minute; i < accounts; i += minutes) {
        const about = { account: `user-${i}`, subject: `${i}` };
        const ip = `10.${i & 255}.${i >> 8}.1`;
        rig.watch.observe(rig.eventOf({ name: 'login.failed', reason: 'wrong password', ...about }, { ip }));
        rig.watch.observe(rig.eventOf({ name: 'account.locked', retryAfterSeconds: 60, ...about }, { ip }));
      }
      await rig.watch.flush();
      rig.clock.advance(60);
    }
    rig.clock.advance(300);
    await rig.watch.flush();
    expect(toldOf(rig.sink.alerts)).toEqual({ repeated_failures: accounts });
    expect(rig.watch.lost).toEqual({ events: 0, alerts: 0 });
    const [least, most] = [
      perMinute * minutes,
      perMinute * (minutes + 1) + Math.ceil((minutes * 60) / 300) + 1,
    ];
    expect(rig.sink.alerts.length).toBeGreaterThanOrEqual(least);
    expect(rig.sink.alerts.length).toBeLessThanOrEqual(most);
    const times = rig.sink.alerts.filter(({ kind }) => kind !== 'digest').map(({ until }) => until);
    for (const time of times) {
      expect(times.filter((other) => other >= time && other < time + 60_000).length).toBeLessThanOrEqual(
        perMinute,
      );
    }
  });
});

describe('a digest', () => {
  it('is sent by its time when the flood has ended, though nobody observes anything more', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] });
    const sink = keepingSink();
    const watch = new LoginWatch({
      store: memoryStore(),
      sinks: [sink],
      alertsPerMinute: 1,
      digestSeconds: 120,
    });
    const rig = watchRig();
    // Not in step with the look that every process takes from time to time.
    await jest.advanceTimersByTimeAsync(60_000);
    for (let i = 0; i < 3; i += 1) {
      watch.observe(rig.eventOf({ name: 'backup_code.used', account: `user-${i}`, left: 3 }));
    }
    await watch.flush();
    expect(sink.alerts).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(60_000);
    watch.observe(rig.eventOf({ name: 'backup_code.used', account: 'late', left: 3 }));
    watch.observe(rig.eventOf({ name: 'backup_code.used', account: 'later', left: 3 }));
    await turns();
    const before = sink.alerts.length;
    await jest.advanceTimersByTimeAsync(59_000);
    await turns();
    expect(sink.alerts).toHaveLength(before);
    await jest.advanceTimersByTimeAsync(2000);
    await turns();
    expect(sink.alerts.filter(({ kind }) => kind === 'digest')).toMatchObject([{ kind: 'digest' }]);
    expect(toldOf(sink.alerts)).toEqual({ backup_code_used: 5 });
    await watch.close();
  });

  it('is sent by another process where the one that began it is gone', async () => {
    const clock = fakeClock();
    const store = memoryStore({ now: clock.now });
    const [gone, left] = [keepingSink(), keepingSink()];
    const rig = watchRig({ clock });
    const first = new LoginWatch({ store, sinks: [gone], alertsPerMinute: 1 });
    for (let i = 0; i < 3; i += 1) {
      first.observe(rig.eventOf({ name: 'backup_code.used', account: `user-${i}`, left: 3 }));
    }
    await first.close();
    expect(gone.alerts).toHaveLength(1);
    const second = new LoginWatch({ store, sinks: [left], alertsPerMinute: 1 });
    await second.flush();
    expect(left.alerts).toEqual([]);
    clock.advance(300);
    await second.flush();
    expect(left.alerts).toMatchObject([{ kind: 'digest', count: 2 }]);
  });

  it('is sent by another process that has seen nothing itself', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] });
    const store = memoryStore();
    const rig = watchRig();
    const gone = new LoginWatch({ store, sinks: [keepingSink()], alertsPerMinute: 1 });
    for (let i = 0; i < 3; i += 1) {
      gone.observe(rig.eventOf({ name: 'backup_code.used', account: `user-${i}`, left: 3 }));
    }
    await gone.close();
    const sink = keepingSink();
    const left = new LoginWatch({ store, sinks: [sink], alertsPerMinute: 1 });
    await jest.advanceTimersByTimeAsync(300_000);
    await turns();
    expect(sink.alerts).toMatchObject([{ kind: 'digest', count: 2 }]);
    await left.close();
  });

  it('is sent by one of many that look at once', async () => {
    const clock = fakeClock();
    const store = slowStore(clock.now);
    const sink = keepingSink();
    const watches = Array.from(
      { length: 8 },
      () => new LoginWatch({ store, sinks: [sink], alertsPerMinute: 1 }),
    );
    const rig = watchRig({ clock });
    for (let i = 0; i < 100; i += 1) {
      watches[i % 8]?.observe(rig.eventOf({ name: 'backup_code.used', account: `user-${i}`, left: 3 }));
    }
    await Promise.all(watches.map((watch) => watch.flush()));
    expect(sink.alerts).toHaveLength(1);
    clock.advance(300);
    await Promise.all(watches.map((watch) => watch.flush()));
    expect(sink.alerts).toHaveLength(2);
    expect(toldOf(sink.alerts)).toEqual({ backup_code_used: 100 });
  });
});

describe('a sink that hangs', () => {
  it('costs what observes nothing, as compared in turns (ALR-04)', async () => {
    const hanging: AlertSink = { name: 'hanging', send: () => new Promise(() => {}) };
    const rigs = [watchRig(), watchRig({ options: { sinks: [hanging] } })];
    const took: number[][] = [[], []];
    for (let i = 0; i < 4000; i += 1) {
      for (const [index, rig] of rigs.entries()) {
        const failed = rig.eventOf({
          name: 'login.failed',
          reason: 'wrong password',
          account: `user-${i >> 4}`,
        });
        const before = performance.now();
        rig.watch.observe(failed);
        took[index]?.push(performance.now() - before);
      }
      if (i % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const [free = 0, hung = 0] = took.map((times) => times.toSorted((one, other) => one - other)[2000] ?? 0);
    expect(hung - free).toBeLessThan(1);
    expect(hung).toBeLessThan(1);
    await rigs[0]?.watch.flush();
    expect(rigs[0]?.sink.alerts.length).toBeGreaterThan(200);
  });
});
