import {
  countSources,
  isEmpty,
  lifetimeMs,
  pruned,
  readAccountState,
  type AccountState,
  type Failure,
  type Look,
  type Step,
} from './account-state.js';
import { seeSuccess } from './account-success.js';
import type { Alert, AlertKind } from './alert.js';
import type { Change } from './document-work.js';
import { alertOn, type Counted } from './watch-alert.js';
import { continued, isWithin } from './watch-episode.js';
import type { Sign } from './watch-sign.js';

const hourMs = 3_600_000;

/** The rule of accounts: what is kept, and what is to be told, after these signs. */
export function watchAccount(read: unknown, signs: readonly Sign[], look: Look): Change<readonly Alert[]> {
  let state = pruned(readAccountState(read), look.time, look.limits);
  const alerts: Alert[] = [];
  for (const sign of signs) {
    const step = see(state, sign, look);
    state = pruned(step.state, look.time, look.limits);
    alerts.push(...(step.alerts ?? []));
  }
  return {
    state: isEmpty(state) ? null : state,
    lifetimeMs: lifetimeMs(state, look.limits),
    outcome: alerts,
    isOnce: alerts.length > 0,
  };
}

function see(state: AccountState, sign: Sign, look: Look): Step {
  switch (sign.type) {
    case 'failed':
    case 'refused':
    case 'locked':
      return seeFailure(state, sign, look);
    case 'factor_failed':
    case 'factor_refused':
    case 'factors_spent':
      return seeFactor(state, sign, look);
    case 'cloned':
      return seeOne('security_key_cloned', state, sign, look);
    case 'replayed':
      return seeOne('totp_replayed', state, sign, look);
    case 'device_replayed':
      return seeOne('device_replayed', state, sign, look);
    case 'succeeded':
      return seeSuccess(state, sign, look);
  }
}

/**
 * Failures, and refusals of a locked account, which anybody can cause as fast as he likes: in a list of their own they
 * push no guess out of the list that a success is compared with.
 */
function seeFailure(before: AccountState, sign: Sign, { limits, subject, time }: Look): Step {
  const { repeatedFailures, manySources } = limits;
  const kept = Math.min(sign.times, repeatedFailures.count);
  const failures = sign.type === 'failed' ? repeat<Failure>([time, sign.source, 0], sign.times) : [];
  const refusals = sign.type === 'refused' ? repeat(time, kept) : [];
  const state = {
    ...before,
    failures: [...before.failures, ...failures],
    refusals: [...before.refusals, ...refusals],
  };
  const episodes = continued(state.episodes, 'repeated_failures', time, repeatedFailures.withinMs);
  if (episodes !== null) return { state: { ...state, episodes } };

  const counted = countFailures(state, time, repeatedFailures.withinMs);
  const spread = countFailures(state, time, manySources.withinMs);
  const isMany = counted.count >= repeatedFailures.count || sign.type === 'locked';
  if (!isMany && spread.sources < manySources.count) return { state };
  const kind = isMany ? 'repeated_failures' : 'many_sources';
  const alert = alertOn(kind, subject, sign.seen, isMany ? counted : spread);
  return {
    // One episode for both: who is told of the one needs no letter about the other.
    state: { ...state, episodes: { ...state.episodes, repeated_failures: [alert.since, time] } },
    alerts: [alert],
  };
}

function countFailures(
  { failures, refusals }: AccountState,
  time: number,
  withinMs: number,
): Required<Counted> {
  const guesses = failures.filter(([stamp]) => isWithin(stamp, time, withinMs));
  const refused = refusals.filter((stamp) => isWithin(stamp, time, withinMs));
  return {
    since: Math.min(time, ...guesses.map(([stamp]) => stamp), ...refused),
    until: time,
    count: Math.max(guesses.length + refused.length, 1),
    accounts: 1,
    sources: countSources(guesses),
  };
}

/** Whoever gets as far as a second factor knows the password. A typing error is not enough to say that it is a thief. */
function seeFactor(before: AccountState, sign: Sign, { limits, subject, time }: Look): Step {
  const { count, withinMs } = limits.passwordKnown;
  const wrong = sign.type === 'factor_failed' ? repeat([time, sign.source] as const, sign.times) : [];
  const state = { ...before, factors: [...before.factors, ...wrong] };
  const episodes = continued(state.episodes, 'password_known', time, withinMs);
  if (episodes !== null) return { state: { ...state, episodes } };

  const counted = state.factors.filter(([stamp]) => isWithin(stamp, time, withinMs));
  if (counted.length < count && sign.type !== 'factors_spent') return { state };
  const alert = alertOn('password_known', subject, sign.seen, {
    since: Math.min(time, ...counted.map(([stamp]) => stamp)),
    until: time,
    count: Math.max(counted.length, 1),
    accounts: 1,
    sources: countSources(counted),
  });
  return {
    state: { ...state, episodes: { ...state.episodes, password_known: [alert.since, time] } },
    alerts: [alert],
  };
}

/** Told of at once. Who repeats it within the hour is not told of again. */
function seeOne(kind: AlertKind, state: AccountState, sign: Sign, { subject, time }: Look): Step {
  const episodes = continued(state.episodes, kind, time, hourMs);
  if (episodes !== null) return { state: { ...state, episodes } };
  const sources = sign.source === '' ? 0 : 1;
  const counted = { since: time, until: time, count: sign.times, accounts: 1, sources };
  return {
    state: { ...state, episodes: { ...state.episodes, [kind]: [time, time] } },
    alerts: [alertOn(kind, subject, sign.seen, counted)],
  };
}

/** As many as any threshold can ask for: one sign may stand for thousands. */
function repeat<T>(one: T, times: number): T[] {
  return Array.from({ length: Math.min(times, 1000) }, () => one);
}
