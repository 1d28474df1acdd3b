import { listOf } from './account-state.js';
import { alertKinds, type Alert, type AlertKind } from './alert.js';
import type { Change } from './document-work.js';
import { isCount, own } from './store-call.js';
import { alertId, blankAlert } from './watch-alert.js';
import { isWithin } from './watch-episode.js';

export interface BudgetLimits {
  readonly alertsPerMinute: number;
  readonly digestMs: number;
}

/** What is to be handed to the sinks now, and when to look again; null for a digest that has not begun. */
export interface BudgetVerdict {
  readonly alerts: readonly Alert[];
  readonly dueMs: number | null;
}

/** Anybody can cause these, at any rate and about anybody; the rest takes a known password. */
const cheapKinds: ReadonlySet<AlertKind> = new Set([
  'repeated_failures',
  'many_sources',
  'password_spraying',
  'unknown_names',
]);

/** What alerts go out by: a flood of what anybody can cause leaves the owner's news of a thief's login theirs. */
type Lane = 'cheap' | 'proven' | 'critical';

const criticalPerMinute = 60;

const minuteMs = 60_000;

/** Accounts that a digest names. An operator who must know all of them asks the login log. */
const mostAccounts = 50;

/** The digest must still be there when the processes come back, after a long week-end too. */
const lifetimeMs = 30 * 86_400_000;

interface Digest {
  readonly since: number;
  readonly until: number;
  readonly isCritical: boolean;
  readonly kinds: Readonly<Partial<Record<AlertKind, number>>>;
  readonly accounts: readonly string[];
}

/**
 * The rule of messages, for all processes together. Each alert goes out by itself while its budget lasts, and is counted
 * in the digest after that. The process whose write takes the digest away sends it.
 *
 * @param alerts - Raised since the last look; null for a look alone.
 */
export function spendBudget(
  read: unknown,
  alerts: readonly (Alert | null)[],
  time: number,
  { alertsPerMinute, digestMs }: BudgetLimits,
): Change<BudgetVerdict> {
  const spent = {
    cheap: liveStamps(read, 'cheap', time),
    proven: liveStamps(read, 'proven', time),
    critical: liveStamps(read, 'critical', time),
  };
  const out: Alert[] = [];
  let digest = readDigest(own(read, 'digest'));
  const isDue = digest !== null && !isWithin(digest.since, time, digestMs);
  if (digest !== null && isDue) {
    out.push(digestAlert(digest));
    digest = null;
  }
  for (const alert of alerts) {
    if (alert === null) continue;
    const lane = laneOf(alert);
    const stamps = spent[lane];
    if (stamps.length >= (lane === 'critical' ? criticalPerMinute : alertsPerMinute)) {
      digest = addedTo(digest, alert, time);
    } else {
      stamps.push(time);
      out.push(alert);
    }
  }
  return {
    state: { ...spent, digest },
    lifetimeMs,
    outcome: {
      alerts: out,
      dueMs: digest === null ? null : Math.max(digest.since + digestMs - time, 0),
    },
    isOnce: isDue,
  };
}

function laneOf({ kind, severity }: Alert): Lane {
  if (severity === 'critical') return 'critical';
  return cheapKinds.has(kind) ? 'cheap' : 'proven';
}

function liveStamps(read: unknown, name: string, time: number): number[] {
  return listOf(read, name, isCount).filter((stamp) => isWithin(stamp, time, minuteMs));
}

function addedTo(digest: Digest | null, alert: Alert, time: number): Digest {
  const { since = time, isCritical = false, kinds = {}, accounts = [] } = digest ?? {};
  const { kind, severity, account } = alert;
  const isSample = account !== null && accounts.length < mostAccounts && !accounts.includes(account);
  return {
    since,
    until: time,
    isCritical: isCritical || severity === 'critical',
    kinds: { ...kinds, [kind]: (kinds[kind] ?? 0) + 1 },
    accounts: isSample ? [...accounts, account] : accounts,
  };
}

function digestAlert({ since, until, isCritical, kinds, accounts }: Digest): Alert {
  const count = Object.values(kinds).reduce((sum, some) => sum + some, 0);
  const counted = { since, until, count, accounts: accounts.length };
  return {
    ...blankAlert('digest', counted, alertId('digest', String(since), String(until))),
    ...(isCritical && { severity: 'critical' }),
    digest: { kinds, accounts },
  };
}

function readDigest(read: unknown): Digest | null {
  const [since, until] = [own(read, 'since'), own(read, 'until')];
  if (!isCount(since) || !isCount(until)) return null;
  const counts = alertKinds.map((kind) => [kind, own(own(read, 'kinds'), kind)] as const);
  return {
    since,
    until,
    isCritical: own(read, 'isCritical') === true,
    kinds: Object.fromEntries(counts.filter(([, count]) => isCount(count))),
    accounts: listOf(read, 'accounts', (one): one is string => typeof one === 'string'),
  };
}
