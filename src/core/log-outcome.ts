import type { AuthEvent } from './auth-event.js';
import { own } from './store-call.js';

/**
 * What became of it: `succeeded`, `failed` (a secret was wrong), `refused` (not looked at, or not allowed), `locked`,
 * `requested` (a factor is asked for), `issued` and `revoked` (tokens), `changed` (what a login needs), `noticed` (worth
 * a look, and decides nothing) and `lost` (entries that could not be kept).
 */
export const logOutcomes = [
  'succeeded',
  'failed',
  'refused',
  'locked',
  'requested',
  'issued',
  'revoked',
  'changed',
  'noticed',
  'lost',
] as const;

export type LogOutcome = (typeof logOutcomes)[number];

/** Null for what is about the service, and not about a login or what it needs: that is for the app's own log. */
const outcomes: Readonly<Record<AuthEvent['name'], LogOutcome | null>> = {
  'login.succeeded': 'succeeded',
  'login.failed': 'failed',
  'login.refused': 'refused',
  'account.locked': 'locked',
  'address.locked': 'locked',
  'devices.locked': 'locked',
  'second_factor.requested': 'requested',
  'second_factor.failed': 'failed',
  'second_factor.locked': 'locked',
  'second_factor.unreadable': 'failed',
  'totp.replayed': 'noticed',
  'totp.suspended': 'locked',
  'clock.turned_back': 'noticed',
  'backup_code.used': 'noticed',
  'backup_codes.depleted': 'noticed',
  'backup_codes.regenerated': 'changed',
  'security_key.cloned': 'noticed',
  'factor.enrolled': 'changed',
  'factor.removed': 'changed',
  'factor.renamed': 'changed',
  'factor.change_refused': 'refused',
  'factors.reset_refused': 'refused',
  'factors.reset': 'changed',
  'pending_login.exhausted': 'locked',
  'token.issued': 'issued',
  'token.revoked': 'revoked',
  'tokens.revoked': 'revoked',
  'tokens.access_refused': 'refused',
  'device.added': 'noticed',
  'device.revoked': 'revoked',
  'device.replayed': 'noticed',
  'devices.revoked': 'revoked',
  'client.refused': 'refused',
  'password.refused': 'refused',
  'breach.skipped': 'noticed',
  'store.failed': null,
  'config.weak': null,
};

/** Null for an event that the log does not keep. */
export function outcomeOf(event: AuthEvent): LogOutcome | null {
  // Anybody can emit what is none.
  const name = own(event, 'name');
  return typeof name === 'string' && Object.hasOwn(outcomes, name) ? outcomes[event.name] : null;
}
