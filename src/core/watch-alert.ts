import type { Alert, AlertKind, AlertSeverity } from './alert.js';
import type { AuthEvent } from './auth-event.js';
import { canonicalAddress } from './address-source.js';
import { keyHash } from './key-hash.js';
import { keyOf, type Seen, type WatchSubject } from './watch-sign.js';

const severities: Readonly<Record<AlertKind, AlertSeverity>> = {
  repeated_failures: 'warning',
  many_sources: 'warning',
  password_known: 'critical',
  success_after_failures: 'critical',
  new_device: 'notice',
  new_place: 'notice',
  security_key_cloned: 'critical',
  totp_replayed: 'warning',
  device_replayed: 'warning',
  backup_code_used: 'notice',
  factor_removed: 'warning',
  factors_reset: 'critical',
  password_spraying: 'warning',
  unknown_names: 'warning',
  digest: 'warning',
};

/** What was counted until an alert was raised. */
export interface Counted {
  readonly since: number;
  readonly until: number;
  readonly count: number;
  readonly accounts?: number;
  readonly sources?: number;
}

/**
 * @param detail - Tells apart what can begin in one millisecond for one subject.
 */
export function alertOn(
  kind: AlertKind,
  subject: WatchSubject,
  seen: Seen,
  counted: Counted,
  { account = null, detail = '' }: { readonly account?: string | null; readonly detail?: string } = {},
): Alert {
  const isSource = subject.kind === 'source';
  return {
    ...blankAlert(kind, counted, alertId(kind, keyOf(subject), String(counted.since), detail)),
    account: subject.kind === 'account' ? subject.name : account,
    subject: subject.kind === 'subject' ? subject.name : null,
    address: isSource ? subject.name : seen.address,
    userAgent: seen.userAgent,
    requestId: seen.requestId,
  };
}

/** An alert that names nobody. */
export function blankAlert(kind: AlertKind, counted: Counted, id: string): Alert {
  const { since, until, count, accounts = 0, sources = 0 } = counted;
  return {
    id,
    kind,
    severity: severities[kind],
    account: null,
    subject: null,
    address: null,
    userAgent: null,
    requestId: null,
    since,
    until,
    count,
    accounts,
    sources,
    actor: null,
    digest: null,
  };
}

export function alertId(kind: AlertKind, ...parts: readonly string[]): string {
  return keyHash('alert', kind, ...parts).slice(0, 32);
}

const kindOfEvent = {
  'backup_code.used': 'backup_code_used',
  'factor.removed': 'factor_removed',
  'factors.reset': 'factors_reset',
} as const;

/**
 * The alert of an event that is one by itself: each such step is taken once, by one process, and each is its owner's to
 * know. Null for any other.
 */
export function alertOfEvent(event: AuthEvent): Alert | null {
  if (!isAlertByItself(event)) return null;
  const { account, time, ip, userAgent, requestId } = event;
  const kind = kindOfEvent[event.name];
  const seen = { address: canonicalAddress(ip), userAgent, requestId };
  const counted = { since: time, until: time, count: 1, accounts: 1, sources: ip === '' ? 0 : 1 };
  // All that it says: the id of a request alone is the client's to choose, and could make one alert of two.
  const detail = JSON.stringify(event);
  const alert = alertOn(kind, { kind: 'account', name: account }, seen, counted, { detail });
  return event.name === 'factors.reset' ? { ...alert, actor: event.actor } : alert;
}

function isAlertByItself(event: AuthEvent): event is Extract<AuthEvent, { name: keyof typeof kindOfEvent }> {
  return Object.hasOwn(kindOfEvent, event.name);
}
