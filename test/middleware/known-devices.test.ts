import { describe, expect, it } from '@jest/globals';
import { StoreUnavailable } from '../../src/core/errors.js';
import { passwordVerified } from '../../src/http/login.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { cookieName, deviceApp, signingKey, type Answer, type Browser } from '../rig/device-app.js';
import { origin } from '../rig/factor-rig.js';
import { fakeClock } from '../rig/fake-clock.js';
import { password } from '../rig/login-chain.js';
import { told } from '../rig/told.js';

const hours = (n: number): number => n * 3600;

/** A browser that has logged in once. */
async function known(app: ReturnType<typeof deviceApp>, name = 'alice', from?: string): Promise<Browser> {
  const browser = app.browser(from);
  expect((await browser.logIn(name)).status).toBe(200);
  return browser;
}

function setCookies({ headers }: Answer): string[] {
  return [headers['set-cookie'] ?? []].flat();
}

describe('without known devices', () => {
  it('a stranger locks alice out for up to a day; her tokens work, and an operator or the reset hook unlocks (DOS-01)', async () => {
    const app = deviceApp({ devices: false });
    const alice = app.browser();
    const first = await alice.logIn();
    expect(setCookies(first)).toEqual([]);
    const token = String(first.body['access_token']);
    for (let spent = 0; spent < 40; spent += 10) {
      for (let i = 0; i < 10; i += 1)
        expect((await app.browser(`203.0.113.${spent + i}`).guess()).status).toBe(401);
      app.clock.advance(spent === 10 ? hours(1) : 60);
    }
    expect(app.wrong()).toHaveLength(40);
    const refused = await alice.logIn();
    expect(refused).toMatchObject({ status: 429, body: { error: 'locked_out' } });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(hours(22));
    expect(app.named('account.locked')).not.toEqual([]);
    const reports = await alice.ask('GET', '/reports', { headers: { Authorization: `Bearer ${token}` } });
    expect(reports.status).toBe(200);

    expect(await app.attempts.unlock('alice')).toBe(true);
    expect((await alice.logIn()).status).toBe(200);

    await app.lockStrangers();
    expect((await alice.logIn()).status).toBe(429);
    const owner = String((await app.browser().logIn('olivia')).body['access_token']);
    const reset = await app.send('POST', '/members/alice/reset', {
      headers: { Authorization: `Bearer ${owner}` },
      body: {},
    });
    expect(reset.status).toBe(204);
    expect((await alice.logIn()).status).toBe(200);
    expect(app.errors).toEqual([]);
  });
});

