import { randomUUID } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  auditSecondFactors,
  requireToken,
  resetSecondFactors,
  secondFactorRoutes,
  type AuthState,
  type FactorReset,
} from '../../src/index.js';
import { origin, sealingKey } from '../rig/factor-rig.js';
import { fakeClock } from '../rig/fake-clock.js';
import { device } from '../rig/login-app.js';
import { mountLogin, password } from '../rig/login-chain.js';
import type { ServerOptions } from '../rig/software-authenticator.js';
import { codeOf } from '../rig/totp-code.js';
import { storeKinds, type Opened } from './kinds.js';

const { kinds, start, end } = storeKinds();
beforeAll(start, 60_000);
afterAll(end);

/** One process of an organisation whose owner is `owner`. */
function serve({ store, factorStore = store }: Opened, owner: string, members: string[], now: () => number) {
  const attempts = new Lockout({ store, addressLimits: false });
  const factors = new SecondFactors({ store, factorStore, issuer: 'Acme', origin, keys: [sealingKey], now });
  const tokens = new AccessTokens({ store });
  const resets: FactorReset[] = [];
  const router = new Router<AuthState>();
  mountLogin(router, { attempts, factors, tokens });
  router.get('/reports', requireToken(tokens), (ctx) => (ctx.body = ctx.state.auth.methods));
  router.use('/factors', requireToken(tokens), secondFactorRoutes(factors).routes());
  const reset = resetSecondFactors(factors, {
    tokens,
    target: (ctx) => ({ id: String(ctx.query['id']) }),
    mayReset: ({ id }) => id === owner,
    audit: (row) => resets.push(row),
  });
  router.post('/reset', requireToken(tokens), reset);
  const audit = auditSecondFactors(factors, {
    mayRead: ({ id }) => id === owner,
    members: async () => ({ members: members.map((id) => ({ id })), next: null }),
  });
  router.get('/audit', requireToken(tokens), audit);
  const app = new Koa();
  app.use(bodyParser());
  app.use(router.routes());
  const agent = request(app.callback());
  const send = (method: 'get' | 'post' | 'delete', path: string, token?: string, body?: object) => {
    const test = agent[method](path).set(token === undefined ? {} : { Authorization: `Bearer ${token}` });
    return body === undefined ? test : test.send(body);
  };
  return { send, resets };
}

const claim = (username: string, more: object = {}) => ({ username, password, ...more });
const tokenIn = ({ body }: { body: unknown }): string => (body as { access_token: string }).access_token;

describe.each(kinds)('two processes on %s', (_kind, open) => {
  it('enrol, log in with each factor, step up, reset and audit as one', async () => {
    const [alice, bob] = [randomUUID(), randomUUID()];
    const clock = fakeClock(Date.now());
    const [one, other] = [0, 1].map(() => serve(open(), alice, [alice, bob], clock.now));
    if (one === undefined || other === undefined) throw new Error('two processes were to be started');
    const code = (secret: string): string => codeOf(secret, Math.floor(clock.now() / 30_000));

    const weak = tokenIn(await one.send('post', '/tokens', undefined, claim(bob)).expect(200));
    const begun = await one.send('post', '/factors/totp', weak, {}).expect(200);
    const { secret } = begun.body as { secret: string };
    const confirmed = await other
      .send('post', '/factors/totp/confirm', weak, { otp_token: code(secret) })
      .expect(201);
    const { backup_codes: codes } = confirmed.body as { backup_codes: string[] };
    expect(codes).toHaveLength(10);
    // The token from before goes on, but changes no factor.
    await other.send('get', '/reports', weak).expect(200);
    await other.send('post', '/factors/security-keys/options', weak, {}).expect(401);

    clock.advance(60);
    const strong = tokenIn(
      await other.send('post', '/tokens', undefined, claim(bob, { otp_token: code(secret) })).expect(200),
    );
    const options = await one.send('post', '/factors/security-keys/options', strong, {}).expect(200);
    const key = device();
    const webauthn = key.register(options.body as ServerOptions);
    await other.send('post', '/factors/security-keys', strong, { webauthn, name: 'Blue' }).expect(201);

    const asked = await one.send('post', '/tokens', undefined, claim(bob)).expect(401);
    const { pending, webauthn: challenge } = asked.body as { pending: string; webauthn: ServerOptions };
    const touched = { pending, webauthn: key.authenticate(challenge) };
    const byKey = await other.send('post', '/tokens/second-factor', undefined, touched).expect(200);
    await one.send('post', '/tokens/second-factor', undefined, touched).expect(401);
    expect((await one.send('get', '/reports', tokenIn(byKey)).expect(200)).body).toEqual(['pwd', 'hwk']);
    await one.send('post', '/tokens', undefined, claim(bob, { otp_token: codes[0] })).expect(200);
    await other.send('post', '/tokens', undefined, claim(bob, { otp_token: codes[0] })).expect(401);

    const first = tokenIn(await one.send('post', '/tokens', undefined, claim(alice)).expect(200));
    const own = await one.send('post', '/factors/totp', first, {}).expect(200);
    const { secret: owners } = own.body as { secret: string };
    await other.send('post', '/factors/totp/confirm', first, { otp_token: code(owners) }).expect(201);
    clock.advance(60);
    const login = claim(alice, { otp_token: code(owners) });
    const acting = tokenIn(await one.send('post', '/tokens', undefined, login).expect(200));
    const rows = await one.send('get', '/audit', acting).expect(200);
    expect(rows.body).toMatchObject({
      members: [
        { id: alice, enrolled: true, backup_codes_left: 10 },
        { id: bob, factors: [{ type: 'totp' }, { type: 'webauthn', name: 'Blue' }], backup_codes_left: 9 },
      ],
    });
    await one.send('post', `/reset?id=${alice}`, acting, {}).expect(403);
    await one.send('post', `/reset?id=${bob}`, acting, {}).expect(204);
    expect(one.resets).toMatchObject([{ actor: alice, target: bob, factors: [{}, {}] }]);
    for (const token of [weak, strong, tokenIn(byKey)])
      await other.send('get', '/reports', token).expect(401);
    await other.send('post', '/tokens', undefined, claim(bob)).expect(200);
  }, 30_000);
});
