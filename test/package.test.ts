import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = process.cwd();
/** A copy of the repository, built. */
let tree: string;
/** An app that has installed the package, and of what it may have beside it only Koa and its router. */
let consumer: string;

beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'portcullis-package-'));
  copyTree();
  // Its types are needed to build, and only there.
  link('kysely', tree);
  link('@koa/router', tree);
  run(tree, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json');
  rmSync(join(tree, 'node_modules/kysely'));
  consumer = mkdtempSync(join(tmpdir(), 'portcullis-consumer-'));
  mkdirSync(join(consumer, 'node_modules'));
  symlinkSync(tree, join(consumer, 'node_modules/koa-portcullis'));
  for (const name of ['koa', '@koa/router', '@types']) link(name, consumer);
}, 60_000);

afterAll(() => {
  for (const folder of [tree, consumer]) rmSync(folder, { recursive: true, force: true });
});

describe('the package', () => {
  it('holds the build, its types, README and LICENSE, and nothing else (SUP-02)', () => {
    for (const name of ['.env', 'factor.key', 'dump.rdb', 'notes.md']) writeFileSync(join(tree, name), 'x');
    const said = run(tree, 'npm', 'pack', '--dry-run', '--json', '--ignore-scripts');
    const [{ files }] = JSON.parse(said) as [{ files: { path: string }[] }];
    const built = readdirSync(join(tree, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) => ['.js', '.d.ts'].map((ending) => `dist/${path.replace(/\.ts$/, ending)}`));
    const packed = files.map(({ path }) => path).toSorted();
    expect(packed).toEqual(['LICENSE', 'README.md', 'package.json', ...built].toSorted());
  });

  it('runs no script when it is installed, and depends on few packages', () => {
    const { scripts, dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      scripts: Record<string, string>;
      dependencies: Record<string, string>;
    };
    expect(Object.keys(scripts).filter((name) => /^(?:pre|post)?install$|^prepare$/.test(name))).toEqual([]);
    expect(Object.keys(dependencies)).toEqual([
      '@simplewebauthn/server',
      '@types/koa',
      '@zxcvbn-ts/language-common',
      'otplib',
      'uqr',
    ]);
  });
});

/** The part of a range that decides what is compatible. */
function release(range = ''): string | undefined {
  return /^\^(0\.\d+|\d+)/.exec(range)?.[1];
}

describe('what may stand beside it', () => {
  const { peerDependencies, peerDependenciesMeta, devDependencies } = JSON.parse(
    readFileSync('package.json', 'utf8'),
  ) as {
    peerDependencies: Record<string, string>;
    peerDependenciesMeta: Record<string, { optional: boolean }>;
    devDependencies: Record<string, string>;
  };

  it.each(Object.keys(peerDependencies))('%s is tested in the version that is asked for', (name) => {
    expect(release(peerDependencies[name])).toBe(release(devDependencies[name]));
  });

  it('is optional, but for what the routers are made of', () => {
    const optional = Object.keys(peerDependenciesMeta);
    const needed = Object.keys(peerDependencies).filter((name) => !optional.includes(name));
    expect(needed).toEqual(['@koa/router', 'koa']);
  });
});

