/**
 * A store did not answer in time, answered nonsense, or refused. Carries no command, key or argument: those
 * can hold names and hashes. Middleware answers it with 503 `store_unavailable`.
 */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';

  /** @param reason - Fixed words, never a part of a reply or a request. */
  constructor(readonly reason: string) {
    super(`The store is unavailable: ${reason}`);
  }
}

/**
 * All places for a costly check are taken; the caller may come back after `retryAfterSeconds`. Middleware
 * answers it with 429 `busy`.
 */
export class Busy extends Error {
  override readonly name = 'Busy';

  constructor(readonly retryAfterSeconds: number) {
    super('Too many checks are under way');
  }
}
