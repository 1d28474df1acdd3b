import type { Alert, AlertSink } from '../../src/core/alert.js';

/** An alert as the watch raises it, of one account. */
export function alertOf(facts: Partial<Alert> = {}): Alert {
  return {
    id: 'a1b2c3d4e5f60718',
    kind: 'repeated_failures',
    severity: 'warning',
    account: 'alice',
    subject: 'f'.repeat(64),
    address: '192.0.2.7',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64)',
    requestId: 'req-1',
    since: Date.UTC(2026, 2, 1, 12, 0, 5),
    until: Date.UTC(2026, 2, 1, 12, 20, 0),
    count: 12,
    accounts: 1,
    sources: 3,
    actor: null,
    digest: null,
    ...facts,
  };
}

/** Hands every alert to the sink until it takes it, four at a time, as the queue does; fails where one is never taken. */
export async function deliver(sink: AlertSink, alerts: readonly Alert[], withinMs = 10_000): Promise<void> {
  const waiting = [...alerts];
  const work = async (): Promise<void> => {
    for (let alert = waiting.shift(); alert !== undefined; alert = waiting.shift()) {
      await deliverOne(sink, alert, withinMs);
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
}

async function deliverOne(sink: AlertSink, alert: Alert, withinMs: number): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await sink.send(alert, AbortSignal.timeout(withinMs));
    } catch (error) {
      if (tries === 40) throw error;
    }
  }
}

/** One in four, spread evenly and the same in each run. */
export function oneInFour(seed = 1): () => boolean {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648 < 0.25;
  };
}
