import { longestIdentifierBytes } from './identifier.js';

/** Shorter words, in code points, are parts of too many honest passwords to be refused. */
export const shortestContextWord = 4;

/** One spelling for comparison; never for storing or hashing. The caller has cut the text on bytes before. */
export function foldCase(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/**
 * What a password must not use of one given text, in folded spelling: the text itself and, of an e-mail
 * address, its local part and each label of its domain but the last. Nothing under 4 code points or of a text
 * over 255 bytes.
 */
export function contextWordsIn(text: string): readonly string[] {
  if (Buffer.byteLength(text) > longestIdentifierBytes) return [];
  const word = foldCase(text).trim();
  const at = word.lastIndexOf('@');
  const labels = word.slice(at + 1).split('.');
  const parts = at < 0 ? [] : [word.slice(0, at), ...labels.slice(0, -1)];
  return [word, ...parts].filter((part) => Array.from(part).length >= shortestContextWord);
}

/** Whether a folded password holds a folded word anywhere. */
export function holdsWord(password: string, word: string): boolean {
  return password.includes(word);
}

/** Whether a folded password is a folded word, give or take characters that are no letters. */
export function derivesFromWord(password: string, word: string): boolean {
  const stem = lettersOf(word);
  return password === word || (stem.length >= shortestContextWord && lettersOf(password) === stem);
}

function lettersOf(text: string): string {
  return text.replaceAll(/[^\p{L}\p{M}]/gu, '');
}
