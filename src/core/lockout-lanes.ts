import { createHmac } from 'node:crypto';
import type { AttemptNames } from './attempt.js';
import type { AttemptLimit } from './attempt-window.js';
import { canonicalIdentifier } from './identifier.js';
import { keyHash } from './key-hash.js';
import type { LockoutSettings } from './lockout-options.js';

/** What is tried: passwords, second factors and starts of an enrolment of one account are counted apart. */
export type Guessed = 'password' | 'second factor' | 'enrolment';

/** Who tries. Each lane has limits and counts of its own; together they hold the limits of the account. */
export type Lane = 'strangers' | 'devices';

/** One count: where failures are filed, and what limits them. */
export interface LaneSubject {
  readonly key: string;
  readonly limits: readonly AttemptLimit[];
}

// Where an attempt was counted, for a pending login: the lane and the name of devices, where any are known, and the key.
const countedAs = /^(?:(devices|strangers)\.([0-9a-f]{64})\.)?([0-9a-f]{64})$/;

/** The name of devices that a login was counted under; undefined where none are known. */
export function deviceNameIn(subject: string): string | undefined {
  return countedAs.exec(subject)?.[2];
}

/** The name that a device is bound to: what is counted, whatever the limits. */
export function deviceName(names: AttemptNames): string {
  return keyHash('device', ...keptName(names));
}

/** The counts of accounts and addresses, filed under their limits. */
export class LockoutLanes {
  constructor(
    readonly settings: Pick<
      LockoutSettings,
      'strangerLimits' | 'addressLimits' | 'deviceLimits' | 'eventKey'
    >,
  ) {}

  strangers(kept: readonly string[], guessed: Guessed): LaneSubject {
    const { strangerLimits: limits } = this.settings;
    return { key: keyOf(guessed, limits, kept), limits };
  }

  /** What events call the account that a count is of, the same for all lanes: it cannot be guessed without the key. */
  told(subject: string): string {
    return createHmac('sha256', this.settings.eventKey).update(subject.slice(-64)).digest('hex');
  }

  /** Devices guess passwords: past that, whoever tries has proven one. */
  devices(name: string, guessed: Guessed = 'password'): LaneSubject | undefined {
    const { deviceLimits: limits } = this.settings;
    if (limits === undefined || guessed !== 'password') return undefined;
    return { key: keyOf(guessed, limits, ['known device', name]), limits };
  }

  address(source: string): LaneSubject | undefined {
    const { addressLimits: limits } = this.settings;
    return limits && { key: keyOf('password', limits, ['address', source]), limits };
  }

  /** Where an attempt is counted, in this order: a known device goes on among strangers, never the other way round. */
  ofAttempt(names: AttemptNames, guessed: Guessed): readonly [LaneAttempt, LaneAttempt?] {
    const kept = keptName(names);
    const { strangerLimits: limits } = this.settings;
    const account = { key: keyOf(guessed, limits, kept), limits };
    const address = names.address === undefined ? undefined : this.address(names.address);
    const strangers = [account, ...(address === undefined ? [] : [address])] as const;
    if (this.settings.deviceLimits === undefined)
      return [{ lane: 'strangers', subjects: strangers, subject: account.key }];
    const name = keyHash('device', ...kept);
    const among: LaneAttempt = {
      lane: 'strangers',
      subjects: strangers,
      subject: `strangers.${name}.${account.key}`,
    };
    const own = names.isKnownDevice === true ? this.devices(name, guessed) : undefined;
    if (own === undefined) return [among];
    // Not by address: a vandal behind the same one would lock the owner out.
    return [{ lane: 'devices', subjects: [own], subject: `devices.${name}.${account.key}` }, among];
  }

  /** Where a pending login was counted; null for what no lockout of these lanes has written. */
  ofLogin(subject: string): { readonly lane: Lane; readonly counted: LaneSubject } | null {
    const [, lane = 'strangers', name = '', key] = countedAs.exec(subject) ?? [];
    if (key === undefined) return null;
    if (lane === 'strangers') return { lane, counted: { key, limits: this.settings.strangerLimits } };
    const counted = this.devices(name);
    return counted === undefined ? null : { lane: 'devices', counted };
  }

  /** The counts of an account, by what was counted: the identifier, or what the `subject` option answered. */
  ofAccount(
    account: string | readonly string[],
    guessed: Guessed,
  ): Readonly<Record<Lane, readonly LaneSubject[]>> {
    const identifier = canonicalIdentifier(account);
    const names = [
      ['account', ...[account].flat()],
      ...(identifier === null ? [] : [['identifier', identifier]]),
    ];
    return {
      strangers: names.map((kept) => this.strangers(kept, guessed)),
      devices: names.flatMap((kept) => this.devices(keyHash('device', ...kept), guessed) ?? []),
    };
  }
}

/** One lane of an attempt: all its subjects are counted, or none. */
export interface LaneAttempt {
  readonly lane: Lane;
  readonly subjects: readonly [LaneSubject, ...LaneSubject[]];
  /** For a pending login to be bound to. */
  readonly subject: string;
}

function keptName({ identifier, account }: AttemptNames): readonly string[] {
  return account === undefined ? ['identifier', identifier] : ['account', ...[account].flat()];
}

/** Under other limits a record would be cut to the wrong length: each set of limits keeps records of its own. */
function keyOf(guessed: Guessed, limits: readonly AttemptLimit[], name: readonly string[]): string {
  const policy = limits
    .map(({ failures, withinMs, lockMs }) => `${failures}/${withinMs}/${lockMs}`)
    .join(',');
  return keyHash(guessed, policy, ...name);
}
