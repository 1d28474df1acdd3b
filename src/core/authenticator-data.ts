import { readCbor } from './cbor.js';

/** What an authenticator says, and signs, about a ceremony. */
export interface AuthenticatorData {
  readonly rpIdHash: Buffer;
  readonly userPresent: boolean;
  readonly userVerified: boolean;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  readonly counter: number;
  /** The new credential; null when none was made. */
  readonly attested: AttestedCredential | null;
}

export interface AttestedCredential {
  /** Model of the authenticator in UUID form: claimed, not proven. */
  readonly aaguid: string;
  readonly id: Buffer;
  /** COSE_Key, not yet judged. */
  readonly publicKey: Buffer;
}

const attestedStart = 37;
const idStart = attestedStart + 18;
const flag = {
  present: 0x01,
  verified: 0x04,
  eligible: 0x08,
  backedUp: 0x10,
  attested: 0x40,
  extended: 0x80,
};

/** Null unless the bytes are exactly what their flags announce, to the last one. */
export function readAuthenticatorData(bytes: Buffer): AuthenticatorData | null {
  if (bytes.length < attestedStart) return null;
  const flags = bytes.readUInt8(32);
  let end = attestedStart;
  let attested: AttestedCredential | null = null;
  if (flags & flag.attested) {
    if (bytes.length < idStart) return null;
    const keyStart = idStart + bytes.readUInt16BE(idStart - 2);
    const key = readCbor(bytes, keyStart);
    if (key === null) return null;
    attested = {
      aaguid: bytes
        .toString('hex', attestedStart, attestedStart + 16)
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
      id: bytes.subarray(idStart, keyStart),
      publicKey: bytes.subarray(keyStart, key.end),
    };
    end = key.end;
  }
  if (flags & flag.extended) {
    const extensions = readCbor(bytes, end);
    if (!(extensions?.value instanceof Map)) return null;
    end = extensions.end;
  }
  if (end !== bytes.length) return null;
  return {
    rpIdHash: bytes.subarray(0, 32),
    userPresent: (flags & flag.present) !== 0,
    userVerified: (flags & flag.verified) !== 0,
    backupEligible: (flags & flag.eligible) !== 0,
    backedUp: (flags & flag.backedUp) !== 0,
    counter: bytes.readUInt32BE(33),
    attested,
  };
}
