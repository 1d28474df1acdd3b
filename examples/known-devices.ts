// Known devices: a vandal who uses up alice's attempts locks out strangers, and not the browser that she logs in from.
// Run it: npm run build && node build/examples/known-devices.js
// curl -c jar -b jar -d 'username=alice' --data-urlencode 'password=correct horse' localhost:3000/tokens
import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  KnownDevices,
  Lockout,
  deviceRoutes,
  issueToken,
  lockout,
  memoryStore,
  requireToken,
  revokeOtherTokens,
  safeBody,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

const store = memoryStore();
const devices = new KnownDevices({
  store,
  keys: [randomBytes(32)], // from your secret store, and shared by all processes
  origin: 'http://localhost:3000', // https in production: the cookie is then Secure
});
export const attempts = new Lockout({ store, devices }); // 10, 20 and 40 failures: 2, 4 and 5 of them for known devices
const tokens = new AccessTokens({ store });

const router = new Router<AuthState>();
router.post(
  '/tokens',
  lockout(attempts), // reads the cookie, and sets a new one after a login
  verifyPassword(findAccount),
  issueToken(tokens, { dangerouslyWithoutSecondFactor: true }), // this app offers none
);
router.use('/own/devices', requireToken(tokens), deviceRoutes(devices).routes());
router.put('/password', requireToken(tokens), revokeOtherTokens(tokens, { devices }), (ctx) => {
  ctx.status = 204; // stands for the handler that saves it
});

export const app = new Koa();
// Whoever was locked out, and where a copy of a cookie turned up, is for people to see.
app.on('auth', ({ name, time }: { name: string; time: number }) => {
  if (['account.locked', 'devices.locked', 'device.replayed'].includes(name))
    console.warn(new Date(time).toISOString(), name);
});
app.use(safeBody(bodyParser()));
app.use(router.routes());

function findAccount({
  identifier,
  password,
}: {
  identifier: string;
  password: string;
}): { id: string } | null {
  return identifier === 'alice' && password === 'correct horse' ? { id: 'alice' } : null;
}

serveIfRun(app, import.meta.url);
