import type { AuthEvent } from '../core/auth-event.js';
import type { CounterName } from './metric-names.js';

export type Count = (name: CounterName, labels?: Readonly<Record<string, string>>, by?: number) => void;

/** Which counter an event belongs to. Reasons are words with spaces there and labels here. */
export function countEvent(event: AuthEvent, count: Count): void {
  switch (event.name) {
    case 'login.succeeded':
      return count('login_attempts_total', { outcome: 'succeeded' });
    case 'login.failed':
      return count('login_attempts_total', { outcome: 'failed' });
    case 'login.refused':
      return count('login_attempts_total', { outcome: event.reason.replaceAll(' ', '_') });
    case 'account.locked':
      return count('locks_total', { locked: 'account' });
    case 'address.locked':
      return count('locks_total', { locked: 'address' });
    case 'devices.locked':
      return count('locks_total', { locked: 'devices' });
    case 'second_factor.locked':
      return count('locks_total', { locked: 'second_factor' });
    case 'second_factor.requested':
      return count('second_factors_requested_total');
    case 'second_factor.failed':
      return count('second_factor_failures_total', { reason: event.reason });
    case 'second_factor.unreadable':
      return count('second_factor_failures_total', { reason: 'unreadable' });
    case 'factor.enrolled':
      return count('factor_changes_total', { change: 'enrolled' });
    case 'factor.removed':
      return count('factor_changes_total', { change: 'removed' });
    case 'factors.reset':
      return count('factor_changes_total', { change: 'reset' });
    case 'backup_codes.regenerated':
      return count('factor_changes_total', { change: 'backup_codes_regenerated' });
    case 'backup_code.used':
      return count('factor_changes_total', { change: 'backup_code_used' });
    case 'password.refused':
      return count('passwords_refused_total', { reason: event.reason });
    case 'breach.skipped':
      return count('breach_checks_skipped_total');
    case 'token.issued':
      return count('tokens_issued_total', { to: event.issuer === undefined ? 'login' : 'robot' });
    case 'token.revoked':
      return count('tokens_revoked_total');
    case 'tokens.revoked':
      return count('tokens_revoked_total', {}, event.count);
    case 'client.refused':
      return count('clients_refused_total');
    case 'store.failed':
      return count('store_failures_total');
    case 'config.weak':
      return count('config_weaknesses_total');
    // What comes with another event that is counted, and what concerns an owner and no operator.
    default:
  }
}
