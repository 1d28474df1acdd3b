import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { factsOfLost, type LogFacts, type LostEntries } from './log-entry.js';

/** What is written in one call of the store. */
const mostPerBatch = 100;

/** Between two tries while the store fails: twice as long each time. */
const shortestWaitMs = 50;
const longestWaitMs = 10_000;

export interface LogWriter {
  /** Completes what is to be written. Must not reject. */
  prepare(facts: readonly LogFacts[]): Promise<readonly LogFacts[]>;
  /** Must write nothing twice that comes again under the same id. */
  write(id: string, facts: readonly LogFacts[]): Promise<void>;
  /** Must not throw. */
  lost(lost: LostEntries): void;
}

interface Batch {
  readonly id: string;
  readonly facts: readonly LogFacts[];
  /** What it took of the queue; what was lost came on top. */
  readonly size: number;
  readonly lost: LostEntries | undefined;
}

interface Waiter {
  /** All that was added before it was asked for. */
  readonly target: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What waits to be written, beside the requests that it is about. A store that fails is asked again, with the same batch;
 * what finds no place is counted, and its number is written as soon as the store works again.
 */
export class LogQueue {
  #waiting: LogFacts[] = [];
  #batch: Batch | undefined;
  #lost: LostEntries | undefined;
  #lostCount = 0;
  #added = 0;
  #done = 0;
  #waiters: Waiter[] = [];
  #isRunning = false;
  #isClosed = false;
  #isGivenUp = false;
  #failures = 0;
  /** Ends the wait for the next try. */
  #hurry: () => void = () => {};

  constructor(
    readonly maxQueued: number,
    readonly writer: LogWriter,
  ) {}

  /** Entries lost since the process began. */
  get lost(): number {
    return this.#lostCount;
  }

  add(facts: LogFacts): void {
    const isFull = this.#waiting.length + (this.#batch?.size ?? 0) >= this.maxQueued;
    if (this.#isClosed || isFull) this.#lose([facts]);
    else {
      this.#added += 1;
      this.#waiting.push(facts);
    }
    if (!this.#isRunning) void this.#run();
  }

  /**
   * Waits until all that is there by now is written.
   *
   * @throws {StoreUnavailable} when the store fails: what waits goes on waiting.
   */
  async flush(): Promise<void> {
    if (!this.#isPending()) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ target: this.#added, resolve, reject });
      this.#hurry();
    });
  }

  /** What cannot be written now is lost, and counted. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.flush().catch(() => {
      this.#isGivenUp = true;
      const left = [...(this.#batch?.facts.slice(0, this.#batch.size) ?? []), ...this.#waiting];
      this.#waiting = [];
      this.#lose(left);
      for (const lost of [this.#batch?.lost, this.#lost]) if (lost !== undefined) this.writer.lost(lost);
    });
  }

  #isPending(): boolean {
    const isEmpty = this.#waiting.length === 0 && this.#batch === undefined && this.#lost === undefined;
    return !isEmpty && !this.#isGivenUp;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // What this turn brings is one batch.
    await nextTurn();
    while (this.#isPending()) {
      // oxlint-disable-next-line no-await-in-loop -- a batch after the other
      await this.#step();
    }
    this.#isRunning = false;
  }

  async #step(): Promise<void> {
    const batch = (this.#batch ??= await this.#nextBatch());
    try {
      await this.writer.write(batch.id, batch.facts);
    } catch (error) {
      const waiters = this.#waiters.splice(0);
      for (const { reject } of waiters) reject(error);
      await this.#pause();
      return;
    }
    this.#batch = undefined;
    this.#failures = 0;
    this.#done += batch.size;
    if (batch.lost !== undefined) this.writer.lost(batch.lost);
    const isSettled = ({ target }: Waiter): boolean => this.#done >= target && this.#lost === undefined;
    for (const { resolve } of this.#waiters.filter(isSettled)) resolve();
    this.#waiters = this.#waiters.filter((waiter) => !isSettled(waiter));
  }

  async #nextBatch(): Promise<Batch> {
    const lost = this.#lost;
    this.#lost = undefined;
    const taken = this.#waiting.splice(0, mostPerBatch);
    const said = lost === undefined ? [] : [factsOfLost(lost)];
    // Held already, so that the queue is not longer than it may be while this is prepared.
    this.#batch = { id: randomUUID(), facts: taken, size: taken.length, lost };
    const facts = await this.writer.prepare(taken);
    return { ...this.#batch, facts: [...facts, ...said] };
  }

  #lose(facts: readonly LogFacts[]): void {
    if (facts.length === 0) return;
    this.#lostCount += facts.length;
    const isFirst = this.#lost === undefined;
    const times = facts.map(({ time }) => time);
    const { count, since, until } = this.#lost ?? { count: 0, since: Infinity, until: 0 };
    this.#lost = {
      count: count + facts.length,
      since: Math.min(since, ...times),
      until: Math.max(until, ...times),
    };
    if (isFirst && !this.#isGivenUp) this.writer.lost(this.#lost);
  }

  #pause(): Promise<void> {
    const waitMs = Math.min(shortestWaitMs * 2 ** this.#failures, longestWaitMs);
    this.#failures += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      // A process that has nothing else to do may end; it closes its log before.
      timer.unref();
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
