import { bodyParser } from '@koa/bodyparser';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import type { BreachAnswer, BreachSource } from '../../src/core/breach-source.js';
import { commonPasswords } from '../../src/core/common-passwords.js';
import { hibpApi } from '../../src/core/hibp-api.js';
import type { AuthEvent } from '../../src/core/auth-event.js';
import { breachCheck, type BreachCheckMiddlewareOptions } from '../../src/middleware/breach-check.js';
import { heardOn } from '../rig/heard.js';
import { drip, range, startRangeServer, text, type RangeServer, type Reply } from '../rig/range-server.js';
import { told } from '../rig/told.js';

const password = 'Tr0ub4dor&3';
let upstream: RangeServer;

beforeAll(async () => {
  upstream = await startRangeServer();
});
beforeEach(() => upstream.reset());
afterAll(() => upstream.close());

interface Rig {
  send(body: object): request.Test;
  sendForm(body: string): request.Test;
  /** Bodies that reached the handler. */
  readonly saved: unknown[];
  readonly events: AuthEvent[];
  readonly errors: unknown[];
  /** `ctx.state.auth` of the last request. */
  readonly state: { auth?: unknown };
}

function mount(options?: BreachCheckMiddlewareOptions): Rig {
  const app = new Koa();
  const saved: unknown[] = [];
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const state: { auth?: unknown } = {};
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    await next();
    state.auth = ctx.state['auth'];
  });
  app.use(bodyParser());
  app.use(
    breachCheck({
      sources: [commonPasswords(), hibpApi({ baseUrl: upstream.url, timeoutMs: 300 })],
      ...options,
    }),
  );
  app.use((ctx) => {
    saved.push(ctx.request.body);
    ctx.body = 'saved';
  });
  const put = (): request.Test => request(app.callback()).put('/password');
  return {
    saved,
    events,
    errors,
    state,
    send: (body) => put().set('Content-Type', 'application/json').send(JSON.stringify(body)),
    sendForm: (body) => put().set('Content-Type', 'application/x-www-form-urlencoded').send(body),
  };
}

function answering(name: string, answer: BreachAnswer): BreachSource {
  return { name, find: async () => answer };
}

describe('breachCheck lets through', () => {
  it('a password that no source knows', async () => {
    const rig = mount();
    upstream.reply(range({ another: 12 }));
    await rig.send({ password }).expect(200, 'saved');
    expect(rig.saved).toEqual([{ password }]);
    expect(rig.events).toEqual([]);
    expect(upstream.requests).toHaveLength(1);
  });

  it('a password that is listed as padding, with a count of 0 (BRC-02)', async () => {
    const rig = mount();
    upstream.reply(range({ [password]: 0 }));
    await rig.send({ password }).expect(200);
    expect(rig.saved).toHaveLength(1);
  });

  it('a password that was seen less often than minCount', async () => {
    const rig = mount({ minCount: 10 });
    upstream.reply(range({ [password]: 9 }));
    await rig.send({ password }).expect(200);
    upstream.reply(range({ [password]: 10 }));
    await rig.send({ password }).expect(422);
    expect(rig.saved).toHaveLength(1);
  });

  it('what could not be checked, where the app chose so, and says so (BRC-18)', async () => {
    const rig = mount({ whenUnavailable: 'allow' });
    upstream.reply(text('', 503));
    await rig.send({ password }).expect(200, 'saved');
    expect(rig.events).toEqual([expect.objectContaining({ name: 'breach.skipped', reason: 'hibp_api' })]);
  });

  it('a password from wherever readPassword finds it', async () => {
    const rig = mount({ readPassword: (ctx) => ctx.get('X-New-Password') });
    await rig.send({}).set('X-New-Password', password).expect(200);
    await rig.send({ password }).set('X-New-Password', 'password').expect(422);
    expect(rig.saved).toHaveLength(1);
  });
});

