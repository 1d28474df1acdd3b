import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { devicesKey, rotated, withRoom, type KeptDevice } from '../../src/core/device-record.js';
import { keyHash } from '../../src/core/key-hash.js';
import { KnownDevices, type KnownDevicesOptions } from '../../src/core/known-devices.js';
import { deviceName } from '../../src/core/lockout-lanes.js';
import { Lockout, type LockoutOptions } from '../../src/core/lockout.js';
import { SigningKeys } from '../../src/core/signing-keys.js';
import { memoryStore } from '../../src/stores/memory.js';
import { signingKey } from '../rig/device-app.js';
import { alice, bob, origin } from '../rig/factor-rig.js';
import { fakeClock } from '../rig/fake-clock.js';

const name = keyHash('device', 'identifier', 'alice');
const about = { userAgent: 'Firefox/1', address: '192.0.2.1' };

function rig(options: Partial<KnownDevicesOptions> = {}) {
  const clock = fakeClock();
  const store = memoryStore({ now: clock.now });
  const devices = new KnownDevices({ store, keys: [signingKey], origin, ...options });
  const isKnown = async (cookie: string, of = name): Promise<boolean | 'replayed'> => {
    const found = await devices.recognise(cookie, of);
    return found?.isReplayed === true ? 'replayed' : found !== null;
  };
  const logIn = async (cookie = '', more: Partial<typeof about> = {}) =>
    devices.remember(alice, name, cookie, { ...about, ...more });
  return { clock, store, devices, isKnown, logIn };
}

describe('a device is', () => {
  it('known by the cookie of its last login, and by the one before until the new one came back', async () => {
    const { isKnown, logIn } = rig();
    const one = await logIn();
    const two = await logIn(one.cookie);
    expect([one.isNew, two.isNew, two.id === one.id]).toEqual([true, false, true]);
    expect([await isKnown(one.cookie), await isKnown(two.cookie)]).toEqual([true, true]);
    const three = await logIn(two.cookie);
    expect([await isKnown(one.cookie), await isKnown(two.cookie), await isKnown(three.cookie)]).toEqual([
      'replayed',
      true,
      true,
    ]);
  });

  it('another one where its cookie is used up, and the first stays as it is', async () => {
    const { devices, isKnown, logIn } = rig();
    const one = await logIn();
    const two = await logIn(one.cookie);
    const three = await logIn(two.cookie);
    const thief = await logIn(one.cookie);
    expect(thief.isNew).toBe(true);
    expect(await isKnown(three.cookie)).toBe(true);
    expect(await devices.list(alice)).toHaveLength(2);
  });

  it('kept apart from others in the same browser: by account, and by name', async () => {
    const { devices, isKnown } = rig();
    const second = keyHash('device', 'identifier', 'alice@acme.example');
    const pairs = [
      [alice, name],
      [alice, second],
      [bob, name],
    ] as const;
    let cookie = '';
    const ids: string[] = [];
    for (const [account, of] of [...pairs, ...pairs, ...pairs.toReversed()]) {
      const remembered = await devices.remember(account, of, cookie, about);
      ({ cookie } = remembered);
      ids.push(remembered.id);
    }
    expect(cookie.split('.')).toHaveLength(3);
    expect(ids.slice(3)).toEqual([...ids.slice(0, 3), ...ids.slice(0, 3).toReversed()]);
    expect(await isKnown(cookie, second)).toBe(true);
    expect([(await devices.list(alice)).length, (await devices.list(bob)).length]).toEqual([2, 1]);
  });

  it('none by what is signed in another form', async () => {
    const { devices, isKnown, logIn } = rig();
    const { cookie } = await logIn();
    const body = Buffer.from(cookie, 'base64url').subarray(0, 115);
    const keys = new SigningKeys('Test', [signingKey], 'portcullis device cookie');
    const signed = (): string => Buffer.concat([body, keys.sign(body)]).toString('base64url');
    expect(signed()).toBe(cookie);
    body[0] = 2;
    expect(await isKnown(signed())).toBe(false);
    expect(devices.marked(alice, signed())).toEqual([]);
  });

  it('listed without its secrets, oldest first', async () => {
    const { clock, devices, logIn } = rig();
    const { id, cookie } = await logIn();
    clock.advance(60);
    await logIn('', { userAgent: 'Safari/2' });
    clock.advance(60);
    await logIn(cookie, { address: '198.51.100.2' });
    const start = Date.UTC(2030, 0, 1);
    expect(await devices.list(alice)).toEqual([
      { id, createdAt: start, lastUsedAt: start + 120_000, userAgent: 'Firefox/1', address: '198.51.100.2' },
      {
        id: expect.stringMatching(/^[\w-]{24}$/),
        createdAt: start + 60_000,
        lastUsedAt: start + 60_000,
        userAgent: 'Safari/2',
        address: '192.0.2.1',
      },
    ]);
    expect(await devices.list(bob)).toEqual([]);
  });

  it('forgotten when its time is over, and counted in the time of the store', async () => {
    const { clock, isKnown, logIn, devices } = rig({ lifetimeSeconds: 3600 });
    const one = await logIn();
    clock.advance(3599);
    const two = await logIn(one.cookie);
    const other = await logIn();
    clock.advance(3599.999);
    expect(await isKnown(two.cookie)).toBe(true);
    await logIn(other.cookie);
    clock.advance(0.001);
    expect(await isKnown(two.cookie)).toBe(false);
    expect((await devices.list(alice)).map(({ id }) => id)).toEqual([other.id]);
    expect((await logIn(two.cookie)).id).not.toBe(two.id);
  });

  it('none by the cookie of another account, of another name, and after it was revoked', async () => {
    const { devices, isKnown, logIn } = rig();
    const { cookie, id } = await logIn();
    const bobs = await devices.remember(bob, name, cookie, about);
    expect(bobs.isNew).toBe(true);
    expect(await isKnown(cookie, keyHash('device', 'account', 'alice'))).toBe(false);
    expect(devices.marked(alice, bobs.cookie)).toEqual([id]);
    expect(devices.marked(bob, bobs.cookie)).toEqual([bobs.id]);
    expect(await devices.revoke(bob, id)).toBe(false);
    expect(await devices.revoke(alice, id)).toBe(true);
    expect(await devices.revoke(alice, id)).toBe(false);
    expect(await isKnown(cookie)).toBe(false);
    expect(await devices.revokeAll(bob)).toBe(1);
    expect(await devices.revokeAll(bob)).toBe(0);
  });

  it.each<[string, (before: string) => string]>([
    ['text', () => 'alice'],
    ['another version', (before) => before.replace('"v":1', '"v":2')],
    ['no list', () => '{"v":1,"account":"alice","devices":{}}'],
    ['another account', (before) => before.replace('"alice"', '"bob"')],
    ['half a device', (before) => before.replace('"userAgent":', '"user":')],
    ['null', () => 'null'],
  ])('not known by a record that is %s, which the next login replaces', async (_what, spoil) => {
    const { store, devices, isKnown, logIn } = rig();
    const { cookie } = await logIn();
    const key = devicesKey('alice');
    const { record: before } = await store.readDocument(key);
    const record = spoil(before ?? '');
    expect(record).not.toBe(before);
    expect(await store.replaceDocument(key, before, record, 60_000)).toBe(true);
    expect(await isKnown(cookie)).toBe(false);
    expect(await devices.list(alice)).toEqual([]);
    expect((await logIn(cookie)).isNew).toBe(true);
    expect(await devices.list(alice)).toHaveLength(1);
  });

  it('refused for now where others are always faster', async () => {
    const { store, logIn } = rig();
    const busy = new KnownDevices({
      store: { ...store, replaceDocument: async () => false },
      keys: [signingKey],
      origin,
    });
    await expect(busy.remember(alice, name, '', about)).rejects.toMatchObject({ name: 'Busy' });
    expect((await logIn()).isNew).toBe(true);
  });
});

