import { alertKinds, type AlertSeverity } from '../core/alert.js';
import type { BreachCheckOutcome, TokenCheckOutcome } from '../core/check-channels.js';

interface CounterDefinition {
  readonly help: string;
  /**
   * Every value that a label can have: none comes from a request, so the number of series has a bound. Whatever else
   * a reason may be counts as the last one.
   */
  readonly labels: Readonly<Record<string, readonly string[]>>;
}

const tokenChecks: readonly TokenCheckOutcome[] = ['passed', 'refused', 'undecided'];
const breachChecks: readonly BreachCheckOutcome[] = ['clean', 'breached', 'unavailable'];
const severities: readonly AlertSeverity[] = ['notice', 'warning', 'critical'];

/** Each counter by its name without the prefix. README, "prometheusMetrics", has the same table. */
export const counters = {
  login_attempts_total: {
    help: 'Logins by what became of them; all but succeeded and failed were refused unseen.',
    labels: {
      outcome: [
        'succeeded',
        'failed',
        'locked_out',
        'address_locked_out',
        'busy',
        'second_factor_locked_out',
        'second_factor_busy',
        'other',
      ],
    },
  },
  locks_total: {
    help: 'Locks that failures brought about.',
    labels: { locked: ['account', 'address', 'devices', 'second_factor'] },
  },
  second_factors_requested_total: {
    help: 'Logins whose password was right and that were asked for a second factor.',
    labels: {},
  },
  second_factor_failures_total: {
    help: 'Second factors refused after a right password.',
    labels: {
      reason: ['wrong', 'malformed', 'replayed', 'cloned', 'suspended', 'clock', 'unreadable', 'other'],
    },
  },
  factor_changes_total: {
    help: 'Changes of second factors.',
    labels: { change: ['enrolled', 'removed', 'reset', 'backup_codes_regenerated', 'backup_code_used'] },
  },
  passwords_refused_total: {
    help: 'New passwords refused.',
    labels: { reason: ['breached', 'breach_check_unavailable', 'policy'] },
  },
  breach_checks_total: {
    help: 'New passwords looked up among breached ones.',
    labels: { outcome: breachChecks },
  },
  breach_checks_skipped_total: {
    help: 'New passwords that passed unchecked, as no source could tell.',
    labels: {},
  },
  token_checks_total: {
    help: 'Requests by what requireToken decided; undecided: the store or the app could not tell.',
    labels: { outcome: tokenChecks },
  },
  tokens_issued_total: { help: 'Access tokens issued.', labels: { to: ['login', 'robot'] } },
  tokens_revoked_total: { help: 'Access tokens ended before their time.', labels: {} },
  clients_refused_total: { help: 'Requests of OAuth clients refused.', labels: {} },
  store_failures_total: {
    help: 'Times that a store could not decide; at most one a second for each reason.',
    labels: {},
  },
  config_weaknesses_total: {
    help: 'Settings found that protect less than they seem to; once for each process and reason.',
    labels: {},
  },
  alerts_total: { help: 'Alerts raised.', labels: { kind: [...alertKinds, 'other'], severity: severities } },
} as const satisfies Readonly<Record<string, CounterDefinition>>;

export type CounterName = keyof typeof counters;

export const storeSeconds = {
  name: 'store_seconds',
  help: 'Seconds that a store took to answer.',
  labelNames: ['operation', 'outcome'],
  /** Around 0.7 seconds a store is given up. */
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.7, 1, 2.5],
};

export const lost = {
  name: 'lost',
  help: 'What could not be handed on since the process began: alerts, entries of a log.',
  labelNames: ['what'],
};
