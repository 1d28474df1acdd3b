import type { AccessTokens } from './access-tokens.js';
import type { LockoutLimit } from './attempt-limits.js';
import type { AuditedConfig } from './config-audit-options.js';
import type { Lockout } from './lockout.js';
import type { PasswordPolicy } from './password-policy.js';
import type { SecondFactors } from './second-factors.js';
import { inspect, type StoreFacts } from './store-facts.js';

type Limits = readonly Required<LockoutLimit>[];

/** A store, and what is kept in it. */
export interface AuditedStore extends StoreFacts {
  readonly holds: readonly string[];
}

/** What an audit goes by: plain figures, and no secret. Null stands for a part that was not given. */
export interface ConfigFacts {
  readonly app: {
    readonly proxy: boolean;
    readonly proxies: number;
    readonly shortestKey: number | null;
  } | null;
  readonly attempts: {
    readonly limits: Limits;
    readonly addressLimits: Limits | null;
    readonly deviceLimits: Limits | null;
  } | null;
  readonly factors: {
    readonly limits: Limits;
    readonly origin: string | null;
    readonly bindPending: boolean;
    /** Null where it cannot be told. */
    readonly isDurable: boolean | null;
  } | null;
  readonly tokens: { readonly lifetimeSeconds: number; readonly maxStaleSeconds: number } | null;
  readonly policy: {
    readonly minLength: number;
    readonly composes: boolean;
    readonly maxBytes: number;
    readonly contextWords: number;
  } | null;
  readonly breach: {
    readonly sources: readonly string[];
    readonly minCount: number;
    /** Null where it cannot be told. */
    readonly whenUnavailable: 'refuse' | 'allow' | null;
  } | null;
  readonly hashes: { readonly memoryKiB: number; readonly iterations: number } | null;
  readonly session: { readonly isHostOnly: boolean; readonly isSafe: boolean } | null;
  /** `isHeard`: whether the events of the app come there; null where it cannot be told. */
  readonly log: {
    readonly chained: boolean;
    readonly retentionSeconds: number;
    readonly isHeard: boolean | null;
  } | null;
  readonly watch: { readonly isHeard: boolean | null } | null;
  /** `apart`: given, but the lockout is not made with them. */
  readonly devices: 'counted' | 'apart' | null;
  readonly stores: readonly AuditedStore[];
}

/** @throws {StoreUnavailable} when a store does not answer. */
export async function readConfig(given: AuditedConfig): Promise<ConfigFacts> {
  const { app, attempts, factors, tokens, policy, breach, hashes, session, log, watch, devices } = given;
  const stores = await inspectStores(given);
  return {
    app: app === undefined ? null : appFacts(app),
    attempts: attempts === undefined ? null : attempts.settings,
    factors: factors === undefined ? null : factorFacts(factors, stores),
    tokens: tokens === undefined ? null : tokenFacts(tokens),
    policy: policy === undefined ? null : policyFacts(policy),
    breach:
      breach === undefined ? null : { ...breach.check.settings, whenUnavailable: breach.whenUnavailable },
    hashes: hashes === undefined ? null : hashes.settings,
    session:
      session === undefined
        ? null
        : {
            isHostOnly: session.secure && session.key.startsWith('__Host-'),
            isSafe: session.httpOnly && ['lax', 'strict'].includes(String(session.sameSite).toLowerCase()),
          },
    log: log === undefined ? null : { ...log.settings, isHeard: isHeard(app, log.record) },
    watch: watch === undefined ? null : { isHeard: isHeard(app, watch.observe) },
    devices: deviceFact(devices, attempts),
    stores: stores.map(({ facts, holds }) => ({ ...facts, holds })),
  };
}

function deviceFact(devices: object | undefined, attempts: Lockout | undefined): ConfigFacts['devices'] {
  if (attempts?.devices === undefined) return devices === undefined ? null : 'apart';
  return devices === undefined || devices === attempts.devices ? 'counted' : 'apart';
}

function isHeard(app: AuditedConfig['app'], listener: unknown): boolean | null {
  const listeners = app?.listeners?.('auth');
  if (listeners === undefined) return null;
  // Another one may pass events on.
  return listeners.includes(listener) || (listeners.length === 0 ? false : null);
}

function appFacts(app: NonNullable<AuditedConfig['app']>): NonNullable<ConfigFacts['app']> {
  const { proxy = false, maxIpsCount = 0, keys } = app;
  const lengths = Array.isArray(keys) ? keys.map((key) => Buffer.byteLength(String(key))) : [];
  return { proxy, proxies: maxIpsCount, shortestKey: lengths.length === 0 ? null : Math.min(...lengths) };
}

function factorFacts(
  { settings }: SecondFactors,
  stores: readonly Inspected[],
): NonNullable<ConfigFacts['factors']> {
  const { limits, origin = null, bindPending, factorStore } = settings;
  const found = stores.find(({ store }) => store === factorStore);
  return { limits, origin, bindPending, isDurable: found?.facts.isDurable ?? null };
}

function tokenFacts({ settings }: AccessTokens): NonNullable<ConfigFacts['tokens']> {
  const { lifetimeSeconds, cache } = settings;
  return { lifetimeSeconds, maxStaleSeconds: cache === undefined ? 0 : (cache.maxStaleSeconds ?? 1) };
}

function policyFacts(policy: PasswordPolicy): NonNullable<ConfigFacts['policy']> {
  const { minLength, maxBytes, rules } = policy.describe();
  const composes = rules.some(({ rule }) => rule === 'uppercase' || rule === 'digit_or_special');
  return { minLength, maxBytes, composes, contextWords: policy.contextWords.length };
}

interface Inspected {
  readonly store: object;
  readonly facts: StoreFacts;
  readonly holds: string[];
}

/** Each store is asked once, whatever is kept in it. */
async function inspectStores({ attempts, factors, tokens, log }: AuditedConfig): Promise<Inspected[]> {
  const held: readonly (readonly [string, object | undefined])[] = [
    ['attempts', attempts?.settings.store],
    ['pending logins', factors?.settings.store],
    ['factors', factors?.settings.factorStore],
    ['tokens', tokens?.settings.store],
    ['login log', log?.settings.store],
  ];
  const found = new Map<object, string[]>();
  for (const [what, store] of held) {
    if (store !== undefined) found.set(store, [...(found.get(store) ?? []), what]);
  }
  return Promise.all(
    Array.from(found, async ([store, holds]) => ({ store, holds, facts: (await inspect(store)) ?? silent })),
  );
}

/** Of a store of the app's own that says nothing. */
const silent: StoreFacts = { kind: 'own', isShared: true, isDurable: null, weaknesses: [] };
