import type { Rule } from './options.js';

/** What an alert can be about. README, "Alerts", says of each when it is raised and whom it concerns. */
export const alertKinds = [
  'repeated_failures',
  'many_sources',
  'password_known',
  'success_after_failures',
  'new_device',
  'new_place',
  'security_key_cloned',
  'totp_replayed',
  'device_replayed',
  'backup_code_used',
  'factor_removed',
  'factors_reset',
  'password_spraying',
  'unknown_names',
  'digest',
] as const;

export type AlertKind = (typeof alertKinds)[number];

/** How soon somebody should look: `critical` means that somebody else may know the password, or be in. */
export type AlertSeverity = 'notice' | 'warning' | 'critical';

/**
 * One episode of something that an owner or an operator should know of: raised once, by one of all processes, with
 * what was seen until then. Never a secret, nor a name that proved to be nobody's. Texts that a client wrote are cut
 * and escaped.
 */
export interface Alert {
  /** The same for one episode wherever it is told: receivers know by it what they have had. */
  readonly id: string;
  readonly kind: AlertKind;
  readonly severity: AlertSeverity;
  /** Id of the account that it is about; null where that is not known, or it is about none. */
  readonly account: string | null;
  /** The lockout's HMAC of the name that was tried, where the account is not known. */
  readonly subject: string | null;
  /** The address that it came from last, or for spraying the source (an IPv4 address or an IPv6 /64); null for none. */
  readonly address: string | null;
  /** As the client wrote it last, cut and escaped; null for none. */
  readonly userAgent: string | null;
  /** Id of the last request; null for none. */
  readonly requestId: string | null;
  /** When the first and the last of it happened, in milliseconds since the epoch. */
  readonly since: number;
  readonly until: number;
  /** How often it happened until now. */
  readonly count: number;
  /** How many accounts and how many sources were seen in it, as far as they are told apart. */
  readonly accounts: number;
  readonly sources: number;
  /** Who did it, for what one account did to another. */
  readonly actor: string | null;
  /** Of a digest: how many alerts of each kind it stands for, and some of the accounts that they are about. */
  readonly digest: {
    readonly kinds: Readonly<Partial<Record<AlertKind, number>>>;
    readonly accounts: readonly string[];
  } | null;
}

/** Where alerts go: mail, a webhook, a log. */
export interface AlertSink {
  /** For logs and figures: 1 to 32 letters, digits, `_` or `-`. */
  readonly name: string;
  /**
   * Hands one alert on. Rejects where that failed, and is then asked again later, with the same id. It must give up when
   * `signal` is aborted.
   */
  send(alert: Alert, signal: AbortSignal): Promise<void>;
}

export const sinkList: Rule = {
  demand: 'a list of alert sinks such as logAlerts(logger)',
  accepts: (value) => Array.isArray(value) && Array.from<unknown>(value).every(isSink),
};

function isSink(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, send } = value as { name?: unknown; send?: unknown };
  return typeof name === 'string' && /^[\w-]{1,32}$/.test(name) && typeof send === 'function';
}
