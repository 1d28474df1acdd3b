// A small API with sign-up, password login, second factor, access tokens and logout: where each middleware goes.
// Run it: npm start
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  PasswordHashes,
  SecondFactors,
  breachCheck,
  issueToken,
  lockout,
  passwordPolicy,
  requireFreshLogin,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  revokeOtherTokens,
  revokeToken,
  safeBody,
  secondFactorRoutes,
  tokenRoutes,
  verifyPassword,
  type AuthState,
} from 'koa-portcullis';
import { handlers, type Settings } from './handlers.js';

export function quickStart({ store, accounts, keys, sources, origin, watch }: Settings): Koa {
  const hashes = new PasswordHashes(); // argon2id, a few at a time
  const attempts = new Lockout({ store }); // 10 failures a minute, 20 an hour, 40 a day
  const factors = new SecondFactors({ store, issuer: 'Quick Start', keys, ...origin }); // TOTP and security keys
  const tokens = new AccessTokens({ store }); // opaque, revocable, at most 7 days
  const { signUp, showMe, savePassword, beginTotp, confirmTotp, userName } = handlers({
    accounts,
    hashes,
    factors,
  });

  const findAccount = verifyPassword(async ({ identifier, password }) => {
    const account = await accounts.find(identifier);
    const isRight = await hashes.verify(account?.hash, password); // the same work for an unknown name
    return account && isRight ? { id: account.id } : null;
  });
  const counted = lockout(attempts, { subject: async (name) => (await accounts.find(name))?.id ?? null });
  const strongPassword = [passwordPolicy(), breachCheck({ sources, whenUnavailable: 'allow' })];
  const freshLogin = [requireToken(tokens), requireFreshLogin(factors)]; // not with a token that was stolen
  const secondFactorAndToken = [requireSecondFactor(factors), issueToken(tokens)];

  const router = new Router<AuthState>();
  router.post('/signup', ...strongPassword, signUp);
  router.post('/tokens', counted, findAccount, ...secondFactorAndToken);
  router.post('/tokens/second-factor', resumeLogin(factors), counted, ...secondFactorAndToken);
  router.get('/me', requireToken(tokens), showMe);
  router.put('/password', ...freshLogin, revokeOtherTokens(tokens), ...strongPassword, savePassword);
  router.post('/totp', ...freshLogin, beginTotp);
  router.post('/totp/confirm', ...freshLogin, confirmTotp);
  router.use('/second-factors', requireToken(tokens), secondFactorRoutes(factors, { userName }).routes());
  router.delete('/tokens', requireToken(tokens), revokeToken(tokens, { all: true }));
  router.use('/tokens', requireToken(tokens), tokenRoutes(tokens).routes()); // after the logins, which need none

  const app = new Koa();
  app.on('auth', watch.observe); // attacks are seen and told of
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}
