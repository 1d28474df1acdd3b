import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { AuthEvent } from '../src/core/auth-event.js';
import { outcomeOf } from '../src/core/log-outcome.js';
import { counters, lost, storeSeconds } from '../src/sinks/metric-names.js';
import { walkThrough } from '../examples/quick-start/walk-through.js';

/** An interface whose fields the README lists as a table of options. */
interface OptionsOfSource {
  /** The factory, class or interface under whose heading they belong. */
  readonly owner: string;
  /** The owner of the options that these extend. */
  readonly base: string | undefined;
  /** Default by name; `required` or `none` where there is no default. */
  readonly defaults: ReadonlyMap<string, string>;
}

/** What the README must say. */
interface Facts {
  readonly exports: readonly string[];
  readonly options: readonly OptionsOfSource[];
  /** Status by code. */
  readonly refusals: ReadonlyMap<string, string>;
  /** Fields by name, in alphabetical order. */
  readonly events: ReadonlyMap<string, string>;
  /** Refusals and events that a middleware names in its own file. */
  readonly wordsOfMiddleware: ReadonlyMap<string, readonly string[]>;
  readonly passwordRules: readonly string[];
  readonly redisKinds: readonly string[];
  /** Labels and their values, in alphabetical order, by the names of metrics without their prefix. */
  readonly metrics: ReadonlyMap<string, string>;
  readonly routes: readonly string[];
  readonly variables: readonly string[];
  readonly quickStart: string;
  readonly walkThrough: string;
  /** Every word of sources and examples that holds an underscore. */
  readonly snakeCase: ReadonlySet<string>;
}

const sources = new Map(
  readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path.replaceAll('\\', '/'), readFileSync(join('src', path), 'utf8')]),
);
const readme = readFileSync('README.md', 'utf8');
const facts = readFacts();

describe('the README', () => {
  it('says what the sources say', () => {
    expect(findDifferences(readme, facts)).toEqual([]);
  });

  it('has code that compiles', () => {
    expect(findTypeErrors(readme)).toEqual([]);
  });

  it('is compared with facts that were found', () => {
    expect(facts.exports).toEqual(expect.arrayContaining(['lockout', 'Lockout', 'AuthEvent', 'redisStore']));
    const lockout = facts.options.find(({ owner }) => owner === 'lockout');
    expect([...(lockout?.defaults ?? [])]).toContainEqual(['readUsername', "bodyField('username')"]);
    const policy = facts.options.find(({ owner }) => owner === 'passwordPolicy');
    expect(policy?.base).toBe('PasswordPolicy');
    expect(facts.options.length).toBeGreaterThanOrEqual(20);
    expect(facts.refusals.get('locked_out')).toBe('429');
    expect(facts.events.get('account.locked')).toBe('account, retryAfterSeconds, subject');
    expect(facts.events.get('login.failed')).toBe('account, reason, subject');
    expect(facts.wordsOfMiddleware.get('breachCheck')).toContain('password_breached');
    expect(facts.passwordRules).toContain('context_word');
    expect(facts.redisKinds).toContain('lockout');
    expect(facts.routes).toContain('POST /tokens/second-factor');
    expect(facts.variables).toContain('REDIS_URL');
  });
});

