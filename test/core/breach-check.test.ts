import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { BreachCheck } from '../../src/core/breach-check.js';
import type { BreachAnswer, BreachSource } from '../../src/core/breach-source.js';
import { commonPasswords } from '../../src/core/common-passwords.js';
import { startRangeServer } from '../rig/range-server.js';

interface Recorded extends BreachSource {
  readonly asked: string[];
}

function source(name: string, answer: () => unknown): Recorded {
  const asked: string[] = [];
  return {
    name,
    asked,
    // @ts-expect-error -- what sources written in JavaScript can answer
    find: (password) => {
      asked.push(password);
      return answer();
    },
  };
}

const hit = (): Recorded => source('hit', async () => 1);
const clean = (): Recorded => source('clean', async () => 0);
const away = (): Recorded => source('away', async () => 'unavailable');

describe('several sources', () => {
  it.each([
    ['all clean', [clean(), clean()], { outcome: 'clean' }],
    ['a hit', [clean(), hit()], { outcome: 'breached', source: 'hit' }],
    ['a hit after an unavailable one', [away(), hit()], { outcome: 'breached', source: 'hit' }],
    [
      'an unavailable one before a clean one',
      [away(), clean()],
      { outcome: 'unavailable', sources: ['away'] },
    ],
    [
      'an unavailable one after a clean one',
      [clean(), away()],
      { outcome: 'unavailable', sources: ['away'] },
    ],
    [
      'none available',
      [away(), source('dark', () => Promise.reject(new Error()))],
      { outcome: 'unavailable', sources: ['away', 'dark'] },
    ],
  ])('give one verdict: %s', async (_, sources, verdict) => {
    expect(await new BreachCheck({ sources }).check('Tr0ub4dor&3')).toEqual(verdict);
    for (const { asked } of sources) expect(asked).toEqual(['Tr0ub4dor&3']);
  });

  it('are asked one after the other, and no further than the first hit', async () => {
    const last = clean();
    expect(await new BreachCheck({ sources: [hit(), last] }).check('x')).toMatchObject({
      outcome: 'breached',
    });
    expect(last.asked).toEqual([]);
  });

  it('may be objects of a class', async () => {
    class Corpus implements BreachSource {
      readonly name = 'corpus';
      readonly #count = 3;
      async find(): Promise<BreachAnswer> {
        return this.#count;
      }
    }
    expect(await new BreachCheck({ sources: [new Corpus()] }).check('x')).toEqual({
      outcome: 'breached',
      source: 'corpus',
    });
  });
});

describe('a source', () => {
  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('down');
      },
    ],
    ['rejects', () => Promise.reject(new Error('down'))],
    ['rejects with nothing', () => Promise.reject()],
    ['answers undefined', async () => undefined],
    ['answers null', async () => null],
    ['answers false', async () => false],
    ['answers true', async () => true],
    ["answers 'clean'", async () => 'clean'],
    ["answers '0'", async () => '0'],
    ['answers NaN', async () => Number.NaN],
    ['answers a negative count', async () => -1],
    ['answers minus infinity', async () => Number.NEGATIVE_INFINITY],
    ['answers half a count', async () => 0.5],
    ['answers a BigInt', async () => 0n],
    ['answers an empty object', async () => ({})],
    ['answers a list', async () => [0]],
    ['is not asynchronous and answers nothing', () => undefined],
  ])('that %s is unavailable, never clean and never breached', async (_, answer) => {
    const sources = [source('odd', answer)];
    expect(await new BreachCheck({ sources }).check('x')).toEqual({
      outcome: 'unavailable',
      sources: ['odd'],
    });
  });

  it('that never answers is unavailable at its deadline, and the next one is asked (BRC-07)', async () => {
    const sources = [source('hung', () => new Promise(() => {})), hit()];
    const check = new BreachCheck({ sources, timeoutMs: 50 });
    expect(await check.check('x')).toEqual({ outcome: 'breached', source: 'hit' });
  });

  it('that rejects after its deadline is nobody’s unhandled rejection', async () => {
    const late = new Promise((_, reject) => setTimeout(reject, 80, new Error('late')));
    const check = new BreachCheck({ sources: [source('late', () => late)], timeoutMs: 50 });
    expect(await check.check('x')).toEqual({ outcome: 'unavailable', sources: ['late'] });
    await expect(late).rejects.toThrow('late');
  });

  it('whose error holds the password does not pass it on (LOG-01)', async () => {
    const check = new BreachCheck({
      sources: [source('leaky', () => Promise.reject(new Error('C4nary-password')))],
    });
    const verdict = await check.check('C4nary-password');
    expect(inspect([verdict, check], { depth: Infinity, showHidden: true })).not.toContain('C4nary');
  });
});

