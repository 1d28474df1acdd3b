import { describe, expect, it } from '@jest/globals';
import type { Happening } from '../../src/core/auth-event.js';
import { LoginWatch } from '../../src/core/login-watch.js';
import type { LoginWatchOptions } from '../../src/core/watch-options.js';
import { memoryStore } from '../../src/stores/memory.js';
import { keepingSink, subjectOf, watchRig, type From, type WatchRig } from '../rig/watch-rig.js';

const hour = 3600;
const wrongCode = (reason = 'wrong'): Happening => ({
  name: 'second_factor.failed',
  account: 'alice',
  reason,
});
const addressOf = (i: number): From => ({ ip: `198.51.${i >> 8}.${i & 255}` });

const unknown = (i: number): Happening => ({
  name: 'login.failed',
  reason: 'wrong password',
  account: null,
  subject: subjectOf(`nobody-${i}`),
});

const noTable = (): never => {
  throw new Error('no table');
};

/** A way to reach a threshold of its kind: how often, and what happens each time. */
const episodes: readonly [
  kind: string,
  threshold: number,
  windowSeconds: number,
  happens: (rig: WatchRig, i: number) => Promise<void>,
][] = [
  ['repeated_failures', 10, hour, (rig) => rig.fail()],
  ['many_sources', 5, hour, (rig, i) => rig.fail('alice', addressOf(i))],
  ['password_known', 3, 600, (rig) => rig.see(wrongCode())],
  ['password_spraying', 10, hour, (rig, i) => rig.fail(`user-${i}`)],
  ['unknown_names', 100, hour, (rig, i) => rig.see(unknown(i), addressOf(i))],
];

describe.each(episodes)('%s', (kind, threshold, windowSeconds, happens) => {
  it('is raised once, at the threshold, and again when it had ended', async () => {
    const rig = watchRig();
    for (let i = 1; i < threshold; i += 1) await happens(rig, i);
    expect(rig.kinds()).toEqual([]);
    await happens(rig, threshold);
    expect(rig.kinds()).toEqual([kind]);
    // More of it, for less than a day.
    for (let i = 1; i <= 50; i += 1) {
      rig.clock.advance(windowSeconds / 3);
      await happens(rig, threshold + i);
    }
    expect(rig.kinds()).toEqual([kind]);
    rig.sink.alerts.length = 0;
    rig.clock.advance(windowSeconds + 60);
    for (let i = 1; i <= threshold; i += 1) await happens(rig, i);
    expect(rig.kinds()).toEqual([kind]);
  });

  it('is not raised by what is too far apart', async () => {
    const rig = watchRig();
    for (let i = 1; i <= 3 * threshold; i += 1) {
      await happens(rig, i);
      rig.clock.advance(Math.ceil((windowSeconds * 1.1) / (threshold - 1)));
    }
    expect(rig.kinds()).toEqual([]);
  });

  it('tells since when and how often, and of which request', async () => {
    const rig = watchRig();
    const start = rig.clock.now();
    for (let i = 1; i <= threshold; i += 1) {
      await happens(rig, i);
      rig.clock.advance(1);
    }
    const [alert] = rig.sink.alerts;
    expect(alert).toMatchObject({
      id: expect.stringMatching(/^[\da-f]{32}$/),
      since: start,
      until: start + (threshold - 1) * 1000,
      count: threshold,
      userAgent: 'Browser/1',
      requestId: `request-${threshold}`,
      digest: null,
    });
  });

  it('is raised once for what one process sees in one turn', async () => {
    const rig = watchRig();
    const all = Array.from({ length: 3 * threshold }, (_, i) => happens(rig, i));
    await Promise.all(all);
    expect(rig.kinds()).toEqual([kind]);
  });
});

