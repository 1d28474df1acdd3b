import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server could not bind the port that was found free for it. */
export class PortTaken extends Error {}

/**
 * A free port below the usual ephemeral range. Within it, an outgoing connection could take the port of a
 * server that is down for a moment, and a client that keeps knocking there can even connect to itself.
 */
export async function findFreePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(20_000, 32_000);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
  throw new Error('No free port between 20000 and 31999');
}

/** Somebody else can take a port between the moment it was found free and the moment the server binds it. */
export async function retryTakenPorts(start: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof PortTaken) || tries === 10) throw error;
      await sleep(20 * tries);
    }
  }
}

/**
 * A shell that waits for the end of its standard input, which comes when this process ends, in whatever way:
 * hooks on 'exit' do not run after SIGKILL, nor for a worker that the test runner gives up. It then ends the
 * process named last and removes the directory.
 *
 * @param end - Shell words that end the process "$pid".
 */
export function startGuardian(directory: string, end: string) {
  const script = `while read -r line; do pid=$line; done; [ -z "$pid" ] || { ${end}; }; rm -rf "$1"`;
  const shell = spawn('sh', ['-c', script, 'sh', directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    env: { PATH: process.env['PATH'] },
  });
  const input = shell.stdin;
  // Without the guardian the tests can still run; they need not end because it did.
  input.on('error', () => {});
  if (input instanceof Socket) input.unref();
  shell.unref();
  return {
    watch: (pid: number | undefined): void => void input.write(`${pid ?? ''}\n`),
    dismiss: (): void => void input.end(),
  };
}

export function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
