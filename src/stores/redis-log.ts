import { keyHash } from '../core/key-hash.js';
import { logKeys, type LogHead, type LogKey, type LogStore, type StoredEntry } from '../core/log-store.js';
import { isCount, nonsense } from '../core/store-call.js';
import { isOne, type RedisConnection, type Script } from './redis-connection.js';
import { appendScript, searchScript, walkScript } from './redis-log-scripts.js';

const letters: Readonly<Record<LogKey, string>> = { account: 'a', organisation: 'o', request: 'r' };

/** As the index writes it: so many digits that the order of texts is that of numbers. */
const timeText = (time: number): string => String(time).padStart(16, '0');
const positionText = (position: number): string => String(position).padStart(12, '0');

/** The login log in Redis: one hash, one index, one script a step; all in one slot. */
export function redisLog(connection: RedisConnection): LogStore {
  const log = keyHash('login-log');
  const keys = [connection.key('log', log), connection.key('logindex', log), connection.key('logbatch', log)];

  async function run(script: Script, args: readonly (string | number)[]): Promise<unknown[]> {
    const reply = await connection.run(script, keys, args);
    if (!Array.isArray(reply)) throw nonsense();
    return reply as unknown[];
  }

  return {
    async appendLog({ id, entries, retentionMs, expected }) {
      const head = expected === undefined ? [0, '', ''] : [1, expected.position, expected.seal];
      const values = entries.flatMap((entry) => [
        entry.time,
        ...logKeys.map((key) => entry[key] ?? '-'),
        entry.seal,
        entry.record,
      ]);
      const [appended, ...end] = await run(appendScript, [id, retentionMs, ...head, ...values]);
      return { appended: isOne(appended), head: headOf(end) };
    },

    async searchLog({ by, since, until, before, limit, retentionMs }) {
      const start = by === null ? '*' : `${letters[by.key]}${by.value}`;
      const ends = [
        ...(before === null ? [] : [timeText(before.time) + positionText(before.position)]),
        ...(until === null ? [] : [timeText(until)]),
      ].toSorted();
      // Names at the end itself are longer than it and so behind it; a colon is behind all digits.
      const range = [`(${start}${ends[0] ?? ':'}`, `[${start}${timeText(since)}`];
      const [count, last, ...rest] = await run(searchScript, [...range, limit, retentionMs]);
      if (!isCount(count) || typeof last !== 'string') throw nonsense();
      const entries = rowsOf(rest, 2).map(([position, value]) => entryOf(position, value, true));
      if (count < limit) return { entries, next: null };
      const [, time, position] = /(\d{16})(\d{12})$/.exec(last) ?? [];
      return { entries, next: { time: wholeOf(time), position: wholeOf(position) } };
    },

    async walkLog(from, limit, retentionMs) {
      const [position, seal, isOver, ...rest] = await run(walkScript, [from, limit, retentionMs]);
      const entries = rowsOf(rest, 3).map(([at, value, isFound]) => entryOf(at, value, isOne(isFound)));
      return { entries, head: headOf([position, seal]), isOver: isOne(isOver) };
    },
  };
}

function headOf([position, seal, ...more]: readonly unknown[]): LogHead {
  if (!isCount(position) || typeof seal !== 'string' || more.length > 0) throw nonsense();
  return { position, seal };
}

function rowsOf(reply: readonly unknown[], width: number): unknown[][] {
  if (reply.length % width !== 0) throw nonsense();
  return Array.from({ length: reply.length / width }, (_, i) => reply.slice(i * width, (i + 1) * width));
}

function entryOf(position: unknown, value: unknown, isFound: boolean): StoredEntry {
  if (typeof value !== 'string') throw nonsense();
  const [start, writtenAt, time, ...keys] =
    /^(\d{1,16}) (\d{1,16}) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]*) /.exec(value) ?? [];
  const [account, organisation, request, seal] = keys;
  if (start === undefined || seal === undefined) throw nonsense();
  return {
    position: wholeOf(position),
    writtenAt: wholeOf(writtenAt),
    time: wholeOf(time),
    account: keyIn(account),
    organisation: keyIn(organisation),
    request: keyIn(request),
    seal,
    record: value.slice(start.length),
    isFound,
  };
}

function keyIn(text: string | undefined): string | null {
  return text === undefined || text === '-' ? null : text;
}

function wholeOf(text: unknown): number {
  const whole = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
  if (!isCount(whole)) throw nonsense();
  return whole;
}
