/**
 * A store did not answer in time, answered nonsense, or refused. Carries no command, key or argument: those
 * can hold names and hashes. Middleware answers it with 503 `store_unavailable`; thrown by a handler of the app,
 * Koa answers 503 by its `status`.
 */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly status = 503;
  readonly headers = { 'Retry-After': '1' };

  /** @param reason - Fixed words, never a part of a reply or a request. */
  constructor(readonly reason: string) {
    super(`The store is unavailable: ${reason}`);
  }
}

/**
 * All places for a costly check are taken; the caller may come back after `retryAfterSeconds`. Middleware
 * answers it with 429 `busy`; thrown by a handler of the app, Koa answers 429 by its `status`.
 */
export class Busy extends Error {
  override readonly name = 'Busy';
  readonly status = 429;
  readonly headers: { readonly 'Retry-After': string };

  constructor(readonly retryAfterSeconds: number) {
    super('Too many checks are under way');
    this.headers = { 'Retry-After': String(retryAfterSeconds) };
  }
}
