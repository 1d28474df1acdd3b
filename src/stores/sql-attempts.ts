import { attemptStatus, decideAttempt, lockAttempt, type LoadedSubject } from '../core/attempt-rule.js';
import type { AttemptDecision, AttemptStore, AttemptSubject } from '../core/attempt-store.js';
import { noAttempts, withoutAttempt, type Attempts } from '../core/attempt-window.js';
import { StoreUnavailable } from '../core/errors.js';
import { storeDeadlineMs } from '../core/store-call.js';
import { loadRows, makeRows, saveRows, type Loaded, type LoadedRows } from './sql-attempt-rows.js';
import { startDeadline, type SqlConnection } from './sql-connection.js';

/** What a step makes of its subjects: its answer, and what is to be saved; null for a subject that stays. */
type Step<T> = (
  loaded: readonly (Loaded & LoadedSubject)[],
  rows: LoadedRows,
) => readonly [answer: T, changed: readonly (Attempts | null)[]];

interface Job {
  readonly subjects: readonly AttemptSubject[];
  /** Counted later, the attempt would be nobody's: its caller has been refused. */
  readonly assertInTime: () => void;
  readonly step: Step<unknown>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const mostJobs = 64;
const mostRounds = 5;

/**
 * Lockout state in SQL: a row for each subject, locked from reading to writing. Steps that wait while a transaction
 * is under way share the next one, each upon what the one before has left: an account under attack then costs one
 * connection, and not the whole pool.
 */
export function sqlAttempts(connection: SqlConnection): AttemptStore {
  const { names, dialect } = connection;
  const waiting: Job[] = [];
  let isRunning = false;

  /** `step` must be pure: a transaction that was undone runs again. */
  async function change<T>(subjects: readonly AttemptSubject[], step: Step<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const done = (answer: unknown): void => resolve(answer as T);
      waiting.push({ subjects, step, resolve: done, reject, assertInTime: startDeadline() });
      if (!isRunning) void runAll();
    });
  }

  async function runAll(): Promise<void> {
    isRunning = true;
    while (waiting.length > 0) {
      const jobs = waiting.splice(0, mostJobs).filter(isInTime);
      // oxlint-disable-next-line no-await-in-loop -- one transaction at a time is the point
      if (jobs.length > 0) await settledOrLate(run(jobs));
    }
    isRunning = false;
  }

  async function run(jobs: readonly Job[]): Promise<void> {
    const assertInTime = startDeadline();
    try {
      const answers = await connection.transaction(async (db) => {
        const rows = await loadRows(
          connection,
          db,
          jobs.flatMap(({ subjects }) => subjects),
        );
        const states = new Map(rows.states);
        const changes: Parameters<typeof saveRows>[2] & Map<string, unknown> = new Map();
        const results = jobs.map(({ subjects, step }) => {
          const loaded = statesOf(subjects, states);
          const [answer, changed] = step(loaded, rows);
          for (const [index, subject] of subjects.entries()) {
            const state = loaded[index];
            if (state === undefined) continue;
            const attempts = changed[index] ?? (state.isMoved ? state.attempts : null);
            if (attempts === null) continue;
            states.set(subject.key, { ...state, attempts });
            changes.set(subject.key, { attempts, subject, ends: state.ends });
          }
          return answer;
        });
        await saveRows(connection, db, changes);
        // Whoever waited for a lock for too long takes back what it has done.
        assertInTime();
        return results;
      });
      for (const [index, job] of jobs.entries()) job.resolve(answers[index]);
    } catch (error) {
      for (const job of jobs) job.reject(error);
    }
  }

  return {
    async reserveAttempt(subjects) {
      for (let round = 0; round < mostRounds; round += 1) {
        // oxlint-disable-next-line no-await-in-loop -- each round sees what the one before has left
        const rows = await connection.read((db) => loadRows(connection, db, subjects));
        const loaded = statesOf(subjects, rows.states);
        const { decision } = decideAttempt(loaded, rows.now, rows.time);
        // An attack on a closed account waits for no lock and takes none.
        if (!decision.granted && !loaded.some(({ isMoved }) => isMoved)) return decision;
        const missing = [...rows.states].filter(([, { isMissing }]) => isMissing && dialect.locksRows);
        if (missing.length > 0) {
          // oxlint-disable-next-line no-await-in-loop
          await makeRows(
            connection,
            missing.map(([id]) => id),
          );
        }
        // oxlint-disable-next-line no-await-in-loop
        const counted = await change<AttemptDecision | null>(subjects, (states, { now, time }) => {
          const { decision, counted } = decideAttempt(states, now, time);
          // What has no row is not locked; it went in the meantime.
          if (decision.granted && dialect.locksRows && states.some(({ isMissing }) => isMissing)) {
            return [null, []];
          }
          return [decision, counted];
        });
        if (counted !== null) return counted;
      }
      throw new StoreUnavailable('its rows do not stay');
    },

    async releaseAttempt(subjects, stamps) {
      await change(subjects, (loaded) => [
        undefined,
        loaded.map(({ attempts }, index) => {
          const left = withoutAttempt(attempts, stamps[index] ?? 0);
          return left.stamps.length === attempts.stamps.length ? null : left;
        }),
      ]);
    },

    async lockAttempts(subjects, stamps) {
      return change(subjects, (loaded, { now }) => {
        const locks = loaded.map((one, index) => lockAttempt(one, stamps[index], now));
        return [locks.map((lock) => lock?.closedForMs ?? 0), locks.map((lock) => lock?.attempts ?? null)];
      });
    },

    async readAttempts(subject) {
      const rows = await connection.read((db) => loadRows(connection, db, [subject]));
      const loaded = statesOf([subject], rows.states);
      if (loaded.some(({ isMoved }) => isMoved)) await change([subject], () => [undefined, []]);
      const [{ attempts } = { attempts: noAttempts }] = loaded;
      return attemptStatus({ attempts, limits: subject.limits }, rows.now);
    },

    async clearAttempts({ key }) {
      const { numDeletedRows } = await connection.write((db) =>
        db
          .deleteFrom(names.attempts)
          .where('id', '=', key)
          .where('stamps', '!=', '')
          .where('ends', '>', connection.clockMs)
          .executeTakeFirstOrThrow(),
      );
      return numDeletedRows > 0n;
    },
  };
}

/** A connection that is silent must not hold up those behind it: they go on another one. */
async function settledOrLate(running: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, storeDeadlineMs);
    void running.finally(() => {
      clearTimeout(late);
      resolve();
    });
  });
}

function isInTime({ assertInTime, reject }: Job): boolean {
  try {
    assertInTime();
    return true;
  } catch (error) {
    reject(error);
    return false;
  }
}

function statesOf(
  subjects: readonly AttemptSubject[],
  states: ReadonlyMap<string, Loaded>,
): (Loaded & LoadedSubject)[] {
  return subjects.flatMap(({ key, limits }) => {
    const state = states.get(key);
    return state === undefined ? [] : [{ ...state, limits }];
  });
}
