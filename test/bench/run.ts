/**
 * How fast this is beside its peers: `npm run bench`. `-- token` runs one bench, `-- --json FILE` also writes the
 * figures. Peers run in the same minute on the same machine; only the ratios mean anything elsewhere. A goal that
 * is missed is printed, not an error: the exit code says whether the benches could run.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { floodBench } from './flood.js';
import { hashingBench } from './hashing.js';
import { lockoutBench } from './lockout.js';
import { loginBench } from './login.js';
import { revocationBench } from './revocation.js';
import { soakBench } from './soak.js';
import { passes, table, type Figure } from './table.js';
import { tokenBench } from './token.js';

const benches: Record<string, (redis: RedisServer) => Promise<Figure[]>> = {
  lockout: lockoutBench,
  token: tokenBench,
  revocation: revocationBench,
  login: loginBench,
  hashing: hashingBench,
  flood: floodBench,
  soak: soakBench,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' } },
});
const unknown = positionals.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  throw new TypeError(`No bench ${unknown.join(', ')}: there are ${Object.keys(benches).join(', ')}`);
}

const machine = { node: process.version, cores: availableParallelism(), loadAtStart: loadavg()[0] ?? 0 };
const { node, cores, loadAtStart } = machine;
process.stdout.write(`Node ${node}, ${cores} cores, load ${loadAtStart.toFixed(1)}\n`);
if (loadAtStart > 0.5) process.stdout.write('The machine is in use: figures by wall time say little.\n');

const results: Record<string, Figure[]> = {};
for (const [name, bench] of Object.entries(benches)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const redis = await startRedis();
  try {
    const figures = await bench(redis);
    results[name] = figures;
    process.stdout.write(`\n${name}\n${table(figures)}\n`);
  } finally {
    await redis.stop();
  }
}

const { json } = values;
if (json !== undefined) {
  const judged = Object.entries(results).map(([name, figures]) => [
    name,
    figures.map((figure) => ({ ...figure, passes: passes(figure) })),
  ]);
  const report = { ...machine, benches: Object.fromEntries(judged) as unknown };
  writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}
