import { StoreUnavailable } from './errors.js';
import { parseRecord } from './record.js';
import { isCount, own } from './store-call.js';
import type { SecurityKey } from './webauthn.js';

/** A confirmed authenticator app. */
export interface TotpFactor {
  readonly type: 'totp';
  readonly id: string;
  /** Given by its owner. */
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
  /** Sealed by the key ring. */
  readonly secret: string;
  /** The last step accepted; null when no code was accepted yet. */
  readonly lastStep: number | null;
}

export type Factor = TotpFactor | SecurityKey;

/** Emergency codes that are still unused, hashed. */
export interface BackupCodeSet {
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
  readonly hashes: readonly string[];
}

/** Everything that an account has enrolled. */
export interface Factors {
  readonly list: readonly Factor[];
  /** Null without a factor: codes alone are no second factor. */
  readonly codes: BackupCodeSet | null;
  /** Wrong codes of authenticator apps since any factor was last accepted. */
  readonly wrongCodes: number;
  /** How often all factors were removed at once: what was begun before the last time adds nothing any more. */
  readonly resets: number;
}

export const noFactors: Factors = { list: [], codes: null, wrongCodes: 0, resets: 0 };

export function writeFactorRecord(factors: Factors): string {
  // Codes are the emergency exit of a factor and go with the last one, and wrong codes were guesses at it.
  const { list, codes, wrongCodes } = factors.list.length === 0 ? noFactors : factors;
  return JSON.stringify({ v: 1, list, codes, wrongCodes, resets: factors.resets });
}

/**
 * Strict to every type: a last step or a counter that is no whole number would switch replay protection off, and a
 * record that cannot be read must never look like "no factor".
 *
 * @throws {StoreUnavailable} for anything that is not exactly ours.
 */
export function readFactorRecord(record: string): Factors {
  const read = parseRecord(record);
  const fields = ['v', 'list', 'codes', 'wrongCodes', 'resets'];
  const [version, list, codes, wrongCodes, resets] = fields.map((field) => own(read, field));
  const hasList = version === 1 && Array.isArray(list) && list.every(isFactor);
  const isWhole = hasList && (codes === null || isCodes(codes)) && isCount(wrongCodes);
  if (!isWhole || !isCount(resets) || (list.length === 0 && codes !== null)) {
    throw new StoreUnavailable('a factor record that makes no sense');
  }
  return { list, codes, wrongCodes, resets };
}

function isFactor(value: unknown): value is Factor {
  const text = (field: string): boolean => typeof own(value, field) === 'string';
  const countOrNull = (field: string): boolean => own(value, field) === null || isCount(own(value, field));
  const isNamed = text('id') && text('name') && isCount(own(value, 'createdAt')) && countOrNull('lastUsedAt');
  if (!isNamed) return false;
  if (own(value, 'type') === 'totp') return text('secret') && countOrNull('lastStep');
  return (
    own(value, 'type') === 'webauthn' &&
    text('publicKey') &&
    text('aaguid') &&
    isCount(own(value, 'counter')) &&
    isTexts(own(value, 'transports')) &&
    typeof own(value, 'backedUp') === 'boolean'
  );
}

function isCodes(value: unknown): value is BackupCodeSet {
  const lastUsedAt = own(value, 'lastUsedAt');
  return (
    isCount(own(value, 'createdAt')) &&
    (lastUsedAt === null || isCount(lastUsedAt)) &&
    isTexts(own(value, 'hashes'))
  );
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
