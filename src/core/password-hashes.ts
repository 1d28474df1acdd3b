import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { Busy } from './errors.js';
import { integer, readOptions } from './options.js';

export interface PasswordHashesOptions {
  /**
   * Memory of one hash in KiB.
   *
   * @default 19_456 (19 MiB: OWASP Password Storage Cheat Sheet, argon2id)
   */
  readonly memoryKiB?: number;
  /**
   * Passes over that memory.
   *
   * @default 2
   */
  readonly iterations?: number;
  /**
   * Hashes computed at once. Hashing shares four threads with DNS and file reads: more than there are cores lowers
   * the throughput and starves both.
   *
   * @default os.availableParallelism(), at most 3
   */
  readonly concurrency?: number;
  /**
   * Hashes that may wait; beyond it a check is refused with `busy`, and so is one that has waited for four seconds.
   *
   * @default 32
   */
  readonly queue?: number;
}

interface Argon2 {
  hash(password: string, options: object): Promise<string>;
  verify(hash: string, password: string): Promise<boolean>;
}

// What is hashed for an unknown name. Nobody's password: its hash is made anew in each process.
const nobodysPassword = 'a name that nobody has';

/**
 * Longest wait in the queue. A login whose password step has not answered after five seconds is refused: a hash that
 * is begun later is work for nobody, and keeps those behind it waiting.
 */
const longestWaitMs = 4000;

/**
 * Password hashes by argon2id through @node-rs/argon2, a few at a time. An unknown name costs the same as a wrong
 * password, and a flood of logins is refused early instead of holding up the process.
 *
 * @see OWASP Password Storage Cheat Sheet; RFC 9106
 */
export class PasswordHashes {
  readonly #argon2: Argon2;
  readonly #parameters: { memoryCost: number; timeCost: number; parallelism: number; algorithm: number };
  readonly #concurrency: number;
  readonly #queue: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #dummy: Promise<string> | undefined;

  /** @throws {TypeError} on a wrong option, and when @node-rs/argon2 is not installed. */
  constructor(options: PasswordHashesOptions = {}) {
    const {
      memoryKiB = 19_456,
      iterations = 2,
      concurrency = Math.min(availableParallelism(), 3),
      queue = 32,
    } = readOptions<PasswordHashesOptions>('PasswordHashes', options, {
      memoryKiB: integer(7168, 1_048_576),
      iterations: integer(1, 100),
      concurrency: integer(1, 64),
      queue: integer(0, 10_000),
    });
    this.#argon2 = loadArgon2();
    this.#parameters = { memoryCost: memoryKiB, timeCost: iterations, parallelism: 1, algorithm: 2 };
    this.#concurrency = concurrency;
    this.#queue = queue;
  }

  /** What a hash costs. */
  get settings(): { readonly memoryKiB: number; readonly iterations: number } {
    const { memoryCost, timeCost } = this.#parameters;
    return { memoryKiB: memoryCost, iterations: timeCost };
  }

  /**
   * Hashes a new password, with a salt of its own, for storage.
   *
   * @throws {Busy} when the queue is full.
   */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => this.#argon2.hash(password, this.#parameters));
  }

  /**
   * Whether the password is the one that was hashed. Without a hash (unknown name, account without a password), and
   * for a hash of another kind, which is told as a process warning, it does the same work and answers false.
   *
   * @throws {Busy} when the queue is full.
   */
  verify(hash: string | null | undefined, password: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const dummy = await this.#hashOfNobody();
      const stored = typeof hash === 'string' && hash !== '' ? hash : undefined;
      if (stored !== undefined) {
        const matches = await this.#argon2.verify(stored, password).catch(() => null);
        if (matches !== null) return matches;
        // A hash that is no argon2 hash must not answer faster, or otherwise, than a wrong password.
        process.emitWarning('a stored password hash cannot be read and matches nothing', {
          code: 'PORTCULLIS_PASSWORD_HASH',
        });
      }
      await this.#argon2.verify(dummy, password);
      return false;
    });
  }

  /** True when the hash was made with other parameters than these: hash anew at the next complete login. */
  needsRehash(hash: string): boolean {
    const { memoryCost, timeCost, parallelism } = this.#parameters;
    return !hash.startsWith(`$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$`);
  }

  #hashOfNobody(): Promise<string> {
    this.#dummy ??= this.#argon2.hash(nobodysPassword, this.#parameters).catch((error: unknown) => {
      this.#dummy = undefined;
      throw error;
    });
    return this.#dummy;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    if (this.#running >= this.#concurrency) {
      if (this.#waiting.length >= this.#queue) throw new Busy(1);
      // The one that ends hands its place over, so nobody who comes later takes it.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      if (performance.now() - start > longestWaitMs) throw new Busy(1);
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

function loadArgon2(): Argon2 {
  try {
    return createRequire(import.meta.url)('@node-rs/argon2') as Argon2;
  } catch {
    throw new TypeError('PasswordHashes: install @node-rs/argon2 beside koa-portcullis');
  }
}
