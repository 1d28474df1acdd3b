import { describe, expect, it, jest } from '@jest/globals';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import { revokeOtherTokens } from '../../src/middleware/revoke-other-tokens.js';
import { memoryStore } from '../../src/stores/memory.js';
import { faults, forgeState, loginApp, refused } from '../rig/login-app.js';
import { told } from '../rig/told.js';

interface Setup {
  /** The app's handler of a change. */
  readonly change?: AuthMiddleware;
  readonly first?: AuthMiddleware;
  readonly guarded?: boolean;
}

const done: AuthMiddleware = (ctx) => {
  ctx.status = 204;
};

function mount({ change = done, first, guarded = true }: Setup = {}) {
  const reached: string[] = [];
  const rig = loginApp({
    ...(first !== undefined && { first }),
    routes({ router, tokens, guard }) {
      const own = revokeOtherTokens(tokens);
      const steps = guarded ? [guard, own] : [own];
      router.put('/password', ...steps, (ctx, next) => {
        reached.push(ctx.path);
        return change(ctx, next);
      });
    },
  });
  const isLive = async (token: string): Promise<boolean> => (await rig.tokens.check(token)) !== null;
  const put = (token?: string) => rig.send('put', '/password', token).send({});
  /** The token that acts, another one of the account, and one of another account. */
  async function three(): Promise<[string, string, string]> {
    const made = [await rig.logIn('alice'), await rig.logIn('alice'), await rig.logIn('bob')] as const;
    rig.events.splice(0);
    return [...made];
  }
  return { ...rig, reached, isLive, put, three };
}

describe('revokeOtherTokens lets through', () => {
  it.each<[string, number, AuthMiddleware]>([
    ['without a body', 204, done],
    [
      'with a body',
      200,
      (ctx) => {
        ctx.body = { saved: true };
      },
    ],
    [
      'as created',
      201,
      (ctx) => {
        ctx.status = 201;
        ctx.body = 'made';
      },
    ],
    ['by a page', 302, (ctx) => ctx.redirect('/account')],
  ])('a change that is answered %s, %d, and ends the others (TOK-12)', async (_, status, change) => {
    const rig = mount({ change });
    const [token, other, bobs] = await rig.three();
    const { headers } = await rig.put(token).expect(status);
    expect(headers).toMatchObject({ 'set-cookie': ['kept=1'] });
    expect(await Promise.all([token, other, bobs].map(rig.isLive))).toEqual([true, false, true]);
    expect(rig.reached).toEqual(['/password']);
  });

  it('a change, and ends logins that began before it (TOK-12)', async () => {
    const rig = mount();
    const { secret } = await rig.enrol('alice');
    const pending = await rig.ask('alice');
    await rig.put(await rig.tokenOf('alice', { methods: ['otp'] })).expect(204);
    const otp_token = rig.code(secret);
    const { body } = await rig.send('post', '/tokens/second-factor').send({ pending, otp_token }).expect(401);
    expect(body).toEqual(refused('pending_login_invalid'));
  });

  it('what is answered only after the others have ended (I7)', async () => {
    const rig = mount();
    const [token, other] = await rig.three();
    const order: string[] = [];
    rig.store.revokeTokens = async (...given) => {
      await new Promise(setImmediate);
      order.push('ended');
      return rig.sound.revokeTokens(...given);
    };
    await rig.put(token).then(() => order.push('answered'));
    expect(order).toEqual(['ended', 'answered']);
    await rig.send('get', '/reports', other).expect(401);
  });

  it.each<[string, number, AuthMiddleware]>([
    ['nothing', 404, () => {}],
    [
      'a refusal',
      422,
      (ctx) => {
        ctx.status = 422;
      },
    ],
    ['an error for the client', 400, (ctx) => ctx.throw(400, 'no')],
    [
      'an error',
      500,
      () => {
        throw new Error('away');
      },
    ],
    ['an unavailable database', 503, (ctx) => ctx.throw(503)],
  ])('%s as it is, %d, and ends nothing', async (_, status, change) => {
    const rig = mount({ change });
    const [token, other] = await rig.three();
    await rig.put(token).expect(status);
    expect(await Promise.all([token, other].map(rig.isLive))).toEqual([true, true]);
    expect(rig.events).toEqual([]);
  });
});

describe('revokeOtherTokens refuses', () => {
  it.each(faults)('where the store %s: 503, though the change was made (I9)', async (_, fault) => {
    const rig = mount({
      change(ctx) {
        ctx.set('X-Kept', '1');
        ctx.body = { saved: true };
      },
    });
    const [token] = await rig.three();
    rig.store.revokeTokens = fault;
    const { body, headers } = await rig.put(token).expect(503);
    expect(body).toEqual(refused('store_unavailable'));
    expect(headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store', 'x-kept': '1' });
    expect(rig.reached).toEqual(['/password']);
    expect(rig.errors).toEqual([]);
    expect(rig.events).toEqual([
      { name: 'store.failed', reason: expect.not.stringContaining('CANARY'), ...told },
    ]);
  });

  it('whoever has no token, before the handler', async () => {
    const rig = mount();
    expect((await rig.put().expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.reached).toEqual([]);
  });

  it.each<[string, AuthMiddleware]>([
    ['no requireToken is mounted', (_, next) => next()],
    ['ctx.state.auth is forged', forgeState],
  ])('everything where %s (CFG-02)', async (_, first) => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const rig = mount({ first, guarded: false });
    const [token, other] = await rig.three();
    expect((await rig.put(token).expect(401)).body).toEqual(refused('invalid_token'));
    expect(rig.reached).toEqual([]);
    expect(await rig.isLive(other)).toBe(true);
    expect(rig.events).toEqual([
      { name: 'config.weak', reason: expect.stringMatching(/^revokeOtherTokens is out of order/), ...told },
    ]);
    expect(warned).toHaveBeenCalledTimes(1);
  });
});

describe('revokeOtherTokens tells', () => {
  it('how many ended, and nothing where none did', async () => {
    const rig = mount();
    const [token] = await rig.three();
    await rig.put(token).expect(204);
    await rig.put(token).expect(204);
    expect(rig.events).toEqual([{ name: 'tokens.revoked', account: 'alice', count: 1, ...told }]);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const [token] = await rig.three();
    rig.store.revokeTokens = () => Promise.reject(new Error('away'));
    const { body } = await rig.put(token).expect(503);
    expect(rig.state.auth).toMatchObject({ account: { id: 'alice' }, refusal: body });
  });

  it('its own name', () => {
    expect(revokeOtherTokens(mount().tokens).name).toBe('revokeOtherTokens');
  });
});

describe('revokeOtherTokens rejects', () => {
  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [memoryStore(), 'an object'],
  ])('what is no AccessTokens, when it is made %#', (given, found) => {
    const message = `revokeOtherTokens: the first argument must be made by new AccessTokens(), not ${found}`;
    expect(() => revokeOtherTokens(given as never)).toThrow(new TypeError(message));
  });

  it.each<[unknown, string]>([
    [{ devices: {} }, 'option devices must be made by new KnownDevices(), not an object'],
    [{ device: true }, 'unknown option "device"; it takes devices'],
  ])('bad options, by name %#', (options, message) => {
    const make = (): unknown => revokeOtherTokens(mount().tokens, options as never);
    expect(make).toThrow(new TypeError(`revokeOtherTokens: ${message}`));
  });
});
