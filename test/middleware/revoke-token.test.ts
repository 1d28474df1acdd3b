import { describe, expect, it, jest } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { Login } from '../../src/core/login.js';
import type { TokenStore } from '../../src/core/token-store.js';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { requireToken } from '../../src/middleware/require-token.js';
import { revokeToken, type RevokeTokenOptions } from '../../src/middleware/revoke-token.js';
import { memoryStore } from '../../src/stores/memory.js';
import { tokenFacts } from '../rig/token-facts.js';
import { told } from '../rig/told.js';

interface Setup {
  readonly options?: RevokeTokenOptions;
  readonly store?: Partial<TokenStore>;
  readonly before?: AuthMiddleware;
}

function mount({ options, store, before }: Setup = {}) {
  const tokens = new AccessTokens({ store: { ...memoryStore(), ...store } });
  const app = new Koa();
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const state: { auth?: unknown } = {};
  let after = 0;
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  app.use(before ?? requireToken(tokens));
  app.use(revokeToken(tokens, options));
  app.use(() => {
    after += 1;
  });
  const issue = async (id = 'alice') => {
    const login = new Login();
    login.verifyPassword({ id }, Date.now());
    login.passFactor();
    const issued = await tokens.issue(login);
    if (issued === null) throw new Error('no token');
    return issued;
  };
  const logOut = (secret?: string): request.Test => {
    const test = request(app.callback()).delete('/tokens/current');
    return secret === undefined ? test : test.set('Authorization', `Bearer ${secret}`);
  };
  return { tokens, events, errors, state, issue, logOut, reached: () => after };
}

const refused = (error: string): object => ({ error, error_description: expect.any(String) });

describe('revokeToken lets through', () => {
  it('the owner of a token, who ends it and no other', async () => {
    const rig = mount();
    const [first, second, bobs] = [await rig.issue(), await rig.issue(), await rig.issue('bob')];
    const { text, headers } = await rig.logOut(first.secret).expect(204);
    expect(text).toBe('');
    expect(headers).toMatchObject({ 'set-cookie': ['kept=1'] });
    expect(await rig.tokens.check(first.secret)).toBeNull();
    expect(await rig.tokens.check(second.secret)).not.toBeNull();
    expect(await rig.tokens.check(bobs.secret)).not.toBeNull();
    expect(rig.reached()).toBe(0);
  });

  it("the owner of all tokens, who ends all of them and nobody else's (TOK-12)", async () => {
    const rig = mount({ options: { all: true } });
    const [first, second, bobs] = [await rig.issue(), await rig.issue(), await rig.issue('bob')];
    await rig.logOut(first.secret).expect(204);
    for (const { secret } of [first, second]) expect(await rig.tokens.check(secret)).toBeNull();
    expect(await rig.tokens.check(bobs.secret)).not.toBeNull();
  });

  it.each([1000])('%d tokens, none of which works after its answer (TOK-03, I7)', async (count) => {
    const rig = mount();
    const issued = await Promise.all(Array.from({ length: count }, (_, i) => rig.issue(`user ${i % 10}`)));
    for (const { facts, secret } of issued) {
      expect(await rig.tokens.revoke(facts.token.id)).toBe(true);
      expect(await rig.tokens.check(secret)).toBeNull();
    }
  });
});

describe('revokeToken refuses', () => {
  it('a token a second time, like an unknown one (TOK-18)', async () => {
    const rig = mount();
    const { secret } = await rig.issue();
    await rig.logOut(secret).expect(204);
    const again = await rig.logOut(secret).expect(401);
    const unknown = await rig.logOut((await mount().issue()).secret).expect(401);
    expect(again.body).toEqual(refused('invalid_token'));
    expect(again.text).toBe(unknown.text);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    [
      'ctx.state.auth is forged',
      (ctx, next) => {
        ctx.state.auth = { account: { id: 'alice' }, token: tokenFacts() };
        return next();
      },
    ],
  ])('where %s', async (_, before) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ before, options: { all: true } });
    const { secret } = await rig.issue();
    const { body, headers } = await rig.logOut(secret).expect(401);
    expect(body).toEqual(refused('invalid_token'));
    expect(headers).toMatchObject({
      'www-authenticate': 'Bearer',
      'cache-control': 'no-store',
      'set-cookie': ['kept=1'],
    });
    expect(await rig.tokens.check(secret)).not.toBeNull();
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^revokeToken is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });

  it.each<[string, boolean, Partial<TokenStore>]>([
    ['fails', false, { revokeToken: () => Promise.reject(new Error('CANARY')) }],
    ['answers 1', false, { revokeToken: async () => 1 as never }],
    ['answers nothing', false, { revokeToken: async () => undefined as never }],
    ['fails for all', true, { revokeTokens: () => Promise.reject(new Error('CANARY')) }],
    ['answers true for all', true, { revokeTokens: async () => true as never }],
  ])('where the store %s: 503, and nothing is told as done', async (_, all, store) => {
    const rig = mount({ options: { all }, store });
    const { body, headers } = await rig.logOut((await rig.issue()).secret).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });
});

describe('revokeToken tells', () => {
  it('the token that ended, by its id', async () => {
    const rig = mount();
    const { secret, facts } = await rig.issue();
    await rig.logOut(secret).expect(204);
    expect(rig.events).toEqual([{ name: 'token.revoked', account: 'alice', token: facts.token.id, ...told }]);
    expect(JSON.stringify(rig.events)).not.toContain(secret);
  });

  it('how many ended', async () => {
    const rig = mount({ options: { all: true } });
    await rig.issue();
    await rig.logOut((await rig.issue()).secret).expect(204);
    expect(rig.events).toEqual([{ name: 'tokens.revoked', account: 'alice', count: 2, ...told }]);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount({ store: { revokeToken: () => Promise.reject(new Error('away')) } });
    const { body } = await rig.logOut((await rig.issue()).secret).expect(503);
    expect(rig.state.auth).toMatchObject({ refusal: body });
  });

  it('its own name', () => {
    expect(revokeToken(mount().tokens).name).toBe('revokeToken');
  });
});

describe('revokeToken rejects bad options', () => {
  const { tokens } = mount();
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'revokeToken: the first argument must be made by new AccessTokens(), not undefined'],
    [memoryStore(), {}, 'revokeToken: the first argument must be made by new AccessTokens(), not an object'],
    [tokens, { everything: true }, 'revokeToken: unknown option "everything"; it takes all'],
    [tokens, { all: 'yes' }, 'revokeToken: option all must be true or false, not "yes"'],
    [tokens, { all: null }, 'revokeToken: option all must be true or false, not null'],
    [tokens, true, 'revokeToken: options must be an object, not true'],
  ])('by name, when it is made %#', (core, options, message) => {
    expect(() => revokeToken(core as never, options as never)).toThrow(new TypeError(message));
  });

  it('and takes none from a polluted prototype (INP-06)', async () => {
    Reflect.defineProperty(Object.prototype, 'all', { configurable: true, writable: true, value: true });
    try {
      const rig = mount({ options: {} });
      const [first, second] = [await rig.issue(), await rig.issue()];
      await rig.logOut(first.secret).expect(204);
      expect(await rig.tokens.check(second.secret)).not.toBeNull();
    } finally {
      Reflect.deleteProperty(Object.prototype, 'all');
    }
  });

  it('and leaves them as they were (CFG-13)', () => {
    const options = Object.freeze({ all: true });
    expect(() => revokeToken(tokens, options)).not.toThrow();
    expect(options).toEqual({ all: true });
  });
});
