import { describe, expect, it, jest } from '@jest/globals';
import { Busy } from '../../src/core/errors.js';
import { PasswordHashes, type PasswordHashesOptions } from '../../src/core/password-hashes.js';

const cheap = { memoryKiB: 7168, iterations: 1 } as const;

function hashes(options: PasswordHashesOptions = {}): PasswordHashes {
  return new PasswordHashes({ ...cheap, ...options });
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;
}

describe('a password hash', () => {
  it('is argon2id with its own salt, and matches its password only', async () => {
    const passwords = hashes();
    const [first, second] = await Promise.all([
      passwords.hash('Correct horse'),
      passwords.hash('Correct horse'),
    ]);
    expect(first).toMatch(/^\$argon2id\$v=19\$m=7168,t=1,p=1\$/);
    expect(first).not.toBe(second);
    expect(await passwords.verify(first, 'Correct horse')).toBe(true);
    for (const wrong of ['correct horse', 'Correct horse ', ' Correct horse', '', 'a name that nobody has']) {
      expect(await passwords.verify(first, wrong)).toBe(false);
    }
  });

  it('is compared whole: no byte of a long password is left out (PWD-12)', async () => {
    const passwords = hashes();
    const long = `A1${'a'.repeat(1021)}`;
    const hash = await passwords.hash(`${long}x`);
    expect(await passwords.verify(hash, `${long}y`)).toBe(false);
    expect(await passwords.verify(hash, `${long}x`)).toBe(true);
  });

  it('of nobody matches nothing, the password behind it neither', async () => {
    const passwords = hashes();
    for (const nobody of [undefined, null]) {
      for (const password of ['Correct horse', 'a name that nobody has', '']) {
        expect(await passwords.verify(nobody, password)).toBe(false);
      }
    }
  });

  it('of an account without a password, kept as an empty string, matches nothing (PWD-16)', async () => {
    expect(await hashes().verify('', 'Correct horse')).toBe(false);
  });

  it('that is no argon2 hash matches nothing, and is told as a warning (TIM-01)', async () => {
    const emitWarning = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    expect(await hashes().verify('$2b$10$of.another.kind', 'Correct horse')).toBe(false);
    expect(emitWarning).toHaveBeenCalledWith(expect.stringContaining('cannot be read'), {
      code: 'PORTCULLIS_PASSWORD_HASH',
    });
    emitWarning.mockRestore();
  });

  it('needs another one when it was made otherwise', async () => {
    const passwords = hashes();
    expect(passwords.needsRehash(await passwords.hash('x'))).toBe(false);
    expect(passwords.needsRehash(await hashes({ iterations: 2 }).hash('x'))).toBe(true);
    expect(passwords.needsRehash(await hashes({ memoryKiB: 8192 }).hash('x'))).toBe(true);
    expect(hashes({ iterations: 10 }).needsRehash('$argon2id$v=19$m=7168,t=1,p=1$x$x')).toBe(true);
    for (const other of ['', '$2b$10$x', '$argon2i$v=19$m=7168,t=1,p=1$x$x']) {
      expect(passwords.needsRehash(other)).toBe(true);
    }
  });
});

it('an unknown name costs what a wrong password costs (TIM-02)', async () => {
  const passwords = new PasswordHashes({ memoryKiB: 19_456, iterations: 2, concurrency: 1 });
  const hash = await passwords.hash('Correct horse');
  const time = async (stored: string | undefined): Promise<number> => {
    const start = performance.now();
    await passwords.verify(stored, 'wrong');
    return performance.now() - start;
  };
  const known: number[] = [];
  const unknown: number[] = [];
  await time(undefined);
  for (let i = 0; i < 15; i += 1) {
    known.push(await time(hash));
    unknown.push(await time(undefined));
  }
  expect(median(unknown) / median(known)).toBeGreaterThan(0.5);
  expect(median(unknown) / median(known)).toBeLessThan(2);
});

