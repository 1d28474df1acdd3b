import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { bodyParser } from '@koa/bodyparser';
import { describe, expect, it, jest } from '@jest/globals';
import request from 'supertest';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { OAuthClients } from '../../src/core/oauth-clients.js';
import { refusals } from '../../src/http/refusals.js';
import {
  Lockout,
  issueToken,
  lockout,
  memoryStore,
  oauthRoutes,
  passwordRefused,
  passwordVerified,
  refuse,
  requireSecondFactor,
  safeBody,
  type AuthMiddleware,
  type OAuthRoutesOptions,
} from '../../src/index.js';
import { faults, forgeState } from '../rig/login-app.js';
import { password } from '../rig/login-chain.js';
import {
  api,
  apiSecret,
  basic,
  cli,
  clients,
  issuer,
  oauthApp,
  web,
  webSecret,
  type Client,
  type OAuthApp,
} from '../rig/oauth-app.js';
import { told } from '../rig/told.js';

const right = { grant_type: 'password', username: 'alice', password };

/** The body of an error, in the words of the RFC and in ours. */
const failed = (error: string, reason?: string, more: object = {}): object => ({
  error,
  error_description: expect.stringMatching(/^[\x20\x21\x23-\x5B\x5D-\x7E]+$/),
  ...(reason !== undefined && { reason }),
  ...more,
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Record<string, string | undefined>;
}

/** What of an answer OAuth has a say in. */
function seen({ status, body, headers }: Answer): object {
  return {
    status,
    body,
    cache: headers['cache-control'],
    pragma: headers['pragma'],
    type: headers['content-type'],
  };
}

function answered(status: number, body: object): object {
  return {
    status,
    body,
    cache: 'no-store',
    pragma: 'no-cache',
    type: expect.stringMatching(/^application\/json/),
  };
}

const inactive = answered(200, { active: false });

function encoded(text: string): string {
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

function asks(rig: OAuthApp, client: Client, form: object): request.Test {
  if (client.secret !== undefined) return rig.postAs(client, '/oauth/revoke', form);
  return rig.post('/oauth/revoke', { ...form, client_id: client.id });
}

function errorOf(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    if (error instanceof TypeError) return error.message;
  }
  return 'no TypeError';
}

// Steps of an app.
const step: AuthMiddleware = (_ctx, next) => next();
const refusing: AuthMiddleware = (ctx) => ctx.throw(401, 'wrong');
const limiting: AuthMiddleware = (ctx) => {
  ctx.set('Retry-After', '17');
  ctx.status = 429;
};
const twice: AuthMiddleware = async (_ctx, next) => {
  await next();
  await next();
};

const eventsOf = ({ events }: OAuthApp, name: string) => events.filter((event) => event.name === name);

describe('the token endpoint lets through', () => {
  it('a client of its own with a right password, and answers as RFC 6749 section 5.1 says', async () => {
    const rig = oauthApp();
    const { body, headers, status } = await rig.grant({ scope: 'reports' });
    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.stringMatching(/^pcat_/),
      token_type: 'Bearer',
      expires_in: 604_800,
      scope: 'reports',
      id: expect.any(String),
      created_at: expect.any(String),
      expires_at: expect.any(String),
    });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
    expect(headers).not.toHaveProperty('set-cookie');
    const { access_token: token } = body as { access_token: string };
    const reports = await rig.get('/reports').set('Authorization', `Bearer ${token}`);
    expect(reports.body).toMatchObject({
      account: { id: 'alice' },
      methods: ['pwd'],
      token: { client: 'web', scope: 'reports' },
    });
    expect(rig.states[0]).toMatchObject({ account: { id: 'alice' }, token: { client: 'web' } });
    expect(rig.events.map(({ name }) => name)).toEqual(['token.issued', 'login.succeeded']);
  });

  const secretInForm = { client_id: 'web', client_secret: webSecret };
  it.each<[how: string, form: object, header: string | undefined, client: string]>([
    ['by a header', {}, basic(web), 'web'],
    ['by a header in another case', {}, basic(web).replace('Basic', 'bASIC'), 'web'],
    ['by a header, with its id once more', { client_id: 'web' }, basic(web), 'web'],
    ['by the form', secretInForm, undefined, 'web'],
    ['by its id, being public', { client_id: 'cli' }, undefined, 'cli'],
    [
      'by its id and an empty secret, being public',
      { client_id: 'cli', client_secret: '' },
      undefined,
      'cli',
    ],
    ['by its id in a header, being public', {}, basic(cli), 'cli'],
  ])('a client that says who it is %s', async (_how, form, header, client) => {
    const rig = oauthApp();
    const sent = rig.post('/oauth/token', { ...right, ...form });
    const { status, body } = await (header === undefined ? sent : sent.set('Authorization', header));
    expect(status).toBe(200);
    const [own] = await rig.tokens.list({ id: 'alice' });
    expect(own).toMatchObject({ client, id: (body as { id: string }).id });
  });

  it.each<[asked: string | undefined, client: Client, granted: string]>([
    [undefined, web, ''],
    ['', web, ''],
    ['reports', web, 'reports'],
    ['billing reports', web, 'billing reports'],
    ['reports reports', web, 'reports'],
    ['reports', cli, 'reports'],
  ])('a scope that the client may ask for: %p', async (scope, client, granted) => {
    const rig = oauthApp();
    const sent = await rig.grant(scope === undefined ? {} : { scope }, client);
    expect([sent.status, (sent.body as { scope: string }).scope]).toEqual([200, granted]);
  });

  it('a login with its second factor in the same request, an emergency code too', async () => {
    const rig = oauthApp();
    const { secret, codes } = await rig.enrol();
    const { status, body } = await rig.grant({ otp_token: rig.code(secret) });
    expect(status).toBe(200);
    const { access_token: token } = body as { access_token: string };
    expect(await rig.tokens.check(token)).toMatchObject({ methods: ['pwd', 'otp'] });
    expect((await rig.grant({ otp_token: codes[0] })).status).toBe(200);
    expect(seen(await rig.grant({ otp_token: rig.code(secret) }))).toEqual(
      answered(400, failed('invalid_grant', 'invalid_second_factor')),
    );
  });

  it('unknown parameters, which it ignores, and takes one without a value as missing (RFC 6749 section 3.2)', async () => {
    const rig = oauthApp();
    await rig.enrol('bob');
    expect((await rig.grant({ audience: 'x', resource: ['a', 'b'], otp_token: '' })).status).toBe(200);
    const asked = await rig.grant({ username: 'bob', otp_token: '' });
    expect(asked.body).toMatchObject({ error: 'invalid_grant', reason: 'second_factor_required' });
  });

  it.each<[what: string, lifetimeSeconds: OAuthRoutesOptions['lifetimeSeconds'], seconds: number]>([
    ['a number', 60, 60],
    ['a function', (_account, _ctx, { client }) => (client === 'web' ? 120 : 1), 120],
    ['nothing', undefined, 604_800],
  ])('for as long as the app says: %s', async (_what, lifetimeSeconds, seconds) => {
    const rig = oauthApp({ options: lifetimeSeconds === undefined ? {} : { lifetimeSeconds } });
    expect((await rig.grant()).body).toMatchObject({ expires_in: seconds });
  });

  it('and tells the function for the lifetime whose login it is', async () => {
    const seen: unknown[] = [];
    const options = {
      lifetimeSeconds: (
        ...[account, ctx, login]: Parameters<
          Exclude<OAuthRoutesOptions['lifetimeSeconds'], number | undefined>
        >
      ) => {
        seen.push(account, ctx.path, login);
        return 60;
      },
    };
    await oauthApp({ options }).grant({ scope: 'billing' });
    expect(seen).toEqual([
      { id: 'alice' },
      '/oauth/token',
      { methods: ['pwd'], client: 'web', scope: 'billing' },
    ]);
  });

  it.each([604_801, 0, -1, Number.NaN, Number.POSITIVE_INFINITY, '7d', null])(
    'no token for longer than seven days, whatever the function says: %p (TOK-01)',
    async (seconds) => {
      const rig = oauthApp({ options: { lifetimeSeconds: () => seconds as number } });
      expect((await rig.grant()).status).toBe(500);
      expect(await rig.tokens.list({ id: 'alice' })).toEqual([]);
    },
  );
});

