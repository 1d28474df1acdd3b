/** Settles as the work does, or rejects once the signal is aborted: not every client heeds a signal. */
export function unlessAborted<T>(signal: AbortSignal, what: string, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new Error(`${what} took too long`));
    if (signal.aborted) return giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    // A signal can serve many alerts: what waits on it must not pile up.
    const done = (): void => signal.removeEventListener('abort', giveUp);
    work().then(resolve, reject).finally(done);
  });
}
