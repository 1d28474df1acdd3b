import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import request from 'supertest';
import type { AuthEvent } from '../../src/core/auth-event.js';
import {
  passwordPolicy,
  type PasswordPolicyMiddlewareOptions,
} from '../../src/middleware/password-policy.js';
import { told } from '../rig/told.js';

interface Rig {
  /** Answers of the app to a JSON body. */
  send(body: object): request.Test;
  sendText(type: string, body: string): request.Test;
  /** Bodies that reached the handler. */
  readonly saved: unknown[];
  readonly events: AuthEvent[];
  readonly errors: unknown[];
  /** `ctx.state.auth` of the last request. */
  readonly state: { auth?: unknown };
}

function mount(options?: PasswordPolicyMiddlewareOptions, { parser = true } = {}): Rig {
  const app = new Koa();
  const saved: unknown[] = [];
  const events: AuthEvent[] = [];
  const errors: unknown[] = [];
  const state: { auth?: unknown } = {};
  app.on('auth', (event: AuthEvent) => events.push(event));
  app.on('error', (error) => errors.push(error));
  app.use(async (ctx, next) => {
    ctx.set('Set-Cookie', 'kept=1');
    await next();
    state.auth = ctx.state['auth'];
  });
  if (parser) app.use(bodyParser({ jsonLimit: '2mb', formLimit: '2mb' }));
  app.use(passwordPolicy(options));
  app.use((ctx) => {
    saved.push(ctx.request.body);
    ctx.body = 'saved';
  });
  const sendText = (type: string, body: string): request.Test =>
    request(app.callback()).put('/password').set('Content-Type', type).send(body);
  return {
    saved,
    events,
    errors,
    state,
    sendText,
    send: (body) => sendText('application/json', JSON.stringify(body)),
  };
}

describe('passwordPolicy lets through', () => {
  it.each(['Correct horse', ' Aa1aaaaaaa ', 'A1\naaaaaaaa', 'Éaaaaaaaa1'])(
    'a password that meets the policy, as it was sent: %j (PWD-02, PWD-04, PWD-06)',
    async (password) => {
      const rig = mount();
      await rig.send({ password }).expect(200, 'saved');
      expect(rig.saved).toEqual([{ password }]);
      expect(rig.events).toEqual([]);
    },
  );

  it('a form as well as JSON', async () => {
    const rig = mount();
    await rig.sendText('application/x-www-form-urlencoded', 'password=Correct+horse%21').expect(200, 'saved');
    expect(rig.saved).toEqual([{ password: 'Correct horse!' }]);
  });

  it('what another preset asks for, and refuses what it does not (PWD-23)', async () => {
    const rig = mount({ preset: 'nist' });
    await rig.send({ password: 'all lower case letters' }).expect(200);
    await rig.send({ password: 'Sh0rt & complex' }).expect(200);
    await rig.send({ password: 'Sh0rt complex!' }).expect(422);
    expect(rig.saved).toHaveLength(2);
  });

  it('a password from wherever readPassword finds it, without a body parser', async () => {
    const rig = mount({ readPassword: (ctx) => ctx.get('X-New-Password') }, { parser: false });
    await rig.send({}).set('X-New-Password', 'Correct horse').expect(200);
    await rig.send({}).set('X-New-Password', 'horse').expect(422);
    expect(rig.saved).toHaveLength(1);
  });

  it('the errors of what comes after it, as they are', async () => {
    const app = new Koa();
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    app.use(bodyParser()).use(passwordPolicy());
    const broken = new Error('the database is away');
    app.use(() => Promise.reject(broken));
    await request(app.callback()).put('/').send({ password: 'Correct horse' }).expect(500);
    expect(errors).toEqual([broken]);
  });
});