describe('the token endpoint refuses', () => {
  it.each<[what: string, form: object | string, error: string]>([
    ['no grant type', { username: 'alice', password }, 'invalid_request'],
    ['an empty grant type', { ...right, grant_type: '' }, 'invalid_request'],
    ['another grant type', { ...right, grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    ['another spelling of it', { ...right, grant_type: 'Password' }, 'unsupported_grant_type'],
    ['a name of Object', { ...right, grant_type: '__proto__' }, 'unsupported_grant_type'],
    ['no name', { grant_type: 'password', password }, 'invalid_request'],
    ['an empty name', { ...right, username: '' }, 'invalid_request'],
    ['no password', { grant_type: 'password', username: 'alice' }, 'invalid_request'],
    ['an empty password', { ...right, password: '' }, 'invalid_request'],
    ['a name that is none', { ...right, username: 'a\0b' }, 'invalid_request'],
    ['an overlong password', { ...right, password: 'x'.repeat(1025) }, 'invalid_request'],
    ['a scope that nobody has', { ...right, scope: 'admin' }, 'invalid_scope'],
    ['one of several scopes', { ...right, scope: 'reports admin' }, 'invalid_scope'],
    ['two spaces in a scope', { ...right, scope: 'reports  billing' }, 'invalid_scope'],
    ['a space as scope', { ...right, scope: ' ' }, 'invalid_scope'],
    ['a quote in a scope', { ...right, scope: 'rep"orts' }, 'invalid_scope'],
    ['an empty form', '', 'invalid_request'],
  ])('%s (INP-01)', async (_what, form, error) => {
    const rig = oauthApp();
    const answer = await rig.postAs(web, '/oauth/token', form);
    expect(seen(answer)).toEqual(answered(400, failed(error)));
    expect(rig.evaluated).toEqual([]);
    expect(await rig.tokens.list({ id: 'alice' })).toEqual([]);
    // What was malformed is given back: it is no guess.
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
  });

  it.each(['username', 'password'])('a login without %s before any step of it runs', async (name) => {
    const rig = oauthApp();
    const form = Object.fromEntries(Object.entries(right).filter(([one]) => one !== name));
    const answer = await rig.postAs(web, '/oauth/token', form);
    expect(seen(answer)).toEqual(answered(400, failed('invalid_request')));
    expect(rig.calls).toEqual([]);
  });

  it('a factor that is none, for an account that has one', async () => {
    const rig = oauthApp();
    await rig.enrol();
    expect(seen(await rig.grant({ otp_token: 'x' }))).toEqual(answered(400, failed('invalid_request')));
  });

  const base = 'grant_type=password&username=alice&password=Correct+horse+1&client_id=cli';
  const names = ['grant_type', 'username', 'password', 'client_id', 'client_secret', 'otp_token', 'scope'];
  const shapes: readonly (readonly [string, (name: string) => string])[] = [
    ['twice', (name) => `${base}&${name}=a&${name}=a`],
    ['as a list', (name) => `${base.replace(`&${name}=`, '&x=')}&${name}[]=a`],
    ['as an object', (name) => `${base.replace(`&${name}=`, '&x=')}&${name}[x]=a`],
    ['as an operator', (name) => `${base.replace(`&${name}=`, '&x=')}&${name}[$ne]=`],
  ];
  it.each(names.flatMap((name) => shapes.map(([how, form]) => [name, how, form(name)] as const)))(
    '%s %s (INP-01, INP-02)',
    async (_name, _how, form) => {
      const rig = oauthApp();
      expect(seen(await rig.post('/oauth/token', form))).toEqual(answered(400, failed('invalid_request')));
      expect([rig.evaluated, rig.calls]).toEqual([[], []]);
    },
  );

  it.each([
    ['JSON', 'application/json', JSON.stringify({ ...right, client_id: 'cli' })],
    ['JSON as text', 'text/plain', JSON.stringify({ ...right, client_id: 'cli' })],
    ['a form as text', 'text/plain', base],
    ['a form of another kind', 'multipart/form-data; boundary=x', `--x\r\n\r\n${base}\r\n--x--`],
  ])('%s: only forms are read (RFC 6749 section 3.2)', async (_what, type, body) => {
    for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/introspect']) {
      const rig = oauthApp();
      const answer = await request(rig.base).post(path).type(type).send(body);
      expect(seen(answer)).toEqual(answered(400, failed('invalid_request')));
      expect(rig.calls).toEqual([]);
    }
  });

  it('what stands in the query: it is not read', async () => {
    const rig = oauthApp();
    const query = new URLSearchParams({ ...right, client_id: 'cli' }).toString();
    expect(seen(await rig.post(`/oauth/token?${query}`, 'x=1'))).toEqual(
      answered(401, failed('invalid_client')),
    );
    expect(
      seen(
        await rig.post(`/oauth/token?password=${encodeURIComponent(password)}`, {
          grant_type: 'password',
          username: 'alice',
          client_id: 'cli',
        }),
      ),
    ).toEqual(answered(400, failed('invalid_request')));
    expect(rig.evaluated).toEqual([]);
  });

  it('any other method, and counts nothing (INP-14)', async () => {
    const rig = oauthApp();
    const query = new URLSearchParams({ ...right, client_id: 'cli' }).toString();
    const agent = request(rig.base);
    for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/introspect']) {
      for (const method of ['get', 'put', 'delete', 'options', 'head'] as const) {
        expect((await agent[method](`${path}?${query}`)).status).toBe(404);
      }
      expect((await agent.get(`${path}?${query}`).set('X-HTTP-Method-Override', 'POST')).status).toBe(404);
    }
    expect(rig.calls).toEqual([]);
  });

  it('where no parser of forms runs, with an error that says so (INP-11)', async () => {
    const rig = oauthApp({ parser: null });
    for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/introspect']) {
      const { status, text } = await rig.postAs(api, path, right);
      expect([status, text]).toEqual([500, 'Internal Server Error']);
    }
    expect(rig.errors.map(String)).toEqual(
      Array<unknown>(3).fill(expect.stringMatching(/mount a body parser/)),
    );
  });

  it.each([
    ['__proto__[grant_type]=password', '__proto__[client_id]=cli'],
    ['constructor[prototype][grant_type]=password', 'constructor[prototype][client_id]=cli'],
  ])('%s: nothing is inherited (INP-04, INP-05)', async (...pairs) => {
    const rig = oauthApp({ parser: safeBody(bodyParser()) });
    expect(seen(await rig.post('/oauth/token', pairs.join('&')))).toEqual(
      answered(401, failed('invalid_client')),
    );
    expect(({} as { grant_type?: unknown }).grant_type).toBeUndefined();
  });

  it('what a polluted prototype would say (INP-06)', async () => {
    const rig = oauthApp();
    // The id itself is not among them: a parser leaves out what is inherited.
    const polluted = { client_secret: webSecret, introspects: true, scope: 'reports', isIssued: true };
    Object.assign(Object.prototype, polluted);
    try {
      // As text: supertest would send what is inherited.
      const form = new URLSearchParams(right).toString();
      expect((await rig.post('/oauth/token', `${form}&client_id=web`)).status).toBe(401);
      const issued = await rig.post('/oauth/token', `${form}&client_id=cli`);
      expect(issued.body).toMatchObject({ scope: '' });
      const answer = await rig.postAs(web, '/oauth/introspect', 'token=x');
      expect(answer.body).toMatchObject({ error: 'unauthorized_client' });
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
    }
  });
});

