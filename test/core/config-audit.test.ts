import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import {
  AccessTokens,
  BreachCheck,
  KnownDevices,
  Lockout,
  LoginLog,
  LoginWatch,
  PasswordHashes,
  PasswordPolicy,
  SecondFactors,
  StoreUnavailable,
  auditConfig,
  commonPasswords,
  formatAudit,
  hibpApi,
  memoryStore,
  sessionOptions,
  type ConfigAuditOptions,
  type ConfigReport,
  type SecondFactorsOptions,
  type Store,
  type StoreFacts,
} from '../../src/index.js';
import { mostFailuresWithin, standardLimits, weakerThanStandard } from '../../src/core/attempt-bound.js';
import { keepingSink } from '../rig/watch-rig.js';
import { countOf, spanOf } from '../../src/core/time-span.js';

const origin = 'https://acme.example';
const keys = [randomBytes(32)];

/** A store that keeps what it is given in memory, and says of itself what a test wants. */
function saying(facts: Partial<StoreFacts> = {}): Store {
  const said = { kind: 'redis', isShared: true, isDurable: true, weaknesses: [], ...facts };
  return { ...memoryStore(), inspectStore: async () => said };
}

const sound = saying();
const devices = new KnownDevices({ store: sound, keys: [randomBytes(32)], origin });
const tokens = new AccessTokens({ store: sound, lifetimeSeconds: 3600 });

function factorsWith(options: Partial<SecondFactorsOptions> = {}): SecondFactors {
  return new SecondFactors({ store: sound, issuer: 'Acme', keys, origin, bindPending: true, ...options });
}

function lockoutWith(options: object = {}): Lockout {
  return new Lockout({ store: sound, devices, ...options });
}

const log = new LoginLog({ store: sound, chain: { key: randomBytes(32) } });
const watch = new LoginWatch({ store: sound, sinks: [keepingSink()] });

/** An app as far as an audit looks at it. */
function appWith(settings: object = {}, listeners: readonly unknown[] = [log.record, watch.observe]) {
  return { proxy: true, maxIpsCount: 1, ...settings, listeners: () => listeners };
}

/** Nothing is weak about it. */
const strict: Required<ConfigAuditOptions> = {
  app: appWith({ keys: ['k'.repeat(40)] }),
  attempts: lockoutWith(),
  factors: factorsWith(),
  tokens,
  devices,
  policy: { preset: 'nist', contextWords: ['Acme'] },
  breach: { whenUnavailable: 'refuse' },
  hashes: new PasswordHashes(),
  log,
  watch,
  session: sessionOptions(tokens, { store: sound, origin }),
};

const codesOf = (list: readonly { readonly code: string }[]): string[] => list.map(({ code }) => code);

function without(part: keyof ConfigAuditOptions): ConfigAuditOptions {
  const { [part]: _left, ...rest } = strict;
  return rest;
}

/** What is weak now that was not, and each requirement whose state differs, as `id: state`. */
async function changesOf(given: ConfigAuditOptions): Promise<{ weak: string[]; requirements: string[] }> {
  const [before, after] = await Promise.all([auditConfig(strict), auditConfig(given)]);
  const known = new Map(before.requirements.map(({ standard, id, state }) => [`${standard} ${id}`, state]));
  return {
    weak: codesOf(after.weak),
    requirements: after.requirements
      .filter(({ standard, id, state }) => known.get(`${standard} ${id}`) !== state)
      .map(({ id, state }) => `${id}: ${state}`),
  };
}

const otherLog = new LoginLog({ store: sound });
const onePerHour = [{ failures: 100, withinSeconds: 3600 }];

