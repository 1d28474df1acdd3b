import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/** What a diagnostics channel publishes while the work runs. */
export async function heardOn(channel: string, work: () => Promise<unknown>): Promise<unknown[]> {
  const heard: unknown[] = [];
  const listen = (message: unknown): void => void heard.push(message);
  subscribe(channel, listen);
  try {
    await work();
  } finally {
    unsubscribe(channel, listen);
  }
  return heard;
}