describe('breachCheck refuses', () => {
  it('a password with a count of 1 (BRC-01)', async () => {
    const rig = mount();
    upstream.reply(range({ [password]: 1 }));
    const { body, headers } = await rig.send({ password }).expect(422);
    expect(body).toEqual({ error: 'password_breached', error_description: expect.any(String) });
    expect(headers['cache-control']).toBe('no-store');
    expect(rig.saved).toEqual([]);
  });

  it('a common password without asking the network', async () => {
    const rig = mount();
    await rig.send({ password: 'Password123' }).expect(422);
    expect(upstream.requests).toEqual([]);
    expect(rig.saved).toEqual([]);
  });

  it.each<[string, Reply]>([
    ...[301, 400, 403, 404, 429, 500, 503, 206].map((status): [string, Reply] => [
      `status ${status} (BRC-05)`,
      text('', status, { 'Retry-After': '7', Location: '/' }),
    ]),
    ['no content (BRC-05)', text('', 204)],
    ['a captive portal (BRC-09)', text('<html>Welcome</html>')],
    ['an empty reply (BRC-09)', text('')],
    ['one byte at a time (BRC-07)', drip(20)],
  ])('what could not be checked: %s', async (_, reply) => {
    const rig = mount();
    upstream.reply(reply);
    const { body, headers } = await rig.send({ password }).expect(503);
    expect(body).toEqual({ error: 'breach_check_unavailable', error_description: expect.any(String) });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'retry-after': '5' });
    expect(rig.saved).toEqual([]);
    expect(rig.errors).toEqual([]);
  });

  it.each(['refuse', 'allow'] as const)(
    'a breached password also where another source is unavailable, and with whenUnavailable %p',
    async (whenUnavailable) => {
      const sources = [answering('away', 'unavailable'), answering('corpus', 3)];
      const rig = mount({ sources, whenUnavailable });
      await rig.send({ password }).expect(422);
      expect(rig.saved).toEqual([]);
    },
  );

  it.each<[string, object]>([
    ['number', { password: 1234567890 }],
    ['boolean', { password: true }],
    ['null', { password: null }],
    ['array', { password: [password] }],
    ['object', { password: { $gt: '' } }],
    ['missing field', {}],
    ['empty string', { password: '' }],
    ['lone surrogate (PWD-13)', { password: `${password}\ud800` }],
    ['1025 bytes', { password: 'a'.repeat(1025) }],
    ['400 KB of combining marks (PWD-09)', { password: `A1a${'\u0300\u0316'.repeat(100_000)}` }],
  ])(
    'as malformed, whatever is no password (INP-01), also with whenUnavailable allow: %s',
    async (_, sent) => {
      const rig = mount({ whenUnavailable: 'allow' });
      const { body } = await rig.send(sent).expect(400);
      expect(body).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
      expect(rig.saved).toEqual([]);
      expect(upstream.requests).toEqual([]);
    },
  );

  it.each(['password[$ne]=', 'password[]=x', 'password=x&password=y'])(
    'as malformed, form fields that parse to arrays and objects (INP-02): %s',
    async (form) => {
      const rig = mount();
      await rig.sendForm(form).expect(400);
      expect(rig.saved).toEqual([]);
    },
  );

  it('to be told by the request where to ask (BRC-21)', async () => {
    const elsewhere = await startRangeServer();
    const rig = mount();
    upstream.reply(range({ [password]: 3 }));
    const host = new URL(elsewhere.url).host;
    await rig
      .send({ password, baseUrl: elsewhere.url })
      .set({ Host: host, 'X-Forwarded-Host': host, Forwarded: `host=${host}` })
      .expect(422);
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.close();
  });

  it('nothing of a polluted prototype weakens it (INP-06)', async () => {
    const polluted = { whenUnavailable: 'allow', minCount: 1000, sources: [] };
    Object.assign(Object.prototype, polluted);
    try {
      const app = new Koa();
      const saved: unknown[] = [];
      app.use(bodyParser());
      app.use(breachCheck({ sources: [answering('away', 'unavailable')] }));
      app.use((ctx) => saved.push(ctx.request.body));
      await request(app.callback()).put('/').send({ password }).expect(503);
      expect(saved).toEqual([]);
    } finally {
      for (const key of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, key);
    }
  });
});

const heard = (rig: Rig, sent: object) => heardOn('koa-portcullis:breach-check', async () => rig.send(sent));

describe('breachCheck tells', () => {
  it('whoever counts checks what became of each, and nothing of the password', async () => {
    const rig = mount();
    expect(await heard(rig, { password })).toEqual([{ outcome: 'clean' }]);
    expect(await heard(rig, { password: 'Password123' })).toEqual([{ outcome: 'breached' }]);
    upstream.reply(text('', 503));
    const unavailable = [{ outcome: 'unavailable' }];
    expect(await heard(rig, { password })).toEqual(unavailable);
    expect(await heard(mount({ whenUnavailable: 'allow' }), { password })).toEqual(unavailable);
    expect(await heard(rig, {})).toEqual([]);
  });

  it('one event for a breached password, without the password (LOG-01)', async () => {
    const rig = mount();
    upstream.reply(range({ [password]: 1 }));
    const answer = await rig.send({ password });
    expect(rig.events).toEqual([{ name: 'password.refused', reason: 'breached', ...told }]);
    expect(answer.text + JSON.stringify([rig.events, rig.errors])).not.toContain('Tr0ub4dor');
    expect(rig.state.auth).toEqual({ refusal: answer.body });
  });

  it('one event for a refusal because of an unavailable source', async () => {
    const rig = mount();
    upstream.reply(text('', 503));
    await rig.send({ password });
    expect(rig.events).toEqual([
      expect.objectContaining({ name: 'password.refused', reason: 'breach_check_unavailable' }),
    ]);
  });

  it('the names of all sources that could not tell, where it allows', async () => {
    const sources = [answering('one', 'unavailable'), answering('two', 0), answering('three', 'unavailable')];
    const rig = mount({ sources, whenUnavailable: 'allow' });
    await rig.send({ password }).expect(200);
    expect(rig.events).toEqual([expect.objectContaining({ name: 'breach.skipped', reason: 'one, three' })]);
  });

  it('its own name', () => {
    expect(breachCheck().name).toBe('breachCheck');
  });
});

describe('breachCheck rejects bad options', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'a misspelt name',
      { onUnavailable: 'allow' },
      /^breachCheck: unknown option "onUnavailable"; it takes sources, minCount, timeoutMs, readPassword, whenUnavailable$/,
    ],
    [
      'an unknown choice',
      { whenUnavailable: 'ignore' },
      /^breachCheck: option whenUnavailable must be one of 'refuse', 'allow', not "ignore"$/,
    ],
    ['a flag for a choice', { whenUnavailable: true }, /^breachCheck: option whenUnavailable/],
    ['no sources', { sources: [] }, /^breachCheck: option sources must be a non-empty array/],
    ['a count of 0', { minCount: 0 }, /^breachCheck: option minCount/],
    ['no time', { timeoutMs: 0 }, /^breachCheck: option timeoutMs/],
    ['a field name', { readPassword: 'password' }, /^breachCheck: option readPassword must be a function/],
  ])('by name, when it is made: %s', (_, options, message) => {
    // @ts-expect-error -- what JavaScript callers can pass
    expect(() => breachCheck(options)).toThrow(message);
  });
});
