import type { LockoutLimit } from './attempt-limits.js';
import type { FactorStore } from './factor-store.js';
import type { RelyingParty } from './relying-party.js';
import type { ReadFactorOptions, SecondFactorsOptions } from './second-factor-options.js';

/** What SecondFactors was made with, without its keys. */
export interface FactorSettings {
  readonly store: SecondFactorsOptions['store'];
  readonly factorStore: FactorStore;
  readonly origin: string | undefined;
  readonly bindPending: boolean;
  readonly limits: readonly Required<LockoutLimit>[];
  /** Null where security keys are not on offer, for want of an `origin`. */
  readonly userVerification: RelyingParty['userVerification'] | null;
  /** Only listed models of security keys may be registered. */
  readonly restrictsModels: boolean;
}

export function factorSettings(
  { store, factorStore, origin, bindPending, party }: ReadFactorOptions,
  limits: FactorSettings['limits'],
): FactorSettings {
  return {
    store,
    factorStore,
    origin,
    bindPending,
    limits,
    userVerification: party?.userVerification ?? null,
    restrictsModels: party?.allowedAuthenticators !== undefined,
  };
}
