import type { Command } from './command.js';

/** What all commands take. */
const commonLines = [
  '  --config FILE  module of your app that exports attempts, tokens, factors and log',
  '                 (default: portcullis.config.js or portcullis.config.mjs here)',
  '  --json         one JSON value on stdout; errors as { "error": ... } on stderr',
  '  --help         this, or what one command takes',
  '  --version      the version',
];

export function usageOf(commands: Readonly<Record<string, Command>>): string[] {
  const lines = Object.entries(commands).map(([name, { usage, summary }]) => [
    `${name} ${usage}`.trim(),
    summary,
  ]);
  return [
    'usage: koa-portcullis COMMAND ...',
    '',
    ...lines.flatMap(([line = '', summary = '']) => [`  ${line}`, `      ${summary}`]),
    '',
    ...commonLines,
  ];
}

export function usageOfOne(name: string, { usage, summary }: Command): string[] {
  return [`usage: koa-portcullis ${name} ${usage}`.trim(), '', `  ${summary}`, '', ...commonLines];
}
