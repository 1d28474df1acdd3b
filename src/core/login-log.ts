import type { AuthEvent } from './auth-event.js';
import { StoreUnavailable } from './errors.js';
import { LogAppends } from './log-appends.js';
import { LogChain, sealNothing } from './log-chain.js';
import { factsOf, readNewEntry, type LogFacts, type LostEntries, type NewLogEntry } from './log-entry.js';
import { LogQueue } from './log-queue.js';
import { queryLog, type LogPage, type LogQuery } from './log-query.js';
import { isIdOrNull } from './log-record.js';
import { isLogAppended, isLogFound, isLogHead, isLogPart } from './log-store.js';
import type { LogHead, LogStore } from './log-store.js';
import { verifyLog, type LogVerdict, type LogVerification } from './log-verification.js';
import { readLoginLogOptions, type LoginLogOptions } from './login-log-options.js';
import { readOptions, type Rule } from './options.js';
import { ask, hookDeadlineMs } from './store-call.js';

/** Other processes may write between two tries of one; each time one of them has come further. */
const mostRounds = 100;

/**
 * Who logged in, who tried, and what changed about logins, in an append-only log: of the app's events, by
 * `app.on('auth', log.record)`, and of whatever else the app appends. Written beside the requests, and never lost in
 * silence. With a key it is a chain that shows what was changed in the store.
 *
 * @see OWASP Logging Cheat Sheet; OWASP ASVS 5.0 sections 16.2 and 16.3; NIST SP 800-92
 */
export class LoginLog {
  readonly #store: LogStore;
  readonly #retentionMs: number;
  readonly #organisation: LoginLogOptions['organisation'];
  readonly #chain: LogChain | undefined;
  readonly #onLost: LoginLogOptions['onLost'];
  readonly #now: () => number;
  readonly #queue: LogQueue;
  readonly #appends: LogAppends;
  /** Where the log ended when this process last wrote. */
  #head: LogHead = { position: 0, seal: '' };

  /** For `app.on('auth', log.record)`: keeps the event, beside the request. Never throws. */
  readonly record: (event: AuthEvent) => void;

  /** @throws {TypeError} on an unknown option, a wrong value, or a key that is none. */
  constructor(options: LoginLogOptions) {
    const {
      store,
      retentionSeconds = 31_536_000,
      organisation,
      chain,
      maxQueued = 10_000,
      onLost,
      now = Date.now,
    } = readLoginLogOptions(options);
    this.#store = store;
    this.#retentionMs = retentionSeconds * 1000;
    this.#organisation = organisation;
    this.#chain = chain && new LogChain(chain.key);
    this.#onLost = onLost;
    this.#now = now;
    this.#queue = new LogQueue(maxQueued, {
      prepare: (facts) => Promise.all(facts.map((one) => this.#withOrganisation(one))),
      write: (id, facts) => this.#write(id, facts),
      lost: (lost) => this.#tellLost(lost),
    });
    this.#appends = new LogAppends((id, facts) => this.#write(id, facts));
    this.record = (event) => {
      const facts = factsOf(event, this.#now());
      if (facts !== null) this.#queue.add(facts);
    };
  }

  /** What it was made with. No key is among it. */
  get settings(): { readonly store: LogStore; readonly retentionSeconds: number; readonly chained: boolean } {
    return {
      store: this.#store,
      retentionSeconds: this.#retentionMs / 1000,
      chained: this.#chain !== undefined,
    };
  }

  /** How many entries found no place in the queue, since the process began. */
  get lost(): number {
    return this.#queue.lost;
  }

  /**
   * Waits until all events recorded by now are in the log.
   *
   * @throws {StoreUnavailable} when the store fails: they go on waiting.
   */
  async flush(): Promise<void> {
    await this.#queue.flush();
  }

  /** Writes what waits, for the end of the process. What cannot be written is counted as lost, and `onLost` is told. */
  async close(): Promise<void> {
    await this.#queue.close();
  }

  /**
   * Writes one entry, and waits for it: for what must be in the log before it is done.
   *
   * @throws {TypeError} for what is no entry.
   * @throws {StoreUnavailable} when it may not be in the log: then it must not be done.
   */
  async append(entry: NewLogEntry): Promise<void> {
    const facts = readNewEntry(entry, this.#now());
    const isKnown = entry.organisation !== undefined;
    await this.#appends.add(isKnown ? facts : await this.#withOrganisation(facts));
  }

  /**
   * Entries, newest first by when they happened.
   *
   * @throws {TypeError} for what is no query, or a cursor of something else.
   * @throws {StoreUnavailable} when the store cannot tell.
   */
  async query(query?: LogQuery): Promise<LogPage> {
    const retentionMs = this.#retentionMs;
    return queryLog(
      (search) => ask(() => this.#store.searchLog({ ...search, retentionMs }), isLogFound),
      query,
    );
  }

  /**
   * Goes through the whole log and says whether it is as it was written, or where it is not.
   *
   * @throws {TypeError} without the option `chain`: there is nothing to tell it by.
   * @throws {StoreUnavailable} when the store cannot tell.
   */
  async verify(verification: LogVerification = {}): Promise<LogVerdict> {
    const chain = this.#chain;
    if (chain === undefined) throw new TypeError('LoginLog.verify: there is no option chain');
    const read = readOptions<LogVerification>('LoginLog.verify', verification, { since: place, head: place });
    const walk = (from: number, limit: number) =>
      ask(() => this.#store.walkLog(from, limit, this.#retentionMs), isLogPart);
    return verifyLog(walk, chain, read);
  }

  async #write(id: string, facts: readonly LogFacts[]): Promise<void> {
    const chain = this.#chain;
    const retentionMs = this.#retentionMs;
    for (let round = 0; round < mostRounds; round += 1) {
      const expected = chain && this.#head;
      const entries = chain === undefined ? sealNothing(facts) : chain.seal(facts, this.#head);
      // oxlint-disable-next-line no-await-in-loop -- each knows where the one before has found the end
      const { appended, head } = await ask(
        () => this.#store.appendLog({ id, entries, retentionMs, expected }),
        isLogAppended,
      );
      this.#head = head;
      if (appended) return;
    }
    throw new StoreUnavailable('its log moves on too fast');
  }

  /** Without an answer in time the entry has none: it must not be lost for that. */
  async #withOrganisation(facts: LogFacts): Promise<LogFacts> {
    const { account } = facts;
    const find = this.#organisation;
    if (account === null || find === undefined) return facts;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), hookDeadlineMs);
    });
    const answer = (async () => find(account))().catch(() => null);
    const organisation: unknown = await Promise.race([answer, late]);
    clearTimeout(timer);
    return isIdOrNull(organisation) ? { ...facts, organisation } : facts;
  }

  #tellLost(lost: LostEntries): void {
    // A hook that fails is the app's error, and no reason to lose more.
    void (async () => this.#onLost?.(lost))().catch(() => {});
  }
}

const place: Rule = { demand: 'a head that a verification answered', accepts: isLogHead };
