import { createHash, verify, type KeyObject } from 'node:crypto';
import { noAaguid, type AuthenticatorModel } from './allowed-authenticators.js';
import type { Attestation } from './attestation.js';
import type { AttestedCredential } from './authenticator-data.js';
import { readCborMap, type Cbor } from './cbor.js';
import { isTrusted, readCertificate, type Certificate } from './certificate.js';

/** Certificates taken in one statement, and bytes in each. Real chains have two or three, of a kilobyte. */
const most = { certificates: 8, bytes: 8192 };

/** COSE algorithms that makers sign statements with; the key in the certificate must be of that very kind. */
const signatureAlgorithms: ReadonlyMap<Cbor, { readonly key: string; readonly hash: string | null }> =
  new Map([
    [-7, { key: 'ec prime256v1', hash: 'sha256' }],
    [-8, { key: 'ed25519', hash: null }],
    [-35, { key: 'ec secp384r1', hash: 'sha384' }],
    [-36, { key: 'ec secp521r1', hash: 'sha512' }],
    [-257, { key: 'rsa', hash: 'sha256' }],
  ]);
const es256 = -7;

/** OID 1.3.6.1.4.1.45724.1.1.4, id-fido-gen-ce-aaguid. */
const aaguidExtension = '2b0601040182e51c010104';

/** What a statement claims to be signed: how, and over what. */
interface Claim {
  readonly algorithm: Cbor;
  readonly signed: Buffer;
}

/**
 * Whether the statement proves that the credential is on an authenticator of one of these models: its signature
 * holds, by a certificate that one of the model's roots vouches for at that time.
 *
 * @param now - Milliseconds since the epoch; NaN, and no certificate is valid.
 * @see WebAuthn Level 3 section 7.1 steps 21 to 24, sections 8.2 and 8.6
 */
export function isFromAllowedModel(
  models: readonly AuthenticatorModel[],
  attestation: Attestation,
  clientDataJSON: Buffer,
  now: number,
): boolean {
  const { data, statement } = attestation;
  const signature = statement.get('sig');
  const chain = readChain(statement.get('x5c'));
  const leaf = chain[0];
  if (data.attested === null || leaf === undefined || !Buffer.isBuffer(signature)) return false;
  const clientDataHash = createHash('sha256').update(clientDataJSON).digest();
  const claim = readClaim(attestation, data.attested, chain, clientDataHash);
  if (claim === null) return false;
  const roots = models
    .filter((model) => isOfModel(model, data.attested as AttestedCredential, leaf))
    .flatMap((model) => model.roots);
  try {
    return isTrusted(chain, roots, now) && isSigned(claim, leaf.x509.publicKey, signature);
  } catch {
    return false;
  }
}

/** Empty for what is no list of certificates, and for more of them than we take. */
function readChain(x5c: Cbor | undefined): readonly Certificate[] {
  if (!Array.isArray(x5c) || x5c.length > most.certificates) return [];
  const chain: Certificate[] = [];
  for (const bytes of x5c as readonly Cbor[]) {
    const certificate = Buffer.isBuffer(bytes) && bytes.length <= most.bytes ? readCertificate(bytes) : null;
    if (certificate === null) return [];
    chain.push(certificate);
  }
  return chain;
}

function readClaim(
  { format, statement, data, authData }: Attestation,
  attested: AttestedCredential,
  chain: readonly Certificate[],
  clientDataHash: Buffer,
): Claim | null {
  const leaf = chain[0] as Certificate;
  if (format === 'packed' && statement.size === 3 && isPackedLeaf(leaf, attested.aaguid)) {
    return { algorithm: statement.get('alg') ?? null, signed: Buffer.concat([authData, clientDataHash]) };
  }
  const isU2f = format === 'fido-u2f' && statement.size === 2 && chain.length === 1;
  if (!isU2f || attested.aaguid !== noAaguid) return null;
  const cose = readCborMap(attested.publicKey);
  const [x, y] = [cose?.get(-2), cose?.get(-3)];
  // Of the keys that get here, only those of P-256 have both.
  if (!Buffer.isBuffer(x) || !Buffer.isBuffer(y)) return null;
  const signed = [Buffer.of(0), data.rpIdHash, clientDataHash, attested.id, Buffer.of(4), x, y];
  return { algorithm: es256, signed: Buffer.concat(signed) };
}

/** WebAuthn Level 3 section 8.2.1. */
function isPackedLeaf({ x509, version, extensions, mostBelow }: Certificate, aaguid: string): boolean {
  // Node escapes line breaks within a name, so no part of one passes for another.
  const subject = x509.subject.split('\n');
  const named = extensions.get(aaguidExtension);
  return (
    version === 3 &&
    mostBelow < 0 &&
    subject.includes('OU=Authenticator Attestation') &&
    subject.some((part) => /^C=..$/.test(part)) &&
    ['O=', 'CN='].every((name) => subject.some((part) => part.startsWith(name))) &&
    // An octet string of 16 bytes within that of the extension.
    (named === undefined || named.toString('hex') === `0410${aaguid.replaceAll('-', '')}`)
  );
}

function isOfModel(model: AuthenticatorModel, { aaguid }: AttestedCredential, leaf: Certificate): boolean {
  const keyIdentifier = createHash('sha1').update(leaf.publicKey).digest('hex');
  return model.aaguid === aaguid && model.keyIdentifiers?.includes(keyIdentifier) !== false;
}

function isSigned({ algorithm, signed }: Claim, key: KeyObject, signature: Buffer): boolean {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const kind = curve === undefined ? key.asymmetricKeyType : `${key.asymmetricKeyType} ${curve}`;
  const known = signatureAlgorithms.get(algorithm);
  return known !== undefined && known.key === kind && verify(known.hash, signed, key, signature);
}
