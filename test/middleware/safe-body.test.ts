import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import type { AuthMiddleware } from '../../src/http/auth-state.js';
import { safeBody, type SafeBodyOptions } from '../../src/middleware/safe-body.js';

const json = 'application/json';
const form = 'application/x-www-form-urlencoded';

function mount(options?: SafeBodyOptions, parser: AuthMiddleware = bodyParser()) {
  const app = new Koa();
  const bodies: unknown[] = [];
  const events: unknown[] = [];
  const errors: unknown[] = [];
  const state: { auth?: unknown } = {};
  app.on('auth', (event) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  app.use(safeBody(parser, options));
  app.use((ctx) => {
    bodies.push(ctx.request.body);
    ctx.body = 'handled';
  });
  const send = (type: string, body: string): request.Test =>
    request(app.callback()).post('/').set('Content-Type', type).send(body);
  return { app, bodies, events, errors, state, send };
}

function shown(errors: readonly unknown[]): string {
  return inspect(errors, { depth: Infinity, showHidden: true });
}

function refusal(error: string): object {
  return { error, error_description: expect.any(String) };
}

describe('safeBody lets through', () => {
  it.each([
    [json, '{"username":"alice"}'],
    [form, 'username=alice'],
  ])('a body that can be read, parsed: %s', async (type, body) => {
    const rig = mount();
    await rig.send(type, body).expect(200, 'handled');
    expect(rig.bodies).toEqual([{ username: 'alice' }]);
  });

  it('a request without a body', async () => {
    const rig = mount();
    await request(rig.app.callback()).get('/').expect(200, 'handled');
    expect(rig.errors).toEqual([]);
  });

  it('as many fields as are allowed', async () => {
    const rig = mount({ maxFields: 3 });
    await rig.send(json, '{"a":1,"b":2,"c":3}').expect(200);
    await rig.send(json, '{"a":1,"b":2,"c":3,"d":4}').expect(400);
    expect(rig.bodies).toHaveLength(1);
  });

  it('the errors of what comes after it, as they are', async () => {
    const app = new Koa();
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    const broken = Object.assign(new Error('the database is away'), { status: 413 });
    app.use(safeBody(bodyParser())).use(() => Promise.reject(broken));
    await request(app.callback()).post('/').send({}).expect(413);
    expect(errors).toEqual([broken]);
  });

  it('nothing twice: what comes after it runs once', async () => {
    const rig = mount({}, async (_, next) => {
      await next();
      await next();
    });
    await rig.send(json, '{}').expect(200);
    expect(rig.bodies).toHaveLength(1);
  });
});

describe('safeBody refuses', () => {
  const keys = JSON.stringify(
    Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [i.toString(36), 1])),
  );
  it.each<[string, number, string, string, string]>([
    ['JSON with a comma too many (LOG-02)', 400, 'invalid_request', json, '{"password":"CANARY",,}'],
    ['JSON that is cut', 400, 'invalid_request', json, '{"password":"CANARY'],
    ['JSON that is no object', 400, 'invalid_request', json, '"CANARY"'],
    ['100,000 fields (INP-09)', 400, 'invalid_request', json, keys],
    ['1 MB and a byte (INP-09)', 413, 'content_too_large', json, `{"password":"${'C'.repeat(1_048_562)}"}`],
    ['a form that is too large', 413, 'content_too_large', form, `password=${'C'.repeat(100_000)}`],
  ])('%s with %d', async (_, status, error, type, body) => {
    const rig = mount();
    const answer = await rig.send(type, body).expect(status);
    expect(answer.body).toEqual(refusal(error));
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(rig.bodies).toEqual([]);
    expect(rig.errors).toEqual([]);
    expect(answer.text).not.toContain('CANARY');
  });

  it.each<[string, number, string, Buffer]>([
    ['junk that says it is gzip', 400, 'gzip', Buffer.from('CANARY')],
    ['gzip that is cut', 400, 'gzip', gzipSync('{"password":"CANARY"}').subarray(0, 20)],
    ['48 KB that unpack to 50 MB', 413, 'gzip', gzipSync(Buffer.alloc(50_000_000, 32))],
    ['an unknown encoding', 415, 'CANARY', Buffer.from('{}')],
  ])('%s with %d (INP-10)', async (_, status, encoding, body) => {
    const rig = mount();
    const sent = request(rig.app.callback())
      .post('/')
      .set('Content-Type', json)
      .set('Content-Encoding', encoding);
    const answer = await sent.serialize((raw: unknown) => raw as string).send(body);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual(refusal(expect.any(String) as never));
    expect(rig.bodies).toEqual([]);
    expect(shown(rig.errors) + answer.text).not.toContain('CANARY');
  });

  it.each<[string, AuthMiddleware]>([
    ['rejects with text', () => Promise.reject('CANARY')],
    ['rejects with nothing', () => Promise.reject(undefined)],
    [
      'rejects with a status of text',
      () => Promise.reject(Object.assign(new Error('CANARY'), { status: '413' })),
    ],
    [
      'throws before it answers with a promise',
      () => {
        throw new SyntaxError('CANARY');
      },
    ],
  ])('whatever its parser cannot read: one that %s', async (_, parser) => {
    const rig = mount({}, parser);
    const answer = await rig.send(json, '{}').expect(400);
    expect(answer.body).toEqual(refusal('invalid_request'));
    expect(rig.bodies).toEqual([]);
    expect(shown(rig.errors) + answer.text).not.toContain('CANARY');
    // The app is told that its parser failed, and nothing of what it had before it.
    expect(rig.errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('body parser') }),
    ]);
  });

  it('what its parser has answered itself: the request ends there', async () => {
    const rig = mount({}, (ctx) => {
      ctx.status = 422;
      ctx.body = 'not like this';
    });
    await rig.send(json, '{}').expect(422, 'not like this');
    expect(rig.bodies).toEqual([]);
  });
});

