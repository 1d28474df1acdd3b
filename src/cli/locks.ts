import type { Lockout } from '../core/lockout.js';
import type { SecondFactors } from '../core/second-factors.js';
import { spanOf } from '../core/time-span.js';
import type { Asked, Command, Outcome } from './command.js';
import { Failure, Misuse } from './failure.js';
import type { LogEntry } from '../core/log-entry.js';
import type { LoginLog } from '../core/login-log.js';
import { shown, shownTime, table } from './output.js';

const defaultLimit = 50;
const dayMs = 86_400_000;
/** Entries looked at: an attack on thousands of accounts must not keep the operator waiting. */
const mostEntries = 5000;
const pageSize = 200;

const kinds = {
  'account.locked': 'account',
  'devices.locked': 'devices',
  'address.locked': 'address',
  'second_factor.locked': 'second factor',
} as const;

type LockName = keyof typeof kinds;

/** Something that is closed now. */
interface Lock {
  readonly kind: (typeof kinds)[LockName];
  /** Account id, or address; null for an account that only its key is known of. */
  readonly name: string | null;
  readonly subject: string | null;
  readonly retryAfterSeconds: number;
  /** In each window; null where only the key is known. */
  readonly failures: readonly number[] | null;
  /** When the failure that locked was logged. */
  readonly lockedAt: number;
}

/**
 * Keys in the store are hashes, so it cannot be asked who is locked. The log can, of the last day; the lockout then
 * says who still is.
 */
export const locks: Command = {
  summary:
    'what is locked now, of what was locked in the last day (needs attempts and log; factors if you have them)',
  usage: '[--limit N]',
  flags: ['limit'],
  name: 'none',
  async run({ config, flags, now }: Asked): Promise<Outcome> {
    const limit = readLimit(flags.limit);
    const attempts = config.need('attempts', 'locks');
    const log = config.find('log');
    if (log === undefined) {
      throw new Failure(
        'locks needs the export log, made by new LoginLog(): keys in the store are hashes, and only the log has the ' +
          'names behind them. Without it, ask for one name: koa-portcullis why NAME',
      );
    }
    const { entries, complete } = await lockedSince(log, Math.max(0, now() - dayMs));
    const found: Lock[] = [];
    for (const entry of entries) {
      if (found.length >= limit) break;
      // oxlint-disable-next-line no-await-in-loop -- as many as are asked for, and not thousands at once
      const lock = await stateOf(entry, attempts, config.find('factors'), now());
      if (lock !== null) found.push(lock);
    }
    const isCut = !complete || found.length >= limit;
    return { lines: linesOf(found, isCut), value: { locks: found, complete: !isCut } };
  },
};

function readLimit(given: string | undefined): number {
  if (given === undefined) return defaultLimit;
  const limit = /^\d{1,4}$/.test(given) ? Number(given) : 0;
  if (limit < 1) throw new Misuse('--limit must be a number from 1 to 9999');
  return limit;
}

/** The newest entry of each thing that was locked. */
async function lockedSince(
  log: LoginLog,
  since: number,
): Promise<{ readonly entries: readonly LogEntry[]; readonly complete: boolean }> {
  const newest = new Map<string, LogEntry>();
  let cursor: string | null | undefined;
  for (let read = 0; read < mostEntries && cursor !== null; read += pageSize) {
    const search = {
      names: Object.keys(kinds),
      since,
      limit: pageSize,
      ...(cursor !== undefined && { cursor }),
    };
    // oxlint-disable-next-line no-await-in-loop -- each page begins where the one before ended
    const page = await log.query(search);
    for (const entry of page.entries) {
      const { name, account, subject, ip } = entry;
      const key = JSON.stringify([name, name === 'address.locked' ? ip : (account ?? subject)]);
      if (!newest.has(key)) newest.set(key, entry);
    }
    cursor = page.next;
  }
  return { entries: [...newest.values()], complete: cursor === null };
}

/** Null for what is open again. */
async function stateOf(
  { name, account, subject, ip, time, retryAfterSeconds: lockedSeconds }: LogEntry,
  attempts: Lockout,
  factors: SecondFactors | undefined,
  now: number,
): Promise<Lock | null> {
  const kind = kinds[name as LockName];
  const lock = (
    whose: string | null,
    state: {
      readonly locked: boolean;
      readonly retryAfterSeconds: number;
      readonly failures: readonly number[] | null;
    },
  ): Lock | null => {
    const { locked, retryAfterSeconds, failures } = state;
    return locked ? { kind, name: whose, subject, retryAfterSeconds, failures, lockedAt: time } : null;
  };
  if (name === 'address.locked') return ip === null ? null : lock(ip, await attempts.statusOfAddress(ip));
  if (name === 'second_factor.locked') {
    return account === null || factors === undefined
      ? null
      : lock(account, await factors.standing({ id: account }));
  }
  if (account !== null) {
    const { devices, ...strangers } = await attempts.status(account);
    return lock(account, name === 'devices.locked' ? (devices ?? strangers) : strangers);
  }
  // Only the log knows of it: what events call a name leads to no count. One that was unlocked since is still listed.
  const leftMs = time + (lockedSeconds ?? 0) * 1000 - now;
  return lock(null, { locked: leftMs > 0, retryAfterSeconds: Math.ceil(leftMs / 1000), failures: null });
}

function linesOf(found: readonly Lock[], isCut: boolean): string[] {
  if (found.length === 0) return ['Nothing is locked.'];
  const rows = found.map(({ kind, name, subject, retryAfterSeconds, failures, lockedAt }) => [
    kind,
    name === null ? `name not known (${(subject ?? '').slice(0, 12)})` : shown(name),
    spanOf(retryAfterSeconds),
    failures === null ? '' : failures.join(', '),
    shownTime(lockedAt),
  ]);
  const lines = table(['LOCKED', 'WHO', 'OPENS IN', 'FAILURES', 'SINCE'], rows);
  return isCut ? [...lines, 'There may be more: raise --limit.'] : lines;
}