describe('a client', () => {
  const challenge = `Basic realm="${issuer}"`;

  it.each<[what: string, form: object, header: string | undefined]>([
    ['unknown, in the header', {}, basic({ id: 'who', secret: webSecret })],
    ['with a wrong secret, in the header', {}, basic({ id: 'web', secret: apiSecret })],
    ['with no secret, in the header', {}, basic({ id: 'web' })],
    ['public and with a secret, in the header', {}, basic({ id: 'cli', secret: webSecret })],
    ['whose header is no base64', {}, 'Basic ~~~'],
    ['whose header has no colon', {}, encoded('web')],
    ['whose header is no form encoding', {}, encoded(`web:${webSecret}`)],
    ['whose header encodes nothing', {}, encoded('web:%')],
    ['whose header is empty', {}, 'Basic'],
    ['with another scheme', {}, 'Bearer pcat_x'],
    ['with a scheme of its own, and a secret that is right', {}, basic(web).replace('Basic', 'Simple')],
    ['public and with another scheme', { client_id: 'cli' }, 'Bearer pcat_x'],
    ['unknown, in the form', { client_id: 'who', client_secret: webSecret }, undefined],
    ['with a wrong secret, in the form', { client_id: 'web', client_secret: apiSecret }, undefined],
    ['with a part of its secret', { client_id: 'web', client_secret: webSecret.slice(0, -1) }, undefined],
    ['with its id as secret', { client_id: 'web', client_secret: 'web' }, undefined],
    ['with no secret', { client_id: 'web' }, undefined],
    ['with an empty secret', { client_id: 'web', client_secret: '' }, undefined],
    ['public and with a secret', { client_id: 'cli', client_secret: webSecret }, undefined],
    ['in another spelling', { client_id: 'CLI' }, undefined],
    ['named like a part of Object', { client_id: '__proto__' }, undefined],
    ['that says nothing of itself', {}, undefined],
  ])('%s is refused at every endpoint, in the same bytes', async (_what, form, header) => {
    const rig = oauthApp();
    const bytes = new Set<string>();
    for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/introspect']) {
      const sent = rig.post(path, { ...right, token: 'x', ...form });
      const answer = await (header === undefined ? sent : sent.set('Authorization', header));
      expect(seen(answer)).toEqual(answered(401, failed('invalid_client')));
      expect(answer.headers['www-authenticate']).toBe(header === undefined ? undefined : challenge);
      bytes.add(answer.text);
    }
    const unknown = await rig.post('/oauth/token', { ...right, client_id: 'nobody' });
    expect([...bytes]).toEqual([unknown.text]);
    expect([rig.evaluated, rig.calls]).toEqual([[], []]);
    expect(rig.events.map(({ name }) => name)).toEqual(Array(4).fill('client.refused'));
  });

  it.each<[what: string, form: object, headers: readonly string[]]>([
    ['in the header and in the form', { client_id: 'web', client_secret: webSecret }, [basic(web)]],
    ['with two secrets', { client_secret: webSecret }, [basic(web)]],
    ['with two ids', { client_id: 'cli' }, [basic(web)]],
    ['in two headers, the first good (TOK-08)', {}, [basic(web), basic(cli)]],
    ['in two headers, the second good (TOK-08)', {}, ['Basic ~', basic(web)]],
  ])('that says who it is %s is refused as malformed', async (_what, form, headers) => {
    const rig = oauthApp();
    const response = await fetchRaw(rig, '/oauth/token', { ...right, ...form }, headers);
    expect([response.status, await response.json()]).toEqual([400, failed('invalid_request')]);
    expect([rig.evaluated, rig.calls]).toEqual([[], []]);
  });

  it('is told of with its id where that is known, and never with what it sent', async () => {
    const rig = oauthApp();
    await rig.post('/oauth/token', { ...right, client_id: webSecret });
    await rig.post('/oauth/token', { ...right, client_id: 'web', client_secret: apiSecret });
    await rig.postAs(web, '/oauth/introspect', { token: 'x' });
    expect(rig.events).toEqual([
      { name: 'client.refused', reason: 'authentication failed', ...told },
      { name: 'client.refused', reason: 'authentication failed', client: 'web', ...told },
      { name: 'client.refused', reason: 'introspection is not allowed', client: 'web', ...told },
    ]);
  });

  it('keeps its secret from the steps of the login, and from whoever prints the body', async () => {
    const seen: unknown[] = [];
    const look: AuthMiddleware = (ctx, next) => {
      seen.push((ctx.request as { body?: unknown }).body);
      return next();
    };
    const rig = oauthApp({ login: ({ login }) => [look, ...login] });
    const form = { ...right, client_id: 'web', client_secret: webSecret, otp_token: '', tenant: 'acme' };
    expect((await rig.post('/oauth/token', form)).status).toBe(200);
    expect(seen).toEqual([{ ...right, client_id: 'web', tenant: 'acme' }]);
  });
});

/** Node's own client sends a header twice; supertest does not. */
async function fetchRaw(
  rig: OAuthApp,
  path: string,
  form: Record<string, string>,
  authorization: readonly string[],
): Promise<Response> {
  const { request: send } = await import('node:http');
  const body = new URLSearchParams(form).toString();
  return new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(body),
      Authorization: [...authorization],
    };
    const sent = send(`${rig.base}${path}`, { method: 'POST', headers }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => resolve(new Response(Buffer.concat(parts), { status: answer.statusCode ?? 0 })));
    });
    sent.on('error', reject).end(body);
  });
}