describe('the comparison', () => {
  // prettier-ignore
  it.each([
    ['a renamed option', '| `readUsername` | `bodyField(\'username\')` | Reads the identifier. |', '| `readName` | `bodyField(\'username\')` | Reads the identifier. |', 'lockout'],
    ['a changed default', '| `maxFields` | `1000` |', '| `maxFields` | `100` |', 'safeBody'],
    ['an option that does not exist', '| `maxFields` |', '| `minFields` | `1` | None. |\n| `maxFields` |', 'minFields'],
    ['an option without its row', /\| `whenEvicting` .*\n/, '', 'whenEvicting'],
    ['a link to inherited options that is gone', 'all options of [`BreachCheck`]', 'all options of [the check]', 'BreachCheck'],
    ['an export that is not named', /`?withoutFuture`?/g, '', 'withoutFuture'],
    ['a name that is not exported', '| `FieldReader` |', '| `FieldReader`, `FieldWriter` |', 'FieldWriter'],
    ['another status in the table', '| 429 | `busy` |', '| 503 | `busy` |', 'busy'],
    ['another status in the text', '429 `locked_out`, 429 `busy` when', '429 `locked_out`, 503 `busy` when', 'busy'],
    ['a refusal that does not exist', '| 409 | `conflict` |', '| 409 | `gone` | No. | none | none |\n| 409 | `conflict` |', 'gone'],
    ['a refusal that is not in the table', /\| 413 \| .*\n/, '', 'content_too_large'],
    ['an event that is not in the table', /\| `totp\.replayed` \| .*\n/, '', 'totp.replayed'],
    ['an event that does not exist', 'Events: `token.revoked`', 'Events: `token.rotated`', 'token.rotated'],
    ['a field that an event does not have', '| `address.locked` | `retry', '| `address.locked` | `address`, `retry', 'address.locked'],
    ['a field that an event has', '| `token.issued` | `account`, ', '| `token.issued` | ', 'token.issued'],
    ['a metric that does not exist', '| `clients_refused_total` |', '| `clients_total` |', 'clients_total'],
    ['a label that a metric does not have', '`locked`: `account`', '`kind`: `account`', 'locks_total'],
    ['a block without an event of its middleware', 'Events: `password.refused`.', 'Events: some.', 'passwordPolicy'],
    ['a word of a protocol that does not exist', '`expires_in`', '`expires_at_most`', 'expires_at_most'],
    ['a rule that is not named', '`digit_or_special` and', 'and', 'digit_or_special'],
    ['a kind of key that does not exist', '| `cutoff` | string |', '| `cut` | string |', 'cut'],
    ['a route that does not exist', '| `GET /me` |', '| `GET /you` |', 'GET /you'],
    ['a variable that does not exist', '| `PORT` |', '| `PORTS` |', 'PORTS'],
    ['a first block that differs', "router.get('/me'", "router.get('/you'", 'app.ts'],
    ['a walk-through that differs', '# Log out: the token', '# Log off: the token', 'walk-through'],
    ['a link to a file that does not exist', '](SECURITY.md)', '](SAFETY.md)', 'SAFETY.md'],
    ['a link to a heading that does not exist', '](#csrf)', '](#xsrf)', 'xsrf'],
  ])('sees %s', (_what, text, other, name) => {
    const doctored = readme.replace(text, other);
    expect(doctored).not.toBe(readme);
    expect(findDifferences(doctored, facts).filter((line) => line.includes(name))).not.toEqual([]);
  });

  it('sees an option that the sources have renamed', () => {
    const options = facts.options.map((one) => {
      const defaults = [...one.defaults].map(
        ([name, value]) => [name === 'maxEntries' ? 'most' : name, value] as const,
      );
      return { ...one, defaults: new Map(defaults) };
    });
    expect(findDifferences(readme, { ...facts, options })).toEqual([
      'memoryStore: option most is not in the table',
      'memoryStore: option maxEntries does not exist',
    ]);
  });

  it('sees code that does not compile', () => {
    const doctored = readme.replace('lockout(attempts, { readUsername: usernameOf })', 'lockout({})');
    expect(doctored).not.toBe(readme);
    expect(findTypeErrors(doctored)).not.toEqual([]);
  });
});

function readFacts(): Facts {
  const refusals = readRefusals();
  const events = readEvents();
  const app = readFileSync('examples/quick-start/app.ts', 'utf8');
  const main = readFileSync('examples/quick-start/main.ts', 'utf8');
  const environment = /const \{([^}]*)\} = process\.env/.exec(main)?.[1] ?? '';
  const examples = readdirSync('examples', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join('examples', path), 'utf8'));
  const everything = [...sources.values(), ...examples].join('\n');
  return {
    exports: readExports(),
    options: readOptionsOfSources(),
    refusals,
    events,
    wordsOfMiddleware: new Map(
      [...sources]
        .filter(([path]) => path.startsWith('middleware/'))
        .map(([path, text]) => [
          camelCase(path.slice('middleware/'.length, -'.ts'.length)),
          all(text, /'([a-z_.]+)'/g).filter((word) => refusals.has(word) || events.has(word)),
        ]),
    ),
    passwordRules: all(
      /export type PasswordRule =([^;]*);/.exec(source('core/password-policy.ts'))?.[1] ?? '',
      /'(\w+)'/g,
    ),
    metrics: readMetrics(),
    redisKinds: unique(all(everything, /connection\.key\('(\w+)'/g)),
    routes: [...app.matchAll(/router\.(\w+)\('([^']+)'/g)].map(([, method = '', path]) =>
      method === 'use' ? `${path}/…` : `${method.toUpperCase()} ${path}`,
    ),
    variables: all(environment, /([A-Z_]+)/g),
    quickStart: app,
    walkThrough: walkThrough('http://localhost:3000').trim(),
    snakeCase: new Set(everything.match(/[a-z]+(?:_[a-z]+)+/g)),
  };
}

