import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parseSync, type ModuleItem } from '@swc/core';

const mostLines = 200;

interface Layer {
  /** Layers that it may import. Its own is among them only where files of one layer may know each other. */
  readonly layers: readonly string[];
  /** Packages, and `node:` for Node's own modules. */
  readonly packages: readonly string[];
  /** Packages of which only types may be imported. */
  readonly typesOf: readonly string[];
}

const layers: Readonly<Record<string, Layer>> = {
  index: { layers: ['middleware', 'routes', 'http', 'core', 'stores', 'sinks'], packages: [], typesOf: [] },
  middleware: { layers: ['http', 'core'], packages: [], typesOf: [] },
  routes: { layers: ['http', 'core'], packages: [], typesOf: [] },
  http: { layers: ['http', 'core'], packages: ['node:'], typesOf: ['koa'] },
  core: {
    layers: ['core'],
    packages: ['node:', 'otplib', '@simplewebauthn/server', 'hibp', '@zxcvbn-ts/language-common'],
    typesOf: [],
  },
  // What alerts and figures go out by. A client of the app's own is handed over, never imported.
  sinks: { layers: ['sinks', 'core'], packages: ['node:'], typesOf: [] },
  // What an operator runs.
  cli: { layers: ['cli', 'core'], packages: ['node:'], typesOf: [] },
  stores: { layers: ['stores', 'core'], packages: ['node:'], typesOf: ['ioredis', 'kysely'] },
};

/** Packages that a single file may import. */
const packagesOfFile: Readonly<Record<string, readonly string[]>> = {
  'src/core/password-hashes.ts': ['@node-rs/argon2'],
  'src/core/qr-code.ts': ['uqr'],
  'src/routes/login-log-routes.ts': ['@koa/router'],
  'src/routes/robot-token-routes.ts': ['@koa/router'],
  'src/routes/oauth-routes.ts': ['@koa/router'],
  'src/routes/second-factor-routes.ts': ['@koa/router'],
  'src/routes/token-routes.ts': ['@koa/router'],
  'src/routes/device-routes.ts': ['@koa/router'],
};

/** Loads the configuration of the app that an operator names. */
const importsOfTheApp = 'src/cli/config-module.ts';

/** Core has no network of its own. */
const networkModules = /^node:(?:dgram|dns|http|http2|https|net|tls)(?:\/|$)/;

/** The core file of each middleware that is not its twin by name. */
const coreOfMiddleware: Readonly<Record<string, string>> = {
  'audit-second-factors': 'factor-audit',
  'issue-token': 'access-tokens',
  'require-enrolment': 'second-factors',
  'require-fresh-login': 'fresh-login',
  'require-second-factor': 'second-factors',
  'require-token': 'access-tokens',
  'reset-second-factors': 'factor-reset',
  'resume-login': 'second-factors',
  'revoke-other-tokens': 'access-tokens',
  'revoke-token': 'access-tokens',
  'verify-password': 'password-hashes',
};

/** Wraps a parser of the app: there is no rule behind it. */
const withoutCore = 'safe-body';

/** Paths from the root of the repository, and what the files hold. */
type Sources = ReadonlyMap<string, string>;

interface Import {
  /** Null where the name is computed. */
  readonly specifier: string | null;
  readonly isTypeOnly: boolean;
}

/** One line per broken rule: the file, a colon and what is wrong. Empty where all is well. */
function findViolations(sources: Sources, tests: ReadonlySet<string> = new Set()): string[] {
  const found: string[] = [];
  const arrows = new Map<string, string[]>();
  for (const [path, text] of sources) {
    const report = (what: string): void => void found.push(`${path}: ${what}`);
    const { body } = parseSync(text, { syntax: 'typescript', target: 'es2023' });
    const imports = body.flatMap((item) => importsOf(item));
    arrows.set(
      path,
      imports.map(({ specifier }) => resolve(path, specifier)).filter((to) => to !== null),
    );
    checkImports(path, imports, sources, report);
    checkForm(path, text, body, report);
    if (layerOf(path) === 'core' && callsClock(body)) report('reads a clock of its own');
    if (layerOf(path) === 'middleware') checkMiddleware(path, body, sources, tests, report);
  }
  return [...found, ...findCycles(arrows)];
}

