/**
 * Everything that must hold before a change goes in: `npm test`. Arguments are handed to jest:
 * `npm test -- test/core`. The last line of the output counts what passed, failed and was skipped; each step
 * counts as one, jest's as many as it has tests. The first step that fails ends the run, and those after it
 * count as skipped.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'portcullis-test-'));

/** Programs that tests start and npm does not install. Any of `commands` will do, on PATH or in a folder of `beside`. */
const tools = [
  {
    commands: ['redis-server'],
    purpose: 'the store tests run against a real Redis',
    debianPackage: 'redis-server',
    elsewhere: 'brew install redis, or https://redis.io/docs/latest/operate/oss_and_stack/install/',
  },
  {
    commands: ['initdb'],
    // Debian keeps the server's programs out of PATH, a folder for each version.
    beside: () => subfolders('/usr/lib/postgresql').map((version) => join(version, 'bin')),
    purpose: 'the store tests run against a real PostgreSQL',
    debianPackage: 'postgresql',
    elsewhere: 'brew install postgresql, or https://www.postgresql.org/download/',
  },
  {
    commands: ['chromium', 'chromium-browser', 'google-chrome'],
    purpose: 'security keys are tested in a real browser',
    debianPackage: 'chromium',
    elsewhere: 'https://www.chromium.org/getting-involved/download-chromium/',
  },
  {
    commands: ['oathtool'],
    purpose: 'an independent TOTP client',
    debianPackage: 'oathtool',
    elsewhere: 'brew install oath-toolkit, or https://www.nongnu.org/oath-toolkit/download.html',
  },
  {
    commands: ['curl'],
    purpose: 'the walk-through of the quick start runs in a shell',
    debianPackage: 'curl',
    elsewhere: 'https://curl.se/download.html',
  },
];

const steps = [
  { name: 'tools', run: installTools },
  { name: 'build', run: build },
  { name: 'lint', run: () => succeeds('npm', 'run', '--silent', 'lint') },
  { name: 'format', run: () => succeeds('npx', '--no', '--', 'prettier', '--check', '.') },
  { name: 'types of the tests', run: () => succeeds('npx', '--no', '--', 'tsc', '-p', 'test/tsconfig.json') },
  { name: 'types in the browser', run: () => succeeds('npx', '--no', '--', 'tsc', '-p', 'test/browser') },
  { name: 'pack', run: pack },
  { name: 'publint', run: () => succeeds('npx', '--no', '--', 'publint', 'run', '--strict', tarball()) },
  {
    name: 'attw',
    run: () => succeeds('npx', '--no', '--', 'attw', '--profile', 'esm-only', '--format', 'ascii', tarball()),
  },
  { name: 'jest', run: jest },
];

const count = { passed: 0, failed: 0, skipped: 0 };

try {
  for (const { name, run } of steps) {
    if (count.failed > 0) {
      count.skipped += 1;
      say(`- ${name}: not run`);
      continue;
    }
    say(`\n> ${name}`);
    const start = performance.now();
    const result = await outcomeOf(run);
    for (const key of Object.keys(count)) count[key] += result[key];
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(`${result.failed > 0 ? 'FAILED' : 'ok'}: ${name}, ${seconds} s`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
  // No process.exit: it could drop what a pipe has not taken yet.
  process.exitCode = count.failed === 0 && count.skipped === 0 && count.passed > 0 ? 0 : 1;
  say(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
}

async function outcomeOf(run) {
  try {
    const result = await run();
    if (typeof result === 'object') return result;
    return { passed: result ? 1 : 0, failed: result ? 0 : 1, skipped: 0 };
  } catch (error) {
    say(error.stack);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function say(line) {
  process.stdout.write(`${line}\n`);
}

/** Runs a program in sight of the reader. */
function succeeds(program, ...args) {
  return succeedsWith({}, program, ...args);
}

async function succeedsWith(env, program, ...args) {
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    // A question that nobody answers must not hold up the run.
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve) => {
    child.once('error', (error) => {
      say(`${program}: ${error.message}`);
      resolve(false);
    });
    child.once('exit', (code) => resolve(code === 0));
  });
}

async function installTools() {
  const missing = tools.filter((tool) => !isInstalled(tool));
  if (missing.length > 0 && isDebian() && process.getuid?.() === 0) {
    const packages = missing.map((tool) => tool.debianPackage);
    say(`Installing ${packages.join(', ')}`);
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    // Neither result is judged: a stale index may do, and a service that cannot start here is not needed.
    await succeedsWith(env, 'apt-get', 'update');
    await succeedsWith(env, 'apt-get', 'install', '-y', '--no-install-recommends', ...packages);
  }
  const stillMissing = tools.filter((tool) => !isInstalled(tool));
  for (const { commands, purpose, debianPackage, elsewhere } of stillMissing) {
    say(`${commands.join(' or ')} is missing: ${purpose}.`);
    say(`  Debian, Ubuntu: apt-get install ${debianPackage} (done by this command when it runs as root)`);
    say(`  elsewhere: ${elsewhere}`);
  }
  return stillMissing.length === 0;
}

function isInstalled({ commands, beside = () => [] }) {
  const names = [...commands, ...beside().flatMap((folder) => commands.map((name) => join(folder, name)))];
  return names.some((name) => spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name]).status === 0);
}

function subfolders(folder) {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function isDebian() {
  try {
    return /^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}

/** From nothing: what an earlier build left must not stand in for what this one no longer makes. */
function build() {
  for (const folder of ['dist', 'build']) rmSync(join(root, folder), { recursive: true, force: true });
  return succeeds('npm', 'run', '--silent', 'build');
}

/** What would be published, made once for the checks that follow. The build has just been made. */
function pack() {
  return succeeds('npm', 'pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', scratch);
}

function tarball() {
  return join(scratch, readdirSync(scratch).find((name) => name.endsWith('.tgz')) ?? 'missing.tgz');
}

async function jest() {
  const file = join(scratch, 'jest.json');
  const own = ['--ci', '--json', `--outputFile=${file}`];
  const isFine = await succeeds('npm', 'run', '--silent', 'jest', '--', ...own, ...process.argv.slice(2));
  const result = JSON.parse(readFileSync(file, 'utf8'));
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
  return {
    passed: result.numPassedTests,
    // Also where jest fails for another reason than a test: interrupted, or nothing to run.
    failed: Math.max(failed, isFine && result.success && result.numTotalTests > 0 ? 0 : 1),
    skipped: result.numPendingTests + result.numTodoTests,
  };
}
