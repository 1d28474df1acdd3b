// For operators: the objects of an app in a module of their own, which its routes and the command line both import.
// Run it: npm run build && npx koa-portcullis audit --config build/examples/operators/portcullis.config.js
// It needs REDIS_URL, and FACTOR_KEY, DEVICE_KEY, EVENT_KEY and LOG_KEY: 32 random bytes each (`openssl rand -hex 32`).
import { Redis } from 'ioredis';
import { AccessTokens, KnownDevices, Lockout, LoginLog, SecondFactors, redisStore } from 'koa-portcullis';

const [REDIS_URL, FACTOR_KEY, DEVICE_KEY, EVENT_KEY, LOG_KEY] = [
  'REDIS_URL',
  'FACTOR_KEY',
  'DEVICE_KEY',
  'EVENT_KEY',
  'LOG_KEY',
].map((name) => process.env[name] ?? missing(name)) as [string, string, string, string, string];

function missing(name: string): never {
  throw new Error(`${name} must be set`);
}

const origin = 'https://acme.example';
const redis = new Redis(REDIS_URL);
redis.on('error', () => {}); // every call that fails says so
const store = redisStore(redis, { whenEvicting: 'refuse' });

// What the command line works with, under these names.
export const devices = new KnownDevices({ store, origin, keys: [DEVICE_KEY] });
export const attempts = new Lockout({ store, devices, eventKey: EVENT_KEY });
export const factors = new SecondFactors({ store, issuer: 'Acme', origin, keys: [FACTOR_KEY] });
export const tokens = new AccessTokens({ store, lifetimeSeconds: 86_400 });
export const log = new LoginLog({ store, chain: { key: LOG_KEY } });

// What the audit looks at beside them: the options that the routes give to passwordPolicy and breachCheck.
export const policy = { preset: 'nist', contextWords: ['Acme'] } as const;
export const breach = { whenUnavailable: 'refuse' } as const;

/** Called at the end of each command. */
export function close(): void {
  store.close();
  redis.disconnect();
}
