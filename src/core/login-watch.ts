import { watchAccount } from './account-watch.js';
import { spendBudget, type BudgetVerdict } from './alert-budget.js';
import { AlertQueue } from './alert-queue.js';
import type { Alert } from './alert.js';
import type { AuthEvent } from './auth-event.js';
import { DocumentWork, type Change } from './document-work.js';
import { keyHash } from './key-hash.js';
import { watchNames } from './names-watch.js';
import { watchSource } from './source-watch.js';
import { alertOfEvent } from './watch-alert.js';
import { WatchLosses } from './watch-losses.js';
import { readLoginWatchOptions, type LoginWatchOptions } from './watch-options.js';
import { keyOf, mergeSigns, signsOf, type Sign, type WatchSubject } from './watch-sign.js';

const budgetKey = keyHash('watch', 'budget');

/** Anybody can cause these, at any rate; the rest takes a known password. */
const cheapSigns: ReadonlySet<string> = new Set(['failed', 'refused', 'locked']);

/**
 * Sees attacks in the events of logins and raises alerts: `app.on('auth', watch.observe)`. What was seen is kept in the
 * store, so that many processes raise one alert. All work is done beside the request: neither a store nor a sink that
 * fails or hangs slows a login or fails it.
 */
export class LoginWatch {
  /** Listener of events. Keeps what an event says and returns at once; never throws. */
  readonly observe: (event: AuthEvent) => void;
  readonly #events: DocumentWork<WatchSubject, Sign, readonly Alert[]>;
  readonly #alerts: DocumentWork<null, Alert | null, BudgetVerdict>;
  readonly #queues: readonly AlertQueue[];
  readonly #losses: WatchLosses;
  readonly #maxQueued: number;
  readonly #digestMs: number;
  #timer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  /** @throws {TypeError} on an unknown option or a wrong value. */
  constructor(options: LoginWatchOptions) {
    const { store, sinks, limits, placeOf, alertsPerMinute, digestSeconds, maxQueued, onLost } =
      readLoginWatchOptions(options);
    this.#maxQueued = maxQueued;
    this.#digestMs = digestSeconds * 1000;
    const losses = new WatchLosses(onLost);
    this.#losses = losses;
    this.#queues = sinks.map(
      (sink) =>
        new AlertQueue(sink, (reason, error) =>
          losses.add({
            what: 'alert',
            reason,
            sink: sink.name,
            count: 1,
            ...(error !== undefined && { error }),
          }),
        ),
    );
    this.#events = new DocumentWork(
      store,
      (state, signs, subject, time): Change<readonly Alert[]> => {
        if (subject.kind === 'source')
          return watchSource(state, signs, subject, time, limits.passwordSpraying);
        if (subject.kind === 'names') return watchNames(state, signs, subject, time, limits.unknownNames);
        return watchAccount(state, signs, { subject, time, limits, placeOf });
      },
      (alerts) => {
        for (const alert of alerts) this.#raise(alert);
      },
      (signs, reason) => {
        const count = signs.reduce((sum, { times }) => sum + times, 0);
        losses.add({ what: 'event', reason, sink: null, count });
      },
    );
    const budget = { alertsPerMinute, digestMs: this.#digestMs };
    this.#alerts = new DocumentWork(
      store,
      (state, alerts, _subject, time) => spendBudget(state, alerts, time, budget),
      ({ alerts, dueMs }) => {
        for (const queue of this.#queues) for (const alert of alerts) queue.add(alert);
        this.#lookAgain(dueMs);
      },
      (alerts, reason) => {
        const count = alerts.filter((alert) => alert !== null).length;
        losses.add({ what: 'alert', reason, sink: null, count });
        this.#lookAgain(null);
      },
    );
    this.observe = (event) => this.#observe(event);
    this.#lookAgain(null);
  }

  /**
   * What was not looked at, counted once for each thing that an event says (of its account, of its source), and alerts
   * that no sink was asked for or that a sink did not take.
   */
  get lost(): { readonly events: number; readonly alerts: number } {
    return { ...this.#losses.counts };
  }

  /** Resolves when everything observed is decided, and everything raised is with the sinks or counted as lost. */
  async flush(): Promise<void> {
    await stayingAlive(this.#settle());
    this.#losses.tell();
  }

  /**
   * Observes no more, gives what is under way so long, and counts the rest as lost. A digest that is not due stays in
   * the store, for another process.
   *
   * @param withinSeconds - Less than the process has to end in.
   */
  close(withinSeconds = 10): Promise<void> {
    this.#closed ??= this.#close(withinSeconds * 1000);
    return this.#closed;
  }

  #observe(event: AuthEvent): void {
    try {
      const alert = alertOfEvent(event);
      if (alert !== null) this.#raise(alert);
      for (const [subject, sign] of signsOf(event)) this.#note(subject, sign);
    } catch {
      this.#losses.add({ what: 'event', reason: 'unreadable', sink: null, count: 1 });
    }
  }

  #note(subject: WatchSubject, sign: Sign): void {
    const lose = (reason: 'closed' | 'queue full'): void =>
      this.#losses.add({ what: 'event', reason, sink: null, count: sign.times });
    if (this.#closed !== undefined) return lose('closed');
    // A flood of failures must leave room for the success that comes out of it.
    const most = cheapSigns.has(sign.type) ? this.#maxQueued * 0.9 : this.#maxQueued;
    if (this.#events.size >= most) return lose('queue full');
    this.#events.add(keyOf(subject), subject, sign, mergeSigns);
  }

  #raise(alert: Alert): void {
    if (this.#alerts.size < this.#maxQueued) this.#alerts.add(budgetKey, null, alert, () => null);
    else this.#losses.add({ what: 'alert', reason: 'queue full', sink: null, count: 1 });
  }

  /** Looks whether a digest is due, its sender may be gone, and then again. */
  #look(): void {
    this.#alerts.add(budgetKey, null, null, (last, look) => (last === null ? look : null));
  }

  #lookAgain(dueMs: number | null): void {
    clearTimeout(this.#timer);
    if (this.#closed !== undefined) return;
    this.#timer = setTimeout(() => this.#look(), Math.min(dueMs ?? this.#digestMs, this.#digestMs)).unref();
  }

  async #settle(): Promise<void> {
    await this.#events.idle();
    this.#look();
    await this.#alerts.idle();
    await Promise.all(this.#queues.map((queue) => queue.idle()));
  }

  async #close(closeMs: number): Promise<void> {
    clearTimeout(this.#timer);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeMs);
    });
    await Promise.race([this.#settle(), late]);
    clearTimeout(timer);
    this.#events.close();
    this.#alerts.close();
    for (const queue of this.#queues) queue.close();
    this.#losses.tell();
  }
}

/** All timers here let the process end; whoever waits for the end of the work wants it to go on. */
async function stayingAlive(work: Promise<void>): Promise<void> {
  const alive = setInterval(() => {}, 60_000);
  try {
    await work;
  } finally {
    clearInterval(alive);
  }
}