function checkImports(
  path: string,
  imports: readonly Import[],
  sources: Sources,
  report: (what: string) => void,
): void {
  const layer = layers[layerOf(path)];
  if (layer === undefined) return report('belongs to no layer');
  for (const { specifier, isTypeOnly } of imports) {
    const target = resolve(path, specifier);
    if (specifier === null) {
      if (path !== importsOfTheApp) report('imports a computed name');
    } else if (target === null) {
      const name = packageOf(specifier);
      const allowed = [
        ...layer.packages,
        ...(packagesOfFile[path] ?? []),
        ...(isTypeOnly ? layer.typesOf : []),
      ];
      if (!allowed.includes(name)) report(`imports ${specifier}`);
      if (layerOf(path) === 'core' && networkModules.test(specifier)) report(`imports ${specifier}`);
    } else if (!sources.has(target)) {
      report(`imports ${specifier}, which does not exist`);
    } else if (!layer.layers.includes(layerOf(target))) report(`imports ${target}`);
  }
}

function checkForm(
  path: string,
  text: string,
  body: readonly ModuleItem[],
  report: (what: string) => void,
): void {
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  if (lines > mostLines) report(`has ${lines} lines`);
  for (const item of body) {
    if (item.type === 'ExportDefaultDeclaration' || item.type === 'ExportDefaultExpression') {
      report('has a default export');
    }
    if (item.type === 'ExportAllDeclaration') report('has an export *');
    if (item.type !== 'ExportNamedDeclaration') continue;
    for (const specifier of item.specifiers) {
      if (specifier.type === 'ExportNamespaceSpecifier') report('has an export *');
      const names = specifier.type === 'ExportSpecifier' ? [specifier.orig, specifier.exported] : [];
      if (names.some((name) => name?.value === 'default')) report('has a default export');
    }
  }
  const defines = body.filter((item) => !/^(?:Import|Export(?:All|Named))Declaration$/.test(item.type));
  if (layerOf(path) !== 'index') {
    if (defines.length === 0) report('defines nothing of its own');
  } else if (body.some((item) => item.type !== 'ExportNamedDeclaration' || (item.source ?? null) === null)) {
    report('does more than hand on names');
  }
}

function checkMiddleware(
  path: string,
  body: readonly ModuleItem[],
  sources: Sources,
  tests: ReadonlySet<string>,
  report: (what: string) => void,
): void {
  const name = posix.basename(path, '.ts');
  const expected = name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const exported = new Set(body.flatMap((item) => valuesExportedBy(item)));
  if (exported.size !== 1 || !exported.has(`function ${expected}`)) {
    report(
      `must export function ${expected} and nothing but types beside it, not: ${[...exported].join(', ')}`,
    );
  }
  const core = coreOfMiddleware[name] ?? name;
  if (name !== withoutCore && !sources.has(`src/core/${core}.ts`)) report(`has no src/core/${core}.ts`);
  if (!tests.has(`test/middleware/${name}.test.ts`)) report(`has no test/middleware/${name}.test.ts`);
}

/** Kind and name of each; types are left out. */
function valuesExportedBy(item: ModuleItem): string[] {
  if (item.type === 'ExportNamedDeclaration') {
    if (item.typeOnly) return [];
    const values = item.specifiers.filter((entry) => !('isTypeOnly' in entry && entry.isTypeOnly));
    return values.map(() => 'something by a list');
  }
  if (item.type !== 'ExportDeclaration') return [];
  const { declaration } = item;
  if (declaration.type === 'TsInterfaceDeclaration' || declaration.type === 'TsTypeAliasDeclaration')
    return [];
  return declaration.type === 'FunctionDeclaration'
    ? [`function ${declaration.identifier.value}`]
    : [declaration.type];
}

function importsOf(item: ModuleItem): Import[] {
  if (item.type === 'ImportDeclaration' || item.type === 'ExportAllDeclaration') {
    return [{ specifier: item.source.value, isTypeOnly: 'typeOnly' in item && item.typeOnly }];
  }
  if (item.type === 'ExportNamedDeclaration') {
    // Absent or null, depending on the syntax.
    const specifier = item.source?.value;
    return specifier === undefined ? [] : [{ specifier, isTypeOnly: item.typeOnly }];
  }
  const nodes = nodesOf(item);
  const calledAtOnce = new Set(
    nodes.flatMap(({ type, callee }) =>
      type === 'CallExpression' && isRequireMaker(callee) ? [callee] : [],
    ),
  );
  return nodes.flatMap((node): Import[] => {
    if (node['type'] === 'TsImportType') {
      return [{ specifier: literal(node['argument']), isTypeOnly: true }];
    }
    if (node['type'] === 'TsExternalModuleReference') {
      return [{ specifier: literal(node['expression']), isTypeOnly: false }];
    }
    const callee: unknown = node['type'] === 'CallExpression' ? node['callee'] : undefined;
    // `createRequire(here)('name')` says in one place what it loads; kept in a variable it would not.
    if (calledAtOnce.has(node)) return [];
    const isImport =
      isNode(callee) &&
      (callee['type'] === 'Import' ||
        calledAtOnce.has(callee) ||
        /^(?:require|createRequire)$/.test(String(callee['value'])));
    if (!isImport) return [];
    const [first] = Array.isArray(node['arguments']) ? (node['arguments'] as unknown[]) : [];
    return [{ specifier: isNode(first) ? literal(first['expression']) : null, isTypeOnly: false }];
  });
}