describe('what a step of the login refuses', () => {
  it('is said in the words of the RFC, the same for an unknown name and a wrong password (TIM-01)', async () => {
    const rig = oauthApp({ login: ({ login }) => [...login] });
    const wrong = await rig.grant({ password: 'guess' });
    expect(seen(wrong)).toEqual(answered(400, failed('invalid_grant', 'invalid_credentials')));
    const unknown = await rig.grant({ username: 'nobody', password: 'guess' });
    const { date: _, ...headers } = wrong.headers;
    const { date: __, ...others } = unknown.headers;
    expect([unknown.status, unknown.text, others]).toEqual([wrong.status, wrong.text, headers]);
    expect(wrong.headers).not.toHaveProperty('www-authenticate');
  });

  it('says that a factor is needed and which, and the client asks for it and comes back', async () => {
    const rig = oauthApp();
    const { secret } = await rig.enrol();
    const asked = await rig.grant();
    expect(seen(asked)).toEqual(
      answered(
        400,
        failed('invalid_grant', 'second_factor_required', {
          methods: ['totp', 'backup_code'],
          pending: expect.stringMatching(/^pcpl_/),
          expires_in: 300,
        }),
      ),
    );
    const wrong = await rig.grant({ otp_token: '000000' });
    expect(seen(wrong)).toEqual(answered(400, failed('invalid_grant', 'invalid_second_factor')));
    expect((await rig.grant({ otp_token: rig.code(secret) })).status).toBe(200);
    // Or in a second step, on the route of the app.
    const { pending } = asked.body as { pending: string };
    rig.clock.advance(60);
    const second = await rig.post('/tokens/second-factor', { pending, otp_token: rig.code(secret) });
    expect(second.status).toBe(200);
  });

  it('counts wrong passwords with those of the other door, in both directions (LCK-12)', async () => {
    for (const [first, second] of [
      ['/oauth/token', '/tokens'],
      ['/tokens', '/oauth/token'],
    ] as const) {
      const rig = oauthApp();
      const guess = (path: string) => rig.post(path, { ...right, client_id: 'cli', password: 'guess' });
      for (let i = 0; i < 5; i += 1) await guess(first);
      for (let i = 0; i < 5; i += 1) await guess(second);
      expect((await rig.attempts.status('alice')).failures).toEqual([10, 10, 10]);
      expect(rig.evaluated).toHaveLength(5);
      for (const path of [first, second]) {
        const refused = await rig.post(path, { ...right, client_id: 'cli' });
        expect(refused.status).toBe(429);
        expect(Number(refused.headers['retry-after'])).toBeGreaterThan(55);
      }
      expect(rig.evaluated).toHaveLength(5);
    }
  });

  it('locks after ten wrong passwords at this door alone, says until when, and opens again (LCK-12)', async () => {
    const rig = oauthApp();
    for (let i = 0; i < 10; i += 1) {
      expect(seen(await rig.grant({ password: 'guess' }))).toEqual(
        answered(400, failed('invalid_grant', 'invalid_credentials')),
      );
    }
    const locked = await rig.grant();
    expect(seen(locked)).toEqual(answered(429, failed('invalid_grant', 'locked_out')));
    expect(locked.headers['retry-after']).toBe('60');
    expect((await rig.post('/tokens', { username: 'alice', password })).status).toBe(429);
    expect(eventsOf(rig, 'account.locked')).toHaveLength(1);
    rig.clock.advance(60);
    expect((await rig.grant()).status).toBe(200);
  });

  it('gives back what was no wrong password: a missing factor, a wrong factor, a right login', async () => {
    const rig = oauthApp();
    const { secret } = await rig.enrol();
    await rig.grant();
    await rig.grant({ otp_token: '000000' });
    await rig.grant({ otp_token: rig.code(secret) });
    expect((await rig.attempts.status('alice')).failures).toEqual([0, 0, 0]);
  });

  it('looks at no more than ten of a hundred passwords that come at once', async () => {
    const rig = oauthApp();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => rig.grant({ password: `guess ${i}` })),
    );
    expect(rig.evaluated).toHaveLength(10);
    const kinds = new Set(
      answers.map(({ status, body }) => `${status} ${(body as { error: string }).error}`),
    );
    expect([...kinds].filter((kind) => !/^(?:400 invalid_grant|429 \w+)$/.test(kind))).toEqual([]);
  });

  it('keeps a busy lockout apart from a wrong password', async () => {
    const rig = oauthApp();
    // Ten checks that are still running.
    const running = Array.from({ length: 10 }, () =>
      rig.attempts.reserve({ identifier: 'alice', account: undefined, address: undefined }),
    );
    await Promise.all(running);
    const busy = await rig.grant();
    expect(seen(busy)).toEqual(answered(429, failed('temporarily_unavailable', 'busy')));
    expect(Number(busy.headers['retry-after'])).toBeGreaterThan(0);
    expect(rig.evaluated).toEqual([]);
  });

  it.each(['reserveAttempt', 'issueToken', 'readFactors'] as const)(
    'is 503 and says when to come back where %s fails, and no token is issued',
    async (method) => {
      for (const [, fault] of faults) {
        const rig = oauthApp();
        Object.assign(rig.store, { [method]: fault });
        const answer = await rig.grant();
        expect(seen(answer)).toEqual(answered(503, failed('temporarily_unavailable', 'store_unavailable')));
        expect(answer.headers['retry-after']).toBe('1');
        expect(answer.text).not.toContain('CANARY');
      }
    },
  );

  it('has no double quote or backslash in its description, as RFC 6749 section 5.2 demands', () => {
    for (const [, description] of Object.values(refusals)) {
      expect(description).toMatch(/^[\x20\x21\x23-\x5B\x5D-\x7E]+$/);
    }
  });

  it('is left off ctx.state.auth: an error format of the app is not for these routes', async () => {
    const rig = oauthApp({
      first: async (ctx, next) => {
        await next();
        const refusal = ctx.state.auth?.refusal;
        if (refusal !== undefined) ctx.body = { code: refusal.error };
      },
    });
    expect(seen(await rig.grant({ password: 'guess' }))).toEqual(
      answered(400, failed('invalid_grant', 'invalid_credentials')),
    );
    expect((await rig.post('/tokens', { username: 'alice', password: 'guess' })).body).toEqual({
      code: 'invalid_credentials',
    });
  });

  it.each<[what: string, step: AuthMiddleware, status: number, body: object]>([
    [
      'a page shown again',
      (ctx) => {
        ctx.body = 'wrong';
        passwordRefused(ctx);
      },
      400,
      failed('invalid_grant', 'invalid_credentials'),
    ],
    [
      'a bare 401',
      (ctx) => {
        ctx.status = 401;
      },
      400,
      failed('invalid_grant', 'invalid_credentials'),
    ],
    ['a redirect', (ctx) => ctx.redirect('/login'), 400, failed('invalid_grant', 'invalid_credentials')],
    ['nothing', () => {}, 400, failed('invalid_grant', 'invalid_credentials')],
    [
      'a limit of its own',
      (ctx) => {
        ctx.status = 429;
      },
      429,
      failed('temporarily_unavailable', 'busy'),
    ],
    [
      'a fault',
      (ctx) => {
        ctx.status = 502;
      },
      503,
      failed('temporarily_unavailable', 'store_unavailable'),
    ],
    [
      'a refusal of its own',
      (ctx) => refuse(ctx, 'forbidden', { body: { sso: 'https://sso.example' } }),
      400,
      failed('invalid_grant', 'forbidden', { sso: 'https://sso.example' }),
    ],
    [
      'a refusal that names itself',
      (ctx) => refuse(ctx, 'forbidden', { body: { reason: 'x' } }),
      400,
      failed('invalid_grant', 'forbidden'),
    ],
  ])('of the app is answered and counted like one of ours: %s', async (what, step, status, body) => {
    const rig = oauthApp({ login: ({ login: [count = step] }) => [count, step] });
    const answer = await rig.grant();
    expect(seen(answer)).toEqual(answered(status, body));
    expect(answer.headers['retry-after']).toBe(status === 400 ? undefined : '1');
    // A 401 of the step itself is a wrong password; the words of OAuth come after it was counted.
    const isWrong = what === 'a page shown again' || what === 'a bare 401';
    const [failures] = (await rig.attempts.status('alice')).failures;
    expect(failures).toBe(isWrong ? 1 : 0);
    expect(await rig.tokens.list({ id: 'alice' })).toEqual([]);
  });

  it('keeps the time that a limit of the app names', async () => {
    const { headers } = await oauthApp({ login: () => [limiting] }).grant();
    expect(headers['retry-after']).toBe('17');
  });

  it('is not an error that it throws: that goes on as it is, and is counted as it was', async () => {
    const rig = oauthApp({ login: ({ login: [count = refusing] }) => [count, refusing] });
    const { status, text } = await rig.grant();
    expect([status, text]).toEqual([401, 'wrong']);
    expect((await rig.attempts.status('alice')).failures).toEqual([1, 1, 1]);
  });

  it.each<[what: string, pick: readonly number[]]>([
    ['no lockout', [1, 2]],
    ['no second factor', [0, 1]],
    ['no password', [0, 2]],
    ['the factor before the password', [0, 2, 1]],
    ['the lockout last', [1, 2, 0]],
    ['a step twice', [0, 1, 1, 2]],
    ['the lockout alone', [0]],
  ])('%s: no order but the right one yields a token (CFG-01, CFG-02)', async (_what, pick) => {
    const rig = oauthApp({ login: ({ login }) => pick.flatMap((at) => login.slice(at, at + 1)) });
    expect(seen(await rig.grant())).toEqual(answered(400, failed('invalid_grant', 'invalid_credentials')));
    expect(await rig.tokens.list({ id: 'alice' })).toEqual([]);
    expect(eventsOf(rig, 'token.issued')).toEqual([]);
  });

  it('says once which step is missing', async () => {
    const rig = oauthApp({ login: ({ login }) => login.slice(1) });
    await rig.grant();
    await rig.grant();
    expect(eventsOf(rig, 'config.weak')).toMatchObject([
      { reason: expect.stringMatching(/^oauthRoutes is out of order: its option login must hold lockout/) },
    ]);
  });

  it('is not passed by a step that goes on twice: one login, one token (TOK-14)', async () => {
    const rig = oauthApp({ login: ({ login }) => [...login, twice] });
    expect((await rig.grant()).status).toBe(500);
    expect(await rig.tokens.list({ id: 'alice' })).toHaveLength(1);
  });

  it('is not passed by what a request or the app says of itself (TOK-14)', async () => {
    const rig = oauthApp({ login: () => [forgeState] });
    expect(seen(await rig.grant())).toEqual(answered(400, failed('invalid_grant', 'invalid_credentials')));
  });

  it('is a login that a revocation overtook: nothing is issued after it (TOK-12)', async () => {
    const rig = oauthApp({
      login: ({ login }) => [
        ...login,
        async (_ctx, next) => {
          await rig.tokens.revokeAll({ id: 'alice' });
          return next();
        },
      ],
    });
    expect(seen(await rig.grant())).toEqual(answered(400, failed('invalid_grant', 'invalid_credentials')));
    expect(await rig.tokens.list({ id: 'alice' })).toEqual([]);
  });
});

/** As apps have it that kept their own password step: an answer of 401 is a failure. */
const ownStep: AuthMiddleware = async (ctx, next) => {
  const { username, password: given } = (ctx.request as { body: Record<string, string> }).body;
  if (given !== password) return refuse(ctx, 'invalid_credentials');
  passwordVerified(ctx, { id: username ?? '' });
  return next();
};

