import { X509Certificate } from 'node:crypto';

/** An X.509 certificate, and what Node does not tell of it. */
export interface Certificate {
  readonly x509: X509Certificate;
  readonly version: number;
  /** Values by object identifier, which is written as the hexadecimal digits of its DER. */
  readonly extensions: ReadonlyMap<string, Buffer>;
  /** Its critical extensions are all judged here: a certificate with another must not be relied on. */
  readonly isUnderstood: boolean;
  /** How many authorities may stand between it and a leaf; -1 for a certificate that may issue none. */
  readonly mostBelow: number;
  /** The bits of the public key. */
  readonly publicKey: Buffer;
}

const basicConstraints = '551d13';
/** Key usage, basic constraints and extended key usage. */
const judgedExtensions: ReadonlySet<string> = new Set(['551d0f', basicConstraints, '551d25']);
const der = { flag: 0x01, integer: 0x02, version: 0xa0, extensions: 0xa3 };

/**
 * Reads the DER of one certificate; null for anything else, bytes behind it included.
 *
 * @see RFC 5280 section 4.1
 */
export function readCertificate(bytes: Buffer): Certificate | null {
  try {
    const x509 = new X509Certificate(bytes);
    // Node takes PEM too, and overlooks what follows.
    if (!x509.raw.equals(bytes)) return null;
    const [body] = readItems(readItem(bytes).content);
    const fields = readItems((body as DerItem).content);
    const numbered = fields[0]?.tag === der.version ? 1 : 0;
    const version = numbered === 0 ? 1 : readInteger(readItem((fields[0] as DerItem).content)) + 1;
    const [, key] = readItems((fields[numbered + 5] as DerItem).content);
    const list = fields.find(({ tag }) => tag === der.extensions);
    const extensions = list === undefined ? [] : readItems(readItem(list.content).content).map(readExtension);
    const values = new Map(extensions.map(({ id, value }) => [id, value]));
    if (values.size !== extensions.length) return null;
    return {
      x509,
      version,
      extensions: values,
      isUnderstood: extensions.every(({ id, isCritical }) => !isCritical || judgedExtensions.has(id)),
      mostBelow: x509.ca ? readPathLength(values.get(basicConstraints)) : -1,
      publicKey: (key as DerItem).content.subarray(1),
    };
  } catch {
    return null;
  }
}

/**
 * Whether the chain, each certificate issued by the one behind it, leads to one of the roots, and all on that way
 * are valid at that time. A root may stand in the chain itself, at any place; what stands behind it is not read.
 *
 * @param now - Milliseconds since the epoch.
 * @throws what OpenSSL throws for keys that it does not know.
 * @see RFC 5280 section 6.1
 */
export function isTrusted(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
  at = 0,
): boolean {
  const certificate = chain[at];
  if (certificate === undefined || !certificate.isUnderstood || !isValidAt(certificate, now)) return false;
  const isRoot = roots.some(({ x509 }) => x509.raw.equals(certificate.x509.raw));
  if (isRoot || roots.some((root) => isValidAt(root, now) && hasIssued(root, certificate, at))) return true;
  const issuer = chain[at + 1];
  // The issuer first: a stranger's key is never computed with, however costly it was made.
  return issuer !== undefined && isTrusted(chain, roots, now, at + 1) && hasIssued(issuer, certificate, at);
}

function hasIssued(issuer: Certificate, { x509 }: Certificate, below: number): boolean {
  return issuer.mostBelow >= below && x509.checkIssued(issuer.x509) && x509.verify(issuer.x509.publicKey);
}

function isValidAt({ x509 }: Certificate, now: number): boolean {
  return Date.parse(x509.validFrom) <= now && now <= Date.parse(x509.validTo);
}

interface DerItem {
  readonly tag: number;
  readonly content: Buffer;
  /** Offset of the byte behind it. */
  readonly end: number;
}

/**
 * Reads what OpenSSL took for a certificate, so no length leads past the end.
 *
 * @throws {RangeError} for an indefinite length, which is BER and not DER.
 */
function readItem(bytes: Buffer, at = 0): DerItem {
  const tag = bytes.readUInt8(at);
  const short = bytes.readUInt8(at + 1);
  const width = short < 0x80 ? 0 : short - 0x80;
  const length = short < 0x80 ? short : bytes.readUIntBE(at + 2, width);
  const start = at + 2 + width;
  const end = start + length;
  return { tag, content: bytes.subarray(start, end), end };
}

function readItems(bytes: Buffer): DerItem[] {
  const items: DerItem[] = [];
  for (let at = 0; at < bytes.length;) {
    const item = readItem(bytes, at);
    items.push(item);
    at = item.end;
  }
  return items;
}

function readInteger({ content }: DerItem): number {
  return content.readUIntBE(0, content.length);
}

function readExtension({ content }: DerItem): { id: string; isCritical: boolean; value: Buffer } {
  const [id, ...rest] = readItems(content) as [DerItem, ...DerItem[]];
  const value = rest.at(-1) as DerItem;
  // Some makers write down that an extension is not critical, though that is the default.
  const isCritical = rest[0]?.tag === der.flag && rest[0].content[0] !== 0;
  return { id: id.content.toString('hex'), isCritical, value: value.content };
}

function readPathLength(constraints: Buffer | undefined): number {
  const parts = constraints === undefined ? [] : readItems(readItem(constraints).content);
  const length = parts.find(({ tag }) => tag === der.integer);
  return length === undefined ? Number.POSITIVE_INFINITY : readInteger(length);
}
