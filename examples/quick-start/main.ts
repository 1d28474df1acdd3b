// Serves the quick start: settings from the environment, a walk-through in the terminal, a clean end on SIGTERM.
// Run it: npm start
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import {
  LoginWatch,
  commonPasswords,
  hibpApi,
  logAlerts,
  memoryStore,
  redisStore,
  type AuthEvent,
} from 'koa-portcullis';
import { memoryAccounts, redisAccounts } from './accounts.js';
import { quickStart } from './app.js';
import { walkThrough } from './walk-through.js';

const { PORT = '3000', HOST = '127.0.0.1', REDIS_URL, HIBP_BASE_URL, FACTOR_KEYS } = process.env;

if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535) {
  console.error(`PORT must be a number from 0 to 65535, not ${JSON.stringify(PORT)}`);
  process.exit(1);
}

const redis =
  REDIS_URL === undefined
    ? undefined
    : new Redis(REDIS_URL, {
        maxRetriesPerRequest: 1,
        commandTimeout: 700,
        connectTimeout: 1000,
        disconnectTimeout: 500,
        retryStrategy: (times) => Math.min(times * 50, 400), // the default waits 2 s after a long outage
      });
redis?.on('error', () => {}); // each request says what failed
const shared = redis === undefined ? undefined : redisStore(redis);
const store = shared ?? memoryStore();

const watch = new LoginWatch({ store, sinks: [logAlerts(console)] }); // an app mails them: emailAlerts

const app = quickStart({
  store,
  watch,
  accounts: redis === undefined ? memoryAccounts() : redisAccounts(redis),
  keys: FACTOR_KEYS === undefined ? [randomBytes(32)] : FACTOR_KEYS.split(','),
  origin: PORT === '0' ? {} : { origin: `http://localhost:${PORT}` },
  sources: [commonPasswords(), hibpApi(HIBP_BASE_URL === undefined ? {} : { baseUrl: HIBP_BASE_URL })],
});
app.on('auth', (event: AuthEvent) => console.log(JSON.stringify(event)));

const server = app.listen(Number(PORT), HOST, sayHello);
server.on('error', (error) => {
  console.error(`The quick start cannot listen on ${HOST}:${PORT}: ${error.message}`);
  process.exit(1);
});
function sayHello(): void {
  const { port } = server.address() as AddressInfo;
  const url = `http://${HOST === '127.0.0.1' ? 'localhost' : HOST}:${port}`;
  console.log(walkThrough(url));
  console.log(`Store: ${redis === undefined ? 'memory (set REDIS_URL for Redis)' : 'Redis'}.`);
  if (FACTOR_KEYS === undefined) {
    console.log('FACTOR_KEYS is not set: TOTP secrets are sealed under a key that ends with this process.');
  }
  console.log(`Listening on ${url}`);
}

async function end(): Promise<void> {
  await watch.close(0.5); // hands on what it has seen
  shared?.close();
  redis?.disconnect();
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    server.close(() => void end());
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 5000).unref();
  });
}