/** Refuses, and lets pass all the same. */
const softly: AuthMiddleware = async (ctx, next) => {
  refuse(ctx, 'invalid_token');
  ctx.status = 404;
  await next();
};

describe('the endpoints, whatever stands around them,', () => {
  it('look at no password under a lockout that would not see that it was wrong (I1, LCK-12)', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const attempts = new Lockout({ store: memoryStore() });
    const [parse, guard] = [bodyParser(), lockout(attempts)];
    const rig = oauthApp({
      parser: null,
      first: (ctx, next) => parse(ctx, () => Promise.resolve(guard(ctx, next))),
      login: ({ factors }) => [ownStep, requireSecondFactor(factors)],
    });
    for (const given of ['wrong', password]) {
      const { body, status } = await rig.grant({ password: given });
      expect({ body, status }).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    }
    // Nor is a client's wrong secret a wrong password of somebody.
    for (let tries = 0; tries < 11; tries += 1) {
      await rig.grant({ username: 'bob' }, { id: 'web', secret: 'x'.repeat(40) }).expect(400);
    }
    expect(await attempts.status('bob')).toMatchObject({ failures: [0, 0, 0] });
    expect(rig.events.map(({ name }) => name)).not.toContain('token.issued');
    expect(warned).toHaveBeenCalledTimes(1);
    expect(warned.mock.calls[0]?.[0]).toMatch(/^oauthRoutes is out of order/);
  });

  it('say what they mean where something upstream refused, or set a status, and went on', async () => {
    const rig = oauthApp({ first: softly });
    const token = await rig.tokenOf(web);
    await rig
      .grant({ grant_type: 'implicit' })
      .expect(400)
      .expect(/"unsupported_grant_type"/);
    await rig
      .postAs(api, '/oauth/introspect', { token })
      .expect(200)
      .expect(/"active":true/);
    await rig.postAs(web, '/oauth/revoke', { token }).expect(200, {});
    expect(await rig.opens(token)).toBe(401);
  });

  it.each(['gone', '__proto__', 'toString'])(
    'take the code %j of a step of the app for a refusal',
    async (code) => {
      const rig = oauthApp({
        login: ({ login: [first = ownStep] }) => [
          first,
          (ctx) => {
            ctx.status = 401;
            ctx.state.auth = { refusal: { error: code as never, error_description: 'No.' } };
          },
        ],
      });
      const { body } = await rig.grant().expect(400);
      expect(body).toEqual({ error: 'invalid_grant', error_description: 'No.', reason: code });
      expect(rig.errors).toEqual([]);
    },
  );

  it.each([null, 'x', 1])('take %j in place of what ctx.state.auth holds', async (auth) => {
    const rig = oauthApp({
      first: (ctx, next) => {
        ctx.state.auth = auth as never;
        return next();
      },
    });
    await rig.grant().expect(200);
    await rig.grant({ password: 'wrong' }).expect(400);
    expect(rig.errors).toEqual([]);
  });

  it('give no token where a step refuses what came after it', async () => {
    const rig = oauthApp({
      login: ({ login }) => [
        async (ctx, next) => {
          await next();
          refuse(ctx, 'forbidden');
        },
        ...login,
      ],
    });
    const { body } = await rig.grant().expect(400);
    expect(body).toEqual(failed('invalid_grant', 'forbidden'));
    expect(await rig.tokens.list({ id: 'alice' })).toEqual([]);
  });

  it('serve HTTP/2 as well', async () => {
    const { app } = oauthApp();
    const answer = app.callback();
    const server = createHttp2Server((req, res) => void answer(req, res)).listen(0);
    const session = connectHttp2(`http://localhost:${(server.address() as AddressInfo).port}`);
    try {
      const form = new URLSearchParams({ grant_type: 'password', username: 'alice', password }).toString();
      const stream = session.request({
        ':method': 'POST',
        ':path': '/oauth/token',
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': form.length,
        authorization: basic(web),
      });
      stream.end(form);
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      const chunks = (await stream.toArray()) as Buffer[];
      expect(headers[':status']).toBe(200);
      expect(Buffer.concat(chunks).toString()).toContain('"access_token"');
    } finally {
      session.close();
      server.close();
    }
  });

  it.each(['/OAUTH/token', '/oauth/Token', '/oauth/token/'])(
    'are at their own path, and not at %s',
    async (path) => {
      const rig = oauthApp();
      await rig.postAs(web, path, { grant_type: 'password', username: 'alice', password }).expect(404);
      expect(rig.evaluated).toEqual([]);
    },
  );

  it('tell apart clients of the same id at two servers on the same tokens', async () => {
    const rig = oauthApp();
    const other = oauthRoutes(rig.tokens, {
      issuer: 'https://other.example',
      clients: [{ id: 'web' }, { id: 'api', secret: apiSecret, introspects: true }],
      login: [ownStep],
      prefix: '/other',
    });
    rig.app.use(other.routes());
    const token = await rig.tokenOf(web);
    const server = request(rig.app.callback());
    const revoked = await server.post('/other/revoke').type('form').send({ token, client_id: 'web' });
    expect(revoked.body).toMatchObject({ error: 'unauthorized_client' });
    expect(await rig.opens(token)).toBe(200);
    const introspected = await request(rig.app.callback())
      .post('/other/introspect')
      .set('Authorization', basic(api))
      .type('form')
      .send({ token });
    expect(introspected.body).toMatchObject({ active: true, client_id: 'web', iss: issuer });
  });

  it('look at no scope that is longer than one can be (I13)', async () => {
    const rig = oauthApp({ parser: bodyParser({ formLimit: '4mb' }) });
    for (const scope of [' '.repeat(1_000_000), 'reports '.repeat(120_000).trim()]) {
      await rig
        .grant({ scope })
        .expect(400)
        .expect(/"invalid_scope"/);
    }
    expect(rig.evaluated).toEqual([]);
  });
});