describe('failures of one account', () => {
  it('are told of at once when it is locked, and as the same episode afterwards', async () => {
    const rig = watchRig();
    const tried = { account: 'alice', subject: subjectOf('alice') };
    await rig.fail();
    await rig.see({ name: 'account.locked', retryAfterSeconds: 60, ...tried });
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'repeated_failures', severity: 'warning', account: 'alice' },
    ]);
    for (let i = 0; i < 20; i += 1) {
      rig.clock.advance(hour / 2);
      await rig.see({ name: 'login.refused', reason: 'locked out', ...tried });
    }
    await rig.fail('alice', {}, 20);
    expect(rig.sink.alerts).toHaveLength(1);
  });

  it('are counted with what is refused unseen while the account is locked', async () => {
    const rig = watchRig();
    const refused: Happening = { name: 'login.refused', reason: 'locked out', account: 'alice' };
    await rig.fail('alice', {}, 2);
    await rig.see(refused, {}, 7);
    expect(rig.kinds()).toEqual([]);
    await rig.see(refused);
    expect(rig.sink.alerts).toMatchObject([{ kind: 'repeated_failures', count: 10 }]);
  });

  it('raise one of two kinds, whichever comes first', async () => {
    const spread = watchRig();
    for (let i = 0; i < 30; i += 1) await spread.fail('alice', addressOf(i));
    expect(spread.kinds()).toEqual(['many_sources']);
    const repeated = watchRig();
    await repeated.fail('alice', {}, 10);
    for (let i = 0; i < 30; i += 1) await repeated.fail('alice', addressOf(i));
    expect(repeated.kinds()).toEqual(['repeated_failures']);
  });

  it('are told of once a day while they go on, for two days and a half', async () => {
    const rig = watchRig();
    for (let half = 0; half < 120; half += 1) {
      await rig.fail('alice', {}, 10);
      rig.clock.advance(hour / 2);
    }
    expect(rig.kinds()).toEqual(Array(3).fill('repeated_failures'));
    expect(new Set(rig.sink.alerts.map(({ id }) => id)).size).toBe(3);
  });

  it('name the subject where the account is not known', async () => {
    const rig = watchRig();
    const subject = subjectOf('alice');
    await rig.see({ name: 'login.failed', reason: 'wrong password', subject }, {}, 10);
    expect(rig.sink.alerts).toMatchObject([{ kind: 'repeated_failures', account: null, subject }]);
    await rig.succeed('alice');
    expect(rig.sink.alerts.at(-1)).toMatchObject({
      kind: 'success_after_failures',
      account: 'alice',
      subject,
    });
  });

  it("of a request without lockout are nobody's", async () => {
    const rig = watchRig();
    await rig.see({ name: 'login.failed', reason: 'wrong password' }, {}, 200);
    expect(rig.kinds()).toEqual([]);
  });

  it('come from one source out of one /64, and from IPv4 however it is spelt (SIP-04, SIP-05)', async () => {
    const rig = watchRig();
    for (let i = 0; i < 9; i += 1) await rig.fail('alice', { ip: `2001:db8::${i}` });
    for (let i = 0; i < 9; i += 1)
      await rig.fail('bob', { ip: i % 2 === 0 ? '192.0.2.1' : '::ffff:192.0.2.1' });
    expect(rig.kinds()).toEqual([]);
    await rig.fail('alice');
    expect(rig.sink.alerts).toMatchObject([{ kind: 'repeated_failures', sources: 2, address: '192.0.2.1' }]);
  });
});

