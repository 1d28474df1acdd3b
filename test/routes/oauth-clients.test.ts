import { describe, expect, it } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { ResourceOwnerPassword } from 'simple-oauth2';
import { password } from '../rig/login-chain.js';
import { api, cli, oauthApp, web, type Client, type OAuthApp } from '../rig/oauth-app.js';

/** How a client says who it is. */
type Method = 'basic' | 'post' | 'none';

/** What came of a request, in the same words for all libraries. */
type Outcome =
  | { readonly token: string; readonly scope: unknown; readonly expiresIn: unknown }
  | { readonly status: number; readonly error: unknown; readonly reason: unknown };

/** What every library does for an app. Each is used as it is published. */
interface Library {
  grant(form: Record<string, string>): Promise<Outcome>;
  revoke(token: string): Promise<Outcome | 'done'>;
  /** Undefined for a library that does not know it. */
  introspect?(token: string): Promise<Record<string, unknown> | Outcome>;
}

type Connect = (rig: OAuthApp, client: Client, method: Method) => Promise<Library>;

/** The `cause` of a challenge holds no body, so its error is that of the header. */
function failure(error: unknown): Outcome {
  if (error instanceof oauth.ResponseBodyError) {
    const { status, error: code, cause } = error;
    return { status, error: code, reason: cause['reason'] };
  }
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    const [challenge] = error.cause;
    return { status: error.status, error: challenge?.scheme, reason: challenge?.parameters.realm };
  }
  throw error;
}

const openidClient: Connect = async (rig, client, method) => {
  const how = {
    basic: openid.ClientSecretBasic(client.secret),
    post: openid.ClientSecretPost(client.secret),
    none: openid.None(),
  }[method];
  const config = await openid.discovery(new URL(rig.issuer), client.id, undefined, how, {
    algorithm: 'oauth2',
    execute: [openid.allowInsecureRequests],
  });
  return {
    async grant(form) {
      try {
        const answer = await openid.genericGrantRequest(config, 'password', form);
        return { token: answer.access_token, scope: answer.scope, expiresIn: answer.expires_in };
      } catch (error) {
        return failure(error);
      }
    },
    async revoke(token) {
      try {
        await openid.tokenRevocation(config, token);
        return 'done';
      } catch (error) {
        return failure(error);
      }
    },
    async introspect(token) {
      try {
        return { ...(await openid.tokenIntrospection(config, token)) };
      } catch (error) {
        return failure(error);
      }
    },
  };
};

const webApi: Connect = async (rig, client, method) => {
  const insecure = { [oauth.allowInsecureRequests]: true };
  const issuer = new URL(rig.issuer);
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const own = { client_id: client.id };
  const how = {
    basic: () => oauth.ClientSecretBasic(client.secret ?? ''),
    post: () => oauth.ClientSecretPost(client.secret ?? ''),
    none: () => oauth.None(),
  }[method]();
  return {
    async grant(form) {
      const response = await oauth.genericTokenEndpointRequest(server, own, how, 'password', form, insecure);
      try {
        const answer = await oauth.processGenericTokenEndpointResponse(server, own, response);
        return { token: answer.access_token, scope: answer.scope, expiresIn: answer.expires_in };
      } catch (error) {
        return failure(error);
      }
    },
    async revoke(token) {
      const response = await oauth.revocationRequest(server, own, how, token, insecure);
      try {
        await oauth.processRevocationResponse(response);
        return 'done';
      } catch (error) {
        return failure(error);
      }
    },
    async introspect(token) {
      const response = await oauth.introspectionRequest(server, own, how, token, insecure);
      try {
        return { ...(await oauth.processIntrospectionResponse(server, own, response)) };
      } catch (error) {
        return failure(error);
      }
    },
  };
};