function isRequireMaker(callee: unknown): boolean {
  if (!isNode(callee) || callee['type'] !== 'CallExpression') return false;
  const { callee: maker } = callee;
  return isNode(maker) && maker['value'] === 'createRequire';
}

/** A default such as `now = Date.now` is no call: the caller can pass another. */
function callsClock(body: readonly ModuleItem[]): boolean {
  return nodesOf(body).some((node) => {
    const { type, callee } = node;
    if (!isNode(callee)) return false;
    if (type === 'NewExpression') {
      return callee['value'] === 'Date' && Array.isArray(node['arguments']) && node['arguments'].length === 0;
    }
    const { object, property } = callee;
    return isNode(object) && object['value'] === 'Date' && isNode(property) && property['value'] === 'now';
  });
}

type SyntaxNode = Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function literal(value: unknown): string | null {
  return isNode(value) && value['type'] === 'StringLiteral' ? String(value['value']) : null;
}

/** The node and all below it. */
function nodesOf(value: unknown): SyntaxNode[] {
  if (Array.isArray(value)) return value.flatMap((entry) => nodesOf(entry));
  return isNode(value) ? [value, ...Object.values(value).flatMap((entry) => nodesOf(entry))] : [];
}

/** `middleware` for src/middleware/lockout.ts, `index` for src/index.ts, empty for anything else. */
function layerOf(path: string): string {
  return path === 'src/index.ts' ? 'index' : (/^src\/([^/]+)\/[^/]+\.ts$/.exec(path)?.[1] ?? '');
}

/** The file that a relative import means, or null for a package. */
function resolve(path: string, specifier: string | null): string | null {
  if (specifier === null || !specifier.startsWith('.')) return null;
  return posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return 'node:';
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function findCycles(arrows: ReadonlyMap<string, readonly string[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start !== -1) cycles.push(`${path}: is in a cycle: ${[...trail.slice(start), path].join(' -> ')}`);
    if (start !== -1 || done.has(path)) return;
    for (const next of arrows.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of arrows.keys()) visit(path, []);
  return cycles;
}

function read(folder: string): Map<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `${folder}/${path.replaceAll('\\', '/')}`);
  return new Map(paths.map((path) => [path, readFileSync(path, 'utf8')]));
}

describe('the sources', () => {
  const sources = read('src');

  it('keep to the layers, forms and names of the design', () => {
    expect(findViolations(sources, new Set(read('test').keys()))).toEqual([]);
  });

  it('were all read', () => {
    const seen = new Set([...sources.keys()].map((path) => layerOf(path)));
    expect([...seen].toSorted()).toEqual(
      expect.arrayContaining(['core', 'http', 'index', 'middleware', 'stores']),
    );
  });

  it.each(Object.entries(coreOfMiddleware))('%s, listed as one whose rules are in %s, exists', (name) => {
    expect([...sources.keys()]).toContain(`src/middleware/${name}.ts`);
  });
});

