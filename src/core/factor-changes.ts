import type { Account } from './account.js';
import { newBackupCodes } from './backup-codes.js';
import type { FactorBook } from './factor-book.js';
import { factsOf, type FactorFacts } from './factor-facts.js';
import { noFactors, type Factor, type Factors } from './factor-record.js';
import { callback, flag } from './options.js';

/** Most factors of one account. */
const mostFactors = 20;

/** Under which conditions a factor may be added. */
export interface AddingFactor {
  /** Id of a factor that the new one takes the place of, in the same step. */
  readonly replaces?: string;
  /** Only where there is none yet: for a login that proved no factor. Decided in the store, so nobody can race it. */
  readonly onlyFirst?: boolean;
  /**
   * Awaited once the new factor is proven and before it is written: where it fails, the account stays as it was.
   */
  readonly before?: () => Promise<unknown>;
  /** The account's `resets` when what is added now was still to be confirmed. */
  readonly resets?: number;
}

/** What whoever asks for an addition may say of it. */
export type Adding = Pick<AddingFactor, 'onlyFirst' | 'before'>;

export const addingRules = { onlyFirst: flag, before: callback };

/** A factor that counts from now on. */
export interface AddedFactor {
  readonly outcome: 'added';
  readonly id: string;
  /** Emergency codes, to be shown once: given with the first factor, null with later ones. */
  readonly backupCodes: readonly string[] | null;
}

/**
 * Why a factor was not added. `wrong`: the code or the answer proves nothing, or nothing was begun. `conflict`: the
 * key is in use already, there are too many factors, or the one to be replaced is gone. `factor_needed`: there is a
 * factor by now, and `onlyFirst` was set.
 */
export interface RefusedFactor {
  readonly outcome: 'wrong' | 'conflict' | 'factor_needed';
}

/** What became of an enrolment. */
export type FactorAddition = AddedFactor | RefusedFactor;

/**
 * Adds a factor; with the first one come the emergency codes.
 *
 * @param isSame - Whether a factor that is there is the same authenticator or key.
 */
export async function addFactor(
  book: FactorBook,
  account: Account,
  factor: Factor,
  adding: AddingFactor,
  isSame: (one: Factor) => boolean = ({ id }) => id === factor.id,
): Promise<FactorAddition> {
  const { replaces, onlyFirst = false, resets } = adding;
  // Made once, outside the compare-and-set, so that the codes that are shown are those that were written.
  const fresh = newBackupCodes(account, factor.createdAt);
  return book.change<FactorAddition>(account, (factors) => {
    const { list, codes } = factors;
    const rest = list.filter(({ id }) => id !== replaces);
    if (resets !== undefined && resets !== factors.resets) return refused('wrong');
    if (onlyFirst && list.length > 0) return refused('factor_needed');
    const isGone = replaces !== undefined && rest.length === list.length;
    if (isGone || list.some(isSame) || rest.length >= mostFactors) return refused('conflict');
    return {
      factors: { ...factors, list: [...rest, factor], codes: codes ?? fresh.set },
      answer: { outcome: 'added', id: factor.id, backupCodes: codes === null ? fresh.codes : null },
    };
  });
}

/** Removes one factor, and with the last one the codes. `kept`: fewer than `leastLeft` would be left. */
export async function removeFactor(
  book: FactorBook,
  account: Account,
  id: string,
  leastLeft: number,
): Promise<Factor | 'not_found' | 'kept'> {
  return book.change<Factor | 'not_found' | 'kept'>(account, (factors) => {
    const found = factors.list.find((factor) => factor.id === id);
    if (found === undefined) return { factors: null, answer: 'not_found' };
    const list = factors.list.filter((factor) => factor !== found);
    if (list.length < leastLeft) return { factors: null, answer: 'kept' };
    return { factors: { ...factors, list }, answer: found };
  });
}

/** Removes all factors. Answers what there was. The empty record stays: its revision is never used again. */
export async function removeFactors(book: FactorBook, account: Account): Promise<readonly Factor[]> {
  return book.change<readonly Factor[]>(account, ({ list, resets }) => ({
    // Written also where there was none: it ends what is being confirmed at this moment.
    factors: { ...noFactors, resets: resets + 1 },
    answer: list,
  }));
}

export async function renameFactor(
  book: FactorBook,
  account: Account,
  id: string,
  name: string,
): Promise<FactorFacts | null> {
  return book.change<FactorFacts | null>(account, (factors) => {
    const found = factors.list.find((factor) => factor.id === id);
    if (found === undefined) return { factors: null, answer: null };
    const list = factors.list.map((factor) => (factor === found ? { ...factor, name } : factor));
    return { factors: { ...factors, list }, answer: factsOf({ ...found, name }) };
  });
}

function refused(outcome: RefusedFactor['outcome']): { factors: Factors | null; answer: RefusedFactor } {
  return { factors: null, answer: { outcome } };
}
