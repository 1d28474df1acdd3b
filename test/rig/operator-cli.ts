import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a run of the command line came to. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An app that has installed the package from its tarball, and an operator in the app's folder. */
export interface InstalledCli {
  readonly app: string;
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>;
  /** By the name that the package gives it, as an operator types it. */
  npx(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>;
  writeConfig(name: string, text: string): void;
  remove(): void;
}

const root = process.cwd();

/** Builds the sources as they are, packs them, and installs what was packed, without a registry. */
export function installCli(): InstalledCli {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-cli-'));
  const [tree, app] = [join(folder, 'tree'), join(folder, 'app')];
  mkdirSync(tree);
  mkdirSync(join(app, 'node_modules'), { recursive: true });
  for (const name of ['package.json', 'README.md', 'LICENSE'])
    copyFileSync(join(root, name), join(tree, name));
  const dist = join(tree, 'dist');
  finish(root, process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', dist);
  finish(tree, 'npm', 'pack', '--ignore-scripts', '--silent');
  const tarball = readdirSync(tree).find((name) => name.endsWith('.tgz')) ?? 'missing.tgz';
  finish(tree, 'tar', '-xzf', tarball, '-C', join(app, 'node_modules'));
  renameSync(join(app, 'node_modules/package'), join(app, 'node_modules/koa-portcullis'));
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  const scopes = Object.keys(dependencies).map((name) => name.split('/')[0] ?? '');
  for (const name of new Set([...scopes, 'ioredis', 'koa', '@koa'])) {
    symlinkSync(join(root, 'node_modules', name), join(app, 'node_modules', name));
  }
  const manifest = { name: 'app', private: true, type: 'module', dependencies: { 'koa-portcullis': '*' } };
  writeFileSync(join(app, 'package.json'), JSON.stringify(manifest));
  // Makes the links in node_modules/.bin, as an installation does.
  finish(app, 'npm', 'rebuild', '--offline', '--ignore-scripts', 'koa-portcullis');
  return {
    app,
    run: (args, env) => spawned(app, join(app, 'node_modules/.bin/koa-portcullis'), args, env),
    npx: (args, env) => spawned(app, 'npx', ['--no', '--offline', '--', 'koa-portcullis', ...args], env),
    writeConfig: (name, text) => writeFileSync(join(app, name), text),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function finish(cwd: string, program: string, ...args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
}

/** Beside the test, whose own servers must go on answering. */
function spawned(
  cwd: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const { NODE_OPTIONS: _options, ...inherited } = process.env;
  const child = spawn(program, args, {
    cwd,
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => (said[stream] += text));
  }
  const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(late);
      resolve({ code, ...said });
    });
  });
}
