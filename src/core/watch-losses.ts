/** Something that a watch could not look at or hand on. */
export interface LostAlerts {
  /** `event`: not looked at. `alert`: raised, and not taken by a sink. */
  readonly what: 'event' | 'alert';
  readonly reason: 'queue full' | 'store unavailable' | 'sink failed' | 'unreadable' | 'closed';
  /** The sink that did not take it; null where none had been asked. */
  readonly sink: string | null;
  readonly count: number;
  /** What the sink rejected the last of them with; undefined where it was not asked, or gave no answer in time. */
  readonly error?: unknown;
}

/** How long losses of one kind are gathered: a flood that is lost must not flood the log in turn. */
const gatherMs = 1000;

/** Counts what was lost, so that nothing is lost silently. */
export class WatchLosses {
  readonly counts = { events: 0, alerts: 0 };
  readonly #untold = new Map<string, LostAlerts>();
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly onLost: ((lost: LostAlerts) => unknown) | undefined) {}

  add(lost: LostAlerts): void {
    if (lost.count === 0) return;
    this.counts[`${lost.what}s`] += lost.count;
    const key = [lost.what, lost.reason, lost.sink].join();
    const count = (this.#untold.get(key)?.count ?? 0) + lost.count;
    this.#untold.set(key, { ...lost, count });
    this.#timer ??= setTimeout(() => this.tell(), gatherMs).unref();
  }

  /** Tells what was lost since it was last told. */
  tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const untold = [...this.#untold.values()];
    this.#untold.clear();
    // Whoever cannot be told of a loss must not cause another one; it stays counted.
    for (const lost of untold) void (async () => this.onLost?.(lost))().catch(() => {});
  }
}