function readExports(): string[] {
  const lists = all(source('index.ts'), /export \{([^}]*)\} from/g);
  const names = lists.flatMap((list) => list.split(','));
  return names.map((name) => name.trim().replace(/^type /, '')).filter((name) => name !== '');
}

function readRefusals(): Map<string, string> {
  const entries = [...source('http/refusals.ts').matchAll(/^ {2}(\w+): \[\s*(\d{3}),/gm)];
  return new Map(entries.map(([, code = '', status = '']) => [code, status]));
}

/** `Named<'a.b', OfAccount & { readonly c: … }>`, where names stand for interfaces of the same file. */
function readEvents(): Map<string, string> {
  const text = source('core/auth-event.ts');
  const parts = new Map(
    [...text.matchAll(/^(?:export )?interface (\w+) \{([^}]*)\}/gm)].map(([, name = '', body = '']) => [
      name,
      fieldsIn(body),
    ]),
  );
  const members = [...text.matchAll(/^ {2}\| Named<\s*'([^']+)'(?:,(.*?))?>(?=;\n|\n {2}\|)/gms)];
  return new Map(
    members.map(([, name = '', facts = '']) => {
      const named = (facts.match(/\b[A-Z]\w+/g) ?? []).flatMap((part) => parts.get(part) ?? []);
      return [
        name,
        unique([...named, ...fieldsIn(facts)])
          .toSorted()
          .join(', '),
      ];
    }),
  );
}

function readMetrics(): Map<string, string> {
  const words = Object.entries(counters).map(([name, { labels }]): [string, string[]] => [
    name,
    Object.entries(labels).flatMap(([label, values]) => [label, ...values]),
  ]);
  words.push([storeSeconds.name, [...storeSeconds.labelNames, 'ok', 'failed']], [lost.name, lost.labelNames]);
  return new Map(words.map(([name, list]) => [name, list.toSorted().join(', ')]));
}

function fieldsIn(body: string): string[] {
  return all(body, /readonly (\w+)\??:/g);
}

/** The interfaces are formatted by prettier: two spaces before a field, its comment right before it. */
function readOptionsOfSources(): OptionsOfSource[] {
  const exported = new Set(readExports());
  const found = [...sources].flatMap(([, text]) =>
    [...text.matchAll(/^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}/gms)].map((match) => {
      const [, name = '', base, body = ''] = match;
      return { name, base, body, owner: ownerOf(name, exported) };
    }),
  );
  const owners = new Map(found.map(({ name, owner }) => [name, owner]));
  const listed = found.filter(
    ({ name }) => /Options$|^LockoutLimit$|^EnrolmentPolicy$/.test(name) && exported.has(name),
  );
  return listed.map(({ base, body, owner }) => {
    const fields = [...body.matchAll(/((?: {2}\/\*\*(?:(?!\*\/).)*\*\/\n)?) {2}readonly (\w+)(\??):/gs)];
    const defaults = fields.map(([, comment = '', name = '', optional]): [string, string] => {
      const [, value] = /@default (.*?)(?=\n\s*\*\/|\n\s*\* @)/s.exec(comment) ?? [];
      if (value !== undefined) return [name, plain(value.replaceAll(/\n\s*\*/g, ' '))];
      return [name, optional === '?' ? 'none' : 'required'];
    });
    return {
      owner,
      base: base === undefined ? undefined : owners.get(base),
      defaults: new Map(defaults),
    };
  });
}

/** The public function or class that takes the interface as its options; the interface itself where none does. */
function ownerOf(name: string, exported: ReadonlySet<string>): string {
  const owners = [...sources.values()].flatMap((text) =>
    [...text.matchAll(new RegExp(`(?:options|policy)\\??: ${name}\\b`, 'g'))].map((use) =>
      all(text.slice(0, use.index), /^export (?:async )?(?:function|class) (\w+)/gm).at(-1),
    ),
  );
  return owners.find((owner) => owner !== undefined && exported.has(owner)) ?? name;
}

