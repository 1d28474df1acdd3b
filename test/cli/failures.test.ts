import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { startFaultProxy, type FaultProxy } from '../rig/fault-proxy.js';
import { run as runHere } from '../../src/cli/run.js';
import { sealingKey } from '../rig/factor-rig.js';
import { installCli, type InstalledCli, type Ran } from '../rig/operator-cli.js';
import { startRedis, type RedisServer } from '../rig/redis-server.js';

const onRedis = `
  import { Redis } from 'ioredis';
  import { AccessTokens, Lockout, LoginLog, SecondFactors, redisStore } from 'koa-portcullis';
  const redis = new Redis(process.env.REDIS_URL);
  redis.on('error', () => {});
  const store = redisStore(redis);
  export const attempts = new Lockout({ store });
  export const tokens = new AccessTokens({ store });
  export const factors = new SecondFactors({ store, issuer: 'Acme', keys: ['${sealingKey.toString('hex')}'] });
  export const log = new LoginLog({ store });
`;

const inMemory = `
  import { Lockout, memoryStore } from 'koa-portcullis';
  const store = memoryStore();
  export default { attempts: new Lockout({ store }) };
`;

let cli: InstalledCli;
let server: RedisServer;
let proxy: FaultProxy;

beforeAll(async () => {
  cli = installCli();
  server = await startRedis();
  proxy = await startFaultProxy(server.port);
  cli.writeConfig('redis.js', onRedis);
  cli.writeConfig('memory.mjs', inMemory);
  cli.writeConfig('talks.mjs', "console.log('loaded'); export const devices = null;");
  cli.writeConfig('nothing.js', 'export {};');
  cli.writeConfig('throws.js', `throw new Error('no key\\n    at secret place\\u001b[31m');`);
  cli.writeConfig(
    'wrong.js',
    `export const attempts = { status() {} }, tokens = 7, log = {}, factors = null;`,
  );
}, 120_000);
afterAll(async () => {
  await proxy.close();
  await server.stop();
  cli.remove();
});