const kept = (id: string, lastUsedAt: number, more: Partial<KeptDevice> = {}): KeptDevice => ({
  id,
  secrets: [],
  createdAt: 0,
  lastUsedAt,
  ...about,
  ...more,
});

describe('room for devices', () => {
  it('is made by those that never came back, of the same kind first, then by the one not used for longest', () => {
    const devices = [
      kept('old', 5),
      kept('older', 4),
      kept('other', 9, { createdAt: 9, userAgent: 'Safari/2' }),
      kept('script', 7, { createdAt: 7, userAgent: 'curl/8' }),
      kept('earlier script', 6, { createdAt: 6, userAgent: 'curl/8' }),
    ];
    const left = (most: number) => withRoom(devices, 'curl/8', most).map(({ id }) => id);
    expect(left(6)).toHaveLength(5);
    expect(left(5)).toEqual(['old', 'older', 'other', 'script']);
    expect(left(4)).toEqual(['old', 'older', 'other']);
    expect(left(3)).toEqual(['old', 'older']);
    expect(left(2)).toEqual(['old']);
    expect(left(1)).toEqual([]);
  });

  it('a script that keeps no cookies pushes out no browser', async () => {
    const { clock, devices, isKnown, logIn } = rig({ maxPerAccount: 4 });
    const fresh = await logIn();
    for (let i = 0; i < 50; i += 1) {
      clock.advance(3600);
      await logIn('', { userAgent: 'curl/8' });
    }
    expect(await isKnown(fresh.cookie)).toBe(true);
    expect(await devices.list(alice)).toHaveLength(4);
  });
});

