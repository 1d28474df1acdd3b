import { readAuthenticatorData, type AuthenticatorData } from './authenticator-data.js';
import { readCborMap, type CborMap } from './cbor.js';

/** An attestation object: a new credential, and what its authenticator states about itself. */
export interface Attestation {
  readonly data: AuthenticatorData;
  readonly format: unknown;
  readonly statement: CborMap;
}

export function readAttestation(bytes: Buffer): Attestation | null {
  const attestation = readCborMap(bytes);
  const authData = attestation?.get('authData');
  const statement = attestation?.get('attStmt');
  const data = Buffer.isBuffer(authData) ? readAuthenticatorData(authData) : null;
  if (data === null || !(statement instanceof Map)) return null;
  return { data, format: attestation?.get('fmt'), statement };
}

/**
 * Whether the statement is one that a client may send where none was asked for (WebAuthn Level 3 section 5.1.3):
 * none at all, or a packed one that the key signed itself with its own algorithm, which proves nothing about its
 * maker. Certificates were not asked for, and reading a stranger's is a risk without a gain.
 *
 * @see WebAuthn Level 3 sections 8.2 and 8.7
 */
export function isUnprovenStatement({ format, statement }: Attestation, algorithm: number): boolean {
  if (format === 'none') return statement.size === 0;
  return (
    format === 'packed' &&
    statement.size === 2 &&
    statement.get('alg') === algorithm &&
    Buffer.isBuffer(statement.get('sig'))
  );
}
