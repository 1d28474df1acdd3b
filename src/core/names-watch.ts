import { listOf } from './account-state.js';
import type { Alert } from './alert.js';
import type { Change } from './document-work.js';
import { isCount, own } from './store-call.js';
import { alertOn } from './watch-alert.js';
import { continued, isWithin, liveEpisodes, readEpisodes } from './watch-episode.js';
import type { WatchLimit } from './watch-options.js';
import type { Sign, WatchSubject } from './watch-sign.js';

/** Failures counted together, and when the first and the last of them were. */
type Slice = readonly [first: number, last: number, times: number];

/** A window is counted in so many slices, each of which begins after the one before has ended: no flood makes more of them. */
const mostSlices = 60;

/**
 * The rule of names that are nobody's. They are counted over all and never named: people type passwords into the name
 * field, and a list that is tried out would otherwise be a million alerts about nobody.
 */
export function watchNames(
  read: unknown,
  signs: readonly Sign[],
  subject: WatchSubject,
  time: number,
  { count, withinMs }: WatchLimit,
): Change<readonly Alert[]> {
  const slices = listOf(read, 'slices', isSlice).filter(([, last]) => isWithin(last, time, withinMs));
  let episodes = liveEpisodes(readEpisodes(own(read, 'episodes'), ['unknown_names']), time, withinMs);
  const alerts: Alert[] = [];
  for (const { times, seen } of signs) {
    const [first = time, , before = 0] = slices.at(-1) ?? [];
    // A slice counts for as long as its last failure does: at most one slice too long, never too short.
    if (isWithin(first, time, withinMs / mostSlices)) slices.splice(-1, 1, [first, time, before + times]);
    else slices.push([time, time, times]);

    const ongoing = continued(episodes, 'unknown_names', time, withinMs);
    const sum = slices.reduce((total, [, , some]) => total + some, 0);
    if (ongoing !== null) episodes = ongoing;
    else if (sum >= count) {
      const since = Math.min(...slices.map(([start]) => start));
      episodes = { unknown_names: [since, time] };
      alerts.push(alertOn('unknown_names', subject, seen, { since, until: time, count: sum }));
    }
  }
  return {
    state: { slices, episodes },
    lifetimeMs: withinMs,
    outcome: alerts,
    isOnce: alerts.length > 0,
  };
}

function isSlice(entry: unknown): entry is Slice {
  return Array.isArray(entry) && entry.length === 3 && entry.every(isCount);
}
