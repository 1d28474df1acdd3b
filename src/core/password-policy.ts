import {
  contextWordsIn,
  derivesFromWord,
  foldCase,
  holdsWord,
  shortestContextWord,
} from './context-words.js';
import { flag, integer, oneOf, readOptions, type Rule } from './options.js';
import { isOverlong, longestPasswordBytes } from './password.js';

interface Preset {
  readonly minLength: number;
  readonly requireUppercase: boolean;
  readonly requireDigitOrSpecial: boolean;
  readonly refusesContext: (password: string, word: string) => boolean;
}

const presets = {
  standard: { minLength: 10, requireUppercase: true, requireDigitOrSpecial: true, refusesContext: holdsWord },
  // SP 800-63B-4 section 3.1.1.2: 15 where the password may be all there is, 8 only where a second factor is
  // never optional; no composition rules; blocklists compare entire passwords, "not substrings".
  nist: {
    minLength: 15,
    requireUppercase: false,
    requireDigitOrSpecial: false,
    refusesContext: derivesFromWord,
  },
  // ASVS 5.0: 6.2.1 (8, though 15 is strongly recommended), 6.2.5 (no composition), 6.2.11 (context words).
  asvs: { minLength: 8, requireUppercase: false, requireDigitOrSpecial: false, refusesContext: holdsWord },
} satisfies Record<string, Preset>;

export interface PasswordPolicyOptions {
  /**
   * Where the rules start; the next three options override it one by one.
   *
   * - `standard`: 10 characters, an uppercase letter, a digit or special character.
   * - `nist`: SP 800-63B-4 section 3.1.1.2 for a password that may be the only factor: 15 characters, no
   *   composition. Where every login needs a second factor, `minLength: 8` still meets it. A context word
   *   refuses the password that is this word, give or take what is no letter, but not one that merely holds it.
   * - `asvs`: OWASP ASVS 5.0 section 6.2: 8 characters, no composition.
   *
   * @default 'standard'
   */
  readonly preset?: 'standard' | 'nist' | 'asvs';
  /**
   * Fewest Unicode code points, 8 to 64. No standard here allows fewer than 8, and all want 64 to be enough.
   *
   * @default 10, 15 or 8, by preset
   */
  readonly minLength?: number;
  /**
   * An uppercase or titlecase letter of any script.
   *
   * @default true in `standard`, else false
   */
  readonly requireUppercase?: boolean;
  /**
   * Anything that is neither letter nor mark. A space counts, so that a passphrase of several words passes;
   * OWASP's list of special characters begins with it.
   *
   * @default true in `standard`, else false
   */
  readonly requireDigitOrSpecial?: boolean;
  /**
   * Words that must not be in any password: the names of the site, the company, the product. Compared
   * case-blind (NFKC, lower case). A word under 4 characters is refused here, because it would have no effect.
   *
   * @default []
   */
  readonly contextWords?: readonly string[];
}

/** Name of a rule that a password can break; part of the contract. */
export type PasswordRule =
  'length' | 'bytes' | 'ill_formed' | 'control' | 'uppercase' | 'digit_or_special' | 'context_word';

/** A rule that was broken. The message may change, and never holds the password or a context word. */
export interface Violation {
  readonly rule: PasswordRule;
  readonly message: string;
}

/** What a sign-up page can show beside the password field. */
export interface PolicyDescription {
  readonly minLength: number;
  readonly maxBytes: number;
  readonly rules: readonly { readonly rule: PasswordRule; readonly description: string }[];
}

const contextWordList: Rule = {
  demand: `an array of words of ${shortestContextWord} characters to 255 bytes`,
  accepts: (v) =>
    Array.isArray(v) && v.every((word) => typeof word === 'string' && contextWordsIn(word).length > 0),
};

export const passwordPolicyRules = {
  preset: oneOf(...Object.keys(presets)),
  minLength: integer(8, 64),
  requireUppercase: flag,
  requireDigitOrSpecial: flag,
  contextWords: contextWordList,
} satisfies { [K in keyof PasswordPolicyOptions]-?: Rule };

interface Check {
  readonly rule: PasswordRule;
  readonly message: string;
  breaks(password: string, words: readonly string[]): boolean;
}

// Each decides alone: no rule after it may look at what it refuses.
const unreadable: readonly Check[] = [
  {
    rule: 'bytes',
    message: `Use at most ${longestPasswordBytes} bytes.`,
    breaks: isOverlong,
  },
  {
    rule: 'ill_formed',
    message: 'Use well-formed Unicode only.',
    breaks: (password) => !password.isWellFormed(),
  },
];

/** What a new password must be. Judges it as it was sent: nothing is trimmed, cut or normalised. */
export class PasswordPolicy {
  readonly #minLength: number;
  /** As they are compared with. */
  readonly contextWords: readonly string[];
  readonly #checks: readonly Check[];

  /** @throws {TypeError} on an unknown option or a wrong value. */
  constructor(options?: PasswordPolicyOptions) {
    const given = readOptions('PasswordPolicy', options, passwordPolicyRules);
    const preset: Preset = presets[given.preset ?? 'standard'];
    const {
      minLength = preset.minLength,
      requireUppercase = preset.requireUppercase,
      requireDigitOrSpecial = preset.requireDigitOrSpecial,
      contextWords = [],
    } = given;
    this.#minLength = minLength;
    this.contextWords = contextWords.flatMap(contextWordsIn);
    const checks: (Check | false)[] = [
      {
        rule: 'length',
        message: `Use at least ${minLength} characters.`,
        breaks: (password) => Array.from(password).length < minLength,
      },
      // bcrypt and other C code end a password at NUL: what follows it would not be checked.
      { rule: 'control', message: 'Use no NUL character.', breaks: (password) => password.includes('\0') },
      requireUppercase && {
        rule: 'uppercase',
        message: 'Use an uppercase letter.',
        breaks: (password) => !/[\p{Lu}\p{Lt}]/u.test(password),
      },
      requireDigitOrSpecial && {
        rule: 'digit_or_special',
        message: 'Use a digit or a special character.',
        breaks: (password) => !/[^\p{L}\p{M}]/u.test(password),
      },
      {
        rule: 'context_word',
        message: 'Do not use your name, your address or the name of this service.',
        breaks: (password, words) => {
          const folded = foldCase(password);
          return words.some((word) => preset.refusesContext(folded, word));
        },
      },
    ];
    this.#checks = checks.filter((check) => check !== false);
  }

  /**
   * The rules that a password breaks; none means accepted.
   *
   * @param contextWords - What is known of this user: name, e-mail address. Of an address, the local part and
   *   the domain's labels count too. Words under 4 characters are ignored.
   */
  check(password: string, contextWords: readonly string[] = []): readonly Violation[] {
    const stop = unreadable.find((check) => check.breaks(password, []));
    if (stop !== undefined) return [violationOf(stop)];
    const words = [...this.contextWords, ...contextWords.flatMap(contextWordsIn)];
    return this.#checks.filter((check) => check.breaks(password, words)).map(violationOf);
  }

  /** The rules in words, in the order in which `check` answers them. */
  describe(): PolicyDescription {
    const rules = [...unreadable, ...this.#checks];
    return {
      minLength: this.#minLength,
      maxBytes: longestPasswordBytes,
      rules: rules.map(({ rule, message }) => ({ rule, description: message })),
    };
  }
}

function violationOf({ rule, message }: Check): Violation {
  return { rule, message };
}
