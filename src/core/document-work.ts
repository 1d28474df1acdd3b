import { randomBytes } from 'node:crypto';
import { unwrap, wrap } from './document-envelope.js';
import { isStoredDocument, type DocumentStore } from './document-store.js';
import { ask, isBoolean } from './store-call.js';

/** What a rule makes of a document and the signs that have come for it. */
export interface Change<Outcome> {
  /** What is to be kept; null for nothing. */
  readonly state: object | null;
  readonly lifetimeMs: number;
  readonly outcome: Outcome;
  /** The outcome must come about once: the write that decided it has to be known again. */
  readonly isOnce: boolean;
}

/** Pure: it may be asked again with another state. */
export type DocumentRule<Subject, Sign, Outcome> = (
  state: unknown,
  signs: readonly Sign[],
  subject: Subject,
  time: number,
) => Change<Outcome>;

/** Documents that one process works on at a time: enough for 40,000 changes a second of a Redis 1.5 ms away. */
const mostAtOnce = 64;

/** Signs that a rule looks at in one go: some milliseconds, whatever the thresholds, in which no request is answered. */
const mostSigns = 64;

/** A store that fails is asked again so often, with growing waits: about 40 seconds in all. */
const mostFailures = 10;
const firstWaitMs = 100;
const longestWaitMs = 10_000;

/** Of those that change one document at a time one always succeeds: who loses so often has a store that changes nothing. */
const mostConflicts = 1000;

/** A write that nobody answered: it may have been applied, or may still be. */
interface Unanswered<Outcome> {
  readonly mark: string;
  readonly next: string | null;
  readonly outcome: Outcome;
}

/**
 * Changes documents by compare-and-set. Signs that come for one document while it is being changed wait, and are then
 * looked at together: a flood on one key costs a read and a write at a time.
 */
export class DocumentWork<Subject, Sign, Outcome> {
  readonly #waiting = new Map<string, { readonly subject: Subject; readonly signs: Sign[] }>();
  readonly #ready: string[] = [];
  readonly #busy = new Map<string, { readonly signs: readonly Sign[]; readonly from: number }>();
  readonly #idle: (() => void)[] = [];
  #isScheduled = false;
  #isClosed = false;
  #size = 0;

  constructor(
    readonly store: DocumentStore,
    readonly rule: DocumentRule<Subject, Sign, Outcome>,
    readonly done: (outcome: Outcome) => void,
    readonly lose: (signs: readonly Sign[], reason: 'store unavailable' | 'closed') => void,
  ) {}

  /** Signs that wait. */
  get size(): number {
    return this.#size;
  }

  /** @param merge - One sign for the last that waits and this one, or null where they must be told apart. */
  add(key: string, subject: Subject, sign: Sign, merge: (last: Sign, sign: Sign) => Sign | null): void {
    if (this.#isClosed) return this.lose([sign], 'closed');
    const entry = this.#waiting.get(key) ?? { subject, signs: [] };
    const last = entry.signs.at(-1);
    const merged = last === undefined ? null : merge(last, sign);
    if (merged === null) this.#size += 1;
    else entry.signs.pop();
    entry.signs.push(merged ?? sign);
    if (!this.#waiting.has(key)) {
      this.#waiting.set(key, entry);
      if (!this.#busy.has(key)) this.#ready.push(key);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // In a turn of its own: what one request tells is looked at together, and not on that request's time.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#start();
    });
  }

  /** Resolves when no sign waits and none is being looked at. */
  async idle(): Promise<void> {
    if (this.#size + this.#busy.size > 0) await new Promise<void>((resolve) => void this.#idle.push(resolve));
  }

  /** Gives up what waits and what is being looked at. */
  close(): void {
    this.#isClosed = true;
    for (const { signs } of this.#waiting.values()) this.lose(signs, 'closed');
    for (const { signs, from } of this.#busy.values()) this.lose(signs.slice(from), 'closed');
    this.#waiting.clear();
    this.#busy.clear();
    this.#ready.length = 0;
    this.#size = 0;
    this.#start();
  }

  #start(): void {
    while (this.#busy.size < mostAtOnce) {
      const key = this.#ready.shift();
      if (key === undefined) break;
      const entry = this.#waiting.get(key);
      if (entry === undefined) continue;
      this.#waiting.delete(key);
      this.#size -= entry.signs.length;
      void this.#work(key, entry.subject, entry.signs);
    }
    if (this.#size + this.#busy.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #work(key: string, subject: Subject, signs: readonly Sign[]): Promise<void> {
    for (let from = 0; from < signs.length; from += mostSigns) {
      this.#busy.set(key, { signs, from });
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
      const outcome = await this.#change(key, subject, signs.slice(from, from + mostSigns));
      // What is left was counted when it was closed.
      if (this.#isClosed) return;
      if (outcome === null) {
        this.lose(signs.slice(from), 'store unavailable');
        break;
      }
      this.done(outcome);
    }
    this.#busy.delete(key);
    if (this.#waiting.has(key)) this.#ready.push(key);
    this.#start();
  }

  /** Null where the store could not decide. */
  async #change(key: string, subject: Subject, signs: readonly Sign[]): Promise<Outcome | null> {
    const unanswered: Unanswered<Outcome>[] = [];
    let failures = 0;
    for (let tries = 1; tries - failures <= mostConflicts && !this.#isClosed; tries += 1) {
      let waitMs = Math.random() * Math.min(2 ** tries, 50);
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
        const decided = await this.#tryOnce(key, subject, signs, unanswered);
        if (decided !== null) return decided.outcome;
        // A short wait lets it be each of those that change one document at a time.
      } catch {
        failures += 1;
        if (failures === mostFailures) return null;
        waitMs = Math.min(firstWaitMs * 2 ** (failures - 1), longestWaitMs) * (0.5 + Math.random());
      }
      // oxlint-disable-next-line no-await-in-loop
      await sleep(waitMs);
    }
    return null;
  }

  /** Null where another process has changed the document meanwhile. */
  async #tryOnce(
    key: string,
    subject: Subject,
    signs: readonly Sign[],
    unanswered: Unanswered<Outcome>[],
  ): Promise<{ readonly outcome: Outcome } | null> {
    const { time, record } = await ask(() => this.store.readDocument(key), isStoredDocument);
    const { marks, state } = unwrap(record);
    // Signs counted twice would make an attack of a typing error; what was decided by a write whose answer was lost would
    // never be told. Once others have written since, only the mark says whose it was, and some signs may count twice.
    const applied = unanswered.find(({ next, mark }) => next === record || marks.includes(mark));
    if (applied !== undefined) return applied;
    const change = this.rule(state, signs, subject, time);
    const mark = randomBytes(6).toString('base64url');
    const next = wrap(change, marks, mark);
    if (next === record) return change;
    const { outcome, lifetimeMs } = change;
    unanswered.push({ mark, next, outcome });
    const wasWritten = await ask(() => this.store.replaceDocument(key, record, next, lifetimeMs), isBoolean);
    if (!wasWritten) unanswered.pop();
    return wasWritten ? change : null;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
