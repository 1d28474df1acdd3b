import { ask, own } from './store-call.js';

/** What a store says of itself, for an audit. */
export interface StoreFacts {
  /** `memory`, `redis`, `sql`, or a word of a store of the app's own. */
  readonly kind: string;
  /** Whether all processes see the same. */
  readonly isShared: boolean;
  /** Whether what it holds outlives a restart; null where that cannot be told. */
  readonly isDurable: boolean | null;
  /** Why its promises are weaker than they seem, in fixed words. */
  readonly weaknesses: readonly string[];
}

/** What a store may offer beside its ports. */
export interface InspectedStore {
  /** Asks the server about itself, now. Must reject when it cannot be reached. */
  inspectStore?(): Promise<StoreFacts>;
}

/**
 * What the store says of itself; null for one that says nothing.
 *
 * @throws {StoreUnavailable} when it cannot be reached: what is not known is not fine.
 */
export async function inspect(store: object): Promise<StoreFacts | null> {
  if (!offersInspection(store)) return null;
  return ask(() => store.inspectStore(), isStoreFacts);
}

function offersInspection(store: object): store is Required<InspectedStore> {
  return 'inspectStore' in store && typeof store.inspectStore === 'function';
}

function isStoreFacts(reply: unknown): boolean {
  const [durable, weaknesses] = [own(reply, 'isDurable'), own(reply, 'weaknesses')];
  return (
    typeof own(reply, 'kind') === 'string' &&
    typeof own(reply, 'isShared') === 'boolean' &&
    (durable === null || typeof durable === 'boolean') &&
    Array.isArray(weaknesses) &&
    weaknesses.every((one) => typeof one === 'string')
  );
}
