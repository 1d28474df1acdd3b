import { StoreUnavailable } from '../core/errors.js';
import { inspect, type StoreFacts } from '../core/store-facts.js';
import type { ConfigModule } from './config-module.js';
import { Failure } from './failure.js';

/** A first connection may take longer than a login would wait for: it is tried so often. */
const mostTries = 3;

/**
 * Asks each store once before anything is looked up in it. Says of those in memory that this process looks at one of its
 * own, and not at that of the service.
 *
 * @throws {Failure} when one does not answer.
 */
export async function reachStores(config: ConfigModule): Promise<readonly string[]> {
  const names = ['attempts', 'tokens', 'factors', 'log'] as const;
  const kept = names.flatMap((name) => {
    const store: object | undefined = config.find(name)?.settings.store;
    return store === undefined ? [] : [{ name, store }];
  });
  const facts = new Map<object, StoreFacts | null>();
  await Promise.all(
    Array.from(new Set(kept.map(({ store }) => store)), async (store) =>
      facts.set(store, await reach(store)),
    ),
  );
  const inMemory = kept.filter(({ store }) => facts.get(store)?.kind === 'memory').map(({ name }) => name);
  if (inMemory.length === 0) return [];
  const verb = inMemory.length === 1 ? 'is' : 'are';
  return [
    `${inMemory.join(', ')} of ${config.file} ${verb} kept by memoryStore(): ` +
      'this process sees nothing of the one that serves logins',
  ];
}

async function reach(store: object, tries = 1): Promise<StoreFacts | null> {
  try {
    return await inspect(store);
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    if (tries >= mostTries) throw new Failure(`${error.message}; nothing was looked up or changed`);
    return reach(store, tries + 1);
  }
}
