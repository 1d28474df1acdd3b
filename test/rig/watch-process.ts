import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { LoginWatch, redisStore, type Alert, type LoginWatchOptions } from '../../src/index.js';
import { watchedApp } from './watched-app.js';

/** What a process has to be compiled for. */
export const watchPrograms = ['test/rig/watch-process.ts', 'test/rig/watched-app.ts'];

/** What a watch of another process has told since it was last asked, and lost since it began. */
export interface WatchReport {
  readonly alerts: readonly Alert[];
  readonly lost: { readonly events: number; readonly alerts: number };
}

export interface WatchProcess {
  readonly port: number;
  /** Waits until all that it has seen is decided. */
  flush(): Promise<WatchReport>;
  stop(): Promise<unknown>;
}

export type WatchSettings = Partial<Omit<LoginWatchOptions, 'store' | 'sinks'>>;

/** Starts a watched app in a process of its own, which ends with this one. */
export async function startWatchProcess(
  directory: string,
  redisUrl: string,
  settings: WatchSettings = {},
): Promise<WatchProcess> {
  const program = join(directory, 'test/rig/watch-process.js');
  const child = fork(program, [redisUrl, JSON.stringify(settings)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const next = (): Promise<unknown> =>
    Promise.race([
      once(child, 'message').then(([message]) => message as unknown),
      ended.then(() => Promise.reject(new Error('A watch process ended'))),
    ]);
  const port = Number(await next());
  return {
    port,
    async flush() {
      child.send('flush');
      return (await next()) as WatchReport;
    },
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function main(redisUrl: string, settings: WatchSettings): Promise<void> {
  const store = redisStore(new Redis(redisUrl));
  const alerts: Alert[] = [];
  const sink = {
    name: 'kept',
    async send(alert: Alert) {
      alerts.push(alert);
    },
  };
  const watch = new LoginWatch({ store, sinks: [sink], ...settings });
  const server = watchedApp({ store, watch }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.on('message', () => {
    void watch.flush().then(() => process.send?.({ alerts: alerts.splice(0), lost: watch.lost }));
  });
  process.on('disconnect', () => process.exit());
  process.send?.((server.address() as AddressInfo).port);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv[2] ?? '', JSON.parse(process.argv[3] ?? '{}') as WatchSettings);
}
