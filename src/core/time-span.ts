const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

/** Seconds in words, in the two largest units: `1 hour 30 minutes`. */
export function spanOf(seconds: number): string {
  const parts: string[] = [];
  let left = Math.max(0, Math.ceil(seconds));
  for (const [name, length] of units) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0) parts.push(countOf(count, name));
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.length === 0 ? '0 seconds' : parts.join(' ');
}

/** `1 failure`, `1,000 failures`. */
export function countOf(count: number, name: string): string {
  return `${count.toLocaleString('en')} ${name}${count === 1 ? '' : 's'}`;
}
