import { writtenLimits, type LockoutLimit } from './attempt-limits.js';
import type { AttemptStore } from './attempt-store.js';
import type { LockoutSettings } from './lockout-options.js';

type Limits = readonly Required<LockoutLimit>[];

/** What a lockout enforces, as an app writes it. Null for none. */
export interface LockoutFacts {
  readonly store: AttemptStore;
  /** Of an account, over all its lanes. */
  readonly limits: Limits;
  /** What of that strangers have: all, where no devices are known. */
  readonly strangerLimits: Limits;
  readonly deviceLimits: Limits | null;
  readonly addressLimits: Limits | null;
}

export function factsOfLockout({
  store,
  limits,
  strangerLimits,
  deviceLimits,
  addressLimits,
}: LockoutSettings): LockoutFacts {
  return {
    store,
    limits: writtenLimits(limits),
    strangerLimits: writtenLimits(strangerLimits),
    deviceLimits: deviceLimits === undefined ? null : writtenLimits(deviceLimits),
    addressLimits: addressLimits === undefined ? null : writtenLimits(addressLimits),
  };
}
