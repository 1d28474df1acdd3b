import type { BreachSource } from './breach-source.js';
import { foldCase } from './context-words.js';
import { isPassword } from './password.js';

let known: Promise<ReadonlySet<string>> | undefined;

/**
 * The 49,000 most common passwords, in memory (about 4 MB, shared by all that ask for it). Compared case-blind
 * (NFKC, lower case), and without the network: it meets OWASP ASVS 5.0 6.2.4, and still answers when Have I
 * Been Pwned does not.
 */
export function commonPasswords(): BreachSource {
  // Decompressing takes some 50 ms of the event loop: begun here, so that it is start-up's and no request's.
  known ??= loadList();
  const list = known;
  // Reported by `find`; without this, a list that cannot be loaded would end the process instead.
  list.catch(() => undefined);
  return {
    name: 'common_passwords',
    async find(password) {
      if (!isPassword(password)) return 'unavailable';
      return (await list).has(foldCase(password)) ? Number.POSITIVE_INFINITY : 0;
    },
  };
}

async function loadList(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  return new Set(dictionary['passwords-common'].map(foldCase));
}
