import { randomUUID } from 'node:crypto';
import type { LogFacts } from './log-entry.js';

/** As many as a store takes at once. */
const mostPerBatch = 200;

interface Append {
  readonly facts: LogFacts;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Entries that somebody waits for. What comes while a batch is written goes in one with the next: if each of hundreds were
 * written by itself, behind an end that the others move on, most would never get there.
 */
export class LogAppends {
  #waiting: Append[] = [];
  #isRunning = false;

  constructor(readonly write: (id: string, facts: readonly LogFacts[]) => Promise<void>) {}

  /** Rejects as the write does that it was in. It is not written again. */
  add(facts: LogFacts): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ facts, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, mostPerBatch);
      // oxlint-disable-next-line no-await-in-loop -- a batch after the other
      await this.write(
        randomUUID(),
        batch.map(({ facts }) => facts),
      ).then(
        () => batch.forEach(({ resolve }) => resolve()),
        (error: unknown) => batch.forEach(({ reject }) => reject(error)),
      );
    }
    this.#isRunning = false;
  }
}
