import type { AlertKind } from './alert.js';
import { isCount, own } from './store-call.js';

/** Since when something goes on that was told of, and when it was last seen, by the store's time. */
export type Episode = readonly [since: number, last: number];

export type Episodes = Readonly<Partial<Record<AlertKind, Episode>>>;

/** Who hammers at an account for a week is told of once a day: one alert of a week ago would be forgotten by then. */
const longestMs = 86_400_000;

/** Whether a time lies within a window. A clock that was set back makes nothing younger than the window is long. */
export function isWithin(stamp: number, time: number, withinMs: number): boolean {
  return Math.abs(time - stamp) < withinMs;
}

/** Notes that it still goes on; null where it does not, and would have to begin anew. */
export function continued(
  episodes: Episodes,
  kind: AlertKind,
  time: number,
  withinMs: number,
): Episodes | null {
  const [since, last] = episodes[kind] ?? [];
  if (since === undefined || last === undefined) return null;
  if (!isWithin(last, time, withinMs) || !isWithin(since, time, longestMs)) return null;
  return { ...episodes, [kind]: [since, time] };
}

/** Without those that nothing has come for in as long as any of them may rest. */
export function liveEpisodes(episodes: Episodes, time: number, withinMs: number): Episodes {
  const live = Object.entries(episodes).filter(([, [, last]]) => isWithin(last, time, withinMs));
  return Object.fromEntries(live);
}

export function readEpisodes(read: unknown, kinds: readonly AlertKind[]): Episodes {
  const episodes = kinds.map((kind) => [kind, own(read, kind)] as const);
  return Object.fromEntries(episodes.filter(([, episode]) => isEpisode(episode)));
}

function isEpisode(value: unknown): value is Episode {
  return Array.isArray(value) && value.length === 2 && value.every(isCount);
}
