import { accountKey, type Account } from './account.js';
import { Busy } from './errors.js';
import { noFactors, readFactorRecord, writeFactorRecord, type Factors } from './factor-record.js';
import { isDocumentOrNull, type FactorDocument, type FactorStore } from './factor-store.js';
import { ask, isBoolean } from './store-call.js';

// Only what happens to one account at the same moment collides, and its attempts are limited to a few.
const mostTries = 32;

/** What a change makes of the factors: null leaves them as they are. */
export interface FactorChange<T> {
  readonly factors: Factors | null;
  readonly answer: T;
}

/** The factors of accounts, read and changed as a whole. */
export class FactorBook {
  constructor(readonly store: FactorStore) {}

  /** @throws {StoreUnavailable} when the store cannot tell: that never means "none". */
  async read(account: Account): Promise<Factors> {
    return factorsOf(await this.#load(account));
  }

  /**
   * Changes the factors by compare-and-set. `decide` is asked again, with what is there then, whenever somebody else
   * was faster: so a code that two requests offer at once is found unused by one of them only.
   */
  async change<T>(account: Account, decide: (factors: Factors) => FactorChange<T>): Promise<T> {
    for (let tries = 0; tries < mostTries; tries += 1) {
      // oxlint-disable-next-line no-await-in-loop -- each try depends on what the one before found
      const document = await this.#load(account);
      const { factors, answer } = decide(factorsOf(document));
      if (factors === null) return answer;
      const record = writeFactorRecord(factors);
      const revision = document?.revision ?? 0;
      const write = (): Promise<boolean> => this.store.writeFactors(accountKey(account.id), record, revision);
      // oxlint-disable-next-line no-await-in-loop -- as above
      if (await ask(write, isBoolean)) return answer;
    }
    throw new Busy(1);
  }

  #load(account: Account): Promise<FactorDocument | null> {
    return ask(() => this.store.readFactors(accountKey(account.id)), isDocumentOrNull);
  }
}

function factorsOf(document: FactorDocument | null): Factors {
  return document === null ? noFactors : readFactorRecord(document.record);
}
