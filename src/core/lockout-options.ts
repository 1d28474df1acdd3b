import { limitList, readLimits, type LockoutLimit } from './attempt-limits.js';
import { randomBytes } from 'node:crypto';
import { attemptStoreMethods, type AttemptStore } from './attempt-store.js';
import type { AttemptLimit } from './attempt-window.js';
import { keyRule, readKey, type FactorKey } from './key-ring.js';
import { knownDevices, type KnownDevices } from './known-devices.js';
import { offering, readOptions, required } from './options.js';

export interface LockoutOptions {
  /** Where attempts are counted: `memoryStore()` for one process, `redisStore(redis)` or `sqlStore(kysely)` for several. */
  readonly store: AttemptStore;
  /**
   * Failed attempts allowed for one account, shortest window first.
   *
   * @default 10 in 1 minute, 20 in 1 hour, 40 in 1 day; each locks for as long as its window
   */
  readonly limits?: readonly LockoutLimit[];
  /**
   * Failed attempts allowed from one client address (IPv6: one /64) over all accounts, or false for none.
   *
   * @default 100 in 1 minute, 300 in 1 hour, 1,000 in 1 day
   */
  readonly addressLimits?: readonly LockoutLimit[] | false;
  /**
   * Devices that logged in before. Their attempts are counted apart, so that strangers who use up theirs lock out
   * strangers.
   *
   * @default none is known, and all attempts at an account are counted together
   */
  readonly devices?: KnownDevices;
  /**
   * How many of the failures in `limits` are kept for an account's known devices, in the same windows; strangers have
   * the rest.
   *
   * @default 2 in 1 minute, 4 in 1 hour, 5 in 1 day
   */
  readonly deviceLimits?: readonly LockoutLimit[];
  /**
   * 32 random bytes, the same in all processes: what was typed as a name is told in events, as `subject`, by an HMAC under
   * them. People type passwords into the name field, and a bare hash of one is guessed from a log.
   *
   * @default random: other processes tell the same name by another subject
   */
  readonly eventKey?: FactorKey;
}

/** The options as they are counted by. */
export interface LockoutSettings {
  readonly store: AttemptStore;
  /** Of an account, over all its lanes. */
  readonly limits: readonly AttemptLimit[];
  /** What of that strangers have: all, where no devices are known. */
  readonly strangerLimits: readonly AttemptLimit[];
  readonly addressLimits: readonly AttemptLimit[] | undefined;
  readonly devices: KnownDevices | undefined;
  readonly deviceLimits: readonly AttemptLimit[] | undefined;
  readonly eventKey: Buffer;
}

/** @throws {TypeError} on an unknown option, a wrong value, or limits out of order. */
export function readLockoutOptions(given: LockoutOptions): LockoutSettings {
  const {
    store,
    limits: all = [
      { failures: 10, withinSeconds: 60 },
      { failures: 20, withinSeconds: 3600 },
      { failures: 40, withinSeconds: 86_400 },
    ],
    addressLimits = [
      { failures: 100, withinSeconds: 60 },
      { failures: 300, withinSeconds: 3600 },
      { failures: 1000, withinSeconds: 86_400 },
    ],
    devices,
    deviceLimits: ofDevices,
    eventKey,
  } = readOptions<LockoutOptions>('Lockout', given, {
    store: required(
      offering('an attempt store such as memoryStore() or redisStore(redis)', ...attemptStoreMethods),
    ),
    limits: limitList,
    addressLimits: {
      demand: 'a list of limits, or false',
      accepts: (v) => v === false || Array.isArray(v),
    },
    devices: knownDevices,
    deviceLimits: limitList,
    eventKey: keyRule,
  });
  if (devices === undefined && ofDevices !== undefined)
    throw new TypeError('Lockout: option deviceLimits needs option devices');
  const limits = readLimits('Lockout', all);
  const deviceLimits = devices && readDeviceLimits(limits, ofDevices);
  return {
    store,
    limits,
    strangerLimits: deviceLimits === undefined ? limits : restOf(limits, deviceLimits),
    addressLimits: addressLimits === false ? undefined : readLimits('Lockout address', addressLimits),
    devices,
    deviceLimits,
    eventKey: readKey(eventKey) ?? randomBytes(32),
  };
}

function readDeviceLimits(
  limits: readonly AttemptLimit[],
  given: readonly LockoutLimit[] = [
    { failures: 2, withinSeconds: 60 },
    { failures: 4, withinSeconds: 3600 },
    { failures: 5, withinSeconds: 86_400 },
  ],
): readonly AttemptLimit[] {
  const own = readLimits('Lockout device', given);
  // Another window would not add up: what one lane lets through there, the other does not know of.
  if (windowsOf(own) !== windowsOf(limits))
    throw new TypeError(
      `Lockout: deviceLimits must have the windows of limits, ${windowsOf(limits)} seconds, not ${windowsOf(own)}`,
    );
  return own;
}

/** Both lanes together never hold more than `limits`: what one allows is taken from the other. */
function restOf(limits: readonly AttemptLimit[], own: readonly AttemptLimit[]): readonly AttemptLimit[] {
  let before = 0;
  return limits.map((limit, index) => {
    const failures = limit.failures - (own[index]?.failures ?? 0);
    if (failures <= before)
      throw new TypeError(
        `Lockout: deviceLimits[${index}] must leave strangers at least ${before + 1} of ${limit.failures}, not ${failures}`,
      );
    before = failures;
    return { ...limit, failures };
  });
}

function windowsOf(limits: readonly AttemptLimit[]): string {
  return limits.map(({ withinMs }) => withinMs / 1000).join(', ');
}
