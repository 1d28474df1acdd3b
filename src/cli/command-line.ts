import { parseArgs, type ParseArgsConfig } from 'node:util';
import { own } from '../core/store-call.js';
import { audit } from './audit.js';
import type { Command, Flags } from './command.js';
import { factors } from './factors.js';
import { Misuse } from './failure.js';
import { locks } from './locks.js';
import { tokens } from './tokens.js';
import { unlock } from './unlock.js';
import { why } from './why.js';

export const commands: Readonly<Record<string, Command>> = { locks, unlock, why, tokens, factors, audit };

const options = {
  limit: { type: 'string' },
  address: { type: 'string' },
  device: { type: 'string' },
  account: { type: 'string' },
  actor: { type: 'string' },
  request: { type: 'string' },
  revoke: { type: 'string' },
  'revoke-all': { type: 'boolean' },
  reset: { type: 'boolean' },
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
  version: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

const common = new Set(['config', 'json', 'help', 'version']);

/** What was asked for, checked as far as that needs no configuration. */
export interface CommandLine {
  /** Undefined for help and version alone. */
  readonly command: Command | undefined;
  readonly called: string;
  readonly name: string | undefined;
  readonly flags: Flags;
  readonly config: string | undefined;
  readonly help: boolean;
  readonly version: boolean;
}

/** @throws {Misuse} for an unknown command or option, a missing value, or one too many. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parsed(args);
  const { config, help = false, version = false } = values;
  const [called = '', name, ...more] = positionals;
  const base = { called, name, flags: values, config, help, version };
  if (version || (called === '' && help)) return { ...base, command: undefined };
  const command = Object.hasOwn(commands, called) ? commands[called] : undefined;
  if (command === undefined) throw new Misuse(called === '' ? 'no command' : `unknown command ${called}`);
  if (help) return { ...base, command };
  for (const [flag, value] of Object.entries(values)) {
    if (!common.has(flag) && !command.flags.includes(flag as keyof Flags))
      throw new Misuse(`${called} takes no --${flag}`);
    if (value === '') throw new Misuse(`--${flag} needs a value`);
  }
  const most = command.name === 'none' ? 0 : 1;
  if (most === 0 ? name !== undefined : more.length > 0) throw new Misuse(`${called} takes ${most} name`);
  if (name === '' || (command.name === 'required' && name === undefined))
    throw new Misuse(`${called} needs a name or account`);
  return { ...base, command };
}

function parsed(args: readonly string[]) {
  let found;
  try {
    found = parseArgs({ args: [...args], options, allowPositionals: true, strict: true, tokens: true });
  } catch (error) {
    const message = own(error, 'message');
    throw new Misuse(typeof message === 'string' ? message : 'what was given cannot be read');
  }
  const names = found.tokens.flatMap((token) => (token.kind === 'option' ? token.name : []));
  const twice = names.find((name, at) => names.indexOf(name) < at);
  // Only the last would count, and whoever gave two meant two.
  if (twice !== undefined) throw new Misuse(`--${twice} is given twice`);
  return found;
}

/** Whether errors are to be JSON too, also where nothing else can be read. */
export function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes('--json');
}