describe('a known device lets its owner in', () => {
  it.each([
    ['without a second factor', false],
    ['with a second factor', true],
  ])(
    'through a whole day in which strangers exhaust every window, %s (DOS-02)',
    async (_what, isStrong) => {
      const app = deviceApp();
      const secret = isStrong ? await app.enrol('alice') : undefined;
      const alice = app.browser();
      const logIn = async (by: Browser): Promise<Answer> => {
        const first = await by.logIn();
        if (secret === undefined || first.status !== 401) return first;
        return by.goOn(first.body['pending'], app.code(secret));
      };
      expect((await logIn(alice)).status).toBe(200);
      const start = app.clock.now();
      let attacked = 0;
      let strangersIn = 0;
      for (let minute = 0; minute < 1440; minute += 1) {
        app.clock.set(start + minute * 60_000);
        // One guess more than is looked at, from addresses that are all different.
        for (let status = 401; status === 401; attacked += 1)
          ({ status } = await app.browser(`203.0.${attacked >> 8}.${attacked & 255}`, 'vandal').guess());
        if (minute % 60 !== 30) continue;
        expect([minute, (await logIn(alice)).status]).toEqual([minute, 200]);
        // Her password on a device that nobody knows is as good as a guess: nobody looks at it.
        const stranger = app.browser('198.51.100.77');
        const locked = (await app.attempts.status('alice')).locked;
        if (!locked) continue;
        expect((await stranger.logIn()).status).toBe(429);
        strangersIn += 1;
      }
      expect(strangersIn).toBeGreaterThan(20);
      expect(app.wrong()).toHaveLength(35);
      for (const [within, most] of [
        [60, 8],
        [3600, 16],
        [86_400, 35],
      ] as const) {
        const at = app.wrong().map((one) => one.at);
        const fullest = Math.max(
          ...at.map((from) => at.filter((t) => t >= from && t < from + within * 1000).length),
        );
        expect([within, fullest]).toEqual([within, most]);
      }
      expect(app.errors).toEqual([]);
    },
    120_000,
  );

  it('while strangers exhaust the address that it shares with them', async () => {
    const app = deviceApp({ attempts: { addressLimits: [{ failures: 3, withinSeconds: 3600 }] } });
    const alice = await known(app, 'alice', '192.0.2.9');
    const vandal = app.browser('192.0.2.9');
    for (const name of ['a', 'b', 'c']) expect((await vandal.guess(name)).status).toBe(401);
    expect((await vandal.guess('d')).status).toBe(429);
    expect((await alice.logIn()).status).toBe(200);
    expect((await alice.logIn('bob')).status).toBe(429);
  });

  it('without an attack as long as anybody: its own attempts, and then those of strangers', async () => {
    const app = deviceApp();
    const alice = await known(app);
    const statuses: number[] = [];
    for (let i = 0; i < 11; i += 1) statuses.push((await alice.guess()).status);
    expect(statuses).toEqual([...Array<number>(10).fill(401), 429]);
    expect(app.wrong()).toHaveLength(10);
    // Her own two were no lock of the account; the tenth was.
    const locks = app.events.filter(({ name }) => name.endsWith('.locked'));
    expect(locks).toEqual([
      { name: 'devices.locked', retryAfterSeconds: 60, subject: expect.any(String), ...told },
      { name: 'account.locked', retryAfterSeconds: 60, subject: expect.any(String), ...told },
    ]);
    // One name is one subject, whoever tries it.
    expect(new Set(app.events.flatMap((event) => ('subject' in event ? [event.subject] : []))).size).toBe(1);
  });

  it.each([
    ['strangers', 1, 20, '40'],
    ['devices', 2, 0, '60'],
  ])('and is told to wait for the lane that opens first: %s', async (_which, rounds, between, wait) => {
    const app = deviceApp();
    const alice = await known(app);
    for (let i = 0; i < rounds; i += 1) {
      await app.lockStrangers();
      app.clock.advance(i + 1 < rounds ? 60 : between);
    }
    for (let i = 0; i < 2; i += 1) expect((await alice.guess()).status).toBe(401);
    const { status, headers } = await alice.logIn();
    expect([status, headers['retry-after']]).toEqual([429, wait]);
  });

  it('and a second browser of hers shares its attempts', async () => {
    const app = deviceApp();
    const [one, other] = [await known(app), await known(app)];
    await app.lockStrangers();
    expect((await one.guess()).status).toBe(401);
    expect((await other.guess()).status).toBe(401);
    expect((await one.logIn()).status).toBe(429);
    app.clock.advance(60);
    expect((await other.logIn()).status).toBe(200);
  });

  it('at every door but that of programs, which have the attempts of strangers', async () => {
    const app = deviceApp();
    const alice = await known(app);
    const grant = { grant_type: 'password', client_id: 'cli', username: 'alice', password };
    const token = (): Promise<Answer> => alice.ask('POST', '/oauth/token', { body: grant });
    const before = alice.cookie;
    const granted = await token();
    expect([granted.status, setCookies(granted)]).toEqual([200, []]);
    expect(app.named('login.succeeded').at(-1)).not.toHaveProperty('device');
    await app.lockStrangers();
    expect(app.wrong()).toHaveLength(8);
    expect((await token()).status).toBe(429);
    expect(alice.cookie).toBe(before);
    expect((await alice.logIn()).status).toBe(200);
    expect(await app.devices.list({ id: 'alice' })).toHaveLength(1);
  });

  it('asks it for the second factor all the same', async () => {
    const app = deviceApp();
    const secret = await app.enrol('alice');
    const alice = app.browser();
    const first = await alice.logIn('alice', { otp_token: app.code(secret) });
    expect(first.status).toBe(200);
    app.clock.advance(60);
    expect(await alice.logIn()).toMatchObject({ status: 401, body: { error: 'second_factor_required' } });
  });
});

