/** Serves one app of a bench: `node serve.js BENCH APP REDIS_URL`, started by `serve` of the harness. */
import { listen, type Apps } from './apps.js';
import type { Served } from './harness.js';

const [bench, name = '', redisUrl = ''] = process.argv.slice(2);
const { apps } = (await import(`./${bench}.js`)) as { apps: Apps };
const make = apps[name];
if (make === undefined) throw new TypeError(`The bench ${bench} has no app ${name}`);

const { app, headers = {}, refused = [], facts = () => ({}) } = await make(redisUrl);
const { port } = await listen(app);
const said: Served = { port, headers, refused };

process.on('message', (question) => {
  const { user, system } = process.cpuUsage();
  process.send?.(question === 'cpu' ? user + system : facts());
});
process.on('disconnect', () => process.exit());
process.send?.(said);
