import { sign, X509Certificate, type KeyObject } from 'node:crypto';
import { makeKeyPair } from './key-pair.js';

type Extension = readonly [id: string, isCritical: boolean | null, value: Buffer];

/** What a certificate is made of; honest for an attestation certificate unless told otherwise. */
export interface CertificateParts {
  /** Country, organisation, unit and name, in this order; a part that is undefined is left out. */
  subject?: {
    C?: string | undefined;
    O?: string | undefined;
    OU?: string | undefined;
    CN?: string | undefined;
  };
  /** Itself by default. */
  issuer?: MadeCertificate;
  /** Issuer's name, where it is not that of who signs. */
  issuerName?: Buffer;
  keys?: { publicKey: KeyObject; privateKey: KeyObject };
  from?: Date;
  to?: Date;
  /** No basic constraints at all for undefined. */
  ca?: boolean | undefined;
  pathLength?: number;
  /** Value of id-fido-gen-ce-aaguid. */
  aaguid?: Buffer;
  /** More extensions: object identifier, whether it is critical (null says in so many words that it is not), value. */
  extensions?: readonly Extension[];
  version?: 1 | 3;
}

export interface MadeCertificate {
  readonly der: Buffer;
  readonly pem: string;
  readonly base64: string;
  readonly name: Buffer;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const attestationSubject = { C: 'AA', O: 'Maker', OU: 'Authenticator Attestation', CN: 'Model' };

/** Signed with SHA-256 by a P-256 or RSA key, or by an Ed25519 key. */
export function makeCertificate(parts: CertificateParts = {}): MadeCertificate {
  const { subject = attestationSubject, version = 3, pathLength, aaguid, extensions = [] } = parts;
  const { publicKey, privateKey } = parts.keys ?? makeKeyPair('ec', { namedCurve: 'P-256' });
  const { from = new Date('2039-01-01T00:00:00Z'), to = new Date('2041-01-01T00:00:00Z') } = parts;
  const ca = 'ca' in parts ? parts.ca : false;
  const name = nameOf(subject);
  const signer = parts.issuer?.privateKey ?? privateKey;
  const all = [...extensions];
  if (ca !== undefined) {
    const length = pathLength === undefined ? [] : [integer(pathLength)];
    all.push(['2.5.29.19', true, sequence(...(ca ? [derFlag] : []), ...length)]);
  }
  if (aaguid !== undefined) all.push(['1.3.6.1.4.1.45724.1.1.4', false, der(0x04, aaguid)]);
  const algorithm = signatureAlgorithm(signer);
  serial += 1;
  const body = sequence(
    ...(version === 3 ? [der(0xa0, integer(2))] : []),
    integer(serial),
    algorithm,
    parts.issuerName ?? parts.issuer?.name ?? name,
    sequence(time(from), time(to)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(version === 3 && all.length > 0 ? [der(0xa3, sequence(...all.map(extension)))] : []),
  );
  const digest = signer.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const encoded = sequence(body, algorithm, der(0x03, Buffer.of(0), sign(digest, body, signer)));
  const pem = new X509Certificate(encoded).toString();
  return { der: encoded, pem, base64: encoded.toString('base64'), name, publicKey, privateKey };
}

let serial = 0;
const derFlag = Buffer.of(0x01, 0x01, 0xff);
const nameParts = { C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11', CN: '2.5.4.3' };

export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}

function sequence(...items: readonly Buffer[]): Buffer {
  return der(0x30, ...items);
}

function integer(value: number): Buffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 1 ? `0${digits}` : digits, 'hex');
  return bytes.readUInt8(0) < 0x80 ? der(0x02, bytes) : der(0x02, Buffer.of(0), bytes);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return der(0x06, Buffer.from(bytes));
}

function nameOf(subject: NonNullable<CertificateParts['subject']>): Buffer {
  const parts = Object.entries(nameParts).flatMap(([key, id]) => {
    const value = subject[key as keyof typeof nameParts];
    return value === undefined ? [] : [der(0x31, sequence(oid(id), der(0x0c, Buffer.from(value))))];
  });
  return sequence(...parts);
}

function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return der(0x18, Buffer.from(digits));
}

function extension([id, isCritical, value]: Extension): Buffer {
  const critical = isCritical === null ? [Buffer.of(0x01, 0x01, 0x00)] : isCritical ? [derFlag] : [];
  return sequence(oid(id), ...critical, der(0x04, value));
}

function signatureAlgorithm({ asymmetricKeyType }: KeyObject): Buffer {
  if (asymmetricKeyType === 'ed25519') return sequence(oid('1.3.101.112'));
  if (asymmetricKeyType === 'rsa') return sequence(oid('1.2.840.113549.1.1.11'), der(0x05));
  return sequence(oid('1.2.840.10045.4.3.2'));
}