describe('a known password', () => {
  it.each(['wrong', 'malformed', 'suspended', 'cloned'])('shows in factors that are %s', async (reason) => {
    const rig = watchRig();
    await rig.see(wrongCode(reason), {}, 3);
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'password_known', severity: 'critical', account: 'alice', count: 3 },
    ]);
  });

  it.each(['replayed', 'clock'])('does not show in codes that were right once: %s', async (reason) => {
    const rig = watchRig();
    await rig.see(wrongCode(reason), {}, 30);
    expect(rig.kinds()).toEqual([]);
  });

  it.each<Happening>([
    { name: 'pending_login.exhausted', account: 'alice' },
    { name: 'second_factor.locked', account: 'alice', retryAfterSeconds: 60 },
  ])('shows at once by $name', async (happening) => {
    const rig = watchRig();
    await rig.see(happening);
    await rig.see(happening);
    await rig.see({ name: 'login.refused', reason: 'second factor locked out', account: 'alice' });
    expect(rig.kinds()).toEqual(['password_known']);
  });

  it('does not show in the codes that a clumsy user mistypes before a right one', async () => {
    const rig = watchRig();
    for (let i = 0; i < 10; i += 1) {
      await rig.see(wrongCode(), {}, 2);
      await rig.succeed('alice', { methods: ['pwd', 'otp'] });
      rig.clock.advance(60);
    }
    expect(rig.kinds()).toEqual([]);
  });

  it('is not covered up by the owner, who logs in elsewhere, nor by a login without a factor', async () => {
    const rig = watchRig();
    await rig.see(wrongCode(), { ip: '203.0.113.9' }, 2);
    await rig.succeed('alice', { methods: ['pwd', 'otp'] });
    await rig.succeed('alice', { ip: '203.0.113.9' });
    await rig.see(wrongCode(), { ip: '203.0.113.9' });
    expect(rig.kinds()).toContain('password_known');
  });
});

describe('a success after failures', () => {
  it('is raised once, from the threshold on', async () => {
    const rig = watchRig();
    await rig.fail('alice', {}, 4);
    await rig.succeed();
    expect(rig.kinds()).toEqual([]);
    await rig.fail();
    await rig.succeed();
    await rig.succeed();
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'success_after_failures', severity: 'critical', account: 'alice', subject: null, count: 5 },
    ]);
    await rig.fail('alice', {}, 4);
    await rig.succeed();
    expect(rig.sink.alerts.filter(({ kind }) => kind === 'success_after_failures')).toHaveLength(1);
  });

  it('is not raised where the failures are an hour old', async () => {
    const rig = watchRig();
    await rig.fail('alice', {}, 9);
    rig.clock.advance(hour);
    await rig.succeed();
    expect(rig.kinds()).toEqual([]);
  });

  it('does not count what the owner mistyped on a known device', async () => {
    const rig = watchRig();
    await rig.fail('alice', {}, 9);
    await rig.succeed('alice', { device: 'known' });
    await rig.fail('alice', {}, 4);
    await rig.succeed('alice', { device: 'new' });
    expect(rig.kinds().filter((kind) => kind !== 'new_device')).toEqual([]);
  });

  it('is raised for strangers, whatever the owner does on a known device meanwhile', async () => {
    const rig = watchRig();
    const stranger = { ip: '203.0.113.9' };
    await rig.succeed('alice', { device: 'new' });
    await rig.fail('alice', stranger, 3);
    await rig.succeed('alice', { device: 'known' });
    await rig.fail('alice', stranger, 2);
    await rig.succeed('alice', { device: 'known' });
    expect(rig.kinds()).toEqual([]);
    await rig.succeed('alice', { ...stranger, device: 'new' });
    expect(rig.kinds()).toEqual(['success_after_failures', 'new_device']);
  });

  it('is not covered up by refusals, which anybody can cause while the account is locked', async () => {
    const rig = watchRig();
    const tried = { account: 'alice', subject: subjectOf('alice') };
    await rig.fail('alice', {}, 10);
    await rig.see({ name: 'login.refused', reason: 'locked out', ...tried }, {}, 500);
    await rig.succeed();
    expect(rig.kinds()).toEqual(['repeated_failures', 'success_after_failures']);
  });

  it("is not changed by an attacker's own logins in between (SIP-06)", async () => {
    const rig = watchRig();
    for (let i = 0; i < 5; i += 1) {
      await rig.fail('alice');
      await rig.succeed('mallory');
    }
    await rig.succeed('alice');
    expect(rig.kinds()).toEqual(['success_after_failures']);
  });
});

