import { randomBytes } from 'node:crypto';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import { describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  Lockout,
  SecondFactors,
  issueToken,
  lockout,
  memoryStore,
  passwordRefused,
  passwordVerified,
  refuse,
  requireSecondFactor,
  requireToken,
  resumeLogin,
  revokeToken,
  safeBody,
  verifyPassword,
  type Account,
  type AddedFactor,
  type Auth,
  type AuthEvent,
  type AuthMiddleware,
  type AuthState,
  type FactorAddition,
  type RefusalBody,
  type RefusalCode,
  type TokenFacts,
} from 'koa-portcullis';
import request from 'supertest';

// Most of this file is checked by tsc, which compiles it with the rest of the tests; jest runs what is left.

type IsAny<T> = 0 extends 1 & T ? true : false;
type IsEqual<A, B> =
  IsAny<A> extends true ? false : [A] extends [B] ? ([B] extends [A] ? true : false) : false;

const store = memoryStore();
const attempts = new Lockout({ store });
const factors = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)] });
const tokens = new AccessTokens({ store });
const verify = (): Account => ({ id: 'alice' });

function handler(ctx: Koa.Context): void {
  passwordVerified(ctx, { id: 'alice' });
  ctx.body = 'welcome';
}

function describeEvent(event: AuthEvent): string {
  switch (event.name) {
    case 'account.locked':
      return `${event.subject} for ${event.retryAfterSeconds} s`;
    case 'login.succeeded':
      return `${event.account} by ${event.methods.join()} with ${event.token}`;
    case 'login.refused':
      // @ts-expect-error -- the account may be nobody's, or not known
      return event.account.length > 0 ? event.account : event.reason;
    default:
      return `${event.name} at ${event.time} from ${event.ip}`;
  }
}

describe('ctx.state.auth', () => {
  it('is typed behind our middleware on a router of AuthState', async () => {
    const router = new Router<AuthState>();
    router.get('/reports', requireToken(tokens), (ctx) => {
      expect(true satisfies IsEqual<typeof ctx.state.auth, Auth>).toBe(true);
      expect(true satisfies IsEqual<typeof ctx.state.auth.token, TokenFacts | undefined>).toBe(true);
      const { account } = ctx.state.auth;
      // @ts-expect-error -- the account may be missing
      const { id } = account;
      // @ts-expect-error -- nothing else is there
      ctx.body = ctx.state.auth.acount ?? id;
    });
    router.post(
      '/tokens',
      lockout(attempts),
      verifyPassword(verify),
      requireSecondFactor(factors),
      issueToken(tokens),
    );
    const app = new Koa();
    app.use(router.routes());
    const { status } = await request(app.callback()).get('/reports');
    expect(status).toBe(401);
  });

  it('is typed on an app of AuthState', async () => {
    const app = new Koa<AuthState>();
    app.use(requireToken(tokens));
    app.use((ctx) => {
      const methods: readonly string[] | undefined = ctx.state.auth.methods;
      ctx.body = methods;
    });
    const { status } = await request(app.callback()).get('/');
    expect(status).toBe(401);
  });

  it('stays beside the state of the app', async () => {
    interface State extends AuthState {
      user: { name: string };
    }
    const router = new Router<State>();
    router.get('/', requireToken(tokens), (ctx) => {
      const { name } = ctx.state.user;
      ctx.body = name + String(ctx.state.auth.account?.id);
    });
    const app = new Koa();
    app.use(router.routes());
    const { status } = await request(app.callback()).get('/');
    expect(status).toBe(401);
  });
});