describe('the cookie', () => {
  it('is given with a token, changes at each login, and is out of reach of scripts, other hosts and other sites', async () => {
    const app = deviceApp();
    const alice = app.browser();
    const first = await alice.logIn();
    expect(setCookies(first)).toEqual([
      expect.stringMatching(
        /^__Host-portcullis_device=[A-Za-z0-9_-]{196}; Path=\/; Max-Age=15552000; HttpOnly; SameSite=Strict; Secure$/,
      ),
    ]);
    const [before] = setCookies(first);
    expect(setCookies(await alice.logIn())[0]).not.toBe(before);
    expect(await app.devices.list({ id: 'alice' })).toHaveLength(1);
    expect(app.named('login.succeeded').map((event) => 'device' in event && event.device)).toEqual([
      'new',
      'known',
    ]);
    expect(app.named('device.added')).toEqual([
      { name: 'device.added', account: 'alice', device: expect.stringMatching(/^[\w-]{24}$/), ...told },
    ]);
  });

  it('has neither Secure nor its prefix on http://localhost', async () => {
    const app = deviceApp({ devices: { origin: 'http://localhost:3000', lifetimeSeconds: 3600 } });
    expect(setCookies(await app.browser().logIn())).toEqual([
      expect.stringMatching(
        /^portcullis_device=[\w-]{196}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Strict$/,
      ),
    ]);
  });

  it('is given by the second step of a login, and says there whether the device was known', async () => {
    const app = deviceApp();
    const secret = await app.enrol('alice');
    const alice = app.browser();
    for (const device of ['new', 'known']) {
      app.clock.advance(60);
      const asked = await alice.logIn();
      expect([asked.status, setCookies(asked)]).toEqual([401, []]);
      const done = await alice.goOn(asked.body['pending'], app.code(secret));
      expect([done.status, setCookies(done).length]).toEqual([200, 1]);
      expect(app.named('login.succeeded').at(-1)).toMatchObject({ device, subject: expect.any(String) });
    }
    const subjects = app.events.flatMap((event) => ('subject' in event ? [event.subject] : []));
    expect(subjects.every((subject) => /^[0-9a-f]{64}$/.test(subject ?? ''))).toBe(true);
    expect(await app.devices.list({ id: 'alice' })).toHaveLength(1);
  });

  it('is not given, and nothing is kept, without a token', async () => {
    const app = deviceApp();
    const secret = await app.enrol('strong');
    const answers = [
      await app.browser().guess(),
      await app.browser().guess('nobody'),
      await app.browser().logIn('strong'),
      await app.browser().logIn('strong', { otp_token: app.code(secret) === '000000' ? '111111' : '000000' }),
      await app.browser().logIn(''),
    ];
    expect(answers.flatMap(setCookies)).toEqual([]);
    for (const id of ['alice', 'nobody', 'strong']) expect(await app.devices.list({ id })).toEqual([]);
    const alice = await known(app);
    const { cookie } = alice;
    expect(setCookies(await alice.guess())).toEqual([]);
    expect(await app.devices.recognise(cookie, '0'.repeat(64))).toBeNull();
    expect((await alice.logIn()).status).toBe(200);
  });

  it('is not given where the answer became another than the token', async () => {
    const app = deviceApp({
      inside: async (ctx, next) => {
        await next();
        ctx.status = 402;
      },
    });
    const answer = await app.browser().logIn();
    expect([answer.status, setCookies(answer)]).toEqual([402, []]);
    expect(await app.devices.list({ id: 'alice' })).toEqual([]);
  });

  it('is not given where the password was right and no token was issued', async () => {
    const app = deviceApp({
      inside: (ctx) => {
        passwordVerified(ctx, { id: 'alice' });
        ctx.status = 204;
      },
    });
    const answer = await app.browser().logIn();
    expect([answer.status, setCookies(answer)]).toEqual([204, []]);
    expect(await app.devices.list({ id: 'alice' })).toEqual([]);
  });

  it('makes one browser the device of five accounts at most, the last five', async () => {
    const app = deviceApp();
    const browser = app.browser();
    const family = ['ann', 'ben', 'cat', 'dan', 'eve', 'fay'];
    for (const name of family) expect((await browser.logIn(name)).status).toBe(200);
    expect(browser.cookie.split('.')).toHaveLength(5);
    for (const name of family) await app.lockStrangers(name);
    const statuses: number[] = [];
    for (const name of family) statuses.push((await browser.logIn(name)).status);
    expect(statuses).toEqual([429, 200, 200, 200, 200, 200]);
    expect(browser.cookie.split('.')).toHaveLength(5);
  });

  it('is rotated so that a lost answer forgets no device', async () => {
    const app = deviceApp();
    const alice = await known(app);
    const kept = alice.cookie;
    for (let i = 0; i < 6; i += 1) {
      alice.cookie = kept;
      await app.lockStrangers().catch(() => {});
      expect((await alice.logIn()).status).toBe(200);
      app.clock.advance(60);
    }
    expect(app.named('device.replayed')).toEqual([]);
    expect(await app.devices.list({ id: 'alice' })).toHaveLength(1);
  });

  it('of two tabs that log in at once is known whichever answer comes last', async () => {
    for (const last of [0, 1]) {
      const app = deviceApp();
      const alice = await known(app);
      const { cookie } = alice;
      const tabs = [app.browser(), app.browser()];
      for (const tab of tabs) tab.cookie = cookie;
      await Promise.all(tabs.map((tab) => tab.logIn()));
      alice.cookie = tabs[last]?.cookie ?? '';
      await app.lockStrangers();
      expect((await alice.logIn()).status).toBe(200);
      expect(app.named('device.replayed')).toEqual([]);
    }
  });
});