const run = (...args: string[]): Promise<Ran> =>
  cli.run(args, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` });

describe('what makes no sense', () => {
  // Told before any module is loaded, so it needs no process of its own.
  it.each([
    ['no command', [], 'no command'],
    ['an unknown command', ['lock'], 'unknown command lock'],
    ['a command of every object', ['constructor'], 'unknown command constructor'],
    ['an unknown option', ['locks', '--all'], "Unknown option '--all'"],
    ['an option twice', ['tokens', 'a', '--revoke', 'x', '--revoke=y'], '--revoke is given twice'],
    ['an option of another command', ['locks', '--reset'], 'locks takes no --reset'],
    ['an option without its value', ['locks', '--limit'], '--limit'],
    ['an empty value', ['why', '--request='], '--request needs a value'],
    ['a value of what takes none', ['factors', 'alice', '--reset=yes'], '--reset'],
    ['a name too many', ['tokens', 'alice', 'bob'], 'tokens takes 1 name'],
    ['a name where none is taken', ['audit', 'alice'], 'audit takes 0 name'],
    ['no name', ['tokens'], 'tokens needs a name or account'],
    ['an empty name', ['tokens', ''], 'tokens needs a name or account'],
  ])('%s ends with 2, and usage on stderr', async (_what, args, said) => {
    const { exitCode, stdout, stderr } = await runHere(args, cli.app, Date.now);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(said);
    expect(stderr).toContain('usage: koa-portcullis ');
  });

  it.each([
    [
      'a limit that is no number',
      ['locks', '--limit', 'many', '--config', 'redis.js'],
      '--limit must be a number from 1 to 9999',
    ],
    [
      'a limit of nothing',
      ['locks', '--limit', '0', '--config', 'redis.js'],
      '--limit must be a number from 1 to 9999',
    ],
    ['nothing to unlock', ['unlock', '--config', 'redis.js'], 'unlock needs one of'],
    [
      'two things to unlock',
      ['unlock', 'alice', '--address', '192.0.2.1', '--config', 'redis.js'],
      'unlock needs one of',
    ],
    [
      'a device of nobody',
      ['unlock', '--device', 'd', '--config', 'redis.js'],
      '--device and --account go together',
    ],
    ['nothing to explain', ['why', '--config', 'redis.js'], 'why needs a name'],
    ['no address', ['why', '--address', '1.2.3', '--config', 'redis.js'], '--address must be an IP address'],
    ['a name that is too long', ['why', 'x'.repeat(256), '--config', 'redis.js'], '1 to 255 bytes'],
    [
      'both ways to revoke',
      ['tokens', 'a', '--revoke', 'x', '--revoke-all', '--config', 'redis.js'],
      'exclude each other',
    ],
    [
      'an actor that is none',
      ['unlock', 'a', '--actor', 'x'.repeat(256), '--config', 'redis.js'],
      '--actor must be',
    ],
  ])('%s ends with 2, and usage on stderr', async (_what, args, said) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(said);
    expect(stderr).toContain('usage: koa-portcullis ');
  });

  it('is told as JSON where that is asked for', async () => {
    const { code, stdout, stderr } = await run('locks', '--all', '--json');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({ error: expect.stringContaining("Unknown option '--all'") });
  });
});

describe('what cannot be done', () => {
  it.each([
    ['no module', ['locks'], 'no portcullis.config.js or portcullis.config.mjs here; name the module'],
    ['a module that is not there', ['locks', '--config', 'gone.js'], 'gone.js: no such file'],
    ['a module that throws', ['locks', '--config', 'throws.js'], 'throws.js cannot be loaded: no key'],
    [
      'a module of something else',
      ['locks', '--config', 'wrong.js'],
      'the export attempts of wrong.js must be made by new Lockout()',
    ],
    [
      'locks without attempts',
      ['locks', '--config', 'nothing.js'],
      'locks needs the export attempts, made by new Lockout(); nothing.js has none',
    ],
    [
      'unlock without attempts',
      ['unlock', 'a', '--config', 'nothing.js'],
      'unlock needs the export attempts',
    ],
    ['why without attempts', ['why', 'a', '--config', 'nothing.js'], 'why needs the export attempts'],
    [
      'why --request without log',
      ['why', '--request', 'r', '--config', 'memory.mjs'],
      'why --request needs the export log, made by new LoginLog()',
    ],
    [
      'tokens without tokens',
      ['tokens', 'a', '--config', 'memory.mjs'],
      'tokens needs the export tokens, made by new AccessTokens()',
    ],
    [
      'factors without factors',
      ['factors', 'a', '--config', 'memory.mjs'],
      'factors needs the export factors, made by new SecondFactors()',
    ],
    [
      'locks without log',
      ['locks', '--config', 'memory.mjs'],
      'locks needs the export log, made by new LoginLog(): keys in the store are hashes',
    ],
    [
      'a device where none are known',
      ['unlock', '--device', 'd', '--account', 'a', '--config', 'redis.js'],
      'attempts is made without devices',
    ],
    [
      'a token of nobody',
      ['tokens', 'a', '--revoke', 'nope', '--config', 'redis.js'],
      'a has no live token nope',
    ],
  ])('%s ends with 1 and one line', async (_what, args, said) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(said);
    expect(stderr).toMatch(/^[\n -~]*$/);
    const lines = stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !line.includes('warning'));
    expect(lines).toHaveLength(1);
    expect(stderr).not.toContain('secret place');
  });

  it.each(['refuse', 'blackhole'] as const)(
    'a store that is down (%s) is one clear line, whatever the command',
    async (mode) => {
      proxy.switchTo(mode);
      try {
        const commands = [
          ['locks'],
          ['unlock', 'a'],
          ['why', 'a'],
          ['tokens', 'a'],
          ['factors', 'a', '--reset'],
          ['audit'],
        ];
        const answers = await Promise.all(commands.map((args) => run(...args, '--config', 'redis.js')));
        for (const { code, stdout, stderr } of answers) {
          expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
          expect(stderr).toMatch(
            /^koa-portcullis: The store is unavailable: [a-z ]+; nothing was looked up or changed\n$/,
          );
        }
        const { stderr } = await run('locks', '--json', '--config', 'redis.js');
        expect(JSON.parse(stderr)).toEqual({ error: expect.stringContaining('The store is unavailable') });
      } finally {
        proxy.switchTo('pass');
      }
    },
  );
});

describe('a store in memory', () => {
  it('is said to be of this process, on stderr', async () => {
    const { code, stdout, stderr } = await run('why', 'alice', '--config', 'memory.mjs');
    expect(code).toBe(0);
    expect(stdout).toContain('Nothing refuses a login of alice now.');
    expect(stderr).toBe(
      'koa-portcullis: warning: attempts of memory.mjs is kept by memoryStore(): ' +
        'this process sees nothing of the one that serves logins\n',
    );
  });
});

describe('an installed package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

  it('runs by npx', async () => {
    expect(await cli.npx(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it('tells its commands, and what one of them takes', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    for (const name of ['locks', 'unlock', 'why', 'tokens', 'factors', 'audit'])
      expect(stdout).toContain(`\n  ${name}`);
    expect((await run('unlock', '--help')).stdout).toContain('usage: koa-portcullis unlock NAME-OR-ACCOUNT');
    expect(JSON.parse((await run('--version', '--json')).stdout)).toEqual({ version });
  });

  it('prints nothing on stdout but the answer, whatever the module of the app prints', async () => {
    const { code, stdout, stderr } = await run('audit', '--json', '--config', 'talks.mjs');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ enforced: [] });
    expect(stderr).toBe('loaded\n');
  });

  it('ends though the module of the app closes nothing', async () => {
    expect(await run('tokens', 'alice', '--config', 'redis.js')).toMatchObject({
      code: 0,
      stdout: 'alice has no live token.\n',
    });
  });
});