describe('the check of the sources', () => {
  /** A small package without fault; each case below changes one file of it. */
  const good = {
    'src/index.ts': `export { lockout, type LockoutOptions } from './middleware/lockout.js';
export type { Auth } from './http/state.js';
export { memoryStore } from './stores/memory.js';`,
    'src/middleware/lockout.ts': `import { Lockout } from '../core/lockout.js';
import type { Auth } from '../http/state.js';
export interface LockoutOptions { readonly auth: Auth }
export type { Auth };
export function lockout(attempts: Lockout): Lockout;
export function lockout(attempts: Lockout, options?: LockoutOptions): Lockout { return attempts; }
function named(): void {}`,
    'src/http/state.ts': `import type Koa from 'koa';
export interface Auth { readonly ctx: Koa.Context }`,
    'src/core/lockout.ts': `import { createHash } from 'node:crypto';
import { verify } from 'otplib/functional';
import { few } from './few.js';
export class Lockout { constructor(now = Date.now, at = new Date(0)) { now(); } }`,
    'src/core/few.ts': `export const few = 3;`,
    'src/core/password-hashes.ts': `export const load = () => import('@node-rs/argon2');`,
    'src/stores/memory.ts': `import type { Redis } from 'ioredis';
import type { Lockout } from '../core/lockout.js';
export function memoryStore(redis: Redis): Lockout | null { return null; }`,
  };
  const mirrors = ['test/middleware/lockout.test.ts', 'test/middleware/other.test.ts'];

  function violationsWith(path: string, text: string, tests = mirrors): string[] {
    return findViolations(new Map(Object.entries({ ...good, [path]: text })), new Set(tests));
  }

  it('finds no fault in good sources', () => {
    expect(violationsWith('src/core/few.ts', good['src/core/few.ts'])).toEqual([]);
  });

  const few = 'src/core/few.ts';
  const lockout = 'src/middleware/lockout.ts';
  const other = 'src/middleware/other.ts';
  const asLockout = (line: string) => `${good[lockout]}\n${line}`;

  // prettier-ignore
  it.each([
    ['middleware that imports a store', lockout, asLockout(`import '../stores/memory.js';`), 'src/stores/memory.ts'],
    ['middleware that imports a type of a store', lockout, asLockout(`import type { A } from '../stores/memory.js';`), 'src/stores/memory.ts'],
    ['middleware that imports another', other, `import { lockout } from './lockout.js'; export function other() {}`, 'imports src/middleware/lockout.ts'],
    ['middleware that imports a Redis client', lockout, asLockout(`import { Redis } from 'ioredis';`), 'imports ioredis'],
    ['middleware that imports a type of a Redis client', lockout, asLockout(`import type { Redis } from 'ioredis';`), 'imports ioredis'],
    ['a route that imports middleware', 'src/routes/tokens.ts', `export { lockout as a } from '../middleware/lockout.js'; export const b = 1;`, 'imports src/middleware/lockout.ts'],
    ['http that imports Koa itself', 'src/http/state.ts', `import Koa from 'koa'; export type Auth = Koa;`, 'imports koa'],
    ['http that imports Koa for inline types', 'src/http/state.ts', `import { type Context } from 'koa'; export type Auth = Context;`, 'imports koa'],
    ['http that imports middleware', 'src/http/state.ts', `import { lockout } from '../middleware/lockout.js'; export type Auth = 1;`, 'imports src/middleware/lockout.ts'],
    ['core that imports Koa', few, `import type Koa from 'koa'; export const few = 3;`, 'imports koa'],
    ['core that imports http', few, `import type { Auth } from '../http/state.js'; export const few = 3;`, 'imports src/http/state.ts'],
    ['core that imports http by a type expression', few, `export const few: import('../http/state.js').Auth = 3;`, 'imports src/http/state.ts'],
    ['core that imports a store while it runs', few, `export const few = async () => import('../stores/memory.js');`, 'imports src/stores/memory.ts'],
    ['core that imports a computed name', few, `export const few = async (name: string) => import(name);`, 'computed name'],
    ['core that requires', few, `export const few = require('koa');`, 'imports koa'],
    ['core that makes a require of its own', few, `export const few = createRequire(import.meta.url)('koa');`, 'imports koa'],
    ['core that keeps a require of its own', few, `export const few = createRequire(import.meta.url);`, 'computed name'],
    ['core that imports in the manner of CommonJS', few, `import koa = require('koa'); export const few = koa;`, 'imports koa'],
    ['core that hashes passwords in another file', few, `import '@node-rs/argon2'; export const few = 3;`, 'imports @node-rs/argon2'],
    ['core that imports a package of a similar name', few, `import 'otplib-extra'; export const few = 3;`, 'imports otplib-extra'],
    ['core that imports a package of an allowed scope', few, `import '@zxcvbn-ts/core'; export const few = 3;`, 'imports @zxcvbn-ts/core'],
    ['core that imports a network', few, `import 'node:dns/promises'; export const few = 3;`, 'imports node:dns/promises'],
    ['core that asks the clock', few, `export const few = () => Date.now();`, 'a clock of its own'],
    ['core that makes a date of now', few, `export const few = () => new Date();`, 'a clock of its own'],
    ['a store that imports a Redis client', 'src/stores/memory.ts', `import { Redis } from 'ioredis'; export class Memory {}`, 'imports ioredis'],
    ['a store that imports Kysely while it runs', 'src/stores/memory.ts', `import { sql } from 'kysely'; export const memoryStore = sql;`, 'imports kysely'],
    ['a store that loads Kysely later', 'src/stores/memory.ts', `export const memoryStore = () => import('kysely');`, 'imports kysely'],
    ['core that imports a type of Kysely', few, `import type { Kysely } from 'kysely'; export type Few = Kysely;`, 'imports kysely'],
    ['a store that imports http', 'src/stores/memory.ts', `import '../http/state.js'; export const memoryStore = 1;`, 'imports src/http/state.ts'],
    ['an import of index', few, `import { lockout } from '../index.js'; export const few = 3;`, 'imports src/index.ts'],
    ['an import of the package by its name', few, `import { lockout } from 'koa-portcullis'; export const few = 3;`, 'imports koa-portcullis'],
    ['an import of what does not exist', few, `import './many.js'; export const few = 3;`, 'does not exist'],
    ['an import of something outside', few, `import '../../test/rig/resp.js'; export const few = 3;`, 'does not exist'],
    ['an import without .js', few, `import './password-hashes'; export const few = 3;`, 'does not exist'],
    ['a file in no layer', 'src/helpers.ts', `export const help = 1;`, 'no layer'],
    ['a file in a folder of no layer', 'src/shared/help.ts', `export const help = 1;`, 'no layer'],
    ['a file in a folder of a layer', 'src/core/deep/help.ts', `export const help = 1;`, 'no layer'],
    ['a default export', few, `export default 3; export const few = 3;`, 'default export'],
    ['a default function', few, `export default function few() {}`, 'default export'],
    ['a default export by name', few, `const few = 3; export { few as default, few };`, 'default export'],
    ['a default export handed on', few, `export const few = 3; export { default } from './password-hashes.js';`, 'default export'],
    ['an export *', few, `export * from './password-hashes.js'; export const few = 3;`, 'export *'],
    ['an export * under a name', few, `export * as hashes from './password-hashes.js'; export const few = 3;`, 'export *'],
    ['a barrel', few, `export { load as few } from './password-hashes.js';`, 'defines nothing'],
    ['a barrel in two steps', few, `import { load } from './password-hashes.js'; export { load as few };`, 'defines nothing'],
    ['an empty file', few, ``, 'defines nothing'],
    ['an index that defines', 'src/index.ts', `export { lockout } from './middleware/lockout.js'; export const a = 1;`, 'does more than hand on'],
    ['an index that imports', 'src/index.ts', `import './middleware/lockout.js';`, 'does more than hand on'],
    ['a cycle', few, `import { Lockout } from './lockout.js'; export const few = 3;`, 'is in a cycle'],
    ['a cycle of types', few, `import type { Lockout } from './lockout.js'; export const few = 3;`, 'is in a cycle'],
    ['a file that imports itself', few, `import type { A } from './few.js'; export const few = 3;`, 'is in a cycle'],
    ['a file of 201 lines', few, `export const few = 3;\n${'//\n'.repeat(200)}`, 'has 201 lines'],
    ['middleware under another name', lockout, `export function lockOut() {}`, 'must export function lockout'],
    ['middleware without export', lockout, `function lockout() {}`, 'must export function lockout'],
    ['middleware with a second function', lockout, asLockout(`export function second() {}`), 'must export function lockout'],
    ['middleware with a second value', lockout, asLockout(`export const second = 1;`), 'must export function lockout'],
    ['middleware with a class', lockout, asLockout(`export class Second {}`), 'must export function lockout'],
    ['middleware with an export list', lockout, asLockout(`export { named };`), 'must export function lockout'],
    ['middleware that is a constant', lockout, `export const lockout = () => {};`, 'must export function lockout'],
    ['middleware without a core', other, `export function other() {}`, 'has no src/core/other.ts'],
    ['listed middleware without its core', 'src/middleware/issue-token.ts', `export function issueToken() {}`, 'has no src/core/access-tokens.ts'],
  ])('sees %s', (_what, path, text, violation) => {
    const found = violationsWith(path, text);
    expect(found.filter((line) => line.includes(path) && line.includes(violation))).not.toEqual([]);
  });

  it('lets a file have 200 lines', () => {
    expect(violationsWith(few, `export const few = 3;\n${'//\n'.repeat(199)}`)).toEqual([]);
  });

  it('sees middleware without a test', () => {
    expect(violationsWith(lockout, good[lockout], [])).toEqual([
      `${lockout}: has no test/middleware/lockout.test.ts`,
    ]);
  });
});