describe('the revocation endpoint', () => {
  const by: Readonly<Record<string, Client | null>> = { web, cli, api, nobody: null };

  const pairs = Object.keys(by).flatMap((owner) =>
    Object.entries(by).flatMap(([name, client]) => (client === null ? [] : [[owner, name, client] as const])),
  );
  it.each(pairs.filter(([owner, name]) => owner === name))(
    'ends a token of %s, presented by %s',
    async (_owner, _name, client) => {
      const rig = oauthApp();
      const token = await rig.tokenOf(client);
      const { id } = (await rig.tokens.check(token))?.token ?? {};
      const answer = await asks(rig, client, { token });
      expect(seen(answer)).toEqual(answered(200, {}));
      expect(answer.text).toBe('{}');
      expect(await rig.opens(token)).toBe(401);
      expect(rig.events.at(-1)).toEqual({ name: 'token.revoked', account: 'alice', token: id, ...told });
    },
  );

  it.each(pairs.filter(([owner, name]) => owner !== name))(
    'refuses a token of %s, presented by %s (RFC 7009 section 2.1)',
    async (owner, name, client) => {
      const rig = oauthApp();
      const token = await rig.tokenOf(by[owner] ?? null);
      const answer = await asks(rig, client, { token });
      expect(seen(answer)).toEqual(answered(400, failed('unauthorized_client')));
      expect(await rig.opens(token)).toBe(200);
      expect(rig.events.at(-1)).toEqual({
        name: 'client.refused',
        reason: 'token of another client',
        client: name,
        ...told,
      });
    },
  );

  it.each<[what: string, form: (token: string) => object | string]>([
    ['with a hint', (token) => ({ token, token_type_hint: 'access_token' })],
    ['with a wrong hint', (token) => ({ token, token_type_hint: 'refresh_token' })],
    ['with an unknown hint', (token) => ({ token, token_type_hint: 'session' })],
    ['with an empty hint', (token) => ({ token, token_type_hint: '' })],
  ])('revokes %s', async (_what, form) => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    expect((await rig.postAs(web, '/oauth/revoke', form(token))).status).toBe(200);
    expect(await rig.opens(token)).toBe(401);
  });

  it('answers what is not live like what was revoked, and tells of one revocation (TOK-18, TOK-24)', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    const revoked = await rig.postAs(web, '/oauth/revoke', { token });
    const expired = await rig.tokenOf(web);
    rig.clock.advance(604_800);
    const { date: _, ...headers } = revoked.headers;
    for (const dead of [token, expired, `${token}x`, 'x', `pcss_${token.slice(5)}`, 'pcat_'.repeat(3)]) {
      const answer = await rig.postAs(web, '/oauth/revoke', { token: dead });
      const { date: __, ...others } = answer.headers;
      expect([answer.status, answer.text, others]).toEqual([200, '{}', headers]);
    }
    expect(eventsOf(rig, 'token.revoked')).toHaveLength(1);
  });

  it('tells of nothing where somebody else was faster', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    Object.assign(rig.store, { revokeToken: async () => false });
    expect(seen(await rig.postAs(web, '/oauth/revoke', { token }))).toEqual(answered(200, {}));
    expect(eventsOf(rig, 'token.revoked')).toEqual([]);
  });

  it('asks the store nothing for a mistyped token (TOK-04)', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    rig.calls.length = 0;
    await rig.postAs(web, '/oauth/revoke', {
      token: `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
    });
    expect(rig.calls).toEqual([]);
  });

  it.each<[what: string, form: object | string]>([
    ['no token', {}],
    ['an empty token', { token: '' }],
    ['a token twice', 'token=a&token=b'],
    ['a list', 'token[]=a'],
    ['a hint twice', 'token=a&token_type_hint=a&token_type_hint=b'],
  ])('refuses %s (INP-01, INP-02)', async (_what, form) => {
    expect(seen(await oauthApp().postAs(web, '/oauth/revoke', form))).toEqual(
      answered(400, failed('invalid_request')),
    );
  });

  it('reads no token from elsewhere (TOK-09)', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    const answer = await rig
      .postAs(web, `/oauth/revoke?token=${token}`, { x: '1' })
      .set('Cookie', `token=${token}`);
    expect(seen(answer)).toEqual(answered(400, failed('invalid_request')));
    expect(await rig.opens(token)).toBe(200);
  });

  it.each(['readToken', 'revokeToken'] as const)(
    'answers 503 where %s fails, so that the client tries again (RFC 7009 section 2.2.1)',
    async (method) => {
      for (const [, fault] of faults) {
        const rig = oauthApp();
        const token = await rig.tokenOf(web);
        Object.assign(rig.store, { [method]: fault });
        const answer = await rig.postAs(web, '/oauth/revoke', { token });
        expect(seen(answer)).toEqual(answered(503, failed('temporarily_unavailable', 'store_unavailable')));
        expect(answer.headers['retry-after']).toBe('1');
        expect(eventsOf(rig, 'token.revoked')).toEqual([]);
      }
    },
  );
});

describe('the introspection endpoint', () => {
  it('says of a live token what RFC 7662 section 2.2 names', async () => {
    const rig = oauthApp({ options: { lifetimeSeconds: 60 } });
    const { secret } = await rig.enrol();
    const token = await rig.tokenOf(web, { scope: 'reports billing', otp_token: rig.code(secret) });
    const answer = await rig.postAs(api, '/oauth/introspect', { token, token_type_hint: 'unknown' });
    const iat = Math.floor(rig.clock.now() / 1000);
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        active: true,
        scope: 'reports billing',
        client_id: 'web',
        sub: 'alice',
        token_type: 'Bearer',
        exp: iat + 60,
        iat,
        iss: issuer,
        auth_time: expect.any(Number),
        amr: ['pwd', 'otp'],
      },
    ]);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
    const { auth_time: authTime } = answer.body as { auth_time: number };
    expect(Math.abs(authTime - Date.now() / 1000)).toBeLessThan(60);
  });

  it('leaves out what a token does not have: a client, a scope, a login', async () => {
    const rig = oauthApp();
    const own = await rig.postAs(api, '/oauth/introspect', { token: await rig.tokenOf(null) });
    expect(own.body).not.toHaveProperty('client_id');
    expect(own.body).not.toHaveProperty('scope');
    expect(own.body).toMatchObject({ active: true, amr: ['pwd'] });
    const robot = await rig.tokens.issueToRobot(
      { id: 'ci' },
      { name: 'CI', scope: 'reports', issuer: 'alice' },
    );
    const answer = await rig.postAs(api, '/oauth/introspect', { token: robot.secret });
    expect(answer.body).toMatchObject({ active: true, sub: 'ci', scope: 'reports' });
    expect(answer.body).not.toHaveProperty('auth_time');
    expect(answer.body).not.toHaveProperty('amr');
  });

  it('says of everything else that it is not live, and no more', async () => {
    const rig = oauthApp();
    const revoked = await rig.tokenOf(web);
    const { id } = (await rig.tokens.check(revoked))?.token ?? { id: '' };
    expect(seen(await rig.postAs(api, '/oauth/introspect', { token: id }))).toEqual(inactive);
    await rig.tokens.revoke(id);
    const expired = await rig.tokenOf(web);
    await rig.enrol('bob');
    const { pending } = (await rig.grant({ username: 'bob' })).body as { pending: string };
    rig.clock.advance(604_800);
    for (const token of [revoked, expired, pending, `${expired}x`, 'x', '"', ' ', 'x'.repeat(20_000)]) {
      expect(seen(await rig.postAs(api, '/oauth/introspect', { token }))).toEqual(inactive);
    }
  });

  it('takes no secret of a browser session for a token', async () => {
    const rig = oauthApp();
    const { Login } = await import('../../src/core/login.js');
    const login = new Login();
    login.verifyPassword({ id: 'alice' }, Date.now());
    login.passFactor();
    const session = await rig.tokens.issue(login, { carry: 'session' });
    expect(seen(await rig.postAs(api, '/oauth/introspect', { token: session?.secret ?? '' }))).toEqual(
      inactive,
    );
    expect((await rig.postAs(web, '/oauth/revoke', { token: session?.secret ?? '' })).text).toBe('{}');
    expect(await rig.tokens.check(session?.secret ?? '', 'session')).not.toBeNull();
  });

  it('ends with the token, to the millisecond (TOK-02)', async () => {
    const rig = oauthApp({ options: { lifetimeSeconds: 60 } });
    const token = await rig.tokenOf(web);
    rig.clock.advance(59.999);
    expect((await rig.postAs(api, '/oauth/introspect', { token })).body).toMatchObject({ active: true });
    rig.clock.advance(0.001);
    expect(seen(await rig.postAs(api, '/oauth/introspect', { token }))).toEqual(inactive);
  });

  it('costs no store call for a mistyped token (TOK-04)', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    rig.calls.length = 0;
    for (const at of [4, 5, 20, token.length - 1]) {
      const other = token[at] === 'A' ? 'B' : 'A';
      expect(
        seen(
          await rig.postAs(api, '/oauth/introspect', {
            token: token.slice(0, at) + other + token.slice(at + 1),
          }),
        ),
      ).toEqual(inactive);
    }
    for (const other of [token.slice(0, -1), `${token}A`, ` ${token}`, `Bearer ${token}`])
      expect(seen(await rig.postAs(api, '/oauth/introspect', { token: other }))).toEqual(inactive);
    expect(rig.calls).toEqual([]);
  });

  it('counts as a use of the token, which keeps an idle one alive', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    const [before] = await rig.tokens.list({ id: 'alice' });
    expect(before?.lastUsedAt).toBeNull();
    await rig.postAs(api, '/oauth/introspect', { token });
    const [after] = await rig.tokens.list({ id: 'alice' });
    expect(after?.lastUsedAt).toEqual(expect.any(Number));
  });

  it.each<[who: string, send: (rig: OAuthApp, form: object) => request.Test]>([
    ['without the permission', (rig, form) => rig.postAs(web, '/oauth/introspect', form)],
    ['that is public', (rig, form) => rig.post('/oauth/introspect', { ...form, client_id: 'cli' })],
  ])('refuses a client %s, and says nothing of the token', async (_who, send) => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    rig.calls.length = 0;
    const answers = [await send(rig, { token }), await send(rig, { token: 'x' }), await send(rig, {})];
    for (const answer of answers) expect(seen(answer)).toEqual(answered(400, failed('unauthorized_client')));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(rig.calls).toEqual([]);
  });

  it('refuses a bearer token in place of a client', async () => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    const answer = await rig.post('/oauth/introspect', { token }).set('Authorization', `Bearer ${token}`);
    expect(seen(answer)).toEqual(answered(401, failed('invalid_client')));
  });

  it.each<[what: string, form: object | string]>([
    ['no token', {}],
    ['an empty token', { token: '' }],
    ['a token twice', 'token=a&token=b'],
  ])('refuses %s', async (_what, form) => {
    expect(seen(await oauthApp().postAs(api, '/oauth/introspect', form))).toEqual(
      answered(400, failed('invalid_request')),
    );
  });

  it('is not live for an account that may do nothing any more (TOK-11)', async () => {
    const disabled = new Set<string>();
    const findAccount = (id: string) => (disabled.has(id) ? null : { id });
    const rig = oauthApp({ options: { findAccount } });
    const token = await rig.tokenOf(web);
    expect((await rig.postAs(api, '/oauth/introspect', { token })).body).toMatchObject({ active: true });
    disabled.add('alice');
    expect(seen(await rig.postAs(api, '/oauth/introspect', { token }))).toEqual(inactive);
  });

  it.each<[what: string, findAccount: () => never]>([
    [
      'fails',
      () => {
        throw new Error('CANARY');
      },
    ],
    ['answers somebody else', () => ({ id: 'bob' }) as never],
    ['answers nothing', () => undefined as never],
  ])('is 503 where the function of the app %s (CFG-07)', async (_what, findAccount) => {
    const rig = oauthApp({ options: { findAccount } });
    const token = await rig.tokenOf(web);
    const answer = await rig.postAs(api, '/oauth/introspect', { token });
    expect(seen(answer)).toEqual(answered(503, failed('temporarily_unavailable', 'store_unavailable')));
    expect(rig.errors).toHaveLength(1);
  });

  it.each(faults)('is 503 and never "not live" where the store %s', async (_how, fault) => {
    const rig = oauthApp();
    const token = await rig.tokenOf(web);
    Object.assign(rig.store, { readToken: fault });
    const answer = await rig.postAs(api, '/oauth/introspect', { token });
    expect(seen(answer)).toEqual(answered(503, failed('temporarily_unavailable', 'store_unavailable')));
  });
});

describe('the metadata', () => {
  const supported = {
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    revocation_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    grant_types_supported: ['password'],
    response_types_supported: [],
  };

  it('says what RFC 8414 section 2 names, whatever the Host header says (INP-13)', async () => {
    const rig = oauthApp();
    for (const headers of [
      {},
      { Host: 'evil.example' },
      { 'X-Forwarded-Host': 'evil.example' },
      { Forwarded: 'host=evil.example' },
    ]) {
      const { body, status } = await rig.get('/.well-known/oauth-authorization-server').set(headers);
      expect([status, body]).toEqual([
        200,
        {
          issuer,
          token_endpoint: 'https://acme.example/oauth/token',
          revocation_endpoint: 'https://acme.example/oauth/revoke',
          introspection_endpoint: 'https://acme.example/oauth/introspect',
          scopes_supported: ['reports', 'billing'],
          ...supported,
        },
      ]);
    }
  });

  it.each<[issuer: string, prefix: string | undefined, path: string, token: string]>([
    ['https://acme.example/', undefined, '', 'https://acme.example/oauth/token'],
    ['https://acme.example/eu', undefined, '/eu', 'https://acme.example/oauth/token'],
    ['https://acme.example/eu/', '/eu/login', '/eu', 'https://acme.example/eu/login/token'],
    ['https://acme.example:8443/eu/v1.0', '', '/eu/v1.0', 'https://acme.example:8443/token'],
    ['http://localhost:3000', '/a/b', '', 'http://localhost:3000/a/b/token'],
  ])('of the issuer %s stand where RFC 8414 section 3 says', async (given, prefix, path, token) => {
    const options = { issuer: given, ...(prefix !== undefined && { prefix }) };
    const rig = oauthApp({ options });
    const { body } = await rig.get(`/.well-known/oauth-authorization-server${path}`);
    expect(body).toMatchObject({ issuer: given, token_endpoint: token });
    const at = new URL(token).pathname;
    expect((await rig.post(at, { ...right, client_id: 'cli' })).status).toBe(200);
    const root = await rig.get('/.well-known/oauth-authorization-server');
    expect(root.status).toBe(path === '' ? 200 : 404);
  });

  it('leaves out scopes where there are none (RFC 8414 section 3.2)', async () => {
    const rig = oauthApp({ options: { scopes: [], clients: [{ id: 'cli' }] } });
    const { body } = await rig.get('/.well-known/oauth-authorization-server');
    expect(body).not.toHaveProperty('scopes_supported');
    expect((await rig.post('/oauth/token', { ...right, client_id: 'cli', scope: 'reports' })).body).toEqual(
      failed('invalid_scope'),
    );
  });

  it('is not changed by who reads it', async () => {
    const rig = oauthApp({
      first: async (ctx, next) => {
        await next();
        if (ctx.path.startsWith('/.well-known')) (ctx.body as { issuer: string }).issuer += '/x';
      },
    });
    await rig.get('/.well-known/oauth-authorization-server');
    const { body } = await rig.get('/.well-known/oauth-authorization-server');
    expect(body).toMatchObject({ issuer: `${issuer}/x` });
  });
});

describe('options', () => {
  const tokens = new AccessTokens({ store: memoryStore() });
  const good = { issuer, clients, scopes: ['reports'], login: [step] };
  const make = (options: object) => (): unknown => oauthRoutes(tokens, { ...good, ...options });

  it.each([undefined, null, {}, {} as AccessTokens])('no tokens: %p', (given) => {
    expect(() => oauthRoutes(given as AccessTokens, good)).toThrow(
      /oauthRoutes: the first argument must be made by/,
    );
  });

  it.each([
    'acme.example',
    'http://acme.example',
    'http://localhost.evil.example',
    'https://acme.example?x=1',
    'https://acme.example?',
    'https://acme.example/#x',
    'https://acme.example#',
    'https://u:p@acme.example',
    'https://ACME.example',
    'https://acme.example:443',
    'https://acme.example//',
    'https://acme.example/a//b',
    'https://acme.example/../a',
    'https://acme.example/a b',
    'https://acme.example/:tenant',
    'https://acme.example/(.*)',
    'https://acme.example/*x',
    ' https://acme.example',
    'javascript:alert(1)',
    'ftp://acme.example',
    '',
    7,
    undefined,
    new URL('https://acme.example'),
  ])('issuer %p', (given) => {
    expect(errorOf(make({ issuer: given }))).toMatch(/^oauthRoutes: option issuer must be an https URL/);
  });

  it.each([
    'oauth',
    '/',
    '/oauth/',
    '//evil.example',
    '/a/../b',
    '/.well-known',
    '/:x',
    '/a*',
    '/{a}',
    7,
    null,
  ])('prefix %p', (prefix) => {
    expect(errorOf(make({ prefix }))).toMatch(/^oauthRoutes: option prefix must be a path/);
  });

  it.each<[name: string, value: unknown]>([
    ['login', []],
    ['login', [step, issueToken(new AccessTokens({ store: memoryStore() }))]],
    // oxlint-disable-next-line no-sparse-arrays -- it is what is tested
    ['login', [step, , step]],
    ['login', undefined],
    ['login', step],
    ['login', [step, 'x']],
    ['clients', []],
    ['clients', undefined],
    ['clients', {}],
    ['scopes', 'reports'],
    ['scopes', ['reports', 'reports']],
    ['scopes', ['a b']],
    ['scopes', ['']],
    ['scopes', ['a"b']],
    ['scopes', [7]],
    ['lifetimeSeconds', 604_801],
    ['lifetimeSeconds', 0],
    ['lifetimeSeconds', Number.POSITIVE_INFINITY],
    ['lifetimeSeconds', '60'],
    ['findAccount', {}],
  ])('%s: %p (TOK-01)', (name, value) => {
    expect(errorOf(make({ [name]: value }))).toMatch(`oauthRoutes: option ${name} must be `);
  });

  it('one that is unknown', () => {
    expect(errorOf(make({ scope: 'x' }))).toMatch(
      /unknown option "scope"; it takes issuer, clients, login, scopes/,
    );
  });

  const secret = 'ohCh7eiQu9aing0Thoh4ieGhae5ahsh2';
  it.each<[client: unknown, message: RegExp]>([
    [null, /clients\[0\]: options must be an object/],
    ['web', /clients\[0\]: options must be an object/],
    [{}, /clients\[0\]: option id must be/],
    [{ id: '' }, /option id must be 1 to 255/],
    [{ id: 'a b' }, /option id must be/],
    [{ id: 'é' }, /option id must be/],
    [{ id: 'x'.repeat(256) }, /option id must be/],
    [{ id: 7 }, /option id must be/],
    [{ id: 'a', redirect: 'x' }, /unknown option "redirect"/],
    [{ id: 'a', scopes: ['admin'] }, /option scopes must be among the scopes of oauthRoutes/],
    [{ id: 'a', scopes: 'reports' }, /option scopes must be a list/],
    [{ id: 'a', introspects: 'true', secret }, /option introspects must be true or false/],
    [{ id: 'a', introspects: true }, /a client that introspects must have a secret/],
  ])('a client that is none: %p', (client, message) => {
    expect(errorOf(make({ clients: [client] }))).toMatch(message);
  });

  it('two clients of one id', () => {
    expect(errorOf(make({ clients: [{ id: 'a', secret }, { id: 'a' }] }))).toMatch(
      /clients\[1\]: another client has the id "a"/,
    );
  });

  it.each<[what: string, secret: unknown]>([
    ['too short', secret.slice(1)],
    ['empty', ''],
    ['the same character', 'Q'.repeat(40)],
    ['zeros', '0'.repeat(64)],
    ['few characters', 'abcabc'.repeat(8)],
    ['changeme', 'changeme'.repeat(4)],
    ['changeme with more', `ChangeMe-${secret}`],
    ['change-me', `change-me-${secret}`],
    ['not ASCII', `ü${secret}`],
    ['a line break', `${secret}\n`],
    ['too long', secret.repeat(33)],
    ['bytes', Buffer.from(secret)],
    ['a number', 7e40],
    ['null', null],
  ])('a secret that is %s, which is not quoted (CFG-05)', (_what, given) => {
    const message = errorOf(make({ clients: [{ id: 'a', secret: given }] }));
    expect(message).toMatch(
      /^oauthRoutes: clients\[0\]: option secret must be 32 to 1024 random printable ASCII characters, not another /,
    );
    const start = typeof given === 'string' && given !== '' ? given.slice(0, 8) : 'nothing';
    expect(message).not.toContain(start);
  });

  it('are read once: what is changed afterwards changes nothing (CFG-13)', async () => {
    const own: { id: string; secret?: string; scopes: string[]; introspects?: boolean }[] = [
      { id: 'cli', scopes: ['reports'] },
    ];
    const steps: AuthMiddleware[] = [];
    const rig = oauthApp({
      options: { clients: own },
      login: (given) => {
        steps.push(...given.login);
        return steps;
      },
    });
    steps.length = 0;
    own[0]?.scopes.push('billing');
    own.push({ id: 'evil', scopes: [] });
    const form = { ...right, client_id: 'cli' };
    expect((await rig.post('/oauth/token', { ...form, scope: 'billing' })).status).toBe(400);
    expect((await rig.post('/oauth/token', { ...form, client_id: 'evil' })).status).toBe(401);
    expect((await rig.post('/oauth/token', form)).status).toBe(200);
  });

  it.each(['test', 'development', 'production', undefined])(
    'are checked the same with NODE_ENV %p (CFG-06)',
    (mode) => {
      const before = process.env['NODE_ENV'];
      if (mode === undefined) delete process.env['NODE_ENV'];
      else process.env['NODE_ENV'] = mode;
      try {
        expect(errorOf(make({ clients: [{ id: 'a', secret: 'changeme'.repeat(4) }] }))).toMatch(/secret/);
        expect(errorOf(make({ issuer: 'http://acme.example' }))).toMatch(/issuer/);
      } finally {
        if (before === undefined) delete process.env['NODE_ENV'];
        else process.env['NODE_ENV'] = before;
      }
    },
  );
});

describe('no secret is in any output', () => {
  it('of a whole life of a token but the answers that own it (LOG-01, LOG-09, TOK-25)', async () => {
    const rig = oauthApp();
    const { secret, codes } = await rig.enrol();
    const wrong = 'CANARY-wrong-password';
    const otherSecret = 'CANARY-wrong-secret-0123456789-abcdef';
    const answers: request.Response[] = [];
    const keep = async (sent: request.Test): Promise<request.Response> => {
      const answer = await sent;
      answers.push(answer);
      return answer;
    };
    await keep(rig.grant({ password: wrong }));
    await keep(rig.grant({ username: wrong, password: wrong }));
    await keep(rig.grant({ client_secret: otherSecret }));
    await keep(rig.grant({ scope: wrong }));
    await keep(rig.grant({ grant_type: wrong }));
    await keep(rig.grant({ otp_token: wrong }));
    await keep(rig.grant({}, { id: 'web', secret: otherSecret }));
    await keep(rig.grant({}, { id: otherSecret, secret: otherSecret }));
    await keep(rig.post('/oauth/token', { ...right, client_id: webSecret, client_secret: otherSecret }));
    await keep(rig.post('/oauth/token', `password=${wrong}&password=${wrong}&client_id=cli`));
    const asked = await keep(rig.grant());
    const { pending } = asked.body as { pending: string };
    const otp = rig.code(secret);
    const issued = await keep(rig.grant({ otp_token: otp }));
    const { access_token: token } = issued.body as { access_token: string };
    await keep(rig.grant({ otp_token: otp }));
    await keep(rig.postAs(api, '/oauth/introspect', { token }));
    await keep(rig.postAs(api, '/oauth/revoke', { token }));
    await keep(rig.postAs(web, '/oauth/revoke', { token }));
    await keep(rig.postAs(api, '/oauth/introspect', { token }));
    for (let i = 0; i < 12; i += 1) await keep(rig.grant({ password: wrong }));
    Object.assign(rig.store, { readToken: () => Promise.reject(new Error(`CANARY ${token}`)) });
    await keep(rig.postAs(api, '/oauth/introspect', { token }));

    const owners: Record<string, number> = { [token]: 1, [pending]: 1 };
    const logged = inspect([rig.events, rig.errors, rig.states], { depth: Infinity, showHidden: true });
    for (const one of [
      wrong,
      otherSecret,
      webSecret,
      apiSecret,
      password,
      secret,
      ...codes,
      token,
      pending,
      basic(web),
    ]) {
      // The state holds the refusal of no OAuth answer; what a pending login is asked with is the client's.
      expect(logged).not.toContain(one);
      const holding = answers.filter(({ text, headers }) => (text + JSON.stringify(headers)).includes(one));
      expect([one, holding.length]).toEqual([one, owners[one] ?? 0]);
    }
    expect(logged).not.toContain('CANARY');
    const allowed = new Set(['error', 'error_description', 'reason', 'methods', 'pending', 'expires_in']);
    for (const { body, status } of answers.filter(({ status }) => status !== 200)) {
      const others = Object.keys(body as object).filter((key) => !allowed.has(key));
      expect([status, others]).toEqual([status, []]);
    }
  });

  it('of what keeps the clients (LOG-06)', () => {
    const kept = new OAuthClients('x', clients, ['reports']);
    const shown = `${inspect(kept, { depth: Infinity, showHidden: true })} ${JSON.stringify(kept)}`;
    const found = kept.authenticate('web', webSecret);
    expect(found).toEqual({ id: 'web', scopes: ['reports'], introspects: false });
    expect(`${shown} ${inspect(found)}`).not.toContain(webSecret);
  });
});

it('a page of another site gets nothing from sending a form to a public client', async () => {
  const rig = oauthApp();
  const answer = await rig
    .post('/oauth/token', { ...right, client_id: 'cli' })
    .set({ Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' });
  expect(answer.headers).not.toHaveProperty('set-cookie');
  expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  expect(answer.type).toBe('application/json');
});
