import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { LoginLog, redisStore, type AuthEvent } from '../../src/index.js';

/** What one process writes: so many events under its name, by `record`, and every tenth by `append` as well. */
export interface LogTask {
  readonly redisUrl: string;
  readonly key: string;
  readonly name: string;
  readonly events: number;
}

/** Runs a task in a process of its own; resolves with how many entries it lost. */
export async function runLogProcess(directory: string, task: LogTask): Promise<number> {
  const child = fork(join(directory, 'test/rig/log-process.js'), [JSON.stringify(task)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const answered = once(child, 'message').then(([message]) => Number(message));
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`ended with ${code}`)));
  const lost = await Promise.race([answered, ended]);
  await ended.catch(() => {});
  return lost;
}

async function main({ redisUrl, key, name, events }: LogTask): Promise<void> {
  const redis = new Redis(redisUrl);
  const log = new LoginLog({ store: redisStore(redis), chain: { key } });
  for (let i = 0; i < events; i += 1) {
    const account = `${name} ${i}`;
    const request = { time: Date.now(), ip: '192.0.2.1', requestId: account, userAgent: 'test' };
    log.record({ name: 'login.failed', account, reason: 'wrong', ...request } satisfies AuthEvent);
    // oxlint-disable-next-line no-await-in-loop -- as an app does that audits what it does
    if (i % 10 === 0) await log.append({ name: 'account.unlocked', outcome: 'changed', account });
  }
  await log.flush();
  process.send?.(log.lost, () => {
    redis.disconnect();
    process.disconnect();
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(JSON.parse(process.argv[2] ?? '') as LogTask);
}
