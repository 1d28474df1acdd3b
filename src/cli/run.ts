import { readFileSync } from 'node:fs';
import { StoreUnavailable } from '../core/errors.js';
import { commands, readCommandLine, wantsJson } from './command-line.js';
import { ConfigModule } from './config-module.js';
import { exitCodes, Failure, Misuse } from './failure.js';
import { jsonOf, shownAsKept, textOf } from './output.js';
import { reachStores } from './reach-stores.js';
import { usageOf, usageOfOne } from './usage.js';

/** What a run says and how it ends. Stdout has something only when it went well. */
export interface Said {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** Runs one command to its end; nothing is thrown. */
export async function run(args: readonly string[], folder: string, now: () => number): Promise<Said> {
  const json = wantsJson(args);
  let warnings: readonly string[] = [];
  try {
    const line = readCommandLine(args);
    if (line.version) return said(json ? jsonOf({ version: version() }) : textOf([version()]));
    const { command, called, name, flags } = line;
    if (command === undefined || line.help) {
      const usage = command === undefined ? usageOf(commands) : usageOfOne(called, command);
      return said(json ? jsonOf({ usage }) : textOf(usage));
    }
    const config = await ConfigModule.load(line.config, folder);
    try {
      warnings = await reachStores(config);
      const { lines, value } = await command.run({ config, name, flags, now });
      return said(json ? jsonOf(value) : textOf(lines), warningText(warnings, json));
    } finally {
      // What was done is done: a close that fails changes nothing about it.
      await config.close().catch(() => {});
    }
  } catch (error) {
    const message = messageOf(error);
    const usage = error instanceof Misuse ? ['', ...usageFor(args)] : [];
    const text = json
      ? jsonOf({ error: message })
      : textOf([`koa-portcullis: ${shownAsKept(message)}`, ...usage]);
    const exitCode = error instanceof Failure ? error.exitCode : exitCodes.failed;
    return { stdout: '', stderr: warningText(warnings, json) + text, exitCode };
  }
}

/** Of the command that was meant, where one is known. */
function usageFor(args: readonly string[]): string[] {
  const called = args.find((arg) => Object.hasOwn(commands, arg)) ?? '';
  const command = commands[called];
  return command === undefined ? usageOf(commands) : usageOfOne(called, command);
}

function said(stdout: string, stderr = ''): Said {
  return { stdout, stderr, exitCode: exitCodes.done };
}

function warningText(warnings: readonly string[], json: boolean): string {
  return warnings
    .map((warning) => (json ? jsonOf({ warning }) : textOf([`koa-portcullis: warning: ${warning}`])))
    .join('');
}

/** Errors of the core say what is wrong in fixed words; of others only the first line is told, and never a stack. */
function messageOf(error: unknown): string {
  if (error instanceof StoreUnavailable)
    return `${error.message}; what was to be changed may have been: ask again`;
  const message = error instanceof Error ? error.message : 'something was thrown that is no error';
  return message.split('\n', 1)[0] ?? '';
}

function version(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(file) as { version?: unknown }).version);
}
