/** Least time between two notes of one token's use, in milliseconds. */
export const noteMs = 30_000;

/** A use is noted at the latest when the one noted before is so old, in milliseconds. */
export const longestUnnotedMs = 2 * noteMs;

/** What the store is told of an idle time: longer by what a use can be noted late, so that no token ends early. */
export function idleMsOf(idleSeconds: number | null): number | undefined {
  return idleSeconds === null ? undefined : idleSeconds * 1000 + longestUnnotedMs;
}

/** Tokens remembered as noted; beyond it they are noted more often. */
const mostRemembered = 100_000;

/**
 * Which tokens this process noted as used of late, so that a request costs no write. By its own clock alone: that of
 * the store may be hours off. Two generations of names, the older of which goes as a whole: bounded without a timer.
 */
export class TokenUses {
  #young = new Set<string>();
  #old = new Set<string>();
  #turnedAt = Number.NEGATIVE_INFINITY;

  /** @param monotonicNow - In milliseconds. */
  constructor(readonly monotonicNow: () => number) {}

  /** True where this use is to be noted. It then counts as noted. */
  isDue(key: string): boolean {
    const now = this.monotonicNow();
    const age = now - this.#turnedAt;
    if (age >= noteMs || this.#young.size >= mostRemembered / 2) {
      this.#old = age >= longestUnnotedMs ? new Set() : this.#young;
      this.#young = new Set();
      this.#turnedAt = now;
    }
    if (this.#young.has(key) || this.#old.has(key)) return false;
    this.#young.add(key);
    return true;
  }
}
