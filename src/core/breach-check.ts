import { isBreachSource, type BreachSource } from './breach-source.js';
import { commonPasswords } from './common-passwords.js';
import { hibpApi } from './hibp-api.js';
import { integer, readOptions, type Rule } from './options.js';

export interface BreachCheckOptions {
  /**
   * Asked in this order until one knows the password, so cheap and local ones come first.
   *
   * @default [commonPasswords(), hibpApi()]
   */
  readonly sources?: readonly BreachSource[];
  /**
   * Breached is what was seen at least this often, 1 to 1000: any more is in every guessing list.
   *
   * @default 1
   */
  readonly minCount?: number;
  /**
   * Deadline of each source in milliseconds, 50 to 30,000, for sources without one of their own.
   *
   * @default 2500
   */
  readonly timeoutMs?: number;
}

/** What all sources say together. `unavailable` means that at least one could not tell and none knew it. */
export type BreachVerdict =
  | { readonly outcome: 'clean' }
  | { readonly outcome: 'breached'; readonly source: string }
  | { readonly outcome: 'unavailable'; readonly sources: readonly string[] };

const sourceList: Rule = {
  demand: 'a non-empty array of breach sources, each with a name and a find method',
  accepts: (v) => Array.isArray(v) && v.length > 0 && v.every(isBreachSource),
};

export const breachCheckRules = {
  sources: sourceList,
  minCount: integer(1, 1000),
  timeoutMs: integer(50, 30_000),
} satisfies { [K in keyof BreachCheckOptions]-?: Rule };

/** Whether a password is known from breaches. Never throws, and never says clean unless every source did. */
export class BreachCheck {
  readonly #sources: readonly BreachSource[];
  readonly #minCount: number;
  readonly #timeoutMs: number;

  /** @throws {TypeError} on an unknown option or a wrong value. */
  constructor(options?: BreachCheckOptions) {
    const {
      sources = [commonPasswords(), hibpApi()],
      minCount = 1,
      timeoutMs = 2500,
    } = readOptions('BreachCheck', options, breachCheckRules);
    this.#sources = [...sources];
    this.#minCount = minCount;
    this.#timeoutMs = timeoutMs;
  }

  /** What it was made with, its sources by name. */
  get settings(): { readonly sources: readonly string[]; readonly minCount: number } {
    return { sources: this.#sources.map(({ name }) => name), minCount: this.#minCount };
  }

  async check(password: string): Promise<BreachVerdict> {
    const silent: string[] = [];
    for (const source of this.#sources) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other: a hit spares the sources after it
      const count = await seenIn(source, password, this.#timeoutMs);
      if (count === undefined) silent.push(source.name);
      else if (count >= this.#minCount) return { outcome: 'breached', source: source.name };
    }
    return silent.length === 0 ? { outcome: 'clean' } : { outcome: 'unavailable', sources: silent };
  }
}

async function seenIn(
  source: BreachSource,
  password: string,
  timeoutMs: number,
): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    const answer: unknown = await Promise.race([source.find(password), deadline]);
    return isCount(answer) ? answer : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

function isCount(answer: unknown): answer is number {
  if (typeof answer !== 'number') return false;
  return answer === Number.POSITIVE_INFINITY || (Number.isInteger(answer) && answer >= 0);
}