/** How simple-oauth2 says it: by the error of the HTTP library below it. */
function boom(error: unknown): Outcome {
  const { output, data } = error as {
    output: { statusCode: number };
    data: { payload: { error: string; reason?: string } };
  };
  return { status: output.statusCode, error: data.payload.error, reason: data.payload.reason };
}

/** It knows the paths `/oauth/token` and `/oauth/revoke` by itself. */
const simple: Connect = async (rig, client, method) => {
  const library = new ResourceOwnerPassword({
    client: { id: client.id, secret: client.secret ?? '' },
    auth: { tokenHost: rig.base },
    options: { authorizationMethod: method === 'basic' ? 'header' : 'body' },
  });
  return {
    async grant(form) {
      try {
        const { token } = await library.getToken(form as { username: string; password: string });
        return {
          token: String(token['access_token']),
          scope: token['scope'],
          expiresIn: token['expires_in'],
        };
      } catch (error) {
        return boom(error);
      }
    },
    async revoke(token) {
      try {
        await library.createToken({ access_token: token }).revoke('access_token');
        return 'done';
      } catch (error) {
        return boom(error);
      }
    },
  };
};

const libraries: readonly (readonly [name: string, connect: Connect])[] = [
  ['openid-client', openidClient],
  ['oauth4webapi', webApi],
  ['simple-oauth2', simple],
];
const methods: readonly (readonly [method: Method, client: Client])[] = [
  ['basic', web],
  ['post', web],
  ['none', cli],
];
const each = libraries.flatMap(([name, connect]) =>
  methods.map(([method, client]) => [name, method, connect, client] as const),
);

const right = { username: 'alice', password };

function down(): Promise<never> {
  return Promise.reject(new Error('CANARY'));
}

function tokenOf(outcome: Outcome): string {
  if ('token' in outcome) return outcome.token;
  throw new Error(`no token: ${JSON.stringify(outcome)}`);
}

describe.each(each)('%s, authenticated by %s', (_name, method, connect, client) => {
  const start = async () => {
    const rig = oauthApp({ issuerPath: '' });
    return { rig, library: await connect(rig, client, method) };
  };

  it('logs in with a right password, and the token opens what it is for', async () => {
    const { rig, library } = await start();
    const outcome = await library.grant({ ...right, scope: 'reports' });
    expect(outcome).toMatchObject({ scope: 'reports', expiresIn: 604_800 });
    expect(await rig.opens(tokenOf(outcome))).toBe(200);
    expect(await rig.tokens.list({ id: 'alice' })).toMatchObject([{ client: client.id }]);
  });

  it('logs in without asking for a scope', async () => {
    const { rig, library } = await start();
    expect(await rig.opens(tokenOf(await library.grant(right)))).toBe(200);
  });

  it('hears that a password is wrong, and when to come back once there were ten', async () => {
    const { library } = await start();
    for (let i = 0; i < 10; i += 1) {
      expect(await library.grant({ ...right, password: 'guess' })).toEqual({
        status: 400,
        error: 'invalid_grant',
        reason: 'invalid_credentials',
      });
    }
    expect(await library.grant(right)).toEqual({ status: 429, error: 'invalid_grant', reason: 'locked_out' });
  });

  it('hears that a factor is needed, asks for it, and logs in with it', async () => {
    const { rig, library } = await start();
    const { secret, codes } = await rig.enrol();
    const asked = { status: 400, error: 'invalid_grant', reason: 'second_factor_required' };
    expect(await library.grant(right)).toEqual(asked);
    expect(await library.grant({ ...right, otp_token: '000000' })).toMatchObject({
      reason: 'invalid_second_factor',
    });
    const token = tokenOf(await library.grant({ ...right, otp_token: rig.code(secret) }));
    expect(await rig.tokens.check(token)).toMatchObject({ methods: ['pwd', 'otp'] });
    tokenOf(await library.grant({ ...right, otp_token: codes[0] ?? '' }));
  });

  it('hears that a scope is not for it', async () => {
    const { library } = await start();
    const refused = { status: 400, error: 'invalid_scope', reason: undefined };
    expect(await library.grant({ ...right, scope: 'admin' })).toEqual(refused);
  });

  it('revokes its token, which then opens nothing; and one that is gone, and one that never was', async () => {
    const { rig, library } = await start();
    const token = tokenOf(await library.grant(right));
    expect(await library.revoke(token)).toBe('done');
    expect(await rig.opens(token)).toBe(401);
    expect(await library.revoke(token)).toBe('done');
    expect(await library.revoke('x')).toBe('done');
  });

  it('does not revoke the token of another client', async () => {
    const { rig, library } = await start();
    const token = await rig.tokenOf(api);
    expect(await library.revoke(token)).toEqual({
      status: 400,
      error: 'unauthorized_client',
      reason: undefined,
    });
    expect(await rig.opens(token)).toBe(200);
  });
});