describe('an app without ioredis, kysely and @node-rs/argon2', () => {
  it('has none of them', () => {
    for (const name of ['ioredis', 'kysely', '@node-rs/argon2']) {
      for (const folder of [consumer, tree]) {
        expect(() => run(folder, process.execPath, '-e', `require('${name}')`)).toThrow('Cannot find module');
      }
    }
  });

  it('imports the package', () => {
    const said = runScript('import.mjs', `import * as all from 'koa-portcullis'; ${sayNames}`);
    expect(JSON.parse(said)).toEqual(exportedNames());
  });

  it('requires the package from CommonJS', () => {
    const said = runScript('require.cjs', `const all = require('koa-portcullis'); ${sayNames}`);
    expect(JSON.parse(said)).toEqual(exportedNames());
  });

  it('reads its package.json, and no file behind its door', () => {
    const said = runScript('version.cjs', `console.log(require('koa-portcullis/package.json').name)`);
    expect(said.trim()).toBe('koa-portcullis');
    const inside = `require('koa-portcullis/dist/core/login.js')`;
    expect(() => runScript('inside.cjs', inside)).toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it.each(['import', 'require'])('ends at once after it, by %s: nothing is left to wait for', (way) => {
    const load = way === 'import' ? `await import('koa-portcullis')` : `require('koa-portcullis')`;
    const script = `
      const start = performance.now();
      process.once('beforeExit', () => console.log(performance.now() - start));
      ${load};`;
    const file = way === 'import' ? 'alive.mjs' : 'alive.cjs';
    // A timer that is left would be one of seconds.
    const tookMs = Number(runScript(file, script));
    expect(tookMs).toBeGreaterThan(0);
    expect(tookMs).toBeLessThan(5000);
  });

  it('is told what is missing when it needs it', () => {
    const script = `import { PasswordHashes } from 'koa-portcullis'; new PasswordHashes();`;
    expect(() => runScript('hashes.mjs', script)).toThrow('install @node-rs/argon2');
  });

  it.each([
    ['an ES module', 'typed.mts'],
    ['CommonJS', 'typed.cts'],
  ])('has types that compile under the strictest options, in %s (SUP-05)', (_what, file) => {
    expect(typeErrorsOf(file, rightUse)).toBe('');
  });

  it('has types that refuse wrong compositions (SUP-05)', () => {
    const wrong = [
      `lockout(attempts, { readUsernam: () => 'x' });`,
      `lockout(tokens);`,
      `lockout();`,
      `new Lockout({ store: {} });`,
      `sqlStore(redis);`,
      `new Lockout({ store, limits: undefined });`,
      `new Lockout({ store, limits: [{ failures: '3', withinSeconds: 60 }] });`,
      `new SecondFactors({ store, issuer: 'Acme' });`,
      `issueToken(tokens, { lifetimeSeconds: '1h' });`,
      `requireToken(tokens, { findAccount: () => true });`,
      `export const refused = (ctx: AuthContext) => refuse(ctx, 'nope');`,
      `export const heard = (event: AuthEvent) => event.name === 'nope';`,
    ];
    const first = rightUse.split('\n').length + 1;
    const errors = typeErrorsOf('wrong.mts', [rightUse, ...wrong].join('\n'));
    const lines = [...errors.matchAll(/^wrong\.mts\((\d+),\d+\): error TS/gm)].map(([, line]) =>
      Number(line),
    );
    expect([...new Set(lines)]).toEqual(wrong.map((_line, index) => first + index));
  });
});

const sayNames = 'console.log(JSON.stringify(Object.keys(all).filter((name) => name !== "default").sort()));';

const rightUse = `
import Koa = require('koa');
import { AccessTokens, Lockout, SecondFactors, issueToken, lockout, memoryStore, passwordVerified, redisStore,
  refuse, requireSecondFactor, requireToken, safeBody, sqlMigrations, sqlStore, type Auth, type AuthContext,
  type AuthEvent, type AuthState, type RedisClient, type SqlDatabase } from 'koa-portcullis';
const app = new Koa<AuthState>();
const store = memoryStore();
const attempts = new Lockout({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [new Uint8Array(32)] });
const tokens = new AccessTokens({ store });
declare const redis: RedisClient;
new Lockout({ store: redisStore(redis) });
declare const kysely: SqlDatabase;
new Lockout({ store: sqlStore(kysely, { prefix: 'auth' }) });
for (const { up } of Object.values(sqlMigrations('auth'))) void up(kysely);
app.use(safeBody(async (_ctx, next) => next()));
app.use(lockout(attempts, { readUsername: () => 'alice' }));
app.use(async (ctx, next) => {
  passwordVerified(ctx, { id: 'alice' });
  await next();
  const auth: Auth = ctx.state.auth;
  const id: string | undefined = auth.account?.id;
  if (id === undefined) refuse(ctx, 'forbidden');
});
app.use(requireSecondFactor(factors));
app.use(issueToken(tokens, { scope: (account) => account.id }));
app.use(requireToken(tokens));
app.on('auth', (event: AuthEvent) => event.name === 'account.locked' && event.retryAfterSeconds.toFixed());
`;

/** What npm sees of the repository: everything but what it never packs. */
function copyTree(): void {
  const left = new Set(['.git', 'node_modules', 'dist', 'build', 'coverage']);
  for (const name of readdirSync(root).filter((entry) => !left.has(entry))) {
    cpSync(join(root, name), join(tree, name), { recursive: true });
  }
  mkdirSync(join(tree, 'node_modules'));
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  // Types of Node are the consumer's, but the compiler looks for them from here.
  for (const name of [...Object.keys(dependencies), '@types'])
    link(name.replace(/^@types\/.*/, '@types'), tree);
}

function link(name: string, folder: string): void {
  const place = join(folder, 'node_modules', name);
  mkdirSync(dirname(place), { recursive: true });
  rmSync(place, { force: true });
  symlinkSync(join(root, 'node_modules', name), place);
}

/** @throws {Error} with what the program said, when it fails. */
function run(folder: string, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

function runScript(name: string, text: string): string {
  writeFileSync(join(consumer, name), text);
  return run(consumer, process.execPath, name);
}

function exportedNames(): string[] {
  const index = readFileSync('src/index.ts', 'utf8');
  const lists = [...index.matchAll(/export \{([^}]*)\} from/g)].map(([, list = '']) => list);
  const names = lists.flatMap((list) => list.split(',')).map((name) => name.trim());
  return names.filter((name) => name !== '' && !name.startsWith('type ')).toSorted();
}

function typeErrorsOf(file: string, text: string): string {
  writeFileSync(join(consumer, file), text);
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    module: 'nodenext',
    target: 'es2023',
    types: ['node'],
  };
  writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: [file] }));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  return spawnSync(process.execPath, [tsc, '-p', '.'], { cwd: consumer, encoding: 'utf8' }).stdout;
}
