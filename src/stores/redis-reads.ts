import { nonsense } from '../core/store-call.js';
import { textOrNull, type RedisConnection } from './redis-connection.js';

interface Read {
  readonly key: string;
  readonly resolve: (value: string | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Keys in one MGET: enough to be quick, few enough not to hold up other commands. */
const mostKeys = 500;

/**
 * Reads strings. Those that are asked for in one turn of the event loop go out as one MGET, after all of them were
 * asked for: nobody is given what was read before the request came, and a busy process pays for one command, not for
 * one each. On a Cluster every key has a slot of its own, and so a GET.
 */
export function redisReads(connection: RedisConnection): (key: string) => Promise<string | null> {
  if (connection.isCluster) return async (key) => textOrNull(await connection.send('GET', key));
  let waiting: Read[] = [];

  function flush(): void {
    const asked = waiting;
    waiting = [];
    for (let i = 0; i < asked.length; i += mostKeys) void readAll(asked.slice(i, i + mostKeys));
  }

  async function readAll(reads: readonly Read[]): Promise<void> {
    try {
      const values = await connection.sendNow('MGET', ...reads.map(({ key }) => key));
      if (!Array.isArray(values) || values.length !== reads.length) throw nonsense();
      const texts = values.map(textOrNull);
      for (const [index, { resolve }] of reads.entries()) resolve(texts[index] ?? null);
    } catch (error) {
      for (const { reject } of reads) reject(error);
    }
  }

  return (key) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ key, resolve, reject }) === 1) setImmediate(flush);
    });
}
