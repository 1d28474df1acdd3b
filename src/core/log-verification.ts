import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogBreak, LogChain } from './log-chain.js';
import type { LogHead, LogPart } from './log-store.js';

export interface LogVerification {
  /** Where an earlier verification ended: what is before it is not looked at again. */
  readonly since?: LogHead;
  /** Where the log is known to have ended, kept outside the store: with less than that, it was set back. */
  readonly head?: LogHead;
}

/** What a log that is a chain was found to be. */
export type LogVerdict =
  | {
      readonly ok: true;
      /** How many were looked at. */
      readonly entries: number;
      /** The oldest of them; null where there were none. Before it, whatever was is gone. */
      readonly first: { readonly position: number; readonly time: number } | null;
      /** Where the log ends. Keep it outside the store and give it back. */
      readonly head: LogHead;
    }
  | {
      readonly ok: false;
      readonly entries: number;
      /** Of the entry that is wrong or missing. */
      readonly position: number;
      readonly reason: LogBreak;
    };

/** Entries at once: a log of any length is gone through in little memory, and holds nobody up. */
const pageSize = 200;

/**
 * Goes through a log from its oldest entry to where it says that it ends.
 *
 * @throws {StoreUnavailable} when the store cannot tell.
 */
export async function verifyLog(
  walk: (from: number, limit: number) => Promise<LogPart>,
  chain: LogChain,
  { since, head: kept }: LogVerification,
): Promise<LogVerdict> {
  const start = await walk(1, 1);
  const { head } = start;
  let { isOver } = start;
  let before = since;
  let first: { position: number; time: number } | null = null;
  let entries = 0;
  const broken = (reason: LogBreak, position: number): LogVerdict => ({
    ok: false,
    entries,
    position,
    reason,
  });
  const following = (): number => (before?.position ?? 0) + 1;

  for (const known of [since, kept]) {
    if (known !== undefined && known.position > head.position)
      return broken('rolled_back', head.position + 1);
  }
  while (following() <= head.position) {
    // oxlint-disable-next-line no-await-in-loop -- a page after the other
    const page = await walk(following(), pageSize);
    ({ isOver } = page);
    const [next] = page.entries;
    if (next === undefined || next.position > head.position) break;
    if (before !== undefined && next.position !== following()) {
      // Nothing is missing if all up to here has gone by its age, in the meantime or since the last verification.
      // oxlint-disable-next-line no-await-in-loop
      const [oldest] = (await walk(1, 1)).entries;
      if (oldest === undefined || oldest.position <= before.position) return broken('removed', following());
      before = undefined;
    }
    for (const entry of page.entries) {
      if (entry.position > head.position) break;
      const { position, seal, time } = entry;
      const found = chain.check(entry, before);
      if (found !== null) return broken(found, found === 'removed' ? following() : position);
      if (kept?.position === position && kept.seal !== seal) return broken('forked', position);
      before = { position, seal };
      first ??= { position, time };
      entries += 1;
    }
    // A store in memory answers without ever waiting: whoever else has something to do gets a chance.
    // oxlint-disable-next-line no-await-in-loop
    await nextTurn();
  }
  if (following() <= head.position && !(isOver && entries === 0)) return broken('removed', following());
  if (before !== undefined && before.position === head.position && before.seal !== head.seal) {
    return broken(entries === 0 ? 'forked' : 'changed', head.position);
  }
  const beyond = await walk(head.position + 1, 1);
  // What is there was once behind a later end.
  if (beyond.entries.length > 0 && beyond.head.position <= head.position) {
    return broken('rolled_back', head.position + 1);
  }
  return { ok: true, entries, first, head };
}
