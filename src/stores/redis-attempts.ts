import type { AttemptDecision, AttemptStore, AttemptSubject } from '../core/attempt-store.js';
import { isCount, nonsense } from '../core/store-call.js';
import { attemptScripts } from './redis-attempt-scripts.js';
import { isOne, type RedisConnection } from './redis-connection.js';
import type { EvictionWatch } from './redis-eviction.js';

type Step = keyof typeof attemptScripts;

/** Lockout state in Redis: one small string per subject, one script and one round trip per step. */
export function redisAttempts(connection: RedisConnection, eviction: EvictionWatch): AttemptStore {
  async function run(
    step: Step,
    subjects: readonly AttemptSubject[],
    stamps: readonly number[] = [],
  ): Promise<number[]> {
    const keys = subjects.map(({ key }) => connection.key('lockout', key));
    const reply = await connection.run(attemptScripts[step](subjects), keys, stamps);
    // Only whole numbers are a reply: NaN >= 10 must never decide.
    if (Array.isArray(reply) && reply.every(isCount)) return reply;
    throw nonsense();
  }

  /** On a Cluster each subject has a slot, and so a script, of its own. */
  async function runAll(
    step: Step,
    subjects: readonly AttemptSubject[],
    stamps: readonly number[],
  ): Promise<number[]> {
    if (!connection.isCluster) return run(step, subjects, stamps);
    return (
      await Promise.all(subjects.map((subject, i) => run(step, [subject], stamps.slice(i, i + 1))))
    ).flat();
  }

  return {
    async reserveAttempt(subjects) {
      if (eviction.refuses) await eviction.check();
      if (!connection.isCluster) return decisionOf(await run('reserve', subjects), subjects.length);
      const parts = await Promise.allSettled(
        subjects.map(async (one) => decisionOf(await run('reserve', [one]), 1)),
      );
      return joinDecisions(parts, (index, stamps) =>
        run('release', subjects.slice(index, index + 1), stamps),
      );
    },
    async releaseAttempt(subjects, stamps) {
      await runAll('release', subjects, stamps);
    },
    async lockAttempts(subjects, stamps) {
      return runAll('lock', subjects, stamps);
    },
    async readAttempts(subject) {
      const [closedForMs = -1, busy, lockedAt = -1, ...within] = await run('read', [subject]);
      return { closedForMs, busy: busy === 1, lockedAt, counts: within };
    },
    async clearAttempts({ key }) {
      return isOne(await connection.send('DEL', connection.key('lockout', key)));
    },
  };
}

function decisionOf(reply: readonly number[], subjects: number): AttemptDecision {
  const [granted, second, third, fourth] = reply;
  const flags = granted === 1 ? fourth : third;
  if (
    second === undefined ||
    third === undefined ||
    fourth === undefined ||
    reply.length !== 4 ||
    (flags ?? 2) > 1
  ) {
    throw nonsense();
  }
  if (granted === 1) {
    return { granted: true, stamps: Array<number>(subjects).fill(second), time: third, full: fourth === 1 };
  }
  if (granted !== 0) throw nonsense();
  return { granted: false, subject: second, busy: third === 1, closedForMs: fourth };
}

/** Two slots cannot decide together: what one granted is given back when the other is closed, or is down. */
async function joinDecisions(
  parts: readonly PromiseSettledResult<AttemptDecision>[],
  giveBack: (index: number, stamps: readonly number[]) => Promise<unknown>,
): Promise<AttemptDecision> {
  const granted: { index: number; stamps: readonly number[]; time: number; full: boolean }[] = [];
  const closed: Extract<AttemptDecision, { granted: false }>[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.status === 'rejected') continue;
    if (part.value.granted) granted.push({ index, ...part.value });
    else closed.push({ ...part.value, subject: index });
  }
  const failed = parts.find((part) => part.status === 'rejected');
  if (failed !== undefined || closed.length > 0) {
    await Promise.allSettled(granted.map(({ index, stamps }) => giveBack(index, stamps)));
  }
  if (failed !== undefined) throw failed.reason;
  const [longest] = closed.toSorted((a, b) => b.closedForMs - a.closedForMs);
  if (longest !== undefined) return { ...longest, busy: closed.every(({ busy }) => busy) };
  return {
    granted: true,
    stamps: granted.flatMap(({ stamps }) => stamps),
    time: Math.min(...granted.map(({ time }) => time)),
    full: granted.some(({ full }) => full),
  };
}