/** One line for each difference. Empty where all is well. */
function findDifferences(text: string, facts: Facts): string[] {
  const found: string[] = [];
  const report = (what: string): void => void found.push(what);
  const blocks = codeBlocks(text);
  const prose = withoutCode(text);
  const spans = unique(all(prose, /`([^`\n]+)`/g));
  const sections = sectionsOf(prose);

  if (blocks.find(({ language }) => language === 'ts')?.code !== facts.quickStart) {
    report('the first block is not examples/quick-start/app.ts');
  }
  if (!blocks.some(({ language, code }) => language === 'sh' && code.trim() === facts.walkThrough)) {
    report('no block is the walk-through');
  }

  for (const name of facts.exports) {
    if (!new RegExp(`\\b${name}\\b`).test(prose)) report(`export ${name} is not named`);
  }
  for (const name of columnOf(sections.get('All exports'), 'Export').flatMap((cell) => spansIn(cell))) {
    if (!facts.exports.includes(name)) report(`${name} is not exported`);
  }

  for (const one of facts.options) compareOptions(one, sections.get(one.owner), report);
  const owners = new Set(facts.options.map(({ owner }) => owner));
  for (const [title, section] of sections) {
    if (!owners.has(title) && columnOf(section, 'Option').length > 0) report(`${title}: options of nothing`);
  }
  for (const [name, words] of facts.wordsOfMiddleware) {
    for (const word of words) {
      if (sections.get(name)?.includes(`\`${word}\``) !== true) report(`${name}: ${word} is not named`);
    }
  }

  const refusalRows = tableOf(sections.get('Refusals'), 'Code');
  const refusals = refusalRows.map((row) => `${row.get('Status')} ${plain(row.get('Code') ?? '')}`);
  compareLists(
    'refusal',
    [...facts.refusals].map(([code, status]) => `${status} ${code}`),
    refusals,
    report,
  );
  for (const [, status = '', code = ''] of prose.matchAll(/\b([1-5]\d\d)\s`([a-z_]+)`/g)) {
    if (facts.refusals.get(code) !== status) report(`${code} is not answered with ${status}`);
  }

  const eventRows = tableOf(sections.get('Events in full'), 'Fields');
  const events = eventRows.map((row) => {
    const fields = spansIn(row.get('Fields') ?? '').toSorted();
    return `${plain(row.get('Name') ?? '')}: ${fields.join(', ')}`;
  });
  compareLists(
    'event',
    [...facts.events].map(([name, fields]) => `${name}: ${fields}`),
    events,
    report,
  );
  // Of the login log: each event stands under what became of it.
  const outcomes = tableOf(sections.get('LoginLog'), 'Of which events').flatMap((row) =>
    spansIn(row.get('Of which events') ?? '').map((name) => `${plain(row.get('Outcome') ?? '')}: ${name}`),
  );
  const kept = [...facts.events.keys()].flatMap((name) => {
    const outcome = outcomeOf({ name } as AuthEvent);
    return outcome === null ? [] : [`${outcome}: ${name}`];
  });
  compareLists('outcome', kept.toSorted(), outcomes.toSorted(), report);
  const metricRows = tableOf(sections.get('prometheusMetrics'), 'Metric');
  const metrics = metricRows.map((row) => {
    const words = spansIn(row.get('Labels') ?? '').toSorted();
    return `${plain(row.get('Metric') ?? '')}: ${words.join(', ')}`;
  });
  compareLists(
    'metric',
    [...facts.metrics].map(([name, words]) => `${name}: ${words}`),
    metrics,
    report,
  );
  for (const span of spans) {
    if (/^[a-z_]+\.[a-z_]+ed$/.test(span) && !facts.events.has(span)) report(`event ${span} does not exist`);
    if (/^[a-z]+(?:_[a-z]+)+$/.test(span) && !facts.snakeCase.has(span)) report(`${span} does not exist`);
  }

  for (const rule of facts.passwordRules) {
    if (!spans.includes(rule)) report(`rule ${rule} is not named`);
  }
  for (const column of ['Type', 'Formula']) {
    const kinds = tableOf(sections.get('Keys'), column).map((row) => plain(row.get('Kind') ?? ''));
    compareLists('kind of key', facts.redisKinds, kinds, report);
  }
  const routes = columnOf(sections.get('Routes of the quick start'), 'Route').map(plain);
  compareLists('route', facts.routes, routes, report);
  const variables = columnOf(sections.get('Environment of the quick start'), 'Variable').map(plain);
  compareLists('variable', facts.variables, variables, report);

  checkLinks(prose, report);
  return found;
}