/** An app in which alice and bob have a device, and all attempts of strangers are used up. */
async function attacked(setup: Parameters<typeof deviceApp>[0] = {}) {
  const app = deviceApp(setup);
  const [alice, bob] = [await known(app), await known(app, 'bob')];
  await app.lockStrangers('alice');
  await app.lockStrangers('bob');
  app.events.splice(0);
  return { app, alice, bob };
}

function flipped(cookie: string, at: number): string {
  const bytes = Buffer.from(cookie, 'base64url');
  bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
  return bytes.toString('base64url');
}

describe('a stranger stays', () => {
  it('who changes a bit of a cookie', async () => {
    const { app, alice } = await attacked();
    const mallory = app.browser();
    for (let bit = 0; bit < 147 * 8; bit += 13) {
      mallory.cookie = flipped(alice.cookie, bit);
      expect([bit, (await mallory.logIn()).status]).toEqual([bit, 429]);
    }
    expect((await alice.logIn()).status).toBe(200);
  });

  it.each<[string, (cookie: string) => string]>([
    ['cut', (cookie) => cookie.slice(0, -1)],
    ['longer', (cookie) => `${cookie}A`],
    ['padded', (cookie) => `${cookie}=`],
    ['behind a dot', (cookie) => `.${cookie}`],
    ['before a dot', (cookie) => `${cookie}.`],
    ['among six', (cookie) => Array<string>(6).fill(cookie).join('.')],
    ['in another alphabet', (cookie) => cookie.replaceAll(/[-_]/g, '+')],
    ['empty', () => ''],
    ['words', () => 'alice'],
    ['zeros', () => 'A'.repeat(196)],
    ['8 KB', (cookie) => cookie.padEnd(8192, 'A')],
    ['8 KB of cookies', (cookie) => Array<string>(41).fill(cookie).join('.')],
  ])('whose cookie is %s, and asks no store', async (_what, forge) => {
    const clock = fakeClock();
    const store = memoryStore({ now: clock.now });
    let reads = 0;
    const counting = { ...store, readDocument: (key: string) => ((reads += 1), store.readDocument(key)) };
    const { app, alice } = await attacked({ clock, store, deviceStore: counting });
    const mallory = app.browser();
    mallory.cookie = forge(alice.cookie);
    reads = 0;
    expect((await mallory.logIn()).status).toBe(429);
    expect(reads).toBe(0);
    expect(app.errors).toEqual([]);
  });

  it('whose cookie another key signed', async () => {
    const { app, alice } = await attacked();
    const other = deviceApp({ devices: { keys: [Buffer.from(signingKey.toReversed())] } });
    const mallory = app.browser();
    mallory.cookie = (await known(other)).cookie;
    expect(mallory.cookie).toHaveLength(196);
    expect((await mallory.logIn()).status).toBe(429);
    // A key that signs no more verifies as long as it is listed.
    const rotated = deviceApp({
      clock: app.clock,
      store: app.store,
      devices: { keys: [Buffer.from(signingKey.toReversed()), signingKey] },
    });
    const again = rotated.browser();
    again.cookie = alice.cookie;
    expect((await again.logIn()).status).toBe(200);
    alice.cookie = again.cookie;
    expect((await alice.logIn()).status).toBe(429);
  });

  it('who has the device of another account', async () => {
    const { alice, bob } = await attacked();
    const { cookie } = bob;
    expect((await bob.logIn('alice')).status).toBe(429);
    bob.cookie = `${cookie}.${cookie}`;
    expect((await bob.logIn('alice')).status).toBe(429);
    expect((await bob.logIn('bob')).status).toBe(200);
    expect((await alice.logIn()).status).toBe(200);
  });

  it('at another name of the same account, and every spelling of one name is one', async () => {
    const app = deviceApp({ accounts: { 'alice@acme.example': 'alice' } });
    const alice = await known(app);
    await app.lockStrangers('alice@acme.example');
    expect((await alice.logIn('alice@acme.example')).status).toBe(429);
    await app.lockStrangers('alice');
    for (const name of [' ALICE', 'ａｌｉｃｅ', 'Alice']) expect((await alice.logIn(name)).status).toBe(200);
  });

  it('who is known by one name is so by all, where the account is counted', async () => {
    const accounts = { alice: '1', 'alice@acme.example': '1' };
    const app = deviceApp({
      accounts,
      options: { subject: (name) => (name.startsWith('alice') ? '1' : name) },
    });
    const alice = await known(app);
    await app.lockStrangers('alice@acme.example');
    expect((await alice.logIn('alice@acme.example')).status).toBe(200);
    expect(await app.attempts.status('1')).toMatchObject({ locked: true, devices: { locked: false } });
  });

  it('with a secret that a later login has used up, and is told; the device stays known', async () => {
    const { app, alice } = await attacked();
    const old = alice.cookie;
    await alice.logIn();
    await alice.logIn();
    app.events.splice(0);
    const thief = app.browser('203.0.113.200');
    thief.cookie = old;
    expect((await thief.logIn()).status).toBe(429);
    const [{ id } = { id: '' }] = await app.devices.list({ id: 'alice' });
    expect(app.named('device.replayed')).toEqual([
      { name: 'device.replayed', account: 'alice', device: id, ...told },
    ]);
    expect((await alice.logIn()).status).toBe(200);
    // Once the lock is over, who knows the password gets a device of its own.
    await app.attempts.unlock('alice');
    expect((await thief.logIn()).status).toBe(200);
    expect(app.named('login.succeeded').at(-1)).toMatchObject({ device: 'new' });
    expect(await app.devices.list({ id: 'alice' })).toHaveLength(2);
  });

  it('from a device that was revoked, that ended, or whose account is gone', async () => {
    const { app, alice, bob } = await attacked();
    const [{ id } = { id: '' }] = await app.devices.list({ id: 'alice' });
    expect(await app.devices.revoke({ id: 'alice' }, id)).toBe(true);
    expect((await alice.logIn()).status).toBe(429);
    expect(await app.devices.revokeAll({ id: 'bob' })).toBe(1);
    expect((await bob.logIn('bob')).status).toBe(429);
    expect(app.named('device.replayed')).toEqual([]);

    const late = await known(app, 'carol');
    app.clock.advance(180 * 86_400 - 1);
    await app.lockStrangers('carol');
    expect((await late.logIn('carol')).status).toBe(200);
    app.clock.advance(180 * 86_400);
    await app.lockStrangers('carol');
    expect((await late.logIn('carol')).status).toBe(429);
  });

  it('with many cookies, and the first of two of one name counts', async () => {
    const { app, alice } = await attacked();
    const mallory = app.browser();
    const many = Array.from({ length: 60 }, (_, i) => `portcullis_device_${i}=${'A'.repeat(100)}`);
    const ask = (cookies: string[]): Promise<Answer> =>
      mallory.ask('POST', '/tokens', {
        body: { username: 'alice', password },
        headers: { Cookie: cookies.join('; ') },
      });
    expect((await ask(many)).status).toBe(429);
    expect((await ask([`portcullis_device=${alice.cookie}`])).status).toBe(429);
    expect((await ask([`${cookieName}=x`, `${cookieName}=${alice.cookie}`])).status).toBe(429);
    expect((await ask([...many, `${cookieName}=${alice.cookie}`, `${cookieName}=x`])).status).toBe(200);
    expect(app.errors).toEqual([]);
  });

  it('whose clock is wrong: only the time of the store counts', async () => {
    const { app, alice } = await attacked();
    app.clock.advance(-3600);
    expect((await alice.logIn()).status).toBe(200);
  });
});

