import { describe, expect, it } from '@jest/globals';
import { deviceRoutes } from '../../src/routes/device-routes.js';
import { memoryStore } from '../../src/stores/memory.js';
import { deviceApp, type Answer, type Browser, type DeviceAppOptions } from '../rig/device-app.js';
import { fakeClock } from '../rig/fake-clock.js';
import { faults } from '../rig/login-app.js';
import { told } from '../rig/told.js';

interface Row {
  readonly id: string;
  readonly current: boolean;
}

/** Two browsers of alice's and one of bob's, each logged in. */
async function mount(setup: DeviceAppOptions = {}) {
  const app = deviceApp(setup);
  const tokens = new Map<Browser, string>();
  const logIn = async (name: string, from: string, userAgent: string): Promise<Browser> => {
    const browser = app.browser(from, userAgent);
    tokens.set(browser, String((await browser.logIn(name)).body['access_token']));
    app.clock.advance(60);
    return browser;
  };
  const laptop = await logIn('alice', '192.0.2.1', 'Laptop');
  const phone = await logIn('alice', '192.0.2.2', 'Phone\u00e9');
  const bob = await logIn('bob', '192.0.2.3', 'Laptop');
  app.events.splice(0);
  const at = (browser: Browser, method: string, path = '', headers = {}): Promise<Answer> =>
    browser.ask(method, `/own/devices${path}`, {
      headers: { Authorization: `Bearer ${tokens.get(browser)}`, ...headers },
    });
  const rows = async (browser: Browser): Promise<Row[]> =>
    (await at(browser, 'GET')).body['devices'] as Row[];
  const idOf = async (browser: Browser): Promise<string> =>
    (await rows(browser)).find(({ current }) => current)?.id ?? '';
  return { ...app, laptop, phone, bob, at, rows, idOf };
}

describe('deviceRoutes let through', () => {
  it('an account to see its own devices, and which one asks', async () => {
    const { laptop, phone, at, rows } = await mount();
    const { status, headers, body } = await at(phone, 'GET');
    expect([status, headers['cache-control'], headers['set-cookie']]).toEqual([200, 'no-store', undefined]);
    expect(body).toEqual({
      devices: [
        {
          id: expect.stringMatching(/^[\w-]{24}$/),
          user_agent: 'Laptop',
          address: '127.0.0.1',
          created_at: '2030-01-01T00:00:00.000Z',
          last_used_at: '2030-01-01T00:00:00.000Z',
          current: false,
        },
        expect.objectContaining({ user_agent: 'Phone\\u00c3\\u00a9', current: true }),
      ],
    });
    expect((await rows(laptop)).map(({ current }) => current)).toEqual([true, false]);
  });

  it('an account to forget one, which is a stranger then, and whose token lives on', async () => {
    const app = await mount();
    const id = await app.idOf(app.laptop);
    const { status, body } = await app.at(app.phone, 'DELETE', `/${id}`);
    expect([status, body]).toEqual([204, {}]);
    expect(app.events).toEqual([{ name: 'device.revoked', account: 'alice', device: id, ...told }]);
    await app.lockStrangers();
    expect((await app.laptop.logIn()).status).toBe(429);
    expect((await app.phone.logIn()).status).toBe(200);
    expect((await app.at(app.laptop, 'GET')).status).toBe(200);
  });

  it('an account to forget all, its own and nobody else’s', async () => {
    const app = await mount();
    expect((await app.at(app.phone, 'DELETE')).status).toBe(204);
    expect((await app.at(app.phone, 'DELETE')).status).toBe(204);
    expect(app.events).toEqual([{ name: 'devices.revoked', account: 'alice', count: 2, ...told }]);
    expect(await app.rows(app.laptop)).toEqual([]);
    expect(await app.rows(app.bob)).toHaveLength(1);
  });
});

