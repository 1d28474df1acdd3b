import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findFreePort, hasExited, PortTaken, retryTakenPorts, startGuardian } from './server-process.js';

/** A real Redis of one test file: loopback only, nothing on disk, gone when the test process is gone. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** Of the process running now; a restart has another one. */
  readonly pid: number;
  /** Ends the process in good order and removes its directory. May be called twice. */
  stop(): Promise<void>;
  /** SIGKILL: connections break, data is lost, the port refuses. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and new ones are accepted by the kernel, but nothing is answered. */
  freeze(): void;
  /** SIGCONT: whatever was sent meanwhile is now executed. */
  thaw(): void;
  /** A new, empty process on the same port. */
  restart(): Promise<void>;
}

export interface RedisServerOptions {
  /** More arguments, as on the command line: `['--maxmemory', '2mb']`. */
  readonly args?: readonly string[];
  /** A node of a Cluster, without slots: it has a second port, on which nodes talk to each other. */
  readonly isClusterNode?: boolean;
}

const startTimeoutMs = 10_000;
const stopTimeoutMs = 5000;

export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const binary = findBinary();
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-redis-'));
  const guardian = startGuardian(directory, 'kill -KILL "$pid"');
  let port = 0;
  let child: ChildProcess;

  async function launch(): Promise<void> {
    const args = [...(options.args ?? [])];
    if (options.isClusterNode === true) {
      args.push('--cluster-enabled', 'yes', '--cluster-port', `${await findFreePort()}`);
    }
    child = await launchOn(port, binary, directory, args);
    guardian.watch(child.pid);
    child.once('exit', () => guardian.watch(undefined));
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (hasExited(child)) return;
    child.ref();
    const exited = once(child, 'exit');
    child.kill(signal);
    // A frozen process takes no other signal until it continues.
    child.kill('SIGCONT');
    const late = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await exited;
    clearTimeout(late);
  }

  try {
    await retryTakenPorts(async () => {
      port = await findFreePort();
      await launch();
    });
  } catch (error) {
    guardian.dismiss();
    throw error;
  }

  return {
    get port() {
      return port;
    },
    get url() {
      return `redis://127.0.0.1:${port}`;
    },
    get pid() {
      return child.pid ?? 0;
    },
    async stop() {
      await end('SIGTERM');
      guardian.dismiss();
      rmSync(directory, { recursive: true, force: true });
    },
    kill: () => end('SIGKILL'),
    freeze() {
      child.kill('SIGSTOP');
      awaitStopped(child.pid ?? 0);
    },
    thaw() {
      child.kill('SIGCONT');
    },
    async restart() {
      await end('SIGTERM');
      await retryTakenPorts(launch);
    },
  };
}

function findBinary(): string {
  const found = spawnSync('sh', ['-c', 'command -v redis-server'], { encoding: 'utf8' }).stdout.trim();
  if (found !== '') return found;
  throw new Error(
    'redis-server is not installed: apt-get install redis-server (Debian, Ubuntu), brew install redis (macOS)',
  );
}

async function launchOn(
  port: number,
  binary: string,
  directory: string,
  args: readonly string[],
): Promise<ChildProcess> {
  const defaults = ['--save', '', '--appendonly', 'no'];
  const fixed = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--loglevel', 'notice'];
  const logFile = join(directory, 'redis.log');
  const log = openSync(logFile, 'w');
  const child = spawn(binary, [...defaults, ...args, ...fixed], { stdio: ['ignore', log, log] });
  closeSync(log);
  child.unref();
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });

  const deadline = performance.now() + startTimeoutMs;
  for (;;) {
    const said = readFileSync(logFile, 'utf8');
    if (failure !== undefined) throw failure;
    if (hasExited(child)) {
      if (said.includes('Address already in use')) throw new PortTaken(`Port ${port} is taken`);
      throw new Error(`redis-server ended while starting:\n${said}`);
    }
    // The log comes first: a PING alone could be answered by another server that won the race for the port.
    if (said.includes('Ready to accept connections') && (await answersPing(port))) return child;
    if (performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`redis-server did not answer within ${startTimeoutMs} ms:\n${said}`);
    }
    await sleep(10);
  }
}

/** Any reply will do: with a password or an access list set, PING is answered by an error. */
async function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const settle = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('data', () => settle(true));
    socket.once('error', () => settle(false));
    socket.setTimeout(1000, () => settle(false));
  });
}

/** The signal is only noted when `kill` returns; a command sent at once could still be answered. */
function awaitStopped(pid: number): void {
  const stat = `/proc/${pid}/stat`;
  const deadline = performance.now() + 1000;
  while (existsSync(stat) && !/\) [Tt] /.test(readFileSync(stat, 'utf8')) && performance.now() < deadline);
}
