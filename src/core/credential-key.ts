import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { readCborMap, type Cbor, type CborMap } from './cbor.js';

/** COSE algorithms of the keys we ask for and take, best first: EdDSA (Ed25519), ES256 (P-256), RS256. */
export const keyAlgorithms: readonly number[] = [-8, -7, -257];

/** NIST SP 800-131A asks for 2048 bits; above 4096, checking a signature costs more than it should. */
const rsaBits = { least: 2048, most: 4096 };
/** The exponent 65537, which every authenticator uses; with 1, anybody can sign. */
const rsaExponent = 'AQAB';

/**
 * The algorithm of a credential's public key, or null unless the key is one of ours: exactly the parameters of its
 * algorithm, on its curve or of a sound size. A key outside that could be one that anybody can sign for.
 *
 * @param publicKey - A COSE_Key, and nothing behind it.
 * @see WebAuthn Level 3 sections 5.8.5 and 6.5.1.1; RFC 9053 section 7; RFC 8230 section 4
 */
export function keyAlgorithm(publicKey: Buffer): number | null {
  const cose = readCborMap(publicKey);
  const jwk = cose && readJwk(cose);
  if (jwk === null) return null;
  try {
    // OpenSSL refuses an elliptic point that is not on its curve.
    const bits = createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && (bits < rsaBits.least || bits > rsaBits.most)) return null;
    return cose?.get(3) as number;
  } catch {
    return null;
  }
}

function readJwk(cose: CborMap): JsonWebKey | null {
  const holds = (size: number, kty: number, alg: number, crv?: number): boolean =>
    cose.size === size &&
    cose.get(1) === kty &&
    cose.get(3) === alg &&
    (crv === undefined || cose.get(-1) === crv);
  if (holds(4, 1, -8, 6)) return { kty: 'OKP', crv: 'Ed25519', x: text(cose.get(-2), 32) };
  if (holds(5, 2, -7, 1)) {
    return { kty: 'EC', crv: 'P-256', x: text(cose.get(-2), 32), y: text(cose.get(-3), 32) };
  }
  if (holds(4, 3, -257) && text(cose.get(-2)) === rsaExponent) {
    return { kty: 'RSA', n: text(cose.get(-1)), e: rsaExponent };
  }
  return null;
}

/** Empty, which is no number, for what is not a byte string of that length. */
function text(value: Cbor | undefined, length?: number): string {
  return Buffer.isBuffer(value) && (length ?? value.length) === value.length
    ? value.toString('base64url')
    : '';
}
