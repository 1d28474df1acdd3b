import type { Account } from './account.js';
import { newBackupCodes } from './backup-codes.js';
import type { FactorBook } from './factor-book.js';
import type { Factor } from './factor-record.js';

/** Most factors of one account. */
const mostFactors = 20;

/** What switching a factor on gave. */
export interface AddedFactor {
  readonly id: string;
  /** Emergency codes, to be shown once: given with the first factor, null with later ones. */
  readonly backupCodes: readonly string[] | null;
}

/** Adds a factor; with the first one come the emergency codes. Null when it is there already or there are too many. */
export async function addFactor(
  book: FactorBook,
  account: Account,
  factor: Factor,
  now: number,
): Promise<AddedFactor | null> {
  // Made once, outside the compare-and-set, so that the codes that are shown are those that were written.
  const fresh = newBackupCodes(account, now);
  return book.change<AddedFactor | null>(account, ({ list, codes }) => {
    if (list.length >= mostFactors || list.some(({ id }) => id === factor.id))
      return { factors: null, answer: null };
    const isFirst = codes === null;
    return {
      factors: { list: [...list, factor], codes: isFirst ? fresh.set : codes },
      answer: { id: factor.id, backupCodes: isFirst ? fresh.codes : null },
    };
  });
}

/** Removes one factor, and with the last one the codes. Answers whether it was there, and how many are left. */
export async function removeFactor(
  book: FactorBook,
  account: Account,
  id: string,
  leastLeft: number,
): Promise<'removed' | 'not_found' | 'last_one'> {
  return book.change<'removed' | 'not_found' | 'last_one'>(account, ({ list, codes }) => {
    const rest = list.filter((factor) => factor.id !== id);
    if (rest.length === list.length) return { factors: null, answer: 'not_found' };
    if (rest.length < leastLeft) return { factors: null, answer: 'last_one' };
    return { factors: { list: rest, codes }, answer: 'removed' };
  });
}

export async function renameFactor(
  book: FactorBook,
  account: Account,
  id: string,
  name: string,
): Promise<boolean> {
  return book.change<boolean>(account, (factors) => {
    if (!factors.list.some((factor) => factor.id === id)) return { factors: null, answer: false };
    const list = factors.list.map((factor) => (factor.id === id ? { ...factor, name } : factor));
    return { factors: { ...factors, list }, answer: true };
  });
}
