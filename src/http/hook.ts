import { Busy, StoreUnavailable } from '../core/errors.js';
import { hookDeadlineMs } from '../core/store-call.js';
import type { AuthContext } from './auth-state.js';
import { refuse, refuseUndecided } from './refuse.js';

/**
 * Asks a hook of the app. An error, an answer of the wrong kind and silence past the deadline are refusals, and
 * the app's `error` event says which: a database that is down lets nobody in. Errors that the hook meant for the
 * client (`ctx.throw(400)`) go on as they are.
 *
 * @returns the answer in a box, or undefined when the request has been refused.
 */
export async function askHook<T>(
  ctx: AuthContext,
  name: string,
  hook: () => T | Promise<T>,
  isAnswer: (answer: unknown) => boolean,
): Promise<{ readonly answer: T } | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} did not answer in time`)), hookDeadlineMs);
  });
  try {
    const answer = await Promise.race([hook(), late]);
    if (isAnswer(answer)) return { answer };
    throw new Error(`${name} answered something that is no answer`);
  } catch (error) {
    if (isForClient(error)) throw error;
    if (error instanceof StoreUnavailable || error instanceof Busy) refuseUndecided(ctx, error);
    else {
      ctx.app.emit('error', error, ctx);
      refuse(ctx, 'store_unavailable', { retryAfterSeconds: 1 });
    }
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

function isForClient(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { status, expose } = error as { status?: unknown; expose?: unknown };
  return expose === true && typeof status === 'number' && status >= 400 && status < 500;
}
