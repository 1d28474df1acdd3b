import type { Alert, AlertKind } from './alert.js';
import { isCount, own } from './store-call.js';
import { isWithin, liveEpisodes, readEpisodes, type Episodes } from './watch-episode.js';
import type { WatchLimits } from './watch-options.js';
import type { WatchSubject } from './watch-sign.js';

/** When a password was guessed, from which source, and whether a success after it was told of. */
export type Failure = readonly [stamp: number, source: string, told: 0 | 1];

/** When a wrong factor was given, and from which source. */
export type WrongFactor = readonly [stamp: number, source: string];

/** When a device last logged in, and short hashes of it and of its place. */
export type SeenDevice = readonly [stamp: number, device: string, place: string];

/** What is kept of an account. All of it is bounded, and none of it is a name or an address. */
export interface AccountState {
  readonly failures: readonly Failure[];
  /** Attempts that were refused unseen, because the account is locked. */
  readonly refusals: readonly number[];
  readonly factors: readonly WrongFactor[];
  readonly devices: readonly SeenDevice[];
  readonly episodes: Episodes;
}

/** One look at the document of an account, or of a name that may be one. */
export interface Look {
  readonly subject: WatchSubject;
  readonly time: number;
  readonly limits: WatchLimits;
  readonly placeOf: ((address: string) => string | null) | undefined;
}

/** What a sign makes of an account. */
export interface Step {
  readonly state: AccountState;
  readonly alerts?: readonly Alert[];
}

/** What goes on for a while. Both kinds that are about failures share one. */
const episodeKinds: readonly AlertKind[] = [
  'repeated_failures',
  'password_known',
  'security_key_cloned',
  'totp_replayed',
  'device_replayed',
];

/** A device that has not logged in for so long is new again. */
export const deviceMs = 90 * 86_400_000;

/** Beyond it the one that logged in longest ago is new again. */
const mostDevices = 20;

/** From how many sources these came, as far as they say one. */
export function countSources(
  stamped: readonly (readonly [stamp: number, source: string, ...unknown[]])[],
): number {
  return new Set(stamped.map(([, source]) => source).filter((source) => source !== '')).size;
}

/** The longest window: what is older counts nowhere. */
function longestMs(limits: WatchLimits): number {
  return Math.max(...Object.values(limits).map(({ withinMs }) => withinMs));
}

/** How long it must be kept: a day longer than devices count, as their stamps are a day behind at most. */
export function lifetimeMs({ devices }: AccountState, limits: WatchLimits): number {
  return devices.length > 0 ? deviceMs + 86_400_000 : longestMs(limits);
}

/**
 * Without what counts no more. The newest stay where there are too many, and as many as any threshold asks for: with
 * those it is reached.
 */
export function pruned(state: AccountState, time: number, limits: WatchLimits): AccountState {
  const withinMs = longestMs(limits);
  const { repeatedFailures, passwordKnown } = limits;
  const isLive = (stamp: number): boolean => isWithin(stamp, time, withinMs);
  return {
    failures: newestFailures(
      state.failures.filter(([stamp]) => isLive(stamp)),
      limits,
    ),
    refusals: state.refusals.filter(isLive).slice(-repeatedFailures.count),
    factors: state.factors.filter(([stamp]) => isLive(stamp)).slice(-passwordKnown.count),
    devices: state.devices
      .filter(([stamp]) => isWithin(stamp, time, deviceMs))
      .toSorted(([one], [other]) => one - other)
      .slice(-mostDevices),
    episodes: liveEpisodes(state.episodes, time, withinMs),
  };
}

/** With the last one of each source: one that fails all the time must not push out the others. */
function newestFailures(
  failures: readonly Failure[],
  { repeatedFailures, successAfterFailures, manySources }: WatchLimits,
): readonly Failure[] {
  const from = failures.length - Math.max(repeatedFailures.count, successAfterFailures.count);
  if (from <= 0) return failures;
  const lastOf = new Map(failures.map(([, source], at) => [source, at]));
  const spread = new Set(
    [...lastOf.values()].toSorted((one, other) => one - other).slice(-manySources.count),
  );
  return failures.filter((_, at) => at >= from || spread.has(at));
}

export function isEmpty({ episodes, ...lists }: AccountState): boolean {
  return Object.keys(episodes).length === 0 && Object.values(lists).every((list) => list.length === 0);
}

/** Reads what is kept; what is not exactly ours is left out. */
export function readAccountState(read: unknown): AccountState {
  return {
    failures: listOf(read, 'failures', isFailure),
    refusals: listOf(read, 'refusals', isCount),
    factors: listOf(read, 'factors', isWrongFactor),
    devices: listOf(read, 'devices', isSeenDevice),
    episodes: readEpisodes(own(read, 'episodes'), episodeKinds),
  };
}

export function listOf<T>(read: unknown, name: string, isOne: (entry: unknown) => entry is T): readonly T[] {
  const list = own(read, name);
  return Array.isArray(list) ? (list as unknown[]).filter(isOne) : [];
}

function isFailure(entry: unknown): entry is Failure {
  return isTuple(entry, 3) && isStamped(entry) && (entry[2] === 0 || entry[2] === 1);
}

function isWrongFactor(entry: unknown): entry is WrongFactor {
  return isTuple(entry, 2) && isStamped(entry);
}

function isSeenDevice(entry: unknown): entry is SeenDevice {
  return isTuple(entry, 3) && isStamped(entry) && typeof entry[2] === 'string';
}

function isTuple(entry: unknown, length: number): entry is unknown[] {
  return Array.isArray(entry) && entry.length === length;
}

function isStamped([stamp, text]: readonly unknown[]): boolean {
  return isCount(stamp) && typeof text === 'string';
}