describe('spraying', () => {
  it('is told of the source, which is a /64 (SIP-04)', async () => {
    const rig = watchRig();
    for (let i = 0; i < 10; i += 1) await rig.fail(`user-${i}`, { ip: `2001:db8:0:7:${i}::${i}` });
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'password_spraying', address: '2001:db8:0:7::/64', account: null, accounts: 10, sources: 1 },
    ]);
  });

  it('is not seen where those who mistype then log in', async () => {
    const rig = watchRig();
    for (let i = 0; i < 40; i += 1) {
      await rig.fail(`user-${i}`, {}, 2);
      await rig.succeed(`user-${i}`);
    }
    expect(rig.kinds()).toEqual([]);
  });

  it("is not covered up by an attacker's own logins (SIP-06)", async () => {
    const rig = watchRig();
    await rig.fail('mallory');
    for (let i = 0; i < 9; i += 1) {
      await rig.fail(`user-${i}`);
      await rig.succeed('mallory');
    }
    expect(rig.kinds()).toEqual([]);
    await rig.fail('user-9');
    expect(rig.kinds()).toEqual(['password_spraying']);
  });

  it('is one account however often it fails, and has no source without an address', async () => {
    const rig = watchRig();
    for (let i = 0; i < 30; i += 1) await rig.fail(`user-${i}`, { ip: '' });
    for (let i = 0; i < 9; i += 1) await rig.fail(`user-${i}`, {}, 3);
    expect(rig.kinds()).toEqual([]);
  });

  it('ends when nobody fails any more, whoever logs in', async () => {
    const rig = watchRig();
    for (let i = 0; i < 10; i += 1) await rig.fail(`user-${i}`);
    for (let i = 0; i < 3; i += 1) {
      rig.clock.advance(hour / 2);
      await rig.succeed('somebody');
    }
    for (let i = 0; i < 10; i += 1) await rig.fail(`user-${i}`);
    expect(rig.kinds()).toEqual(['password_spraying', 'password_spraying']);
  });

  it('goes on while the address is locked', async () => {
    const rig = watchRig();
    for (let i = 0; i < 10; i += 1) await rig.fail(`user-${i}`);
    for (let i = 0; i < 10; i += 1) {
      rig.clock.advance(hour / 2);
      await rig.see({ name: 'login.refused', reason: 'address locked out', subject: subjectOf('x') });
    }
    for (let i = 0; i < 20; i += 1) await rig.fail(`other-${i}`);
    expect(rig.kinds()).toEqual(['password_spraying']);
  });
});

describe("names that are nobody's", () => {
  it('are aggregated and never named (ALR-08)', async () => {
    const rig = watchRig();
    for (let i = 0; i < 300; i += 1) rig.watch.observe(rig.eventOf(unknown(i), addressOf(i)));
    await rig.watch.flush();
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'unknown_names', severity: 'warning', account: null, subject: null, accounts: 0 },
    ]);
    expect(rig.sink.alerts[0]?.count).toBeGreaterThanOrEqual(100);
  });

  it('count as tried by their source', async () => {
    const rig = watchRig();
    for (let i = 0; i < 10; i += 1) {
      await rig.see({
        name: 'login.failed',
        reason: 'wrong password',
        account: null,
        subject: subjectOf(`${i}`),
      });
    }
    expect(rig.kinds()).toEqual(['password_spraying']);
  });
});

const agentOf = (version: string): string =>
  `Mozilla/5.0 (X11; Linux x86_64) Chrome/${version} Safari/537.36`;