describe('a flood of checks', () => {
  it('is worked off in turn', async () => {
    const passwords = hashes({ concurrency: 1, queue: 100 });
    const order: number[] = [];
    const checks = Array.from({ length: 12 }, async (_, i) => {
      await passwords.verify(undefined, 'x');
      order.push(i);
    });
    await Promise.all(checks);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it.each([1, 2, 3])('takes no more places than there are: %d', async (concurrency) => {
    const passwords = hashes({ concurrency, queue: 0 });
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => passwords.verify(undefined, 'x')),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(concurrency);
  });

  it('is refused as busy beyond the queue, at once (PWD-17)', async () => {
    const passwords = hashes({ concurrency: 1, queue: 3 });
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, () => passwords.verify(undefined, 'x')),
    );
    const refused = results.filter((result) => result.status === 'rejected');
    expect(results.slice(0, 4).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(refused).toHaveLength(46);
    expect(refused.every(({ reason }) => reason instanceof Busy && reason.retryAfterSeconds === 1)).toBe(
      true,
    );
  });

  it('is over when it is over: places come back, after errors too', async () => {
    const passwords = hashes({ concurrency: 2, queue: 1 });
    const flood = (): Promise<PromiseSettledResult<string>[]> =>
      Promise.allSettled(Array.from({ length: 10 }, () => passwords.hash({} as never)));
    for (let i = 0; i < 3; i += 1) await flood();
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => passwords.verify(undefined, 'x')),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
  });

  it('is refused as busy where its turn comes too late for an answer, and worked off again after that (DOS-04)', async () => {
    const passwords = hashes({ concurrency: 1, queue: 10 });
    const now = jest.spyOn(performance, 'now').mockReturnValue(1000);
    try {
      const early = passwords.verify(undefined, 'x');
      const late = Array.from({ length: 5 }, () => passwords.verify(undefined, 'x'));
      const settled = Promise.allSettled(late);
      now.mockReturnValue(5001);
      const last = passwords.verify(undefined, 'x');
      expect(await early).toBe(false);
      for (const result of await settled) {
        expect(result).toMatchObject({ status: 'rejected', reason: { name: 'Busy', retryAfterSeconds: 1 } });
      }
      expect(await last).toBe(false);
    } finally {
      now.mockRestore();
    }
  });

  it('finds no free place while one is handed over to the next in turn', async () => {
    const passwords = hashes({ concurrency: 1, queue: 1 });
    const first = passwords.verify(undefined, 'x');
    const second = passwords.verify(undefined, 'x');
    await first;
    const third = passwords.verify(undefined, 'x');
    await expect(passwords.verify(undefined, 'x')).rejects.toThrow(Busy);
    await Promise.all([second, third]);
  });

  it('without a queue is refused when all places are taken, and not before', async () => {
    const passwords = hashes({ concurrency: 1, queue: 0 });
    const first = passwords.hash('x');
    await expect(passwords.hash('y')).rejects.toThrow(Busy);
    await first;
    await expect(passwords.hash('z')).resolves.toMatch(/^\$argon2id/);
  });
});

describe('PasswordHashes rejects', () => {
  it.each<[unknown, RegExp]>([
    [
      { memoryKiB: 7167 },
      /^PasswordHashes: option memoryKiB must be a whole number from 7168 to 1048576, not 7167$/,
    ],
    [{ iterations: 0 }, /^PasswordHashes: option iterations must be a whole number from 1 to 100, not 0$/],
    [{ concurrency: 0 }, /^PasswordHashes: option concurrency must be a whole number from 1 to 64, not 0$/],
    [{ queue: -1 }, /^PasswordHashes: option queue must be a whole number from 0 to 10000, not -1$/],
    [{ queue: '5' }, /^PasswordHashes: option queue .*, not "5"$/],
    [
      { memory: 1 },
      /^PasswordHashes: unknown option "memory"; it takes memoryKiB, iterations, concurrency, queue$/,
    ],
    [null, /^PasswordHashes: options must be an object, not null$/],
  ])('bad options: %j', (options, message) => {
    expect(() => new PasswordHashes(options as never)).toThrow(message);
  });
});