describe.each(
  libraries.flatMap(([name, connect]) =>
    (['basic', 'post'] as const).map((method) => [name, method, connect] as const),
  ),
)('%s with a wrong secret, by %s', (name, method, connect) => {
  it('hears that it is not known', async () => {
    const rig = oauthApp({ issuerPath: '' });
    const library = await connect(rig, { id: 'web', secret: 'x'.repeat(40) }, method);
    // The first two libraries read the challenge before the body.
    const isChallenged = method === 'basic' && name !== 'simple-oauth2';
    const refused = isChallenged
      ? { status: 401, error: 'basic', reason: rig.base }
      : { status: 401, error: 'invalid_client', reason: undefined };
    expect(await library.grant(right)).toEqual(refused);
    expect(await library.revoke('x')).toEqual(refused);
    expect(rig.evaluated).toEqual([]);
  });
});

describe.each([
  ['openid-client', openidClient],
  ['oauth4webapi', webApi],
])('%s introspects', (_name, connect) => {
  it.each(['basic', 'post'] as const)(
    'by %s: a live token, one that is revoked, and none',
    async (method) => {
      const rig = oauthApp({ issuerPath: '' });
      const library = await connect(rig, api, method);
      const { secret } = await rig.enrol();
      const token = await rig.tokenOf(web, { scope: 'reports', otp_token: rig.code(secret) });
      expect(await library.introspect?.(token)).toMatchObject({
        active: true,
        scope: 'reports',
        client_id: 'web',
        sub: 'alice',
        iss: rig.base,
        amr: ['pwd', 'otp'],
      });
      await rig.tokens.revokeAll({ id: 'alice' });
      expect(await library.introspect?.(token)).toEqual({ active: false });
      expect(await library.introspect?.('x')).toEqual({ active: false });
    },
  );

  it('nothing without the permission', async () => {
    const rig = oauthApp({ issuerPath: '' });
    const library = await connect(rig, web, 'basic');
    const token = await rig.tokenOf(web);
    expect(await library.introspect?.(token)).toMatchObject({ status: 400, error: 'unauthorized_client' });
  });
});

describe.each([
  ['openid-client', openidClient],
  ['oauth4webapi', webApi],
])('%s', (_name, connect) => {
  it('finds an issuer with a path where RFC 8414 puts it', async () => {
    const rig = oauthApp({ issuerPath: '/eu' });
    const library = await connect(rig, web, 'basic');
    expect(await rig.opens(tokenOf(await library.grant(right)))).toBe(200);
  });

  it('does not take a store that is down for a wrong password or a revoked token', async () => {
    const rig = oauthApp({ issuerPath: '' });
    const library = await connect(rig, web, 'basic');
    const token = await rig.tokenOf(web);
    Object.assign(rig.store, { reserveAttempt: down, readToken: down });
    for (const attempt of [library.grant(right), library.revoke(token)]) {
      await expect(attempt).rejects.toMatchObject({ cause: { status: 503 } });
    }
  });
});
