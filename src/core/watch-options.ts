import { sinkList, type AlertSink } from './alert.js';
import { documentStoreMethods, type DocumentStore } from './document-store.js';
import { callback, integer, offering, readOptions, required, type Rule } from './options.js';
import type { LostAlerts } from './watch-losses.js';

/** From how many on within how long something is told. */
export interface WatchThreshold {
  /** 1 to 1,000. */
  readonly count: number;
  /** Length of the sliding window in seconds, up to a day. An episode ends when nothing came for as long. */
  readonly withinSeconds: number;
}

/** What a watch tells from. README, "LoginWatch", has the default of each with its reason. */
export interface WatchThresholds {
  /** Failures of one account. */
  readonly repeatedFailures?: WatchThreshold;
  /** Sources from which one account failed. */
  readonly manySources?: WatchThreshold;
  /** Wrong second factors after a right password. */
  readonly passwordKnown?: WatchThreshold;
  /** Failures of others before a success. */
  readonly successAfterFailures?: WatchThreshold;
  /** Accounts that failed from one source. */
  readonly passwordSpraying?: WatchThreshold;
  /** Failures on names that are nobody's, over all. */
  readonly unknownNames?: WatchThreshold;
}

export interface LoginWatchOptions {
  /** Where it is kept what was seen: `memoryStore()` for one process, `redisStore(redis)` for several. */
  readonly store: DocumentStore;
  /** Where alerts go, such as `emailAlerts(transport, …)`. Each takes every alert, in a queue of its own. */
  readonly sinks: readonly AlertSink[];
  /**
   * Other thresholds than the defaults.
   *
   * @default see below
   */
  readonly thresholds?: WatchThresholds;
  /**
   * The place of an address, such as a country and a town out of a GeoIP table, or null where it is not known. It is asked
   * at each login that succeeds, beside the request, and must not wait for anything.
   *
   * @default none: devices are told apart by the network, an IPv4 /16 or IPv6 /48
   */
  readonly placeOf?: (address: string) => string | null;
  /**
   * Alerts below `critical` that go out one by one in any minute, over all processes: so many that anybody can cause, and
   * so many that take a known password. What is above goes into the digest.
   *
   * @default 10
   */
  readonly alertsPerMinute?: number;
  /**
   * How long a digest gathers, in seconds.
   *
   * @default 300
   */
  readonly digestSeconds?: number;
  /**
   * Signs that may wait in this process to be looked at, about 0.5 KB each.
   *
   * @default 10_000
   */
  readonly maxQueued?: number;
  /** Told of what was lost, at most once a second for each cause. */
  readonly onLost?: (lost: LostAlerts) => unknown;
}

/** A threshold as the rules take it. */
export interface WatchLimit {
  readonly count: number;
  readonly withinMs: number;
}

export type WatchLimits = Readonly<Record<keyof WatchThresholds, WatchLimit>>;

const hour = 3600;

const defaults: Readonly<Record<keyof WatchThresholds, WatchThreshold>> = {
  // As many as lock an account by default. People who have forgotten their password give up, or ask for a new one, before.
  repeatedFailures: { count: 10, withinSeconds: hour },
  // One person has a phone, a desk and a home; nobody mistypes from five places within an hour.
  manySources: { count: 5, withinSeconds: hour },
  // Whoever gets here has the password. One or two mistyped codes are the owner's; the third in ten minutes may not be.
  passwordKnown: { count: 3, withinSeconds: 600 },
  // Fewer than before a lock, as the guess that succeeds comes before it.
  successAfterFailures: { count: 5, withinSeconds: hour },
  // Behind the address of an office some always mistype; those who then succeed do not count.
  passwordSpraying: { count: 10, withinSeconds: hour },
  // Typing errors in names are frequent, and nobody is in danger by them: only a list that is tried out comes so far.
  unknownNames: { count: 100, withinSeconds: hour },
};

const names = Object.keys(defaults) as (keyof WatchThresholds)[];

const someSinks: Rule = {
  demand: `${sinkList.demand}, at least one`,
  accepts: (v) => sinkList.accepts(v) && (v as readonly unknown[]).length > 0,
};

const object: Rule = {
  demand: 'an object of thresholds',
  accepts: (v) => typeof v === 'object' && v !== null && !Array.isArray(v),
};

interface Settings extends Required<Omit<LoginWatchOptions, 'thresholds' | 'placeOf' | 'onLost'>> {
  readonly limits: WatchLimits;
  readonly placeOf: LoginWatchOptions['placeOf'] | undefined;
  readonly onLost: LoginWatchOptions['onLost'] | undefined;
}

/** @throws {TypeError} on an unknown option or a wrong value. */
export function readLoginWatchOptions(given: LoginWatchOptions): Settings {
  const {
    store,
    sinks,
    thresholds = {},
    placeOf,
    alertsPerMinute = 10,
    digestSeconds = 300,
    maxQueued = 10_000,
    onLost,
  } = readOptions<LoginWatchOptions>('LoginWatch', given, {
    store: required(offering('a store such as memoryStore() or redisStore(redis)', ...documentStoreMethods)),
    sinks: required(someSinks),
    thresholds: object,
    placeOf: callback,
    alertsPerMinute: integer(1, 1000),
    digestSeconds: integer(1, 86_400),
    maxQueued: integer(10, 1_000_000),
    onLost: callback,
  });
  const limits = readThresholds(thresholds);
  return { store, sinks, limits, placeOf, alertsPerMinute, digestSeconds, maxQueued, onLost };
}

function readThresholds(given: WatchThresholds): WatchLimits {
  const rules = Object.fromEntries(names.map((name) => [name, object])) as Record<
    keyof WatchThresholds,
    Rule
  >;
  const thresholds = { ...defaults, ...readOptions('LoginWatch thresholds', given, rules) };
  const limits = names.map((name) => [name, readThreshold(name, thresholds[name])] as const);
  return Object.fromEntries(limits) as Record<keyof WatchThresholds, WatchLimit>;
}

function readThreshold(name: string, given: WatchThreshold): WatchLimit {
  const { count, withinSeconds } = readOptions<WatchThreshold>(`LoginWatch ${name}`, given, {
    count: required(integer(1, 1000)),
    withinSeconds: required(integer(1, 86_400)),
  });
  return { count, withinMs: withinSeconds * 1000 };
}
