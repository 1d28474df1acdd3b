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

  /** @param forget - Told of every value that leaves: what else knows of it must forget it too. */
  constructor(
    readonly now: () => number,
    readonly maxEntries: number,
    readonly forget: (value: V) => void = () => {},
  ) {}

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresAt > this.now()) return entry.value;
    this.#drop(key, entry);
    return undefined;
  }

  /** Makes sure that these keys will all find a place, before the first of them takes one. */
  makeRoom(keys: readonly string[]): void {
    const wanted = keys.filter((key) => !this.#entries.has(key)).length;
    if (this.#entries.size + wanted > this.maxEntries) this.#sweep(wanted);
  }

  /** @param lifetimeMs - Infinity for a durable record. */
  set(key: string, value: V, lifetimeMs: number): void {
    this.makeRoom([key]);
    this.#entries.set(key, { value, expiresAt: this.now() + lifetimeMs });
  }

  delete(key: string): boolean {
    if (this.get(key) === undefined) return false;
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#drop(key, entry);
    return true;
  }

  #drop(key: string, { value }: Entry<V>): void {
    this.#entries.delete(key);
    this.forget(value);
  }

  /** At most once a second: a flood at the limit must not pay for a full walk each time. */
  #sweep(wanted: number): void {
    const now = this.now();
    if (now >= this.#sweepAt || now < this.#sweepAt - 1000) {
      this.#sweepAt = now + 1000;
      for (const [key, entry] of this.#entries) if (entry.expiresAt <= now) this.#drop(key, entry);
    }
    if (this.#entries.size + wanted > this.maxEntries) throw new StoreUnavailable('the memory store is full');
  }
}
