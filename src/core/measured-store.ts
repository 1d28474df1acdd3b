/** Hears of each answer of a store: which operation, how long it took, and whether it was an answer. */
export type StoreObserver = (operation: string, seconds: number, outcome: 'ok' | 'failed') => void;

/** Asynchronous in some stores, and no question to any. */
const unmeasured = 'close';

/**
 * The same store, or port of one, with every answer timed. Give it to the core objects in place of the store. What it
 * answers, throws and does not do is the store's own; an observer that throws changes nothing of it.
 *
 * @param observe - Such as `observeStore` of `prometheusMetrics`.
 * @param now - A clock in milliseconds that is never set back.
 * @throws {TypeError} for what is no store or no function.
 */
export function measuredStore<S extends object>(
  store: S,
  observe: StoreObserver,
  now: () => number = () => performance.now(),
): S {
  if (typeof store !== 'object' || (store as unknown) === null) {
    throw new TypeError('measuredStore: store must be a store such as redisStore(redis)');
  }
  if (typeof observe !== 'function' || typeof now !== 'function') {
    throw new TypeError('measuredStore: observe and now must be functions');
  }
  const tell = (operation: string, since: number, outcome: 'ok' | 'failed'): void => {
    try {
      observe(operation, (now() - since) / 1000, outcome);
    } catch {
      // A figure is lost; a login must not be.
    }
  };
  const measured = {};
  for (const name of namesOf(store)) {
    const read = (): unknown => (store as Readonly<Record<string, unknown>>)[name];
    const method = read();
    if (typeof method !== 'function') {
      Object.defineProperty(measured, name, { enumerable: true, get: read });
      continue;
    }
    const value = (...args: readonly unknown[]): unknown => {
      const since = now();
      // On the store itself, whose private fields no wrapper has.
      const answer: unknown = Reflect.apply(method, store, args);
      if (name === unmeasured || !isPromise(answer)) return answer;
      return answer.then(
        (reply) => {
          tell(name, since, 'ok');
          return reply;
        },
        (error: unknown) => {
          tell(name, since, 'failed');
          throw error;
        },
      );
    };
    Object.defineProperty(measured, name, { enumerable: true, value });
  }
  return measured as S;
}

function isPromise(answer: unknown): answer is PromiseLike<unknown> {
  return (
    typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function'
  );
}

/** Of the object and of its class, as a store may be either. */
function namesOf(store: object): Set<string> {
  const names = new Set<string>();
  for (let at: unknown = store; typeof at === 'object' && at !== null && at !== Object.prototype;) {
    for (const name of Object.getOwnPropertyNames(at)) if (name !== 'constructor') names.add(name);
    at = Object.getPrototypeOf(at);
  }
  return names;
}
