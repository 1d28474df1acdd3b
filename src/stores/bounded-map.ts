import { StoreUnavailable } from '../core/errors.js';

interface Entry<V> {
  readonly value: V;
  readonly expiresAt: number;
}

/**
 * A map with an end for every entry and a limit for all. When it is full of live entries it refuses new ones:
 * to drop the oldest would let a flood of names free a locked account.
 */
export class BoundedMap<V> {
  readonly #entries = new Map<string, Entry<V>>();
  #sweepAt = 0;

  constructor(
    readonly now: () => number,
    readonly maxEntries: number,
  ) {}

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresAt > this.now()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** @param lifetimeMs - Infinity for a durable record. */
  set(key: string, value: V, lifetimeMs: number): void {
    if (!this.#entries.has(key) && this.#entries.size >= this.maxEntries) this.#sweep();
    this.#entries.set(key, { value, expiresAt: this.now() + lifetimeMs });
  }

  delete(key: string): boolean {
    const live = this.get(key) !== undefined;
    this.#entries.delete(key);
    return live;
  }

  /** At most once a second: a flood at the limit must not pay for a full walk each time. */
  #sweep(): void {
    const now = this.now();
    if (now >= this.#sweepAt || now < this.#sweepAt - 1000) {
      this.#sweepAt = now + 1000;
      for (const [key, { expiresAt }] of this.#entries) if (expiresAt <= now) this.#entries.delete(key);
    }
    if (this.#entries.size >= this.maxEntries) throw new StoreUnavailable('the memory store is full');
  }
}
