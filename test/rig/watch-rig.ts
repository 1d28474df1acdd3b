import type { Alert, AlertSink } from '../../src/core/alert.js';
import type { AuthEvent, Happening } from '../../src/core/auth-event.js';
import { LoginWatch } from '../../src/core/login-watch.js';
import type { LostAlerts } from '../../src/core/watch-losses.js';
import type { LoginWatchOptions } from '../../src/core/watch-options.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { fakeClock, type FakeClock } from './fake-clock.js';

export interface SinkRig extends AlertSink {
  readonly alerts: Alert[];
}

/** Takes everything, and keeps it. */
export function keepingSink(name = 'kept'): SinkRig {
  const alerts: Alert[] = [];
  return {
    name,
    alerts,
    async send(alert) {
      alerts.push(alert);
    },
  };
}

/** A store whose answers take a turn: what is read at once by many is changed by one of them. */
export function slowStore(now?: () => number): Store {
  const kept = memoryStore(now === undefined ? {} : { now });
  return {
    ...kept,
    async readDocument(key) {
      const document = await kept.readDocument(key);
      await new Promise((resolve) => setImmediate(resolve));
      return document;
    },
  };
}

export interface From {
  readonly ip?: string;
  readonly userAgent?: string;
  readonly requestId?: string;
}

interface WatchRigOptions {
  /** Methods of the store to replace. */
  readonly store?: Partial<Store>;
  readonly options?: Partial<LoginWatchOptions>;
  readonly clock?: FakeClock;
}

/** LoginWatch on a memory store, with a clock that stands still and a budget that no test reaches. */
export function watchRig({ store: overrides, options, clock = fakeClock() }: WatchRigOptions = {}) {
  const kept = memoryStore({ now: clock.now });
  const store: Store = { ...kept, ...overrides };
  const sink = keepingSink();
  const lost: LostAlerts[] = [];
  const given = { store, sinks: [sink], alertsPerMinute: 1000, onLost: (one: LostAlerts) => lost.push(one) };
  const watch = new LoginWatch({ ...given, ...options });
  let requests = 0;

  const eventOf = (happening: Happening, from: From = {}): AuthEvent => {
    requests += 1;
    const { ip = '192.0.2.1', userAgent = 'Browser/1', requestId = `request-${requests}` } = from;
    return { ...happening, time: clock.now(), ip, userAgent, requestId };
  };

  /** Observes what happened in one request, some times over, and waits until it is decided. */
  async function see(happening: Happening, from: From = {}, times = 1): Promise<void> {
    for (let time = 0; time < times; time += 1) watch.observe(eventOf(happening, from));
    await watch.flush();
  }

  const fail = (account = 'alice', from: From = {}, times = 1): Promise<void> =>
    see(
      { name: 'login.failed', reason: 'wrong password', account, subject: subjectOf(account) },
      from,
      times,
    );
  const succeed = (account = 'alice', from: From & { device?: 'known' | 'new'; methods?: string[] } = {}) => {
    const { device, methods = ['pwd'], ...seen } = from;
    const about = { account, subject: subjectOf(account), methods, token: 'token' };
    return see({ name: 'login.succeeded', ...about, ...(device !== undefined && { device }) }, seen);
  };
  const kinds = (): string[] => sink.alerts.map(({ kind }) => kind);

  return { clock, store: kept, sink, lost, watch, eventOf, see, fail, succeed, kinds };
}

export type WatchRig = ReturnType<typeof watchRig>;

export function subjectOf(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(64, '0').slice(0, 64);
}