describe('secrets', () => {
  it('are good from the one used last on, and four at most, whatever comes in which order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 60 }), (uses) => {
        let good: readonly string[] = ['s0'];
        uses.forEach((which, i) => {
          const used = good[which % good.length] ?? '';
          const before = good;
          good = rotated(good, used, `s${i + 1}`);
          expect(good[0]).toBe(used);
          expect(good.at(-1)).toBe(`s${i + 1}`);
          expect(good.length).toBeLessThanOrEqual(4);
          // One that comes back for the first time makes all others void.
          expect(good).toHaveLength(before[0] === used ? Math.min(before.length + 1, 4) : 2);
        });
      }),
    );
  });
});

describe('signing keys', () => {
  const message = Buffer.from('message');

  it('sign with the first and verify with all, each purpose for itself', () => {
    const other = Buffer.from(signingKey.toReversed());
    const old = new SigningKeys('Test', [other], 'a');
    const both = new SigningKeys('Test', [signingKey, other], 'a');
    const elsewhere = new SigningKeys('Test', [signingKey, other], 'b');
    expect(both.verify(message, old.sign(message))).toBe(true);
    expect(old.verify(message, both.sign(message))).toBe(false);
    expect(elsewhere.verify(message, both.sign(message))).toBe(false);
    expect(both.verify(Buffer.from('messagf'), both.sign(message))).toBe(false);
    expect(both.verify(message, both.sign(message).subarray(1))).toBe(false);
    expect(both.verify(message, Buffer.alloc(0))).toBe(false);
  });
});

describe('KnownDevices rejects', () => {
  const store = memoryStore();
  const right = { store, keys: [signingKey], origin };
  it.each<[unknown, RegExp]>([
    [undefined, /^KnownDevices: option store must be a document store/],
    [{ ...right, store: {} }, /^KnownDevices: option store must be a document store/],
    [{ ...right, keys: [] }, /^KnownDevices: option keys must be a list of at least one 32-byte key$/],
    [{ ...right, keys: ['CANARY'] }, /^KnownDevices: keys\[0\] must be 32 random bytes, or those in base64/],
    [
      { ...right, keys: 'CANARY' },
      /^KnownDevices: option keys must be a list of 32-byte keys, not another string$/,
    ],
    [{ store, keys: [signingKey] }, /^KnownDevices: option origin must be an origin .*, not undefined$/],
    [{ ...right, origin: 'http://acme.example' }, /^KnownDevices: option origin must be an origin/],
    [{ ...right, origin: 'https://acme.example/login' }, /^KnownDevices: option origin must be an origin/],
    [
      { ...right, lifetimeSeconds: 60 },
      /lifetimeSeconds must be a whole number from 3600 to 34560000, not 60$/,
    ],
    [{ ...right, maxPerAccount: 51 }, /maxPerAccount must be a whole number from 1 to 50, not 51$/],
    [{ ...right, sameSite: 'none' }, /^KnownDevices: unknown option "sameSite"/],
  ])('%#', (options, message) => {
    expect(() => new KnownDevices(options as never)).toThrow(message);
    expect(() => new KnownDevices(options as never)).not.toThrow(/CANARY/);
  });

  it('what is no account', async () => {
    const devices = new KnownDevices(right);
    for (const account of [{}, { id: '' }, 'alice', null] as never[]) {
      await expect(devices.list(account)).rejects.toThrow(TypeError);
      await expect(devices.revoke(account, 'x')).rejects.toThrow(TypeError);
      await expect(devices.revokeAll(account)).rejects.toThrow(TypeError);
      await expect(devices.remember(account, name, '', about)).rejects.toThrow(TypeError);
    }
    await expect(devices.revokeAll(alice, { except: '' })).rejects.toThrow(/revokeAll: option except/);
  });
});

const minute = (failures: number, more = {}) => ({ failures, withinSeconds: 60, ...more });
const hour = (failures: number) => ({ failures, withinSeconds: 3600 });