describe('a login on a new device', () => {
  it('is told of by what the cookie says, but not the first one ever seen', async () => {
    const rig = watchRig();
    await rig.succeed('alice', { device: 'new' });
    await rig.succeed('alice', { device: 'known' });
    await rig.succeed('alice', { device: 'known', ip: '203.0.113.9', userAgent: 'Other/1' });
    expect(rig.kinds()).toEqual([]);
    await rig.succeed('alice', { device: 'new' });
    await rig.succeed('alice', { device: 'new' });
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'new_device', severity: 'notice', account: 'alice' },
      { kind: 'new_device' },
    ]);
    expect(new Set(rig.sink.alerts.map(({ id }) => id)).size).toBe(2);
  });

  it('is told of by network and browser where there is no cookie', async () => {
    const rig = watchRig();
    await rig.succeed();
    await rig.succeed('alice', { ip: '192.0.200.77' });
    expect(rig.kinds()).toEqual([]);
    await rig.succeed('alice', { ip: '192.1.2.1' });
    await rig.succeed('alice', { userAgent: 'Other/1' });
    expect(rig.kinds()).toEqual(['new_device', 'new_device']);
    // A device that is used stays known; one that has not been used for 90 days is new.
    for (let day = 0; day < 100; day += 1) {
      await rig.succeed();
      rig.clock.advance(24 * hour);
    }
    await rig.succeed();
    expect(rig.kinds()).toEqual(['new_device', 'new_device']);
    await rig.succeed('alice', { userAgent: 'Other/1' });
    expect(rig.kinds()).toEqual(['new_device', 'new_device', 'new_device']);
    for (let day = 0; day < 100; day += 10) {
      await rig.succeed('alice', { userAgent: day === 50 ? 'Browser/1' : 'Other/1' });
      rig.clock.advance(10 * 24 * hour);
    }
    await rig.succeed();
    expect(rig.kinds()).toHaveLength(3);
  });

  it('is not told of where the browser has only become newer', async () => {
    const rig = watchRig();
    await rig.succeed('alice', { userAgent: agentOf('131.0.0.0') });
    await rig.succeed('alice', { userAgent: agentOf('132.0.6834.83') });
    expect(rig.kinds()).toEqual([]);
    await rig.succeed('alice', { userAgent: agentOf('132.0.0.0').replace('X11; Linux', 'Windows') });
    expect(rig.kinds()).toEqual(['new_device']);
  });

  it('at a place where the account was never, is told of where places are known', async () => {
    const places = new Map([
      ['192.0.2.1', 'Bern'],
      ['203.0.113.9', 'Lima'],
    ]);
    const placeOf = (ip: string): string | null => places.get(ip) ?? null;
    const rig = watchRig({ options: { placeOf } });
    await rig.succeed('alice', { device: 'new' });
    await rig.succeed('alice', { device: 'known', ip: '10.0.0.1' });
    expect(rig.kinds()).toEqual([]);
    await rig.succeed('alice', { device: 'known', ip: '203.0.113.9' });
    await rig.succeed('alice', { device: 'known', ip: '203.0.113.9' });
    expect(rig.sink.alerts).toMatchObject([
      { kind: 'new_place', severity: 'notice', address: '203.0.113.9' },
    ]);
  });

  it('is told of though the table of places fails', async () => {
    const rig = watchRig({ options: { placeOf: noTable } });
    await rig.succeed();
    await rig.succeed('alice', { userAgent: 'Other/1' });
    expect(rig.kinds()).toEqual(['new_device']);
    expect(rig.watch.lost).toEqual({ events: 0, alerts: 0 });
  });
});

describe('what is an alert by itself', () => {
  it.each<[string, string, Happening, boolean]>([
    ['security_key_cloned', 'critical', { name: 'security_key.cloned', account: 'alice' }, false],
    ['totp_replayed', 'warning', { name: 'totp.replayed', account: 'alice' }, false],
    ['device_replayed', 'warning', { name: 'device.replayed', account: 'alice', device: 'd1' }, false],
    ['backup_code_used', 'notice', { name: 'backup_code.used', account: 'alice', left: 3 }, true],
    ['factor_removed', 'warning', { name: 'factor.removed', account: 'alice', factor: 'totp' }, true],
    [
      'factors_reset',
      'critical',
      { name: 'factors.reset', account: 'alice', actor: 'owner', count: 1 },
      true,
    ],
  ])('is %s (ALR-07)', async (kind, severity, happening, isToldEachTime) => {
    const rig = watchRig();
    await rig.see(happening);
    expect(rig.sink.alerts).toMatchObject([
      { kind, severity, account: 'alice', count: 1, actor: kind === 'factors_reset' ? 'owner' : null },
    ]);
    await rig.see(happening);
    expect(rig.sink.alerts).toHaveLength(isToldEachTime ? 2 : 1);
    rig.clock.advance(2 * hour);
    await rig.see(happening);
    const ids = rig.sink.alerts.map(({ id }) => id);
    expect(new Set(ids).size).toBe(isToldEachTime ? 3 : 2);
  });
});

