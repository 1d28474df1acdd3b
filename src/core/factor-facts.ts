import { createHash } from 'node:crypto';
import type { Factor, Factors } from './factor-record.js';
import type { FactorMethod } from './factor-verdict.js';

/** What an account has enrolled at this moment, as a login needs it. */
export interface EnrolledFactors {
  /** For the client to choose from; empty when the account has no factor. */
  readonly methods: readonly FactorMethod[];
  /** Changes whenever a factor comes or goes: a login begun before such a change is void. */
  readonly fingerprint: string;
  readonly factors: Factors;
}

/** What may be known of a factor: no secret, no key. Times in milliseconds since the epoch. */
export interface FactorFacts {
  readonly id: string;
  readonly type: 'totp' | 'webauthn';
  readonly name: string;
  readonly createdAt: number;
  /** Null until its first login. */
  readonly lastUsedAt: number | null;
}

/** What an account has enrolled, for its owner and for an audit. Times in milliseconds since the epoch. */
export interface FactorStatus {
  readonly factors: readonly FactorFacts[];
  /** Null without a factor. */
  readonly backupCodes: {
    readonly left: number;
    readonly createdAt: number;
    readonly lastUsedAt: number | null;
  } | null;
}

export function enrolledOf(factors: Factors): EnrolledFactors {
  // With its time: a security key that is registered again after a reset has its former id.
  const ids = factors.list
    .map(({ id, createdAt }) => `${id} ${createdAt}`)
    .toSorted((a, b) => (a < b ? -1 : 1));
  const methods = new Set<FactorMethod>(factors.list.map(({ type }) => type));
  if (factors.codes !== null && factors.codes.hashes.length > 0) methods.add('backup_code');
  const fingerprint = createHash('sha256').update(JSON.stringify(ids)).digest('base64url');
  return { methods: [...methods], fingerprint, factors };
}

export function statusOf({ list, codes }: Factors): FactorStatus {
  return {
    factors: list.map(factsOf),
    backupCodes: codes && {
      left: codes.hashes.length,
      createdAt: codes.createdAt,
      lastUsedAt: codes.lastUsedAt,
    },
  };
}

export function factsOf({ id, type, name, createdAt, lastUsedAt }: Factor): FactorFacts {
  return { id, type, name, createdAt, lastUsedAt };
}