function compareOptions(
  { owner, base, defaults }: OptionsOfSource,
  section: string | undefined,
  report: (what: string) => void,
): void {
  const rows = tableOf(section, 'Option');
  const documented = new Map(
    rows.map((row) => [plain(row.get('Option') ?? ''), plain(row.get('Default') ?? '')]),
  );
  for (const [name, value] of defaults) {
    const said = documented.get(name);
    if (said === undefined) report(`${owner}: option ${name} is not in the table`);
    else if (said !== value) report(`${owner}: the default of ${name} is ${value}, not ${said}`);
  }
  for (const name of documented.keys()) {
    if (!defaults.has(name)) report(`${owner}: option ${name} does not exist`);
  }
  if (base !== undefined && section?.includes(`options of [\`${base}\`](#${base.toLowerCase()}`) !== true) {
    report(`${owner}: no link to the options of ${base}`);
  }
}

function compareLists(
  what: string,
  expected: readonly string[],
  said: readonly string[],
  report: (what: string) => void,
): void {
  for (const one of expected) if (!said.includes(one)) report(`${what} ${one} is not in its table`);
  for (const one of said) if (!expected.includes(one)) report(`${what} ${one} does not exist`);
}

function checkLinks(prose: string, report: (what: string) => void): void {
  const anchors = new Set(all(prose, /^#{1,4} (.*)$/gm).map(anchorOf));
  for (const link of all(prose, /\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(link)) continue;
    const [file = '', anchor] = link.split('#');
    if (file !== '' && !existsSync(file)) report(`link ${link}: no such file`);
    if (file === '' && !anchors.has(anchor ?? '')) report(`link ${link}: no such heading`);
  }
}

/** As GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/**
 * The first block is an example, which is compiled with the examples. The second is the beginning that those
 * after it share.
 */
function findTypeErrors(text: string): string[] {
  const [, prelude, ...rest] = codeBlocks(text).filter(({ language }) => language === 'ts');
  if (prelude === undefined) return ['no code'];
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-readme-'));
  try {
    const root = process.cwd();
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const compilerOptions = {
      noEmit: true,
      declaration: false,
      rootDir: '/',
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: { 'koa-portcullis': [join(root, 'src/index.ts')] },
    };
    const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    writeFileSync(join(folder, `line-${prelude.line}.ts`), prelude.code);
    for (const { line, code } of rest) {
      writeFileSync(join(folder, `line-${line}.ts`), `${prelude.code}\n{\n${code}\n}\n`);
    }
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
    return status === 0 ? [] : stdout.trim().split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** Of the README, from 1. */
  readonly line: number;
}

function codeBlocks(text: string): CodeBlock[] {
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = '', 2: code = '', index }) => ({
    language,
    code,
    line: text.slice(0, index).split('\n').length + 1,
  }));
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, '');
}

/** What stands under each heading up to the next one; `lockout(attempts, options?)` is named `lockout`. */
function sectionsOf(prose: string): Map<string, string> {
  return new Map(
    prose.split(/^#{1,4} /m).map((part) => {
      const [title = ''] = part.split('\n', 1);
      return [plain(title).replace(/\(.*/, ''), part.slice(title.length)];
    }),
  );
}

type Row = ReadonlyMap<string, string>;

/** The rows of the tables that have this column. */
function tableOf(section: string | undefined, column: string): Row[] {
  const tables = (section ?? '').match(/(?:^\|.*\n)+/gm) ?? [];
  return tables.flatMap((table) => {
    const [head = [], , ...rows] = table.trim().split('\n').map(cellsOf);
    if (!head.includes(column)) return [];
    return rows.map((cells) => new Map(head.map((name, index) => [name, cells[index] ?? ''])));
  });
}

function columnOf(section: string | undefined, column: string): string[] {
  return tableOf(section, column).map((row) => row.get(column) ?? '');
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function spansIn(cell: string): string[] {
  return all(cell, /`([^`]+)`/g);
}

/** Without marks of code, and with single spaces. */
function plain(text: string): string {
  return text.replaceAll('`', '').replaceAll(/\s+/g, ' ').trim();
}

function source(path: string): string {
  const text = sources.get(path);
  if (text === undefined) throw new Error(`No src/${path}`);
  return text;
}

function camelCase(name: string): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The first group of every match. */
function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, first = '']) => first);
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}