describe('an alert', () => {
  it('of each step has an id of its own, also where a client gives all requests of one instant the same', async () => {
    const rig = watchRig();
    for (const factor of ['totp', 'key-1']) {
      await rig.see({ name: 'factor.removed', account: 'alice', factor }, { requestId: 'same' });
    }
    expect(new Set(rig.sink.alerts.map(({ id }) => id)).size).toBe(2);
  });

  it('holds what a client wrote as the event does, escaped (ALR-06), and has the same id wherever it is raised', async () => {
    const [one, other] = [watchRig(), watchRig()];
    for (const rig of [one, other]) {
      await rig.fail('alice', { userAgent: '\\u000d\\u000a<b>' }, 10);
      expect(rig.sink.alerts).toMatchObject([{ userAgent: '\\u000d\\u000a<b>' }]);
    }
    expect(one.sink.alerts[0]?.id).toBe(other.sink.alerts[0]?.id);
  });
});

describe('thresholds', () => {
  it('of sources are reached though one source fails in between, too slowly for that of failures', async () => {
    const thresholds = {
      repeatedFailures: { count: 10, withinSeconds: 60 },
      manySources: { count: 5, withinSeconds: 86_400 },
    };
    const rig = watchRig({ options: { thresholds } });
    for (let i = 0; i < 4; i += 1) await rig.fail('alice', { ip: `203.0.113.${i}` });
    for (let i = 0; i < 30; i += 1) {
      rig.clock.advance(10);
      await rig.fail('alice', { ip: '203.0.113.0' });
    }
    expect(rig.kinds()).toEqual([]);
    await rig.fail('alice', { ip: '198.51.100.1' });
    expect(rig.kinds()).toEqual(['many_sources']);
  });

  it('can be others', async () => {
    const thresholds = {
      repeatedFailures: { count: 2, withinSeconds: 10 },
      passwordSpraying: { count: 2, withinSeconds: 10 },
    };
    const rig = watchRig({ options: { thresholds } });
    await rig.fail('alice', {}, 2);
    await rig.fail('bob');
    expect(rig.kinds()).toEqual(['repeated_failures', 'password_spraying']);
    rig.clock.advance(10);
    await rig.fail('alice', {}, 2);
    expect(rig.kinds()).toHaveLength(3);
  });
});

describe('options', () => {
  const good: LoginWatchOptions = { store: memoryStore(), sinks: [keepingSink()] };

  it.each([
    [{ sinks: good.sinks }, 'LoginWatch: option store must be a store such as'],
    [{ ...good, store: {} }, 'LoginWatch: option store'],
    [{ ...good, sinks: [] }, 'at least one'],
    [{ ...good, sinks: [{ name: 'x y', send: () => {} }] }, 'LoginWatch: option sinks'],
    [{ ...good, alertsPerMinute: 0 }, 'LoginWatch: option alertsPerMinute'],
    [{ ...good, digestSeconds: 0 }, 'LoginWatch: option digestSeconds'],
    [{ ...good, maxQueued: 1 }, 'LoginWatch: option maxQueued'],
    [{ ...good, placeOf: 'x' }, 'LoginWatch: option placeOf'],
    [{ ...good, onLost: 1 }, 'LoginWatch: option onLost'],
    [{ ...good, treshholds: {} }, 'LoginWatch: unknown option "treshholds"'],
    [{ ...good, thresholds: { spraying: {} } }, 'LoginWatch thresholds: unknown option "spraying"'],
    [{ ...good, thresholds: { manySources: { count: 3 } } }, 'LoginWatch manySources: option withinSeconds'],
    [
      { ...good, thresholds: { manySources: { count: 0, withinSeconds: 1 } } },
      'LoginWatch manySources: option count',
    ],
    [
      { ...good, thresholds: { manySources: { count: 1, withinSeconds: 86_401 } } },
      'LoginWatch manySources: option withinSeconds',
    ],
  ])('are refused where they are wrong: %j', (options, message) => {
    expect(() => new LoginWatch(options as LoginWatchOptions)).toThrow(message);
  });
});
