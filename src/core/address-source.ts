const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * One spelling per source: IPv4-mapped IPv6 is IPv4, other IPv6 is cut to its /64, the least that one
 * customer holds. Null for what is no address.
 */
export function addressSource(address: string): string | null {
  const canonical = canonicalAddress(address);
  return canonical === null ? null : sourceOfCanonical(canonical);
}

/** The source of an address in its one spelling. */
export function sourceOfCanonical(canonical: string): string {
  if (ipv4.test(canonical)) return canonical;
  return `${groupsOf(canonical).slice(0, 4).join(':')}::/64`;
}

/**
 * The network that an address belongs to, where nobody knows its place: an IPv4 /16 or an IPv6 /48. Null for what is no
 * address.
 */
export function addressNetwork(address: string): string | null {
  const canonical = canonicalAddress(address);
  if (canonical === null) return null;
  if (ipv4.test(canonical)) return `${canonical.split('.').slice(0, 2).join('.')}.0.0/16`;
  return `${groupsOf(canonical).slice(0, 3).join(':')}::/48`;
}

/** One spelling per address; null for what is none. */
export function canonicalAddress(given: string): string | null {
  // Some proxies write the port too: 192.0.2.1:4711, [2001:db8::1]:4711.
  const [, v4, v6] = /^(?:([\d.]+):\d{1,5}|\[([^\]]+)\](?::\d{1,5})?)$/.exec(given) ?? [];
  const address = v4 ?? v6 ?? given;
  if (ipv4.test(address)) return v6 === undefined ? address : null;
  const [bare = ''] = address.split('%');
  // Nothing but an address may come to the parser of URLs, which would take a path or a port too.
  if (!bare.includes(':') || !/^[\da-f:.]{2,45}$/i.test(bare)) return null;
  let canonical: string;
  try {
    canonical = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  } catch {
    return null;
  }
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(canonical);
  if (mapped === null) return canonical;
  const [high, low] = mapped.slice(1).map((group) => Number.parseInt(group, 16));
  return [high ?? 0, low ?? 0].flatMap((group) => [group >> 8, group & 255]).join('.');
}

/** The eight groups of a canonical IPv6 address. */
function groupsOf(canonical: string): string[] {
  const [head = '', tail] = canonical.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...right];
}