describe('deviceRoutes refuse', () => {
  it('an id that is another account’s, unknown, malformed or gone, all with the same 404', async () => {
    const app = await mount();
    const gone = await app.idOf(app.laptop);
    await app.at(app.laptop, 'DELETE', `/${gone}`);
    app.events.splice(0);
    for (const id of [
      await app.idOf(app.bob),
      gone,
      'A'.repeat(24),
      'x',
      '__proto__',
      '%00',
      'a'.repeat(5000),
    ]) {
      expect(await app.at(app.phone, 'DELETE', `/${id}`)).toMatchObject({
        status: 404,
        body: { error: 'not_found' },
      });
    }
    expect(app.events).toEqual([]);
    expect(await app.rows(app.bob)).toHaveLength(1);
  });

  it.each([
    ['GET', ''],
    ['DELETE', ''],
    ['DELETE', `/${'A'.repeat(24)}`],
  ])('%s %s without a token, and with that of a robot', async (method, path) => {
    const app = await mount();
    expect(await app.laptop.ask(method, `/own/devices${path}`)).toMatchObject({
      status: 401,
      body: { error: 'invalid_token' },
    });
    const grant = { name: 'ci', scope: 'deploy', issuer: 'carol' };
    const { secret } = await app.tokens.issueToRobot({ id: 'alice' }, grant);
    expect(await app.at(app.laptop, method, path, { Authorization: `Bearer ${secret}` })).toMatchObject({
      status: 403,
      body: { error: 'forbidden' },
    });
    expect(app.named('tokens.access_refused')).toHaveLength(1);
    expect(await app.rows(app.laptop)).toHaveLength(2);
  });

  it.each(faults)('with 503 when the store %s, and say nothing of it', async (_how, fault) => {
    const clock = fakeClock();
    const store = memoryStore({ now: clock.now });
    const broken = { ...store };
    const app = await mount({ clock, store, deviceStore: broken });
    const id = await app.idOf(app.laptop);
    broken.readDocument = fault;
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['DELETE', `/${id}`],
    ] as const)
      expect(await app.at(app.laptop, method, path)).toMatchObject({
        status: 503,
        body: { error: 'store_unavailable' },
      });
    expect(app.named('devices.revoked')).toEqual([]);
    expect(JSON.stringify(app.events)).not.toContain('CANARY');
  });
});

describe('deviceRoutes reject', () => {
  it.each([undefined, {}, memoryStore(), 'devices'])('what knows no devices %#', (given) => {
    expect(() => deviceRoutes(given as never)).toThrow(
      /^deviceRoutes: the first argument must be made by new KnownDevices\(\), not /,
    );
  });
});

describe('after a change of the password', () => {
  it('the other devices are forgotten, and the one that acts stays known', async () => {
    const app = await mount();
    const put = async (browser: Browser, query = ''): Promise<Answer> => {
      const { access_token: token } = (await browser.logIn()).body;
      app.events.splice(0);
      return browser.ask('PUT', `/password${query}`, {
        headers: { Authorization: `Bearer ${String(token)}` },
      });
    };
    expect((await put(app.laptop, '?fail')).status).toBe(422);
    expect(await app.devices.list({ id: 'alice' })).toHaveLength(2);
    expect((await put(app.laptop)).status).toBe(204);
    expect(app.named('devices.revoked')).toEqual([
      { name: 'devices.revoked', account: 'alice', count: 1, ...told },
    ]);
    await app.lockStrangers();
    expect((await app.laptop.logIn()).status).toBe(200);
    expect((await app.phone.logIn()).status).toBe(429);
    expect(await app.devices.list({ id: 'bob' })).toHaveLength(1);
  });

  it('and after a reset of the second factors all are', async () => {
    const app = await mount();
    const owner = String((await app.browser().logIn('olivia')).body['access_token']);
    const reset = await app.send('POST', '/members/alice/reset', {
      headers: { Authorization: `Bearer ${owner}` },
      body: {},
    });
    expect(reset.status).toBe(204);
    expect(await app.devices.list({ id: 'alice' })).toEqual([]);
    expect(await app.devices.list({ id: 'bob' })).toHaveLength(1);
  });
});
