// An own store: attempts in files, so that locks of a single process outlive a restart without a database.
// Run it: npm run build && ATTEMPTS_DIR=/tmp/attempts node build/examples/own-store.js
// curl -d 'username=alice&password=guess' localhost:3000/login
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bodyParser } from '@koa/bodyparser';
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  Lockout,
  attemptStatus,
  decideAttempt,
  lockAttempt,
  lockout,
  noAttempts,
  safeBody,
  withoutAttempt,
  withoutFuture,
  type AttemptStore,
  type AttemptSubject,
  type Attempts,
  type AuthState,
  type LoadedSubject,
} from 'koa-portcullis';
import { serveIfRun } from './run-directly.js';

/** Synchronous file access makes each step atomic within one process; two processes need a database. */
export function fileAttempts(directory: string, now: () => number = Date.now): AttemptStore {
  mkdirSync(directory, { recursive: true });
  const fileOf = ({ key }: AttemptSubject): string => join(directory, `${key}.json`);

  function load(subject: AttemptSubject): Attempts {
    let text: string;
    try {
      text = readFileSync(fileOf(subject), 'utf8');
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return noAttempts;
      throw error; // a disk that fails refuses the login
    }
    return withoutFuture(JSON.parse(text) as Attempts, now());
  }

  function save(subject: AttemptSubject, attempts: Attempts): void {
    const file = fileOf(subject);
    writeFileSync(`${file}.new`, JSON.stringify(attempts), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  const read = (subject: AttemptSubject): LoadedSubject => ({
    attempts: load(subject),
    limits: subject.limits,
  });

  return {
    async reserveAttempt(subjects) {
      const time = now();
      const { decision, counted } = decideAttempt(subjects.map(read), time, time * 1000);
      for (const [index, subject] of subjects.entries()) {
        const attempts = counted[index];
        if (attempts !== undefined) save(subject, attempts);
      }
      return decision;
    },
    async releaseAttempt(subjects, stamps) {
      for (const [index, subject] of subjects.entries()) {
        save(subject, withoutAttempt(load(subject), stamps[index] ?? 0));
      }
    },
    async lockAttempts(subjects, stamps) {
      return subjects.map((subject, index) => {
        const locked = lockAttempt(read(subject), stamps[index], now());
        if (locked !== null) save(subject, locked.attempts);
        return locked?.closedForMs ?? 0;
      });
    },
    async readAttempts(subject) {
      return attemptStatus(read(subject), now());
    },
    async clearAttempts(subject) {
      const had = load(subject) !== noAttempts;
      rmSync(fileOf(subject), { force: true });
      return had;
    },
  };
}

/** The app, with its attempts in `directory`. */
export function appOn(directory: string): Koa {
  const attempts = new Lockout({ store: fileAttempts(directory) });
  const router = new Router<AuthState>();
  router.post('/login', lockout(attempts), (ctx) => {
    const { password } = ctx.request.body as { password?: unknown };
    if (password !== 'correct horse') ctx.throw(401);
    ctx.body = { hello: true };
  });
  const app = new Koa();
  app.use(safeBody(bodyParser()));
  app.use(router.routes());
  return app;
}

const { ATTEMPTS_DIR } = process.env;
if (ATTEMPTS_DIR !== undefined) serveIfRun(appOn(ATTEMPTS_DIR), import.meta.url);