describe('safeBody tells', () => {
  it('its refusal in ctx.state.auth, and no event or error (LOG-02)', async () => {
    const rig = mount();
    const { body } = await rig.send(json, '{"password":"CANARY",,}').expect(400);
    expect(rig.state.auth).toEqual({ refusal: body });
    expect(rig.events).toEqual([]);
    expect(rig.errors).toEqual([]);
  });

  it('nothing of what it lets through', async () => {
    const rig = mount();
    await rig.send(json, '{}').expect(200);
    expect(rig.state.auth).toBeUndefined();
    expect(rig.events).toEqual([]);
  });

  it('its own name', () => {
    expect(safeBody(bodyParser()).name).toBe('safeBody');
  });
});

describe('safeBody rejects bad options', () => {
  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'safeBody: the first argument must be a body parser, not undefined'],
    ['json', {}, 'safeBody: the first argument must be a body parser, not "json"'],
    [{ maxFields: 3 }, undefined, 'safeBody: the first argument must be a body parser, not an object'],
    [
      bodyParser(),
      { maxFields: 0 },
      'safeBody: option maxFields must be a whole number from 1 to 1000000, not 0',
    ],
    [
      bodyParser(),
      { maxFields: '3' },
      'safeBody: option maxFields must be a whole number from 1 to 1000000, not "3"',
    ],
    [bodyParser(), { maxfields: 3 }, 'safeBody: unknown option "maxfields"; it takes maxFields'],
    [bodyParser(), null, 'safeBody: options must be an object, not null'],
  ])('by name, when it is made %#', (parser, options, message) => {
    expect(() => safeBody(parser as never, options as never)).toThrow(new TypeError(message));
  });

  it('and takes none from a polluted prototype (INP-06)', async () => {
    Reflect.defineProperty(Object.prototype, 'maxFields', { configurable: true, value: 1_000_000 });
    try {
      const rig = mount({});
      const body = JSON.stringify(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [i, 1])));
      await rig.send(json, body).expect(400);
      expect(rig.bodies).toEqual([]);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'maxFields');
    }
  });

  it('and leaves them as they were (CFG-13)', async () => {
    const options = Object.freeze({ maxFields: 3 });
    const rig = mount(options);
    await rig.send(json, '{"a":1,"b":2,"c":3,"d":4}').expect(400);
    expect(options).toEqual({ maxFields: 3 });
  });
});