describe('a lockout that knows devices', () => {
  const store = memoryStore();
  const devices = new KnownDevices({ store, keys: [signingKey], origin });
  it.each<[object, RegExp]>([
    [{ devices: {} }, /^Lockout: option devices must be made by new KnownDevices\(\), not an object$/],
    [{ deviceLimits: [minute(2)] }, /^Lockout: option deviceLimits needs option devices$/],
    [
      { devices, limits: [minute(10)] },
      /^Lockout: deviceLimits must have the windows of limits, 60 seconds, not 60, 3600, 86400$/,
    ],
    [
      { devices, limits: [minute(10), hour(20)], deviceLimits: [minute(2)] },
      /must have the windows of limits, 60, 3600 seconds, not 60$/,
    ],
    [{ devices, limits: [minute(10)], deviceLimits: [hour(2)] }, /must have the windows/],
    [
      { devices, limits: [minute(2)], deviceLimits: [minute(2)] },
      /^Lockout: deviceLimits\[0\] must leave strangers at least 1 of 2, not 0$/,
    ],
    [
      { devices, limits: [minute(10), hour(20)], deviceLimits: [minute(1), hour(12)] },
      /^Lockout: deviceLimits\[1\] must leave strangers at least 10 of 20, not 8$/,
    ],
    [{ devices, deviceLimits: [minute(0)] }, /^Lockout device: limits\[0\]\.failures must be/],
    [{ devices, deviceLimits: false }, /^Lockout: option deviceLimits must be a list of limits, not false$/],
  ])('refuses limits that do not add up %#', (options, message) => {
    expect(() => new Lockout({ store, ...options })).toThrow(message);
    expect(() => new Lockout({ store, ...options })).toThrow(TypeError);
  });

  it('says what it enforces, in seconds', () => {
    const limits = [
      { failures: 10, withinSeconds: 60, lockSeconds: 60 },
      { failures: 20, withinSeconds: 3600, lockSeconds: 3600 },
      { failures: 40, withinSeconds: 86_400, lockSeconds: 86_400 },
    ];
    expect(new Lockout({ store }).settings).toEqual({
      store,
      limits,
      strangerLimits: limits,
      deviceLimits: null,
      addressLimits: [
        { failures: 100, withinSeconds: 60, lockSeconds: 60 },
        { failures: 300, withinSeconds: 3600, lockSeconds: 3600 },
        { failures: 1000, withinSeconds: 86_400, lockSeconds: 86_400 },
      ],
    });
    const own = {
      limits: [minute(10, { lockSeconds: 90 })],
      deviceLimits: [minute(3)],
      addressLimits: false,
    };
    expect(new Lockout({ store, devices, ...own } as LockoutOptions).settings).toEqual({
      store,
      limits: [{ failures: 10, withinSeconds: 60, lockSeconds: 90 }],
      strangerLimits: [{ failures: 7, withinSeconds: 60, lockSeconds: 90 }],
      deviceLimits: [{ failures: 3, withinSeconds: 60, lockSeconds: 60 }],
      addressLimits: null,
    });
  });

  it.each([
    '',
    'x',
    'a'.repeat(63),
    'A'.repeat(64),
    `devices.${'a'.repeat(64)}`,
    `devices..${'a'.repeat(64)}`,
    `other.${'a'.repeat(64)}.${'a'.repeat(64)}`,
    `devices.${'a'.repeat(64)}.${'a'.repeat(64)}\n`,
    `${'a'.repeat(64)}.devices.${'a'.repeat(64)}`,
  ])('ends a login that says it was counted at %j', async (subject) => {
    const attempts = new Lockout({ store, devices });
    expect(await attempts.check(subject, 0)).toMatchObject({ granted: true, lockedSince: true });
  });

  it('and one without devices ends a login of a device, and no other', async () => {
    const names = { identifier: 'alice', account: undefined, address: undefined };
    const [with_, without] = [new Lockout({ store, devices }), new Lockout({ store })];
    const granted = async (attempts: Lockout, isKnownDevice = false) => {
      const attempt = await attempts.reserve({ ...names, isKnownDevice });
      if (!attempt.granted) throw new Error('The attempt was refused');
      return attempt;
    };
    const own = await granted(with_, true);
    const strange = await granted(with_);
    const plain = await granted(without);
    const open = { granted: true, lockedSince: false };
    const since = own.time;
    expect(await without.check(own.subject, since)).toMatchObject({ granted: true, lockedSince: true });
    expect(await with_.check(own.subject, since)).toMatchObject(open);
    expect(await with_.check(strange.subject, since)).toMatchObject(open);
    expect(await without.check(plain.subject, since)).toMatchObject(open);
    expect([own.subject, strange.subject].map((subject) => subject.replace(/\.[^.]*$/, ''))).toEqual([
      `devices.${deviceName(names)}`,
      `strangers.${deviceName(names)}`,
    ]);
    expect(own.told).toBe(strange.told);
    expect(own.told).toMatch(/^[0-9a-f]{64}$/);
  });

  it('has no attempts of devices for a second factor', async () => {
    const attempts = new Lockout({
      store,
      devices,
      limits: [minute(3)],
      deviceLimits: [minute(1)],
      addressLimits: false,
    });
    const names = { identifier: '', account: 'alice', address: undefined, isKnownDevice: true };
    for (let i = 0; i < 2; i += 1)
      expect((await attempts.reserve(names, 'second factor')).granted).toBe(true);
    expect((await attempts.reserve(names, 'second factor')).granted).toBe(false);
    expect((await attempts.reserve(names)).granted).toBe(true);
  });
});