/** A browser of alice's that is known, and her second factor. */
async function begun() {
  const app = deviceApp();
  const secret = await app.enrol('alice');
  const alice = app.browser();
  const first = await alice.logIn('alice', { otp_token: app.code(secret) });
  expect(first.status).toBe(200);
  app.clock.advance(60);
  return { app, alice, secret };
}

describe('a page of another site, or of another host of the same', () => {
  const elsewhere: [string, Record<string, string>][] = [
    ['by its Origin', { Origin: 'https://evil.example' }],
    ['by the Origin of another host', { Origin: 'https://evil.acme.example', 'Sec-Fetch-Site': 'same-site' }],
    ['in a sandboxed frame', { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' }],
    ['without an Origin', { 'Sec-Fetch-Site': 'cross-site' }],
    ['of another host without an Origin', { 'Sec-Fetch-Site': 'same-site' }],
  ];

  it.each(elsewhere)('%s puts no mark of its own in the place of hers (DOS-02)', async (_what, headers) => {
    const app = deviceApp();
    const alice = await known(app);
    const { cookie } = alice;
    for (const sent of ['', cookie]) {
      const form = await alice.ask('POST', '/tokens', {
        body: { username: 'mallory', password },
        headers: { ...headers, Cookie: sent === '' ? 'a=b' : `${cookieName}=${sent}` },
      });
      expect([form.status, setCookies(form)]).toEqual([200, []]);
      expect(app.named('login.succeeded').at(-1)).toMatchObject({ account: 'mallory', device: 'new' });
    }
    expect(await app.devices.list({ id: 'mallory' })).toEqual([]);
    await app.lockStrangers();
    expect((await alice.logIn()).status).toBe(200);
  });

  it.each(elsewhere)('%s spends no attempts of hers (DOS-02)', async (_what, headers) => {
    const app = deviceApp();
    const alice = await known(app);
    for (let i = 0; i < 9; i += 1) {
      const body = { username: 'alice', password: 'wrong' };
      const { status } = await alice.ask('POST', '/tokens', { body, headers });
      expect(status).toBe(i < 8 ? 401 : 429);
    }
    expect(await app.attempts.status('alice')).toMatchObject({
      locked: true,
      devices: { failures: [0, 0, 0] },
    });
    expect((await alice.logIn()).status).toBe(200);
  });

  it.each<[string, Record<string, string>]>([
    ['own origin', { Origin: origin, 'Sec-Fetch-Site': 'same-origin' }],
    ['own form without a referrer', { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }],
  ])('is not the %s', async (_what, headers) => {
    const app = deviceApp();
    const alice = await known(app);
    await app.lockStrangers();
    const body = { username: 'alice', password };
    const answer = await alice.ask('POST', '/tokens', { body, headers });
    expect([answer.status, setCookies(answer).length]).toEqual([200, 1]);
  });
});

describe('a login under way from a known device', () => {
  it('goes on when strangers lock theirs, before it and after it began', async () => {
    const { app, alice, secret } = await begun();
    const { body } = await alice.logIn();
    app.clock.advance(1);
    await app.lockStrangers();
    expect((await alice.goOn(body['pending'], app.code(secret))).status).toBe(200);
    app.clock.advance(60);
    await app.lockStrangers();
    const again = await alice.logIn();
    expect((await alice.goOn(again.body['pending'], app.code(secret))).status).toBe(200);
  });

  it('ends when its own lane is locked, and may begin anew', async () => {
    const { app, alice, secret } = await begun();
    const { body } = await alice.logIn();
    app.clock.advance(1);
    const thief = app.browser('203.0.113.1');
    thief.cookie = alice.cookie;
    for (let i = 0; i < 2; i += 1) expect((await thief.guess()).status).toBe(401);
    expect(await alice.goOn(body['pending'], app.code(secret))).toMatchObject({
      status: 401,
      body: { error: 'pending_login_invalid' },
    });
    const again = await alice.logIn();
    expect((await alice.goOn(again.body['pending'], app.code(secret))).status).toBe(200);
    // Also one that began before a lock that is over.
    app.clock.advance(60);
    const { body: late } = await alice.logIn();
    app.clock.advance(1);
    thief.cookie = alice.cookie;
    for (let i = 0; i < 2; i += 1) expect((await thief.guess()).status).toBe(401);
    app.clock.advance(60);
    expect((await alice.goOn(late['pending'], app.code(secret))).status).toBe(401);
  });

  it('of a stranger ends when strangers are locked', async () => {
    const { app, secret } = await begun();
    const stranger = app.browser();
    const { body } = await stranger.logIn();
    app.clock.advance(1);
    await app.lockStrangers();
    expect((await stranger.goOn(body['pending'], app.code(secret))).status).toBe(429);
    app.clock.advance(60);
    expect((await stranger.goOn(body['pending'], app.code(secret))).status).toBe(401);
  });
});

describe('the answer to a guess', () => {
  it('is the same for a name with an account and without, whatever cookie comes (I11)', async () => {
    const app = deviceApp();
    const alice = await known(app);
    const shape = async (name: string, cookie: string): Promise<unknown> => {
      const mallory = app.browser();
      if (cookie !== '') mallory.cookie = cookie;
      const { status, headers, body } = await mallory.guess(name);
      const { date: _date, ...others } = headers;
      return { status, others, body };
    };
    const bobs = (await known(app, 'bob')).cookie;
    for (const cookie of ['', 'x', 'A'.repeat(196), bobs, alice.cookie]) {
      expect(await shape('carol', cookie)).toEqual(await shape('nobody', cookie));
    }
    for (const name of ['carol', 'nobody']) await app.lockStrangers(name);
    for (const cookie of ['', 'x', bobs]) {
      expect(await shape('carol', cookie)).toEqual(await shape('nobody', cookie));
    }
  });

  it('holds no secret, and neither do store, events and list (LOG-01)', async () => {
    const clock = fakeClock();
    const kept: string[] = [];
    const store = memoryStore({ now: clock.now });
    const watched: Store = {
      ...store,
      replaceDocument: (key, expected, record, ms) => {
        kept.push(key, record ?? '');
        return store.replaceDocument(key, expected, record, ms);
      },
    };
    const app = deviceApp({
      clock,
      store: watched,
      inside: (ctx, next) => {
        // What no HTTP parser lets through, but another server might.
        ctx.req.headers['user-agent'] = 'Evil\r\nSet-Cookie: x=1\u001b[31m\u202e<b>';
        return next();
      },
    });
    const alice = app.browser();
    await alice.logIn();
    await alice.logIn();
    const secrets = alice.cookie.split('.').map((mark) => Buffer.from(mark, 'base64url').subarray(83, 115));
    const everything = [...kept, ...app.events, await app.devices.list({ id: 'alice' })]
      .map((one) => JSON.stringify(one))
      .join('\n');
    for (const secret of secrets) {
      for (const form of ['base64url', 'base64', 'hex'] as const)
        expect(everything).not.toContain(secret.toString(form));
    }
    expect(everything).not.toContain(alice.cookie);
    const [device] = await app.devices.list({ id: 'alice' });
    expect(device?.userAgent).toBe('Evil\\u000d\\u000aSet-Cookie: x=1\\u001b[31m\\u202e<b>');
    expect(kept).not.toEqual([]);
  });
});

describe('a store that cannot tell', () => {
  const faults: [string, () => Promise<never>][] = [
    ['fails', () => Promise.reject(new Error('CANARY'))],
    ['is unavailable', () => Promise.reject(new StoreUnavailable('gone'))],
    ['answers nonsense', async () => ({ CANARY: true }) as never],
  ];

  it.each(faults)(
    'whether a device is known refuses with 503 when it %s, and counts nothing',
    async (_what, fault) => {
      const clock = fakeClock();
      const store = memoryStore({ now: clock.now });
      const devices = { ...store };
      const app = deviceApp({ clock, store, deviceStore: devices });
      const alice = await known(app);
      devices.readDocument = fault;
      expect(await alice.guess()).toMatchObject({ status: 503, body: { error: 'store_unavailable' } });
      expect(app.wrong()).toEqual([]);
      // Nobody else waits for it.
      expect((await app.browser().guess()).status).toBe(401);
      expect(app.named('store.failed')).toHaveLength(1);
      expect(JSON.stringify(app.events)).not.toContain('CANARY');
    },
  );

  it('gives no cookie where other logins are always faster, and the login stands', async () => {
    const clock = fakeClock();
    const store = memoryStore({ now: clock.now });
    const app = deviceApp({ clock, store, deviceStore: { ...store, replaceDocument: async () => false } });
    const answer = await app.browser().logIn();
    expect([answer.status, setCookies(answer)]).toEqual([200, []]);
    expect(app.errors).toEqual([]);
  });

  it.each(faults)(
    'gives no cookie when it %s at the end of a login, and the login stands',
    async (_what, fault) => {
      const clock = fakeClock();
      const store = memoryStore({ now: clock.now });
      const devices = { ...store };
      const app = deviceApp({ clock, store, deviceStore: devices });
      devices.readDocument = fault;
      const answer = await app.browser().logIn();
      expect([answer.status, setCookies(answer)]).toEqual([200, []]);
      devices.readDocument = (key) => store.readDocument(key);
      devices.replaceDocument = fault;
      expect(setCookies(await app.browser().logIn())).toEqual([]);
      expect(app.named('device.added')).toEqual([]);
      expect(app.errors).toEqual([]);
    },
  );
});

describe('an operator', () => {
  it('sees both lanes, and unlocks both', async () => {
    const app = deviceApp();
    const alice = await known(app);
    await alice.guess();
    await alice.guess();
    expect(await app.attempts.status('alice')).toEqual({
      locked: false,
      retryAfterSeconds: 0,
      failures: [0, 0, 0],
      devices: { locked: true, retryAfterSeconds: 60, failures: [2, 2, 2] },
    });
    await app.lockStrangers();
    expect(await app.attempts.status('alice')).toMatchObject({
      locked: true,
      failures: [8, 8, 8],
      devices: { locked: true },
    });
    expect(await app.attempts.unlock('alice')).toBe(true);
    expect(await app.attempts.unlock('alice')).toBe(false);
    expect(await app.attempts.status('alice')).toMatchObject({ locked: false, devices: { locked: false } });
  });

  it.each([
    ['192.0.2.7', '::ffff:192.0.2.7'],
    ['2001:db8:0:7::1', '2001:db8:0:7:ffff::9'],
    ['2001:db8:0:7::1', '2001:db8:0:7::/64'],
  ])('sees and unlocks the address %s as %s', async (from, written) => {
    const app = deviceApp({ attempts: { addressLimits: [{ failures: 2, withinSeconds: 60 }] } });
    const vandal = app.browser(from);
    for (const name of ['a', 'b']) await vandal.guess(name);
    expect((await vandal.guess('c')).status).toBe(429);
    expect(await app.attempts.statusOfAddress(written)).toEqual({
      locked: true,
      retryAfterSeconds: 60,
      failures: [2],
    });
    expect(await app.attempts.unlockAddress(written)).toBe(true);
    expect(await app.attempts.unlockAddress(written)).toBe(false);
    expect((await vandal.guess('c')).status).toBe(401);
    expect(await app.attempts.status('a')).toMatchObject({ failures: [1, 1, 1] });
  });

  it('is told what is no address, and that none is counted', async () => {
    const { attempts } = deviceApp({ attempts: { addressLimits: false } });
    for (const address of ['', 'alice', '192.0.2.256', '::/64x']) {
      await expect(async () => attempts.unlockAddress(address)).rejects.toThrow(TypeError);
      await expect(async () => attempts.statusOfAddress(address)).rejects.toThrow(/must be an IP address/);
    }
    expect(await attempts.statusOfAddress('192.0.2.1')).toEqual({
      locked: false,
      retryAfterSeconds: 0,
      failures: [],
    });
    expect(await attempts.unlockAddress('192.0.2.1')).toBe(false);
  });
});
