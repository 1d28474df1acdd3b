/** A use is noted again when the one noted before is so old, in milliseconds, and not before half of that. */
const rememberedMs = 60_000;

/**
 * A use is noted at the latest when the one noted before is so old, in milliseconds: as long as it is remembered, and as
 * long as a process may keep a token without asking for it.
 */
export const longestUnnotedMs = rememberedMs + 60_000;

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
    this.#turn(this.monotonicNow());
    if (this.#young.has(key) || this.#old.has(key)) return false;
    this.#young.add(key);
    return true;
  }

  /** It could not be noted. */
  forget(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  /** By the clock and not by the calls: in a quiet process nothing is remembered for longer than in a busy one. */
  #turn(now: number): void {
    const turnMs = rememberedMs / 2;
    const age = now - this.#turnedAt;
    if (age < turnMs && this.#young.size < mostRemembered / 2) return;
    const isLongAgo = age >= rememberedMs;
    this.#old = isLongAgo ? new Set() : this.#young;
    this.#young = new Set();
    this.#turnedAt = isLongAgo || age < turnMs ? now : this.#turnedAt + turnMs;
  }
}
