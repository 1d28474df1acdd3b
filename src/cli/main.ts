#!/usr/bin/env node
import { run } from './run.js';

// What the app's module prints as it is loaded is not the answer: a program that reads that would choke on it.
const answer = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);

const { stdout, stderr, exitCode } = await run(process.argv.slice(2), process.cwd(), Date.now);
// A reader that has gone, such as `head`, wants no more: that is no error.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(exitCode));
await Promise.all([
  new Promise((resolve) => process.stderr.write(stderr, resolve)),
  new Promise((resolve) => answer(stdout, resolve)),
]);
// Connections that the app's module opened and does not close must not keep the operator waiting.
process.exit(exitCode);