describe('a strict configuration', () => {
  it('has nothing weak, and what is not met is what nobody can configure', async () => {
    const { weak, enforced, requirements } = await auditConfig(strict);
    expect(codesOf(weak)).toEqual([]);
    expect(codesOf(enforced)).toEqual([
      'account_limits',
      'address_limits',
      'known_devices',
      'factor_limits',
      'origin',
      'pending_bound',
      'factors_durable',
      'token_lifetime',
      'revocation',
      'session_cookie',
      'policy',
      'breach_check',
      'hash_cost',
      'store_durable',
      'addresses',
      'log',
      'watch',
    ]);
    expect(requirements.filter(({ state }) => state === 'not_met').map(({ id }) => id)).toEqual([
      '3.1.1.2 Unicode',
      '3.2.2 in a row',
      '3.1.2.2 stored',
      '6.5.2',
      '6.5.5',
    ]);
  });

  it('names each requirement once, and says why of each', async () => {
    const { requirements } = await auditConfig(strict);
    const names = requirements.map(({ standard, id }) => `${standard} ${id}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { because, text } of requirements) expect([because, text]).not.toContain('');
  });
});

describe('a weaker one', () => {
  // prettier-ignore
  it.each<[string, ConfigAuditOptions, string[], string[]]>([
    ['without a lockout', without('attempts'), ['lockout_missing'],
      ['3.2.2 limit: not_met', '6.1.1: not_met', '6.3.1: not_met', '16.5.3: not_met']],
    ['with wide limits', { ...strict, attempts: lockoutWith({ limits: onePerHour, deviceLimits: [{ failures: 5, withinSeconds: 3600 }] }) }, ['account_limits_weak'],
      ['3.2.2 limit: not_met', '6.3.1: not_met']],
    ['without limits by address', { ...strict, attempts: lockoutWith({ addressLimits: false }) }, ['address_limits_off'], ['6.3.1: not_met']],
    ['with a lockout that knows no devices', { ...strict, attempts: new Lockout({ store: sound }) }, ['devices_apart'], ['6.1.1: not_met']],
    ['without devices', { ...without('devices'), attempts: new Lockout({ store: sound }) }, ['devices_missing'], ['6.1.1: not_met']],
    ['without second factors', without('factors'), ['factors_missing'],
      ['3.2.2 codes: not_met', '3.1.2.2 once: not_met', '3.1.4.2 once: not_met', '3.1.4.2 keys: not_met', '2.2.2: not_met',
        '6.3.3: not_met', '6.5.1: not_met', '6.5.3: not_met', '6.5.4: not_met', '6.5.6: not_met', '6.5.8: not_met']],
    ['with wide limits of factors', { ...strict, factors: factorsWith({ limits: onePerHour }) }, ['factor_limits_weak'], []],
    ['without an origin', { ...strict, factors: new SecondFactors({ store: sound, issuer: 'Acme', keys }) }, ['origin_missing', 'pending_unbound'], ['2.2.2: not_met']],
    ['with an origin over plain http', { ...strict, factors: factorsWith({ origin: 'http://localhost' }) }, ['origin_plain_http'], []],
    ['without bindPending', { ...strict, factors: factorsWith({ bindPending: false }) }, ['pending_unbound'], []],
    ['with factors that a restart loses', { ...strict, factors: factorsWith({ factorStore: saying({ isDurable: false }) }) }, ['factors_not_durable', 'store_not_durable'],
      ['3.1.2.2 once: not_met', '3.1.4.2 once: not_met', '6.5.1: not_met']],
    ['with factors of which that is not known', { ...strict, factors: factorsWith({ factorStore: saying({ isDurable: null }) }) }, ['factors_durability_unknown', 'store_durability_unknown'], []],
    ['without tokens', without('tokens'), ['tokens_missing'],
      ['2.1.3: not_met', '2.2.3 timeout: not_met', '2.2.3 inactivity: not_met', '5.1: not_met', '7.2.1: not_met', '7.2.2: not_met',
        '7.2.3: not_met', '7.2.4: not_met', '7.3.1: not_met', '7.3.2: not_met', '7.4.1: not_met', '7.4.5: not_met']],
    ['with tokens of a week', { ...strict, tokens: new AccessTokens({ store: sound }) }, ['token_lifetime_long'], ['2.2.3 timeout: not_met', '2.2.3 inactivity: app']],
    ['with tokens of a day', { ...strict, tokens: new AccessTokens({ store: sound, lifetimeSeconds: 86_400 }) }, [], ['2.2.3 inactivity: app']],
    ['with a stale cache', { ...strict, tokens: new AccessTokens({ store: { ...sound, watchTokens: () => {} }, lifetimeSeconds: 60, cache: { maxStaleSeconds: 30 } }) }, ['revocation_late'], []],
    ['with the preset standard', { ...strict, policy: { contextWords: ['Acme'] } }, [], ['3.1.1.2 length: not_met', '3.1.1.2 composition: not_met', '6.2.5: not_met']],
    ['with fewer characters than the preset', { ...strict, policy: { minLength: 8, contextWords: ['Acme'] } }, ['policy_short'], ['3.1.1.2 length: not_met', '3.1.1.2 composition: not_met', '6.2.5: not_met']],
    ['with the preset asvs', { ...strict, policy: new PasswordPolicy({ preset: 'asvs', contextWords: ['Acme'] }) }, ['policy_short'], ['3.1.1.2 length: not_met']],
    ['without words of the context', { ...strict, policy: { preset: 'nist' } }, [], ['6.2.11: not_met']],
    ['without a policy', without('policy'), ['policy_missing'],
      ['3.1.1.2 length: not_met', '3.1.1.2 longest: not_met', '3.1.1.2 composition: not_met', '6.2.1: not_met', '6.2.5: not_met', '6.2.9: not_met', '6.2.11: not_met']],
    ['without a breach check', without('breach'), ['breach_check_missing'], ['3.1.1.2 blocklist: not_met', '6.2.4: not_met', '6.2.12: not_met']],
    ['with one that lets pass', { ...strict, breach: { whenUnavailable: 'allow' } }, ['breach_check_optional'], ['3.1.1.2 blocklist: not_met', '6.2.4: not_met', '6.2.12: not_met']],
    ['with one of common passwords alone', { ...strict, breach: new BreachCheck({ sources: [commonPasswords()] }) }, [], ['6.2.12: not_met']],
    ['with one of a source of the app', { ...strict, breach: { sources: [{ name: 'own_list', find: async () => 0 }] } }, [], ['6.2.4: app', '6.2.12: app']],
    ['with one that wants many sightings', { ...strict, breach: { minCount: 100, sources: [hibpApi()] } }, ['breach_count_high'], ['3.1.1.2 blocklist: not_met']],
    ['without hashes', without('hashes'), ['hashes_missing'], ['3.1.1.2 whole: app', '3.1.1.2 Unicode: app', '3.1.1.2 hash: app', '6.2.8: app', '6.3.8: app']],
    ['with cheap hashes', { ...strict, hashes: new PasswordHashes({ memoryKiB: 8192, iterations: 2 }) }, ['hash_cost_low'], ['3.1.1.2 hash: not_met']],
    ['without a log', without('log'), ['log_missing'], ['16.2.1: not_met', '16.2.5: app', '16.3.1: not_met', '16.4.1: app', '16.4.2: not_met']],
    ['with a log that is no chain', { ...strict, app: appWith({}, [otherLog.record, watch.observe]), log: otherLog }, [], ['16.4.2: not_met']],
    ['with an app that nobody listens to', { ...strict, app: appWith({}, []) }, ['log_unheard', 'watch_unheard'], ['4.2.3: not_met', '6.3.5: not_met', '16.3.1: not_met']],
    ['with an app that somebody else listens to', { ...strict, app: appWith({}, [() => {}]) }, [], ['4.2.3: app', '6.3.5: app', '16.3.1: app']],
    ['with an app that does not say who listens', { ...strict, app: { keys: [] } }, [], ['4.2.3: app', '6.3.5: app', '16.3.1: app']],
    ['without a watch', without('watch'), ['watch_missing'], ['4.2.3: app', '6.3.5: not_met']],
    ['without sessions', without('session'), [], ['5.1.1: app']],
    ['with sessions over plain http', { ...strict, session: sessionOptions(tokens, { store: sound, origin: 'http://localhost' }) }, ['session_cookie_weak'], ['5.1.1: not_met']],
    ['with cookies for other sites', { ...strict, session: { ...strict.session, sameSite: 'none' } }, ['session_cookie_weak'], ['5.1.1: not_met']],
    ['with cookies for scripts', { ...strict, session: { ...strict.session, httpOnly: false } }, ['session_cookie_weak'], ['5.1.1: not_met']],
    ['with a proxy and no count of them (SIP-02)', { ...strict, app: appWith({ maxIpsCount: 0 }) }, ['proxy_unbounded'], []],
    ['with short keys of the app', { ...strict, app: appWith({ keys: ['k'.repeat(40), 'some secret'] }) }, ['app_keys_short'], []],
    ['with a store that may evict', { ...strict, attempts: new Lockout({ store: saying({ weaknesses: ['Redis may evict keys'] }), devices }) }, ['store_weak'], []],
    ['with a store for one process', { ...strict, attempts: new Lockout({ store: saying({ isShared: false }), devices }) }, ['store_not_shared'], []],
    ['with a store in memory (CFG-06)', { ...strict, attempts: new Lockout({ store: memoryStore(), devices }) }, ['store_in_memory'], []],
  ])('%s is told, and moves the requirements that depend on it', async (_what, given, weak, requirements) => {
    const changes = await changesOf(given);
    expect(changes.weak).toEqual(weak);
    expect(changes.requirements).toEqual(requirements);
  });

  it('with nothing at all is told part by part', async () => {
    const { weak, enforced, unseen } = await auditConfig({});
    expect(codesOf(weak).filter((code) => !code.endsWith('_missing'))).toEqual([]);
    expect(weak).toHaveLength(8);
    expect(enforced).toEqual([]);
    expect(codesOf(unseen)).toContain('app_missing');
  });
});

describe('what cannot be seen', () => {
  it('is said, as it cannot be vouched for', async () => {
    expect(codesOf((await auditConfig(strict)).unseen)).toEqual([
      'dangerous_options',
      'doors',
      'idle_tokens',
    ]);
    const given = {
      ...strict,
      app: { listeners: () => [() => {}] },
      breach: new BreachCheck(),
      attempts: new Lockout({ store: saying(), devices }),
    };
    expect(codesOf((await auditConfig(given)).unseen)).toEqual([
      'dangerous_options',
      'doors',
      'idle_tokens',
      'breach_check_option',
      'log_listener',
      'watch_listener',
      'stores_apart',
    ]);
  });
});

describe('the report', () => {
  let report: ConfigReport;
  const canary = 'CANARY-of-a-key-0123456789abcdef';

  it('is text for people: lines of printable ASCII, sections in one order', async () => {
    const app = new Koa();
    app.on('auth', log.record);
    report = await auditConfig({ ...without('watch'), app });
    const text = String(report);
    expect(text).toBe(formatAudit(report));
    expect(text).toBe(String(await auditConfig({ ...without('watch'), app })));
    expect(text).toMatch(/^[\n -~]+$/);
    expect(text.match(/^\S.*$/gm)).toEqual([
      'Weak (1)',
      'Enforced (16)',
      'Not to be seen from here: look yourself (3)',
      "NIST SP 800-63B-4: 17 met, 3 not met, 2 your app's business",
      expect.stringMatching(/^OWASP ASVS 5\.0: \d+ met, 3 not met, \d+ your app's business$/),
    ]);
    expect(text).toContain(
      '  watch            Nobody is told of what may be an account takeover.\n' +
        '                   -> new LoginWatch({ store, sinks })\n',
    );
    expect(text).toContain(
      '  NOT MET   6.3.5   Users are told of suspicious logins.\n                    no watch given\n',
    );
  });

  it('is plain data: JSON has all of it', () => {
    const { enforced, weak, unseen, requirements } = report;
    expect(JSON.parse(JSON.stringify(report))).toEqual({ enforced, weak, unseen, requirements });
  });

  it('holds no key and no secret (LOG-01)', async () => {
    const store = saying();
    const key = Buffer.from(canary);
    const given = {
      ...strict,
      app: { keys: [canary] },
      factors: new SecondFactors({ store, issuer: 'Acme', keys: [key], origin }),
      log: new LoginLog({ store, chain: { key } }),
      attempts: new Lockout({ store, devices: new KnownDevices({ store, keys: [key], origin }) }),
    };
    const found = await auditConfig(given);
    const shown = [String(found), JSON.stringify(found), inspect(found, { depth: 9, showHidden: true })].join(
      '\n',
    );
    for (const form of [canary, key.toString('hex'), key.toString('base64'), key.toString('base64url')])
      expect(shown).not.toContain(form);
  });
});

describe('wrong parts', () => {
  // prettier-ignore
  it.each<[string, object, string]>([
    ['an unknown part', { lockout: 1 }, 'auditConfig: unknown option "lockout"'],
    ['another lockout', { attempts: {} }, 'auditConfig: option attempts must be made by new Lockout(), not an object'],
    ['another watch', { watch: {} }, 'auditConfig: option watch must be made by new LoginWatch(), not an object'],
    ['another session', { session: { secure: true } }, 'auditConfig: option session must be what sessionOptions() answered'],
    ['another log', { log: {} }, 'auditConfig: option log must be made by new LoginLog()'],
    ['another watch', { watch: {} }, 'auditConfig: option watch must be made by new LoginWatch()'],
    ['an unknown rule', { policy: { length: 3 } }, 'PasswordPolicy: unknown option "length"'],
    ['an unknown answer', { breach: { whenUnavailable: 'perhaps' } }, "auditConfig breach: option whenUnavailable must be one of 'refuse', 'allow'"],
  ])('%s is a TypeError', async (_what, given, message) => {
    await expect(auditConfig(given)).rejects.toThrow(TypeError);
    await expect(auditConfig(given)).rejects.toThrow(message);
  });

  it('takes the options of the middleware as they are', async () => {
    const readers = { readPassword: () => '', readContextWords: () => [] };
    const given = { policy: readers, breach: readers };
    expect(codesOf((await auditConfig(given)).enforced)).toEqual(['policy', 'breach_check']);
  });

  it.each([
    ['does not answer', { inspectStore: () => new Promise<never>(() => {}) }],
    ['fails', { inspectStore: () => Promise.reject(new Error('secret')) }],
    ['answers nonsense', { inspectStore: async () => ({ kind: 'redis' }) as StoreFacts }],
  ])('a store that %s is not called fine (CFG-08)', async (_what, method) => {
    const attempts = new Lockout({ store: { ...memoryStore(), ...method } });
    await expect(auditConfig({ attempts })).rejects.toThrow(StoreUnavailable);
  });
});

describe('how much limits let through', () => {
  it.each([
    [[{ failures: 3, withinSeconds: 60 }], 60, 3],
    [[{ failures: 3, withinSeconds: 60 }], 61, 6],
    [standardLimits, 86_400, 40],
    [standardLimits, 3600, 20],
  ])('%j: within %d s at most %d', (limits, seconds, most) => {
    expect(mostFailuresWithin(limits, seconds)).toBe(most);
  });

  it('calls limits weaker only where more passes than by default', () => {
    expect(weakerThanStandard(standardLimits)).toBeUndefined();
    expect(weakerThanStandard([{ failures: 5, withinSeconds: 86_400 }])).toBeUndefined();
    expect(weakerThanStandard([{ failures: 11, withinSeconds: 60 }])).toBe(
      '11 failures within 60 seconds pass, 10 by default',
    );
    // Locks for a day after 6 an hour; yet 5 an hour are never locked.
    expect(weakerThanStandard([{ failures: 6, withinSeconds: 3600 }])).toBe(
      '144 failures within 86400 seconds pass, 40 by default',
    );
  });
});

describe('spans in words', () => {
  it.each([
    [0, '0 seconds'],
    [1, '1 second'],
    [59.2, '1 minute'],
    [90, '1 minute 30 seconds'],
    [3600, '1 hour'],
    [3605, '1 hour'],
    [86_400, '1 day'],
    [90_061, '1 day 1 hour'],
    [604_800, '7 days'],
  ])('%d is %s', (seconds, words) => {
    expect(spanOf(seconds)).toBe(words);
  });

  it('counts in words', () => {
    expect([countOf(1, 'failure'), countOf(1000, 'failure')]).toEqual(['1 failure', '1,000 failures']);
  });
});
