import { Busy, StoreUnavailable } from '../core/errors.js';
import { tell, type AuthContext } from './auth-state.js';
import { emitStoreFailure } from './events.js';
import { refusals, type RefusalBody, type RefusalCode } from './refusals.js';

/** What a refusal adds to its body, and `retryAfterSeconds` for its `Retry-After` header. */
export interface RefusalExtras {
  readonly retryAfterSeconds?: number;
  readonly body?: Readonly<Record<string, unknown>>;
}

/**
 * Answers with a refusal and nothing else: the caller returns without `next()`. Answered, not thrown: a throw
 * makes Koa drop every header and cookie set before.
 */
export function refuse(ctx: AuthContext, code: RefusalCode, extras: RefusalExtras = {}): void {
  const [status, description] = refusals[code];
  // Named twice: first in the body, and never replaced by an extra.
  const said = { error: code, error_description: description };
  const body: RefusalBody = { ...said, ...extras.body, ...said };
  ctx.status = status;
  ctx.set('Cache-Control', 'no-store');
  if (extras.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(extras.retryAfterSeconds));
  ctx.body = body;
  tell(ctx, { refusal: body });
}

/**
 * Answers for a store or a check that could not decide, and for nothing else: any other error goes on as it
 * is. Used around a single core call, never around `next()`.
 */
export function refuseUndecided(ctx: AuthContext, error: unknown): void {
  if (error instanceof StoreUnavailable) {
    emitStoreFailure(ctx, error.reason);
    refuse(ctx, 'store_unavailable', { retryAfterSeconds: 1 });
  } else if (error instanceof Busy) {
    refuse(ctx, 'busy', { retryAfterSeconds: error.retryAfterSeconds });
  } else throw error;
}

/** What the core answered; undefined where it could not decide and the request has been refused for that. */
export function decided<T>(ctx: AuthContext, asked: Promise<T>): Promise<T | undefined> {
  return asked.catch((error: unknown) => {
    refuseUndecided(ctx, error);
    return undefined;
  });
}
