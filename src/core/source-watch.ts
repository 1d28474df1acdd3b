import { listOf } from './account-state.js';
import type { Alert } from './alert.js';
import type { Change } from './document-work.js';
import { isCount, own } from './store-call.js';
import { alertOn } from './watch-alert.js';
import { continued, isWithin, liveEpisodes, readEpisodes, type Episodes } from './watch-episode.js';
import type { WatchLimit } from './watch-options.js';
import type { Sign, WatchSubject } from './watch-sign.js';

/** An account or name that failed from a source: when first, when last and how often. */
type Tried = readonly [member: string, first: number, last: number, times: number];

interface SourceState {
  readonly tried: readonly Tried[];
  readonly episodes: Episodes;
}

/**
 * The rule of sources. An account that logs in after all is taken off: an office behind one address mistypes and
 * succeeds. So an attacker who knows some passwords takes those accounts off, and no other.
 */
export function watchSource(
  read: unknown,
  signs: readonly Sign[],
  subject: WatchSubject,
  time: number,
  limit: WatchLimit,
): Change<readonly Alert[]> {
  let state: SourceState = {
    tried: listOf(read, 'tried', isTried).filter(([, , last]) => isWithin(last, time, limit.withinMs)),
    episodes: liveEpisodes(readEpisodes(own(read, 'episodes'), ['password_spraying']), time, limit.withinMs),
  };
  const alerts: Alert[] = [];
  for (const sign of signs) {
    const { alert, ...next } = see(state, sign, subject, time, limit);
    state = next;
    if (alert !== null) alerts.push(alert);
  }
  const isEmpty = state.tried.length === 0 && Object.keys(state.episodes).length === 0;
  return {
    state: isEmpty ? null : state,
    lifetimeMs: limit.withinMs,
    outcome: alerts,
    isOnce: alerts.length > 0,
  };
}

function see(
  { tried: before, episodes }: SourceState,
  { type, members, times, seen }: Sign,
  subject: WatchSubject,
  time: number,
  { count, withinMs }: WatchLimit,
): SourceState & { readonly alert: Alert | null } {
  const others = before.filter(([member]) => !members.includes(member));
  if (type === 'succeeded') return { tried: others, episodes, alert: null };

  const tried = [...others];
  if (type === 'failed') {
    for (const member of members) {
      const [, first = time, , until = 0] = before.find(([one]) => one === member) ?? [];
      tried.push([member, first, time, until + times]);
    }
  }
  // Of more than the threshold nobody asks: the newest are kept, and the document stays small.
  const kept = tried.slice(-count);
  const ongoing = continued(episodes, 'password_spraying', time, withinMs);
  if (ongoing !== null) return { tried: kept, episodes: ongoing, alert: null };
  if (kept.length < count) return { tried: kept, episodes, alert: null };
  const counted = {
    since: Math.min(...kept.map(([, first]) => first)),
    until: time,
    count: kept.reduce((sum, [, , , times]) => sum + times, 0),
    accounts: kept.length,
    sources: 1,
  };
  const alert = alertOn('password_spraying', subject, seen, counted);
  return { tried: kept, episodes: { ...episodes, password_spraying: [alert.since, time] }, alert };
}

function isTried(entry: unknown): entry is Tried {
  if (!Array.isArray(entry) || entry.length !== 4) return false;
  const [member, ...numbers] = entry as unknown[];
  return typeof member === 'string' && numbers.every(isCount);
}
