import { StoreUnavailable } from './errors.js';

/** Longest wait for one store operation, in milliseconds. A refusal must go out within a second. */
export const storeDeadlineMs = 700;

/** Longest wait for a hook of the app, in milliseconds. */
export const hookDeadlineMs = 5000;

/**
 * Asks a store and takes nothing on trust: an error, silence past the deadline and a reply that `isReply`
 * does not know all become StoreUnavailable. An operation that timed out may still be applied, so it is never
 * sent again.
 */
export function ask<T>(call: () => Promise<T>, isReply: (reply: unknown) => boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    // One turn later: an answer that came in time may wait unread, because the process was busy until now.
    const timeOut = (): NodeJS.Immediate =>
      setImmediate(() => reject(new StoreUnavailable('no answer in time')));
    const timer = setTimeout(timeOut, storeDeadlineMs);
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      // The error of a driver can hold the command with its arguments: only our own words go on.
      reject(error instanceof StoreUnavailable ? error : new StoreUnavailable('it failed'));
    };
    const receive = (reply: T): void => {
      clearTimeout(timer);
      if (isReply(reply)) resolve(reply);
      else reject(nonsense());
    };
    try {
      Promise.resolve(call()).then(receive).catch(fail);
    } catch (error) {
      fail(error);
    }
  });
}

/** What every reply of a wrong kind comes to: it decides nothing. */
export function nonsense(): StoreUnavailable {
  return new StoreUnavailable('an answer that makes no sense');
}

/** True for a whole number that is not negative: what every count, stamp and time from a store must be. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function isNothing(value: unknown): value is undefined {
  return value === undefined;
}

export function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

export function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

/** An own property of a reply; a polluted prototype answers for no store. */
export function own(reply: unknown, name: string): unknown {
  if (typeof reply !== 'object' || reply === null || !Object.hasOwn(reply, name)) return undefined;
  return (reply as Record<string, unknown>)[name];
}