describe('middleware', () => {
  it('fits a plain Koa app and a router of the default state, with handlers typed Koa.Context', async () => {
    const app = new Koa();
    app.use(safeBody(bodyParser()));
    app.use(lockout(attempts));
    app.use(handler);
    await request(app.callback()).post('/').send({ username: 'alice' }).expect(200, 'welcome');

    const router = new Router();
    router.post('/login', lockout(attempts), (ctx: Koa.Context) => {
      passwordRefused(ctx);
      refuse(ctx, 'invalid_credentials');
    });
    router.delete('/tokens/current', requireToken(tokens), revokeToken(tokens));
    const other = new Koa();
    other.use(bodyParser()).use(router.routes());
    const { status } = await request(other.callback()).post('/login').send({ username: 'bob' });
    expect(status).toBe(401);
  });

  it('has one type, and hooks get a typed context', () => {
    const all: AuthMiddleware[] = [
      lockout(attempts, { subject: async (identifier, ctx) => [ctx.hostname, identifier] }),
      lockout(attempts, { readUsername: (ctx) => ctx.get('X-Name'), readAddress: () => null }),
      verifyPassword(({ identifier, password }, ctx) => (password === ctx.path ? { id: identifier } : null)),
      resumeLogin(factors, { findAccount: async (id) => ({ id, role: 'owner' }) }),
      requireSecondFactor(factors, { readOtpToken: (ctx) => ctx.get('X-Code') }),
      issueToken(tokens, { scope: (account) => account.id, lifetimeSeconds: 60, name: (_, ctx) => ctx.ip }),
      requireToken(tokens, { scope: 'read' }),
      revokeToken(tokens, { all: true }),
    ];
    expect(all.every((one) => typeof one === 'function')).toBe(true);
  });

  it('composed wrongly is a type error, and an error when it is made', () => {
    const wrong: (() => unknown)[] = [
      // @ts-expect-error -- issueToken takes AccessTokens
      () => issueToken(attempts),
      // @ts-expect-error -- lockout takes a Lockout
      () => lockout(tokens),
      // @ts-expect-error -- a store is no Lockout
      () => lockout(store),
      // @ts-expect-error -- requireSecondFactor takes SecondFactors
      () => requireSecondFactor(attempts),
      // @ts-expect-error -- resumeLogin takes SecondFactors
      () => resumeLogin(tokens),
      // @ts-expect-error -- requireToken takes AccessTokens
      () => requireToken(factors),
      // @ts-expect-error -- nothing is not enough
      () => revokeToken(),
      // @ts-expect-error -- verifyPassword takes a function
      () => verifyPassword({ id: 'alice' }),
      // @ts-expect-error -- a parser is a middleware
      () => safeBody({ jsonLimit: '1mb' }),
      // @ts-expect-error -- misspelt
      () => lockout(attempts, { readUserName: () => 'alice' }),
      // @ts-expect-error -- misspelt
      () => issueToken(tokens, { lifetimeSecond: 60 }),
      // @ts-expect-error -- misspelt
      () => new Lockout({ store, limit: [] }),
      // @ts-expect-error -- misspelt
      () => new SecondFactors({ store, issuer: 'Acme', key: [randomBytes(32)] }),
      // @ts-expect-error -- misspelt
      () => requireSecondFactor(factors, { readOtp: () => '' }),
      // @ts-expect-error -- not a way to verify users
      () => new SecondFactors({ store, issuer: 'Acme', keys: [], userVerification: true }),
      // @ts-expect-error -- tokens are no factors
      () => new SecondFactors({ store, issuer: 'Acme', keys: [], factorStore: { readToken: () => null } }),
      // @ts-expect-error -- a store is needed
      () => new AccessTokens({ lifetimeSeconds: 60 }),
      // @ts-expect-error -- seconds, not text
      () => issueToken(tokens, { lifetimeSeconds: '7d' }),
      // @ts-expect-error -- a store that keeps attempts only keeps no tokens
      () => new AccessTokens({ store: { reserveAttempt: () => Promise.reject(new Error()) } }),
    ];
    for (const make of wrong) expect(make).toThrow(TypeError);
  });

  it('takes answers that are accounts or null only', () => {
    const loose: unknown[] = [
      // @ts-expect-error -- true is nobody
      verifyPassword(() => true),
      // @ts-expect-error -- an account has an id
      verifyPassword(async () => ({ name: 'alice' })),
      // @ts-expect-error -- undefined is no answer
      resumeLogin(factors, { findAccount: () => undefined }),
      // @ts-expect-error -- an id is text
      requireToken(tokens, { findAccount: () => ({ id: 7 }) }),
      // @ts-expect-error -- a lifetime is decided at once
      issueToken(tokens, { lifetimeSeconds: async () => 60 }),
    ];
    expect(loose).toHaveLength(5);
  });
});

function idOf(addition: FactorAddition): string {
  // @ts-expect-error -- a refused factor has no id
  const early: unknown = addition.id;
  return addition.outcome === 'added' ? addition.id : String(early);
}

describe('second factors', () => {
  const later = [
    // @ts-expect-error -- an authenticator app needs a label
    async () => factors.beginTotp({ id: 'alice' }, {}),
    // @ts-expect-error -- misspelt
    async () => factors.beginTotp({ id: 'alice' }, { label: 'alice', replace: 'x' }),
    // @ts-expect-error -- an account has an id
    async () => factors.status({ name: 'alice' }),
    // @ts-expect-error -- a name cannot be taken away
    async () => factors.rename({ id: 'alice' }, 'x'),
    // @ts-expect-error -- misspelt
    async () => factors.remove({ id: 'alice' }, 'x', { keepLst: true }),
  ];

  it('are added with an outcome that is looked at before its id is', () => {
    const made: AddedFactor = { outcome: 'added', id: 'x', backupCodes: null };
    expect(idOf(made)).toBe('x');
    expect(idOf({ outcome: 'wrong' })).toBe('undefined');
    expect(true satisfies IsEqual<IsAny<FactorAddition>, false>).toBe(true);
    expect(true satisfies IsEqual<AddedFactor['backupCodes'], readonly string[] | null>).toBe(true);
  });

  it('are asked for as they are documented', async () => {
    for (const call of later) await expect(call()).rejects.toThrow(TypeError);
  });
});

describe('events and refusals', () => {
  it('are closed unions that have not decayed to any', () => {
    expect(true satisfies IsEqual<IsAny<AuthEvent>, false>).toBe(true);
    expect(true satisfies IsEqual<IsAny<AuthEvent['name']>, false>).toBe(true);
    expect(true satisfies IsEqual<IsAny<RefusalCode>, false>).toBe(true);
    expect(true satisfies IsEqual<string extends AuthEvent['name'] ? true : false, false>).toBe(true);
    expect(true satisfies IsEqual<string extends RefusalCode ? true : false, false>).toBe(true);
    expect(true satisfies IsEqual<RefusalBody['error'], RefusalCode>).toBe(true);
    // @ts-expect-error -- no such event
    const name: AuthEvent['name'] = 'login.suceeded';
    // @ts-expect-error -- no such code
    const code: RefusalCode = 'locked';
    expect([name, code]).toHaveLength(2);
  });

  it('are told apart by their names', () => {
    const happened = { time: 1, ip: '192.0.2.1', requestId: 'r1', userAgent: 'curl' };
    expect(describeEvent({ name: 'account.locked', subject: 'x', retryAfterSeconds: 60, ...happened })).toBe(
      'x for 60 s',
    );
    // @ts-expect-error -- an event has a time and an address
    describeEvent({ name: 'totp.replayed', account: 'alice' });
  });
});
