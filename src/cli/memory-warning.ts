import { inspect, type InspectedStore } from '../core/store-facts.js';
import type { ConfigModule } from './config-module.js';

/** Says of each store in memory that this process looks at one of its own, and not at that of the service. */
export async function warnOfMemory(config: ConfigModule): Promise<readonly string[]> {
  const parts = (['attempts', 'tokens', 'factors'] as const).map(
    (name) => [name, config.find(name)?.settings.store as InspectedStore | undefined] as const,
  );
  const inMemory: string[] = [];
  for (const [name, store] of parts) {
    if (store === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop -- at most three, and mostly one store
    const facts = await inspect(store);
    if (facts?.kind === 'memory') inMemory.push(name);
  }
  if (inMemory.length === 0) return [];
  return [
    `${inMemory.join(', ')} of ${config.file} are kept by memoryStore(): ` +
      'this process sees nothing of the one that serves logins',
  ];
}
