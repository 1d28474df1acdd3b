import { parseRecord } from './record.js';
import { own } from './store-call.js';

/** Marks kept of writes that decided something. They are rare, so four are enough to know one's own again. */
const mostMarks = 4;

/** The state and the marks in a record. What is not exactly ours is none: it is written anew. */
export function unwrap(record: string | null): {
  readonly marks: readonly string[];
  readonly state: unknown;
} {
  const read = record === null ? null : parseRecord(record);
  const marks = own(read, 'marks');
  if (own(read, 'v') !== 1 || !Array.isArray(marks)) return { marks: [], state: null };
  return { marks: marks.filter((mark) => typeof mark === 'string'), state: own(read, 'state') };
}

/** @param mark - Of this write: kept where it decides something that must come about once. */
export function wrap(
  { state, isOnce }: { readonly state: object | null; readonly isOnce: boolean },
  marks: readonly string[],
  mark: string,
): string | null {
  if (state === null) return null;
  return JSON.stringify({ v: 1, marks: isOnce ? [...marks, mark].slice(-mostMarks) : marks, state });
}
