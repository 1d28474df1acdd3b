import type { Alert, AlertSink } from './alert.js';

/** Alerts that may wait for one sink. With the default budget that is a quarter of an hour of the worst flood. */
const mostWaiting = 1000;

/** Sends at a time. Some receivers take a second each; more at once would be a flood of its own. */
const mostSending = 4;

/** How long a send may take, in milliseconds. */
const sendMs = 10_000;

/** Sends of one alert. With a wait of 2 s, doubled each time, the last one is about 4 minutes after the first. */
const mostTries = 8;
const firstWaitMs = 2000;

/**
 * Hands alerts to one sink: a few at a time, each with a deadline, again after a wait that grows. What cannot be taken
 * in time is counted as lost. Every sink has a queue of its own, so one that hangs holds up no other.
 */
export class AlertQueue {
  readonly #ready: Task[] = [];
  readonly #sending = new Set<AbortController>();
  readonly #later = new Map<Task, NodeJS.Timeout>();
  readonly #idle: (() => void)[] = [];
  #isClosed = false;

  constructor(
    readonly sink: AlertSink,
    readonly lose: (reason: 'queue full' | 'sink failed' | 'closed', error?: unknown) => void,
  ) {}

  add(alert: Alert): void {
    if (this.#isClosed) return this.lose('closed');
    // Older ones stay: to let newer ones push them out would let a flood hide how it began.
    if (this.#size >= mostWaiting) return this.lose('queue full');
    this.#ready.push({ alert, tries: 0 });
    this.#next();
  }

  /** Resolves when everything was taken or is lost. */
  async idle(): Promise<void> {
    if (this.#size > 0) await new Promise<void>((resolve) => void this.#idle.push(resolve));
  }

  /** Gives up what is left. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#later.values()) clearTimeout(timer);
    const left = this.#size;
    for (const sending of this.#sending) sending.abort();
    this.#sending.clear();
    this.#later.clear();
    this.#ready.length = 0;
    for (let lost = 0; lost < left; lost += 1) this.lose('closed');
    this.#rest();
  }

  get #size(): number {
    return this.#ready.length + this.#sending.size + this.#later.size;
  }

  #next(): void {
    while (this.#sending.size < mostSending) {
      const task = this.#ready.shift();
      if (task === undefined) return this.#rest();
      void this.#send(task);
    }
  }

  #rest(): void {
    if (this.#size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #send({ alert, tries }: Task): Promise<void> {
    const controller = new AbortController();
    this.#sending.add(controller);
    const failure = await sendOnce(this.sink, alert, controller);
    // The queue was closed meanwhile, and this one counted.
    if (!this.#sending.delete(controller)) return;
    if (failure !== null) this.#retry({ alert, tries: tries + 1 }, failure.error);
    this.#next();
  }

  #retry(task: Task, error: unknown): void {
    if (task.tries >= mostTries) return this.lose('sink failed', error);
    // Between half and one and a half: processes that failed together do not come back together.
    const waitMs = firstWaitMs * 2 ** (task.tries - 1) * (0.5 + Math.random());
    const timer = setTimeout(() => {
      this.#later.delete(task);
      this.#ready.push(task);
      this.#next();
    }, waitMs);
    this.#later.set(task, timer.unref());
  }
}

interface Task {
  readonly alert: Alert;
  readonly tries: number;
}

/** What became of a send that failed; the error is undefined where there was no answer by the deadline. */
interface Failure {
  readonly error: unknown;
}

/** Null for a sink that took it. One that has not answered by the deadline failed, whether it heeds the signal or not. */
function sendOnce(sink: AlertSink, alert: Alert, controller: AbortController): Promise<Failure | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => controller.abort(), sendMs).unref();
    const settle = (failure: Failure | null): void => {
      clearTimeout(timer);
      resolve(failure);
    };
    controller.signal.addEventListener('abort', () => settle({ error: undefined }), { once: true });
    try {
      Promise.resolve(sink.send(alert, controller.signal)).then(
        () => settle(null),
        (error: unknown) => settle({ error }),
      );
    } catch (error) {
      settle({ error });
    }
  });
}