describe('minCount', () => {
  it.each([
    [1, 0, 'clean'],
    [1, 1, 'breached'],
    [10, 9, 'clean'],
    [10, 10, 'breached'],
    [10, 11, 'breached'],
    [1000, Number.POSITIVE_INFINITY, 'breached'],
  ])('of %p makes a count of %p %s (BRC-01)', async (minCount, count, outcome) => {
    const check = new BreachCheck({ minCount, sources: [source('counted', async () => count)] });
    expect((await check.check('x')).outcome).toBe(outcome);
  });
});

describe('common passwords', () => {
  const common = commonPasswords();

  it.each([
    'password',
    'Password',
    'PASSWORD',
    'ｐａｓｓｗｏｒｄ',
    '1q2w3e4r5t',
    'Password123',
    '123456789a',
  ])('are known in any case and width: %j', async (password) => {
    expect(await common.find(password)).toBe(Number.POSITIVE_INFINITY);
  });

  it.each(['correct horse battery staple', ' password', 'password ', 'constructor-of-__proto__', ''])(
    'are compared as a whole: %j is none',
    async (password) => {
      expect([0, 'unavailable']).toContain(await common.find(password));
    },
  );

  it('hold at least the 3000 that ASVS 6.2.4 wants, and answer without a request’s time', async () => {
    await common.find('password');
    const before = performance.now();
    for (let index = 0; index < 1000; index += 1) await commonPasswords().find(`unheard of ${index}`);
    expect(performance.now() - before).toBeLessThan(500);
  });

  it('cut what is no password before they normalise it (PWD-09, PWD-13)', async () => {
    const before = performance.now();
    expect(await common.find(`A1a${'\u0300\u0316'.repeat(100_000)}`)).toBe('unavailable');
    expect(await common.find('password\ud800')).toBe('unavailable');
    expect(performance.now() - before).toBeLessThan(500);
  });
});

describe('without options', () => {
  it('the common passwords come before the network', async () => {
    const upstream = await startRangeServer();
    const { fetch } = globalThis;
    const urls: string[] = [];
    globalThis.fetch = (input, init) => {
      const url = typeof input === 'string' ? input : 'not a string';
      urls.push(url);
      return fetch(url.replace('https://api.pwnedpasswords.com', upstream.url), init);
    };
    try {
      const check = new BreachCheck();
      expect(await check.check('Password123')).toEqual({ outcome: 'breached', source: 'common_passwords' });
      expect(urls).toEqual([]);
      expect(await check.check('never heard of, 4711')).toEqual({ outcome: 'clean' });
      expect(urls).toEqual([
        expect.stringMatching(/^https:\/\/api\.pwnedpasswords\.com\/range\/[0-9A-F]{5}$/),
      ]);
    } finally {
      globalThis.fetch = fetch;
      await upstream.close();
    }
  });
});

describe('bad options', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'no list',
      { sources: clean() },
      /BreachCheck: option sources must be a non-empty array of breach sources/,
    ],
    ['an empty list', { sources: [] }, /option sources .* not an array of 0/],
    ['a source without find', { sources: [{ name: 'x' }] }, /option sources/],
    ['a source without a name', { sources: [{ find: async () => 0 }] }, /option sources/],
    ['a source with an empty name', { sources: [{ name: '', find: async () => 0 }] }, /option sources/],
    ['a factory instead of its source', { sources: [commonPasswords] }, /option sources/],
    ['null', { sources: [null] }, /option sources/],
    ['a count of none', { minCount: 0 }, /option minCount must be a whole number from 1 to 1000, not 0/],
    ['a count that switches it off', { minCount: 1e12 }, /option minCount/],
    ['no time', { timeoutMs: 0 }, /option timeoutMs must be a whole number from 50 to 30000/],
    ['endless time', { timeoutMs: Number.POSITIVE_INFINITY }, /option timeoutMs/],
    [
      'a misspelt name',
      { mincount: 2 },
      /BreachCheck: unknown option "mincount"; it takes sources, minCount, timeoutMs/,
    ],
  ])('are refused by name: %s', (_, options, message) => {
    // @ts-expect-error -- what JavaScript callers can pass
    expect(() => new BreachCheck(options)).toThrow(message);
  });

  it('are read once: changing the list later changes nothing (CFG-13)', async () => {
    const sources = [hit()];
    const check = new BreachCheck({ sources });
    sources[0] = clean();
    expect((await check.check('x')).outcome).toBe('breached');
  });
});
