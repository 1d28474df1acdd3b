/**
 * One spelling per source: IPv4-mapped IPv6 is IPv4, other IPv6 is cut to its /64, the least that one
 * customer holds. Null for what is no address.
 */
export function addressSource(address: string): string | null {
  const canonical = canonicalAddress(address);
  if (canonical === null || !canonical.includes(':')) return canonical;
  return `${groupsOf(canonical).slice(0, 4).join(':')}::/64`;
}

/** An address in its one spelling (RFC 5952); null for what is none. */
export function canonicalAddress(address: string): string | null {
  if (isIPv4(address)) return address;
  const [bare = ''] = address.split('%');
  const url = `http://[${bare}]`;
  // The parser of URLs knows the rules; what it would strip or read as something else is no part of an address.
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(bare) || !URL.canParse(url)) return null;
  const canonical = new URL(url).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical) ?? [];
  if (high === undefined || low === undefined) return canonical;
  const bytes = [high, low].map((group) => Number.parseInt(group, 16)).flatMap((n) => [n >> 8, n & 255]);
  return bytes.join('.');
}

function isIPv4(address: string): boolean {
  const bytes = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)?.slice(1);
  return bytes !== undefined && bytes.every((byte) => String(Number(byte)) === byte && Number(byte) < 256);
}

function groupsOf(canonical: string): string[] {
  const [head = '', tail] = canonical.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...right];
}
