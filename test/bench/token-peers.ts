/** Apps that check a credential as others do, each in the quickest way that its manual shows. */
import { createSecretKey, randomBytes } from 'node:crypto';
import express from 'express';
import { auth } from 'express-oauth2-jwt-bearer';
import { jwtVerify, SignJWT } from 'jose';
import Koa from 'koa';
import koaJwt from 'koa-jwt';
import session from 'koa-session';
import { askOnce, type Apps, type BenchApp } from './apps.js';
import { betterAuthApp, cookiesOf } from './better-auth-app.js';
import { connectRedis } from './harness.js';
import { redisSession } from './redis-session.js';
import { answer, appOf, bearer } from './token-apps.js';

const issuer = 'https://issuer.example';
const audience = 'https://api.example';

/** A secret, a client with a token under it, and one whose token is under another secret. */
async function signedTokens(): Promise<Omit<BenchApp, 'app'> & { readonly secret: string }> {
  const [secret, other] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
  return { secret, headers: bearer(await signed(secret)), refused: [bearer(await signed(other))] };
}

function signed(secret: string): Promise<string> {
  return new SignJWT({ scope: '' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('carol')
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('7d')
    .sign(createSecretKey(secret, 'utf8'));
}

const requireSession: Koa.Middleware = (ctx, next) => {
  if (ctx.session?.['account'] !== 'carol') ctx.throw(401);
  return next();
};

const respond: express.Handler = (_request, response) => {
  response.send('ok');
};

/** Without it Express prints every refusal. */
const refuse: express.ErrorRequestHandler = (error: { status?: number }, _request, response, _next) => {
  response.sendStatus(error.status ?? 500);
};

export const peers = {
  async koaJwt() {
    const { secret, ...clients } = await signedTokens();
    // Its types do not know key objects; jsonwebtoken below it does, and they are its quickest way.
    const key = createSecretKey(secret, 'utf8') as unknown as Buffer;
    return { app: appOf(koaJwt({ secret: key, algorithms: ['HS256'] }), answer), ...clients };
  },
  async jose() {
    const { secret, ...clients } = await signedTokens();
    const key = createSecretKey(secret, 'utf8');
    const check: Koa.Middleware = async (ctx, next) => {
      const token = /^Bearer (\S+)$/i.exec(ctx.get('authorization'))?.[1] ?? '';
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'] }).catch(() => ctx.throw(401));
      ctx.state['user'] = payload;
      return next();
    };
    return { app: appOf(check, answer), ...clients };
  },
  async koaSession(redisUrl) {
    const options = redisSession(connectRedis(redisUrl));
    const withSession = (...middleware: readonly Koa.Middleware[]): Koa => {
      const app = new Koa({ keys: ['not a secret'] });
      app.use(session(options, app));
      for (const one of middleware) app.use(one);
      return app;
    };
    const begin = withSession((ctx) => {
      ctx.session = { account: 'carol' };
      ctx.body = 'ok';
    });
    const end = withSession((ctx) => {
      ctx.session = null;
      ctx.body = 'ok';
    });
    const [headers, ended] = [cookiesOf(await askOnce(begin)), cookiesOf(await askOnce(begin))];
    await askOnce(end, { headers: ended });
    return { app: withSession(requireSession, answer), headers, refused: [ended] };
  },
  express: () => ({ app: express().use(respond) }),
  async expressJwt() {
    const { secret, ...clients } = await signedTokens();
    const check = auth({ issuer, audience, secret, tokenSigningAlg: 'HS256', dpop: { enabled: false } });
    return { app: express().use(check, respond, refuse), ...clients };
  },
  betterAuth: (redisUrl) => betterAuthApp(redisUrl, false),
  betterAuthCookieCache: (redisUrl) => betterAuthApp(redisUrl, true),
} satisfies Apps;
