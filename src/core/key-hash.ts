import { hash } from 'node:crypto';

/**
 * A name as storage sees it: 64 hexadecimal digits that say nothing in clear and cannot break out of a key.
 * Every part is length-prefixed, so ("a", "b:c") and ("a:b", "c") differ, and `domain` keeps an account, an
 * address and a token of the same spelling apart.
 */
export function keyHash(domain: string, ...parts: readonly string[]): string {
  const text = [domain, ...parts].map((part) => `${Buffer.byteLength(part)}:${part}`).join('');
  return hash('sha256', text, 'hex');
}
