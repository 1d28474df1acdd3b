import { readAuthenticatorData, type AuthenticatorData } from './authenticator-data.js';
import { readCborMap, type CborMap } from './cbor.js';

/** An attestation object: a new credential, and what its authenticator states about itself. */
export interface Attestation {
  readonly data: AuthenticatorData;
  /** The bytes of `data`, which statements sign. */
  readonly authData: Buffer;
  readonly format: unknown;
  readonly statement: CborMap;
}

export function readAttestation(bytes: Buffer): Attestation | null {
  const attestation = readCborMap(bytes);
  const authData = attestation?.get('authData');
  const statement = attestation?.get('attStmt');
  if (!Buffer.isBuffer(authData) || !(statement instanceof Map)) return null;
  const data = readAuthenticatorData(authData);
  return data && { data, authData, format: attestation?.get('fmt'), statement };
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

/** The attestation object as if its authenticator had stated nothing about itself. */
export function withoutStatement({ authData }: Attestation): Buffer {
  const head = Buffer.from('\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59\0\0', 'latin1');
  head.writeUInt16BE(authData.length, head.length - 2);
  return Buffer.concat([head, authData]);
}
