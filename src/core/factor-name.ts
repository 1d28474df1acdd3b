import type { Rule } from './options.js';

const mostCharacters = 100;

/** A name that an owner gives a factor: shown in lists and mails, so one line of well-formed text. */
export const factorName: Rule = {
  demand: `a line of 1 to ${mostCharacters} characters`,
  accepts: (value) =>
    typeof value === 'string' &&
    value.length <= 2 * mostCharacters &&
    value.isWellFormed() &&
    !/[\p{Cc}\u2028\u2029]/u.test(value) &&
    value.trim() !== '' &&
    Array.from(value).length <= mostCharacters,
};