describe('passwordPolicy refuses', () => {
  it.each([
    ['aaaaaaaaa1', ['uppercase']],
    ['😀😀😀😀😀A1', ['length']],
    ['Aa1aaaaaaa\0x', ['control']],
    ['Aa1aaaaaaa\0y', ['control']],
    ['aaaa', ['length', 'uppercase', 'digit_or_special']],
  ])('%j with the names of the rules that it breaks (PWD-02, PWD-05, PWD-12)', async (password, rules) => {
    const rig = mount();
    const { body, headers } = await rig.send({ password }).expect(422);
    expect(body).toEqual({
      error: 'password_policy',
      error_description: expect.any(String),
      violations: rules.map((rule) => ({ rule, message: expect.any(String) })),
    });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'set-cookie': ['kept=1'] });
    expect(rig.saved).toEqual([]);
  });

  it.each<[string, object]>([
    ['number', { password: 1234567890 }],
    ['boolean', { password: true }],
    ['null', { password: null }],
    ['array', { password: ['Correct horse'] }],
    ['object', { password: { $gt: '' } }],
    ['object with a length', { password: { length: 12 } }],
    ['missing field', {}],
    ['empty string', { password: '' }],
    ['field of a prototype (INP-05)', { constructor: { prototype: { password: 'Correct horse' } } }],
    ['whole array', [{ password: 'Correct horse' }]],
    ['lone surrogate (PWD-13)', { password: 'Aa1aaaaaaa\ud800' }],
    ['1025 bytes', { password: `A1${'a'.repeat(1023)}` }],
    ['1 MB (PWD-24)', { password: 'A1aaa'.repeat(200_000) }],
    ['400 KB of combining marks (PWD-09)', { password: `A1a${'\u0300\u0316'.repeat(100_000)}` }],
  ])('as malformed, whatever is no password (INP-01): %s', async (_, sent) => {
    const rig = mount();
    const { body, headers } = await rig.send(sent).expect(400);
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
    expect(headers['cache-control']).toBe('no-store');
    expect(rig.saved).toEqual([]);
    expect(rig.errors).toEqual([]);
  });

  it.each([
    'password[$ne]=',
    'password[]=Correct+horse',
    'password=Correct+horse&password=Correct+horse',
    'password[x]=1',
  ])('as malformed, form fields that parse to arrays and objects (INP-02): %s', async (form) => {
    const rig = mount();
    await rig.sendText('application/x-www-form-urlencoded', form).expect(400);
    expect(rig.saved).toEqual([]);
  });

  it.each([
    ['the user name', { username: 'alice', password: 'Alice-2024' }],
    ['the local part of the e-mail address', { email: 'alice@acme.example', password: 'Alice-2024' }],
    ['a word for every password', { password: 'Portcullis-1' }],
  ])('a password that holds %s', async (_, sent) => {
    const rig = mount({ contextWords: ['portcullis'] });
    const { body } = await rig.send(sent).expect(422);
    expect(body).toMatchObject({ violations: [{ rule: 'context_word' }] });
    expect(rig.saved).toEqual([]);
  });

  it.each([
    ['a list', (): readonly unknown[] => ['alice', undefined, 7]],
    ['a promise of a list', async (): Promise<readonly unknown[]> => ['alice', null, {}]],
  ])('a password that holds what readContextWords knows: %s', async (_, readContextWords) => {
    const rig = mount({ readContextWords });
    await rig.send({ username: 'robert', password: 'Alice-2024' }).expect(422);
    await rig.send({ username: 'robert', password: 'Robert-2024' }).expect(200);
    expect(rig.saved).toHaveLength(1);
  });

  it('names that are no strings are left out, not taken for errors (INP-02)', async () => {
    const rig = mount();
    await rig.send({ username: ['alice'], email: { x: 1 }, password: 'Alice-2024' }).expect(200);
    expect(rig.errors).toEqual([]);
  });

  it('the whole request, where no body parser ran (INP-11)', async () => {
    const rig = mount({}, { parser: false });
    await rig.send({ password: 'Correct horse' }).expect(500);
    expect(rig.saved).toEqual([]);
    expect(rig.errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('body parser') }),
    ]);
  });

  it.each<[string, () => unknown, string]>([
    ['text', () => 'alice', 'passwordPolicy: readContextWords must answer with an array'],
    ['nothing', () => undefined, 'passwordPolicy: readContextWords must answer with an array'],
    ['an error', () => Promise.reject(new Error('away')), 'away'],
  ])('the whole request, where readContextWords answers %s', async (_, readContextWords, message) => {
    // @ts-expect-error -- what JavaScript callers can pass
    const rig = mount({ readContextWords });
    await rig.send({ password: 'Correct horse' }).expect(500);
    expect(rig.saved).toEqual([]);
    expect(rig.errors).toEqual([expect.objectContaining({ message })]);
  });
});

describe('passwordPolicy tells', () => {
  it('the rules in an event, and never the password, its length or a name (PWD-22, LOG-01)', async () => {
    const rig = mount();
    const { text } = await rig.send({ username: 'c4nary', password: 'c4nary-pw' }).expect(422);
    expect(rig.events).toEqual([
      {
        name: 'password.refused',
        reason: 'length, uppercase, context_word',
        ...told,
      },
    ]);
    expect(text + JSON.stringify([rig.events, rig.errors])).not.toMatch(/c4nary/i);
  });

  it('its refusal in ctx.state.auth', async () => {
    const rig = mount();
    const { body } = await rig.send({ password: 'aaaa' });
    expect(rig.state.auth).toEqual({ refusal: body });
  });

  it('nothing of what is malformed or lets through', async () => {
    const rig = mount();
    await rig.send({ password: 7 }).expect(400);
    await rig.send({ password: 'Correct horse' }).expect(200);
    expect(rig.events).toEqual([]);
  });

  it('its own name', () => {
    expect(passwordPolicy().name).toBe('passwordPolicy');
  });
});

describe('passwordPolicy rejects bad options', () => {
  it.each<[unknown, RegExp]>([
    [
      { minlength: 12 },
      /^passwordPolicy: unknown option "minlength"; it takes preset, .*, readPassword, readContextWords$/,
    ],
    [{ minLength: 7 }, /^passwordPolicy: option minLength must be a whole number from 8 to 64, not 7$/],
    [{ preset: 'none' }, /^passwordPolicy: option preset must be one of/],
    [{ contextWords: () => [] }, /^passwordPolicy: option contextWords must be an array of words/],
    [{ readPassword: 'password' }, /^passwordPolicy: option readPassword must be a function/],
    [{ readContextWords: ['alice'] }, /^passwordPolicy: option readContextWords must be a function/],
    ['nist', /^passwordPolicy: options must be an object/],
  ])('by name, when it is made: %j', (options, message) => {
    // @ts-expect-error -- what JavaScript callers can pass
    expect(() => passwordPolicy(options)).toThrow(message);
  });
});
