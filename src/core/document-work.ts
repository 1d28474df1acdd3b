import { randomBytes } from 'node:crypto';
import { isStoredDocument, type DocumentStore } from './document-store.js';
import { parseRecord } from './record.js';
import { ask, isBoolean, own } from './store-call.js';

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

/** A store that fails is asked again so often, with growing waits: about 40 seconds in all. */
const mostFailures = 10;
const firstWaitMs = 100;
const longestWaitMs = 10_000;

/** Marks kept of writes that decided something. They are rare, so four are enough to know one's own again. */
const mostMarks = 4;

/**
 * Changes documents by compare-and-set. Signs that come for one document while it is being changed wait, and are then
 * looked at together: a flood on one key costs a read and a write at a time.
 */
export class DocumentWork<Subject, Sign, Outcome> {
  readonly #waiting = new Map<string, { readonly subject: Subject; readonly signs: Sign[] }>();
  readonly #ready: string[] = [];
  readonly #busy = new Set<string>();
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

  /** Gives up what waits; what is being looked at is given up at its next failure. */
  close(): void {
    this.#isClosed = true;
    for (const { signs } of this.#waiting.values()) this.lose(signs, 'closed');
    this.#waiting.clear();
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
      this.#busy.add(key);
      void this.#work(key, entry.subject, entry.signs);
    }
    if (this.#size + this.#busy.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #work(key: string, subject: Subject, signs: readonly Sign[]): Promise<void> {
    const outcome = await this.#change(key, subject, signs);
    if (outcome === null) this.lose(signs, this.#isClosed ? 'closed' : 'store unavailable');
    else this.done(outcome);
    this.#busy.delete(key);
    if (this.#waiting.has(key)) this.#ready.push(key);
    this.#start();
  }

  /** Null where the store could not decide. */
  async #change(key: string, subject: Subject, signs: readonly Sign[]): Promise<Outcome | null> {
    // Writes that nobody answered: each may have been applied, or may still be.
    const unanswered = new Map<string, Outcome>();
    let failures = 0;
    for (let tries = 1; ; tries += 1) {
      let waitMs = Math.random() * Math.min(2 ** tries, 50);
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
        const decided = await this.#tryOnce(key, subject, signs, unanswered);
        if (decided !== null) return decided.outcome;
        // Of those that change one document at a time one always succeeds; a short wait lets it be each of them.
      } catch {
        failures += 1;
        if (failures === mostFailures || this.#isClosed) return null;
        waitMs = Math.min(firstWaitMs * 2 ** (failures - 1), longestWaitMs) * (0.5 + Math.random());
      }
      // oxlint-disable-next-line no-await-in-loop
      await sleep(waitMs);
    }
  }

  /** Null where another process has changed the document meanwhile. */
  async #tryOnce(
    key: string,
    subject: Subject,
    signs: readonly Sign[],
    unanswered: Map<string, Outcome>,
  ): Promise<{ readonly outcome: Outcome } | null> {
    const { time, record } = await ask(() => this.store.readDocument(key), isStoredDocument);
    const { marks, state } = unwrap(record);
    // Signs counted twice do little harm, but what was decided by a write whose answer was lost would never be told.
    for (const [mark, outcome] of unanswered) if (marks.includes(mark)) return { outcome };
    const change = this.rule(state, signs, subject, time);
    const mark = randomBytes(6).toString('base64url');
    const next = wrap(change, marks, mark);
    if (next === record) return change;
    if (change.isOnce) unanswered.set(mark, change.outcome);
    const { lifetimeMs } = change;
    const wasWritten = await ask(() => this.store.replaceDocument(key, record, next, lifetimeMs), isBoolean);
    if (!wasWritten) unanswered.delete(mark);
    return wasWritten ? change : null;
  }
}

/** What is not exactly ours is none: it is written anew. */
function unwrap(record: string | null): { readonly marks: readonly string[]; readonly state: unknown } {
  const read = record === null ? null : parseRecord(record);
  const marks = own(read, 'marks');
  if (own(read, 'v') !== 1 || !Array.isArray(marks)) return { marks: [], state: null };
  return { marks: marks.filter((mark) => typeof mark === 'string'), state: own(read, 'state') };
}

function wrap({ state, isOnce }: Change<unknown>, marks: readonly string[], mark: string): string | null {
  if (state === null) return null;
  return JSON.stringify({ v: 1, marks: isOnce ? [...marks, mark].slice(-mostMarks) : marks, state });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
