import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chownSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findFreePort, hasExited, PortTaken, retryTakenPorts, startGuardian } from './server-process.js';

/** A real PostgreSQL of one test file: loopback only, in a directory of its own, gone when the test process is gone. */
export interface PostgresServer {
  readonly port: number;
  /** For `new Pool()` of pg. */
  readonly options: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
  /** Of the server's first process; a restart has another one. */
  readonly pid: number;
  /** Ends the server and removes its directory. May be called twice. */
  stop(): Promise<void>;
  /** At once and without a shutdown, as in a crash: connections break, the port refuses, what was committed stays. */
  kill(): Promise<void>;
  /** Starts it on the same port with what it had, after ending it if it runs. */
  restart(): Promise<void>;
}

const startTimeoutMs = 20_000;
const stopTimeoutMs = 5000;
const user = 'postgres';

/** At once, but so that it takes its shared memory with it. */
const endPostgres = `kill -QUIT "$pid"
tries=0
while kill -0 "$pid" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$pid"`;

export async function startPostgres(): Promise<PostgresServer> {
  const binaries = { initdb: findBinary('initdb'), postgres: findBinary('postgres') };
  // PostgreSQL refuses to run as root.
  const owner: Owner = process.getuid?.() === 0 ? findOwner() : {};
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-postgres-'));
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(directory, owner.uid, owner.gid);
  const files = { data: join(directory, 'data'), log: join(directory, 'postgres.log') };
  const guardian = startGuardian(directory, endPostgres);
  let port = 0;
  let child: ChildProcess;

  async function launch(): Promise<void> {
    child = await launchOn(port, binaries.postgres, files, owner);
    guardian.watch(child.pid);
    child.once('exit', () => guardian.watch(undefined));
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (hasExited(child)) return;
    child.ref();
    const exited = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await exited;
    clearTimeout(late);
  }

  try {
    const settings = ['--no-sync', '--locale=C', '--encoding=UTF8', '--auth=trust', `--username=${user}`];
    const { status, stderr } = spawnSync(binaries.initdb, [...settings, '-D', files.data], {
      ...owner,
      encoding: 'utf8',
      cwd: directory,
      timeout: startTimeoutMs,
    });
    if (status !== 0) throw new Error(`initdb failed:\n${stderr}`);
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
    get options() {
      return { host: '127.0.0.1', port, user, database: 'postgres' };
    },
    get pid() {
      return child.pid ?? 0;
    },
    async stop() {
      // "Fast": whoever is connected is thrown out.
      await end('SIGINT');
      guardian.dismiss();
      rmSync(directory, { recursive: true, force: true });
    },
    kill: () => end('SIGQUIT'),
    async restart() {
      await end('SIGINT');
      await retryTakenPorts(launch);
    },
  };
}

/** Debian keeps the server's programs out of PATH, a directory for each version. */
function findBinary(name: string): string {
  const debian = '/usr/lib/postgresql';
  const versions = listOf(debian).toSorted((a, b) => Number(b) - Number(a));
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  const found = folders.map((folder) => join(folder, name)).find((file) => isExecutable(file));
  if (found !== undefined) return found;
  throw new Error(
    `${name} is not installed: apt-get install postgresql (Debian, Ubuntu), brew install postgresql (macOS)`,
  );
}

function listOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

/** The account that the package made for the server, or the one that owns nothing. */
function findOwner(): Required<Owner> {
  for (const name of [user, 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((what) =>
      Number(spawnSync('id', [what, name], { encoding: 'utf8' }).stdout),
    );
    if (uid && gid) return { uid, gid };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody');
}

// No test needs what it wrote to outlast the machine. What was committed must outlast the server, so commits are not
// left to its background writer.
const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '32MB',
  // In the directory, where they go with it.
  dynamic_shared_memory_type: 'mmap',
  max_connections: '100',
  logging_collector: 'off',
};

async function launchOn(
  port: number,
  binary: string,
  files: { readonly data: string; readonly log: string },
  owner: Owner,
): Promise<ChildProcess> {
  const log = openSync(files.log, 'w');
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(binary, ['-D', files.data, '-p', `${port}`, ...args], {
    ...owner,
    cwd: files.data,
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });

  const deadline = performance.now() + startTimeoutMs;
  for (;;) {
    const said = readFileSync(files.log, 'utf8');
    if (failure !== undefined) throw failure;
    if (hasExited(child)) {
      if (said.includes('Address already in use')) throw new PortTaken(`Port ${port} is taken`);
      throw new Error(`postgres ended while starting:\n${said}`);
    }
    // The log comes first: another server that won the race for the port would accept connections as well.
    if (said.includes('ready to accept connections') && (await accepts(port))) return child;
    if (performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`postgres was not ready within ${startTimeoutMs} ms:\n${said}`);
    }
    await sleep(10);
  }
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.setTimeout(1000, () => settle(false));
  });
}
