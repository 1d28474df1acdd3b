import { describe, expect, it } from '@jest/globals';
import { accountKey } from '../../src/core/account.js';
import { Busy, StoreUnavailable } from '../../src/core/errors.js';
import type { FactorAddition } from '../../src/core/factor-changes.js';
import type { FactorStore } from '../../src/core/factor-store.js';
import { Login } from '../../src/core/login.js';
import type { SecondFactorsOptions } from '../../src/core/second-factor-options.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import {
  added,
  alice,
  bob,
  factorRig,
  offer,
  origin,
  proven,
  sealingKey,
  wideLimits,
  type FactorRig,
} from '../rig/factor-rig.js';
import type { ServerOptions } from '../rig/software-authenticator.js';

type Confirm = (onlyFirst?: boolean, before?: () => Promise<unknown>) => Promise<FactorAddition>;

/** Every way to add a factor, begun so that it can be confirmed at a chosen moment. */
const waysToAdd: [string, (rig: FactorRig) => Promise<Confirm>][] = [
  [
    'an authenticator',
    async (rig) => {
      const { secret } = await rig.factors.beginTotp(alice, { label: 'alice' });
      return (onlyFirst = false, before = async () => {}) =>
        rig.factors.confirmTotp(alice, rig.code(secret), { onlyFirst, before });
    },
  ],
  [
    'a security key',
    async (rig) => {
      const begun = await rig.factors.beginSecurityKey(alice, { userName: 'alice' });
      const given = rig.device().register(begun as ServerOptions);
      return (onlyFirst = false, before = async () => {}) =>
        rig.factors.confirmSecurityKey(alice, given, { onlyFirst, before });
    },
  ],
];

/** Adds authenticators of another system, which are begun nowhere and so limited by nothing. */
async function fill({ factors }: FactorRig, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const secret = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(i).repeat(16);
    ids.push(added(await factors.importTotp(alice, { secret })).id);
  }
  return ids;
}

describe('a factor is added', () => {
  it.each(waysToAdd)('%s: as a first one only where there is none by then', async (_, begin) => {
    const rig = factorRig();
    const confirm = await begin(rig);
    await fill(rig, 1);
    const before = await rig.record();
    expect(await confirm(true)).toEqual({ outcome: 'factor_needed' });
    expect(await rig.record()).toEqual(before);
  });

  it.each(waysToAdd)('%s: as a first one where there is none, also after a reset', async (_, begin) => {
    const rig = factorRig();
    await fill(rig, 2);
    await rig.factors.removeAll(alice);
    expect(await (await begin(rig))(true)).toMatchObject({
      outcome: 'added',
      backupCodes: expect.any(Array),
    });
  });

  it.each(waysToAdd)('%s: after what is to be done before it, once, and never without', async (_, begin) => {
    const rig = factorRig();
    const then: unknown[] = [];
    const failing = await begin(rig);
    await expect(failing(false, () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    expect(await rig.record()).toBeNull();
    const confirm = await begin(rig);
    added(await confirm(false, async () => void then.push(await rig.record())));
    expect(then).toEqual([null]);
    // Nothing is done before what proves nothing.
    expect((await confirm(false, async () => void then.push('again'))).outcome).toBe('wrong');
    expect(then).toEqual([null]);
  });

  it.each(waysToAdd)('%s: beside another unless a first one is asked for', async (_, begin) => {
    const rig = factorRig();
    await fill(rig, 1);
    expect(await (await begin(rig))(false)).toMatchObject({ outcome: 'added', backupCodes: null });
    const confirm = await begin(rig);
    expect(await confirm()).toMatchObject({ outcome: 'added' });
  });

  it('as the first one by one of several requests at once, whatever they add', async () => {
    for (let i = 0; i < 20; i += 1) {
      const rig = factorRig();
      const confirms = await Promise.all(waysToAdd.map(([, begin]) => begin(rig)));
      const answers = await Promise.all(confirms.map((confirm) => confirm(true)));
      expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual(['added', 'factor_needed']);
      expect((await rig.record())?.list).toHaveLength(1);
    }
  });

  it('with codes that are shown by one of several requests at once, and are those that work', async () => {
    const rig = factorRig();
    const confirms = await Promise.all(waysToAdd.map(([, begin]) => begin(rig)));
    const answers = (await Promise.all(confirms.map((confirm) => confirm()))).map(added);
    expect((await rig.record())?.list).toHaveLength(2);
    const shown = answers.map(({ backupCodes }) => backupCodes).filter((codes) => codes !== null);
    expect(shown).toHaveLength(1);
    for (const code of shown[0] ?? []) expect(await rig.judge(code)).toBe('verified');
  });

  it.each(waysToAdd)('%s: as the twentieth, never as the twenty-first', async (_, begin) => {
    const rig = factorRig();
    await fill(rig, 19);
    expect(await (await begin(rig))()).toMatchObject({ outcome: 'added' });
    const before = await rig.record();
    rig.clock.advance(60);
    expect(await (await begin(rig))()).toEqual({ outcome: 'conflict' });
    expect(await rig.factors.importTotp(alice, { secret: 'Z'.repeat(16) })).toEqual({ outcome: 'conflict' });
    expect(await rig.record()).toEqual(before);
    expect(before?.list).toHaveLength(20);
  });

  it('in place of another where there are twenty', async () => {
    const rig = factorRig();
    const [first = ''] = await fill(rig, 20);
    await rig.addTotp(alice, { replaces: first });
    expect((await rig.record())?.list).toHaveLength(20);
  });

  it('at most twenty times by as many requests at once', async () => {
    const rig = factorRig();
    await fill(rig, 15);
    const letters = Array.from('PQRSTUVWXYZ');
    const answers = await Promise.all(
      letters.map((letter) => rig.factors.importTotp(alice, { secret: letter.repeat(16) })),
    );
    expect(answers.filter(({ outcome }) => outcome === 'added')).toHaveLength(5);
    expect((await rig.record())?.list).toHaveLength(20);
  });
});

const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

describe('an account', () => {
  const kinds = ['totp', 'webauthn', 'backup_code'] as const;
  const subsets = Array.from({ length: 8 }, (_, bits) =>
    kinds.filter((_, index) => (bits & (1 << index)) !== 0),
  );
  const possible = subsets.filter((subset) => subset.length !== 1 || subset[0] !== 'backup_code');

  it.each(possible.flatMap((subset) => kinds.map((kind) => [subset, kind] as const)))(
    'with %j is asked for just these, and %s counts accordingly (PND-14)',
    async (subset, kind) => {
      const rig = factorRig();
      const key = rig.device();
      const registered = await rig.addKey(alice, key);
      const { secret } = await rig.addTotp();
      const [backupCode = ''] = registered.backupCodes;
      for (const { id, type } of (await rig.factors.status(alice)).factors) {
        if (!subset.includes(type)) await rig.factors.remove(alice, id);
      }
      if (!subset.includes('backup_code') && subset.length > 0) {
        await rig.tamper((record) => ({ ...record, codes: { ...record.codes, hashes: [] } }));
      }
      const enrolled = await rig.factors.enrolled(alice);
      expect(enrolled.methods.toSorted()).toEqual([...subset].toSorted());

      const handle = await rig.open();
      const challenge = await rig.factors.challenge(alice, enrolled, handle);
      expect(challenge !== null).toBe(subset.includes('webauthn'));
      const server = (challenge ?? { challenge: Buffer.alloc(32).toString('base64url') }) as ServerOptions;
      const given = { totp: rig.code(secret), webauthn: key.authenticate(server), backup_code: backupCode };
      const before = await rig.record();
      const word = await rig.judge(given[kind], alice, handle);
      expect(word).toBe(subset.includes(kind) ? 'verified' : 'wrong');
      expect((await rig.factors.pending.find(handle)) === null).toBe(word === 'verified');
      // What was refused changed nothing, but for the count of wrong codes where there is an authenticator.
      const after = { ...(await rig.record()), wrongCodes: 0 };
      expect(isEqual(after, before)).toBe(word === 'wrong');
    },
  );

  it('never has emergency codes alone, however its factors go', async () => {
    const ends: ((rig: FactorRig, ids: string[]) => Promise<unknown>)[] = [
      ({ factors }) => factors.removeAll(alice),
      async ({ factors }, ids) => {
        for (const id of ids) await factors.remove(alice, id);
      },
      ({ factors }, ids) => Promise.all(ids.map((id) => factors.remove(alice, id))),
    ];
    for (const end of ends) {
      const rig = factorRig();
      const { id, backupCodes } = await rig.addTotp();
      await end(rig, [id, (await rig.addKey()).id]);
      expect(await rig.record()).toMatchObject({ v: 1, list: [], codes: null, wrongCodes: 0 });
      expect((await rig.factors.enrolled(alice)).methods).toEqual([]);
      expect(await rig.factors.status(alice)).toEqual({ factors: [], backupCodes: null });
      expect(await rig.factors.regenerateBackupCodes(alice)).toBeNull();
      expect(await rig.judge(backupCodes[0] ?? '')).toBe('wrong');
    }
  });

  it('whose record claims codes alone is refused, and nothing of it is used (PND-15)', async () => {
    const rig = factorRig();
    const { backupCodes } = await rig.addTotp();
    await rig.tamper((record) => ({ ...record, list: [] }));
    const { factors } = rig;
    const calls: (() => Promise<unknown>)[] = [
      () => factors.enrolled(alice),
      () => factors.status(alice),
      () => rig.judge(backupCodes[0] ?? ''),
      () => rig.judge('000000'),
      () => factors.regenerateBackupCodes(alice),
      () => factors.remove(alice, 'x'),
      () => factors.rename(alice, 'x', 'y'),
      () => factors.importTotp(alice, { secret: 'A'.repeat(16) }),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(StoreUnavailable);
  });

  it.each([
    undefined,
    null,
    'alice',
    7,
    {},
    { id: '' },
    { id: 7 },
    { id: 'x'.repeat(256) },
    { id: '\uD800' },
  ])('is one with an id: %j is none', async (account) => {
    const { factors } = factorRig();
    const odd = account as never;
    const calls: Promise<unknown>[] = [
      factors.status(odd),
      factors.beginTotp(odd, { label: 'x' }),
      factors.confirmTotp(odd, '123456'),
      factors.importTotp(odd, { secret: 'A'.repeat(16) }),
      factors.beginSecurityKey(odd, { userName: 'x' }),
      factors.confirmSecurityKey(odd, {}),
      factors.rename(odd, 'x', 'y'),
      factors.remove(odd, 'x'),
      factors.removeAll(odd),
      factors.regenerateBackupCodes(odd),
      factors.unlock(odd),
    ];
    for (const call of calls) await expect(call).rejects.toThrow(/^SecondFactors: account must have an id/);
  });
});

async function print({ factors }: FactorRig): Promise<string> {
  return (await factors.enrolled(alice)).fingerprint;
}

describe('the fingerprint of factors', () => {
  it('changes with every factor that comes or goes, and back to the first with the last (PND-11)', async () => {
    const rig = factorRig();
    const none = await print(rig);
    const { id } = await rig.addTotp();
    const one = await print(rig);
    const key = await rig.addKey();
    const two = await print(rig);
    await rig.factors.remove(alice, id);
    const three = await print(rig);
    await rig.addTotp(alice, { replaces: (await rig.addTotp()).id });
    const four = await print(rig);
    expect(new Set([none, one, two, three, four]).size).toBe(5);
    await rig.factors.removeAll(alice);
    expect(await print(rig)).toBe(none);
    expect((await rig.factors.enrolled(bob)).fingerprint).toBe(none);
    // The same key again is another enrolment: a login begun before the reset is void.
    await rig.addKey(alice, key.authenticator);
    const five = await print(rig);
    await rig.factors.removeAll(alice);
    await rig.addKey(alice, key.authenticator);
    expect(await print(rig)).not.toBe(five);
  });

  it('does not change with a use, a name or new codes: a login under way goes on', async () => {
    const rig = factorRig();
    const { secret, id, backupCodes } = await rig.addTotp();
    const { authenticator } = await rig.addKey();
    const before = await print(rig);
    expect(await rig.judge(rig.code(secret))).toBe('verified');
    expect(await rig.touch(authenticator)).toBe('verified');
    expect(await rig.judge(backupCodes[0] ?? '')).toBe('verified');
    expect(await rig.judge(rig.wrong(secret))).toBe('wrong');
    await rig.factors.rename(alice, id, 'Phone');
    await rig.factors.regenerateBackupCodes(alice);
    expect(await print(rig)).toBe(before);
  });

  it('does not depend on the order of factors', async () => {
    const rig = factorRig();
    await fill(rig, 3);
    const before = await print(rig);
    await rig.tamper((record) => ({ ...record, list: record.list.toReversed() }));
    expect(await print(rig)).toBe(before);
  });
});

describe('a removal', () => {
  it('answers what went, without a secret', async () => {
    const rig = factorRig();
    const { id } = await rig.addTotp(alice, { name: 'Phone' });
    const { id: key } = await rig.addKey();
    const removed = await rig.factors.remove(alice, id);
    expect(removed).toEqual({
      id,
      type: 'totp',
      name: 'Phone',
      createdAt: expect.any(Number),
      lastUsedAt: null,
    });
    expect(await rig.factors.remove(alice, id)).toBe('not_found');
    expect(await rig.factors.removeAll(alice)).toEqual([
      { id: key, type: 'webauthn', name: 'Security key', createdAt: expect.any(Number), lastUsedAt: null },
    ]);
    expect(await rig.factors.removeAll(alice)).toEqual([]);
  });

  it("of another account's factor, or of none, changes nothing (ENR-06)", async () => {
    const rig = factorRig();
    await rig.addTotp(alice);
    const { id } = await rig.addKey(bob);
    const before = [await rig.record(alice), await rig.record(bob)];
    for (const one of [id, '', 'x', '__proto__', 'constructor', undefined, null, 0, {}]) {
      expect(await rig.factors.remove(alice, one as string)).toBe('not_found');
      expect(await rig.factors.rename(alice, one as string, 'Mine')).toBeNull();
    }
    expect([await rig.record(alice), await rig.record(bob)]).toEqual(before);
  });

  it('of the last factor is not done where it must be kept', async () => {
    const rig = factorRig();
    const { id, secret } = await rig.addTotp();
    const before = await rig.record();
    expect(await rig.factors.remove(alice, id, { keepLast: true })).toBe('kept');
    expect(await rig.factors.remove(alice, 'x', { keepLast: true })).toBe('not_found');
    expect(await rig.record()).toEqual(before);
    expect(await rig.judge(rig.code(secret))).toBe('verified');
    const second = await rig.addKey();
    expect(await rig.factors.remove(alice, id, { keepLast: true })).toMatchObject({ id });
    expect(await rig.factors.remove(alice, second.id, { keepLast: true })).toBe('kept');
    expect(await rig.factors.remove(alice, second.id, { keepLast: false })).toMatchObject({ id: second.id });
  });

  it.each([true, false])(
    'of two factors by two requests at once, each the other, keepLast %j (RCE-17)',
    async (keepLast) => {
      for (let i = 0; i < 50; i += 1) {
        const rig = factorRig();
        const ids = await fill(rig, 2);
        const answers = await Promise.all(ids.map((id) => rig.factors.remove(alice, id, { keepLast })));
        expect(answers.filter((answer) => typeof answer === 'object')).toHaveLength(keepLast ? 1 : 2);
        expect(answers.filter((answer) => answer === 'kept')).toHaveLength(keepLast ? 1 : 0);
        const record = await rig.record();
        expect(record?.list).toHaveLength(keepLast ? 1 : 0);
        expect(record?.codes === null).toBe(!keepLast);
      }
    },
  );

  it.each([{ keep: true }, { keepLast: 1 }, { keepLast: 'true' }, null, 7])(
    'takes no option but keepLast: %j',
    async (options) => {
      const { factors } = factorRig();
      await expect(factors.remove(alice, 'x', options as never)).rejects.toThrow(/^remove: /);
    },
  );

  it.each(waysToAdd)(
    'of everything at any moment while %s is confirmed leaves none (RCE-16)',
    async (_, begin) => {
      const seen: string[] = [];
      for (let moment = 1; ; moment += 1) {
        const rig = factorRig();
        await fill(rig, 1);
        let calls = Number.NaN;
        let removed: readonly unknown[] = [];
        const interrupted = Object.entries(rig.store).map(([method, call]) => [
          method,
          async (...args: never[]) => {
            calls += 1;
            if (calls === moment) removed = await rig.factors.removeAll(alice);
            return (call as (...given: never[]) => unknown)(...args);
          },
        ]);
        const confirm = await begin(factorRig({ store: Object.fromEntries(interrupted) }));
        calls = 0;
        const addition = await confirm();
        if (calls < moment) break;
        const { list = [], codes = null } = (await rig.record()) ?? {};
        const shown = addition.outcome === 'added' ? addition.backupCodes?.length : undefined;
        seen.push(
          `${addition.outcome}: ${shown ?? 'no'} codes, ${list.length} left, ${removed.length} removed`,
        );
        expect(codes === null).toBe(list.length === 0);
      }
      // What was begun before the reset adds nothing after it, at whichever call of the store it came.
      expect(new Set(seen)).toEqual(new Set(['wrong: no codes, 0 left, 1 removed']));
      expect(seen.length).toBeGreaterThanOrEqual(4);
    },
  );

  it('of everything forgets wrong factors and starts of enrolments, so that the owner can enrol anew', async () => {
    const { factors, addTotp, judge, wrong, code } = factorRig();
    const { secret } = await addTotp();
    for (let i = 0; i < 10; i += 1) await judge(wrong(secret));
    for (let i = 0; i < 9; i += 1) await factors.beginTotp(alice, { label: 'alice' }).catch(() => {});
    expect(await judge(code(secret))).toBe('locked');
    await factors.removeAll(alice);
    const again = await addTotp();
    expect(await judge(code(again.secret))).toBe('verified');
  });

  it('of everything after one was confirmed leaves none', async () => {
    for (const [, begin] of waysToAdd) {
      const rig = factorRig();
      await (
        await begin(rig)
      )();
      expect(await rig.factors.removeAll(alice)).toHaveLength(1);
      expect((await rig.record())?.list).toEqual([]);
    }
  });
});

describe('a name', () => {
  it('can be given later, to any factor', async () => {
    const rig = factorRig();
    const { id, secret } = await rig.addTotp();
    const key = await rig.addKey();
    expect(await rig.factors.rename(alice, id, 'Old phone')).toMatchObject({ id, name: 'Old phone' });
    expect(await rig.factors.rename(alice, key.id, 'Blue 🔑')).toMatchObject({ type: 'webauthn' });
    const { factors } = await rig.factors.status(alice);
    expect(factors.map(({ name }) => name)).toEqual(['Old phone', 'Blue 🔑']);
    expect(await rig.judge(rig.code(secret))).toBe('verified');
    expect(await rig.touch(key.authenticator)).toBe('verified');
  });

  const good = ['x', 'é', '鍵', '🔑'.repeat(100), 'x'.repeat(100), 'Bob\'s <key> & "co"'];
  it.each(good)('may be %j', async (name) => {
    const rig = factorRig();
    const { id } = await rig.addTotp(alice, { name });
    expect((await rig.factors.status(alice)).factors).toMatchObject([{ id, name }]);
  });

  const bad: unknown[] = [
    '',
    ' ',
    '\u3000',
    'two\nlines',
    'two\r\nlines',
    'two\u2028lines',
    'two\u2029lines',
    'a\0b',
    'a\tb',
    '\u001B[31m',
    '\uD800',
    'x'.repeat(101),
    '🔑'.repeat(101),
    'x'.repeat(1_000_000),
    7,
    null,
    true,
    ['x'],
    {},
  ];
  it.each(bad)('is one line of well-formed text: not %.20j', async (name) => {
    const rig = factorRig();
    const { id } = await rig.addTotp();
    const odd = name as string;
    const before = await rig.record();
    const begun = await rig.factors.beginSecurityKey(alice, { userName: 'alice' });
    const given = rig.device().register(begun as ServerOptions);
    const calls: [RegExp, () => Promise<unknown>][] = [
      [/^rename: option name must be/, () => rig.factors.rename(alice, id, odd)],
      [/^beginTotp: option name must be/, () => rig.factors.beginTotp(alice, { label: 'x', name: odd })],
      [
        /^importTotp: option name/,
        () => rig.factors.importTotp(alice, { secret: 'A'.repeat(16), name: odd }),
      ],
      [/^confirmSecurityKey: option name/, () => rig.factors.confirmSecurityKey(alice, given, { name: odd })],
    ];
    for (const [message, call] of calls) await expect(call()).rejects.toThrow(message);
    expect(await rig.record()).toEqual(before);
  });

  it('cannot be taken away: a record without one would be unreadable ever after', async () => {
    const rig = factorRig();
    const { id } = await rig.addTotp();
    await expect(rig.factors.rename(alice, id, undefined as never)).rejects.toThrow(/^rename: option name/);
    expect((await rig.factors.status(alice)).factors).toMatchObject([{ name: 'Authenticator app' }]);
  });
});

describe('starts of an enrolment (ENR-20)', () => {
  const waysToBegin: [string, (factors: SecondFactors, account?: typeof alice) => Promise<unknown>][] = [
    ['an authenticator', (factors, account = alice) => factors.beginTotp(account, { label: 'x' })],
    ['a security key', (factors, account = alice) => factors.beginSecurityKey(account, { userName: 'x' })],
  ];

  it.each(waysToBegin)('of %s are ten a minute, twenty an hour, forty a day', async (_, begin) => {
    const { factors, clock } = factorRig();
    let started = 0;
    let refused: unknown;
    for (let second = 0; second < 86_400; second += 20) {
      const answer = await begin(factors).catch((error: unknown) => error);
      if (answer instanceof Busy) refused ??= answer;
      else started += 1;
      clock.advance(20);
    }
    expect(started).toBe(40);
    expect(refused).toMatchObject({ status: 429, retryAfterSeconds: expect.any(Number) });
  });

  it.each(waysToBegin)('of %s: the eleventh says when to come back', async (_, begin) => {
    const { factors, clock } = factorRig();
    for (let i = 0; i < 10; i += 1) await begin(factors);
    clock.advance(15);
    await expect(begin(factors)).rejects.toMatchObject({
      name: 'Busy',
      retryAfterSeconds: 45,
      headers: { 'Retry-After': '45' },
    });
    await begin(factors, bob);
    clock.advance(45);
    await begin(factors);
  });

  it('of both kinds count together, a thousand at once too', async () => {
    const { factors } = factorRig();
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) =>
        (waysToBegin[i % 2]?.[1](factors) ?? Promise.reject(new Error('none'))).catch(
          (error: unknown) => error,
        ),
      ),
    );
    expect(answers.filter((answer) => !(answer instanceof Error))).toHaveLength(10);
    expect(answers.filter((answer) => answer instanceof Busy)).toHaveLength(990);
  });

  it('keep one record for each account and kind, whatever their number', async () => {
    const keys = new Set<string>();
    const store = memoryStore();
    const { factors } = factorRig({
      store: {
        saveChallenge: (key, record, lifetimeMs) => {
          keys.add(key);
          return store.saveChallenge(key, record, lifetimeMs);
        },
      },
      options: { limits: wideLimits },
    });
    for (let i = 0; i < 100; i += 1) for (const [, begin] of waysToBegin) await begin(factors);
    expect(keys.size).toBe(2);
    for (const [, begin] of waysToBegin) await begin(factors, bob);
    expect(keys.size).toBe(4);
  });

  it('and wrong factors are counted apart: neither locks the other, neither unlocks the other', async () => {
    const { factors, addTotp, judge, code, wrong, clock } = factorRig();
    const { secret } = await addTotp();
    for (let i = 0; i < 10; i += 1) await factors.beginTotp(alice, { label: 'x' });
    await expect(factors.beginTotp(alice, { label: 'x' })).rejects.toThrow(Busy);
    expect(await judge(code(secret))).toBe('verified');
    clock.advance(30);
    for (let i = 0; i < 10; i += 1) expect(await judge(wrong(secret))).toBe('wrong');
    clock.advance(30);
    await factors.beginTotp(alice, { label: 'x' });
    expect(await judge(code(secret))).toBe('locked');
    expect(await factors.unlock(alice)).toBe(true);
    expect(await judge(code(secret))).toBe('verified');
  });

  it('are not counted where they are malformed', async () => {
    const { factors } = factorRig();
    for (let i = 0; i < 20; i += 1) {
      await expect(factors.beginTotp(alice, { label: '' })).rejects.toThrow(TypeError);
      await expect(factors.beginSecurityKey(alice, { userName: '' })).rejects.toThrow(TypeError);
    }
    await factors.beginTotp(alice, { label: 'x' });
  });

  it('are within the limits that the app sets', async () => {
    const { factors } = factorRig({ options: { limits: [{ failures: 2, withinSeconds: 10 }] } });
    await factors.beginTotp(alice, { label: 'x' });
    await factors.beginTotp(alice, { label: 'x' });
    await expect(factors.beginTotp(alice, { label: 'x' })).rejects.toMatchObject({ retryAfterSeconds: 10 });
  });
});

describe('wrong factors', () => {
  it('lock the second factor at the tenth in a minute, and right ones are refused then (I2)', async () => {
    const { factors, addTotp, addKey, open, challenge, judge, wrong, code, clock } = factorRig();
    const { secret, backupCodes } = await addTotp();
    const { authenticator } = await addKey();
    for (let i = 1; i <= 10; i += 1) {
      expect(await factors.verify(alice, offer(wrong(secret)))).toEqual({
        outcome: 'refused',
        factor: 'totp',
        reason: 'wrong',
        last: false,
        lockedSeconds: i === 10 ? 60 : 0,
      });
    }
    const handle = await open();
    const answer = authenticator.authenticate(await challenge(handle));
    for (const given of [code(secret), backupCodes[0] ?? '']) {
      expect(await factors.verify(alice, offer(given))).toEqual({
        outcome: 'locked',
        busy: false,
        retryAfterSeconds: 60,
      });
    }
    expect(await judge(answer, alice, handle)).toBe('locked');
    clock.advance(60);
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(answer, alice, handle)).toBe('verified');
    expect(await judge(backupCodes[0] ?? '')).toBe('verified');
  });

  it('of every kind fill one window', async () => {
    const { addTotp, addKey, open, challenge, judge, wrong } = factorRig();
    const { secret } = await addTotp();
    const { authenticator } = await addKey();
    const handles = await Promise.all([open(), open(), open(), open()]);
    for (const handle of handles) {
      const answer = authenticator.authenticate(await challenge(handle), { signature: Buffer.alloc(70) });
      expect(await judge(answer, alice, handle)).toBe('wrong');
    }
    for (let i = 0; i < 3; i += 1) {
      expect(await judge(wrong(secret))).toBe('wrong');
      expect(await judge('0000-0000-0000-0000')).toBe('wrong');
    }
    expect(await judge(wrong(secret))).toBe('locked');
  });

  it('are evaluated at most 40 times a day, however patient the guesser is (TOT-15)', async () => {
    const { addTotp, judge, wrong, clock } = factorRig();
    const { secret } = await addTotp();
    let evaluated = 0;
    for (let second = 0; second < 86_400; second += 20) {
      if ((await judge(wrong(secret))) === 'wrong') evaluated += 1;
      clock.advance(20);
    }
    expect(evaluated).toBe(40);
  });

  it('of alice lock nobody else', async () => {
    const { addTotp, judge, wrong, code } = factorRig();
    const { secret } = await addTotp(alice);
    const bobs = await addTotp(bob);
    for (let i = 0; i < 10; i += 1) await judge(wrong(secret));
    expect(await judge(code(secret))).toBe('locked');
    expect(await judge(code(bobs.secret), bob)).toBe('verified');
  });

  it('and a right one: what succeeds is given back', async () => {
    const { addTotp, judge, wrong, code, clock } = factorRig();
    const { secret } = await addTotp();
    for (let i = 0; i < 9; i += 1) expect(await judge(wrong(secret))).toBe('wrong');
    expect(await judge(code(secret))).toBe('verified');
    clock.advance(30);
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(wrong(secret))).toBe('wrong');
    expect(await judge(wrong(secret))).toBe('locked');
  });

  it('are forgotten when the account is unlocked, and only its own', async () => {
    const { factors, addTotp, judge, wrong, code } = factorRig();
    const { secret } = await addTotp();
    // The start of the enrolment was one.
    expect(await factors.unlock(alice)).toBe(true);
    expect(await factors.unlock(alice)).toBe(false);
    for (let i = 0; i < 10; i += 1) await judge(wrong(secret));
    expect(await factors.unlock(bob)).toBe(false);
    expect(await judge(code(secret))).toBe('locked');
    expect(await factors.unlock(alice)).toBe(true);
    expect(await judge(code(secret))).toBe('verified');
  });

  it('are within the limits that the app sets', async () => {
    const { judge, addTotp, wrong } = factorRig({
      options: { limits: [{ failures: 2, withinSeconds: 10 }] },
    });
    const { secret } = await addTotp();
    const answers = [];
    for (let i = 0; i < 3; i += 1) answers.push(await judge(wrong(secret)));
    expect(answers).toEqual(['wrong', 'wrong', 'locked']);
  });

  it("of alice's login with what is bob's: hers is counted, his is untouched and works (PND-04)", async () => {
    const rig = factorRig();
    await rig.addKey(alice);
    const bobs = await rig.addTotp(bob);
    const key = await rig.addKey(bob);
    const before = await rig.record(bob);
    const handle = await rig.open(alice);
    const bobsHandle = await rig.open(bob);
    const answer = key.authenticator.authenticate(await rig.challenge(bobsHandle, bob));
    const [backupCode = ''] = bobs.backupCodes;
    await rig.challenge(handle);
    for (const given of [rig.code(bobs.secret), backupCode, answer]) {
      expect(await rig.judge(given, alice, handle)).toBe('wrong');
    }
    expect(await rig.record(bob)).toEqual(before);
    for (let i = 0; i < 7; i += 1) expect(await rig.judge('0000-0000-0000-0000')).toBe('wrong');
    expect(await rig.judge('0000-0000-0000-0000')).toBe('locked');
    expect(await rig.judge(answer, bob, bobsHandle)).toBe('verified');
    expect(await rig.judge(rig.code(bobs.secret), bob)).toBe('verified');
    expect(await rig.judge(backupCode, bob)).toBe('verified');
  });
});

describe('a store that answers oddly refuses', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['an empty object', {}],
    ['text', '[]'],
    ['false', false],
    ['zero', 0],
    ['a list of nothing', []],
    ['no record', { revision: 1 }],
    ['no revision', { record: '{}' }],
    ['revision 0', { revision: 0, record: '{}' }],
    ['a revision of text', { revision: '1', record: '{}' }],
    ['half a revision', { revision: 1.5, record: '{}' }],
    ['a record that is parsed', { revision: 1, record: {} }],
    ['an empty record', { revision: 1, record: '' }],
    ['a record of null', { revision: 1, record: 'null' }],
    ['a record of {}', { revision: 1, record: '{}' }],
    ['a document that inherits', Object.create({ revision: 1, record: '{}' })],
  ])('with %s for factors: only null means none (PND-16)', async (_, reply) => {
    let writes = 0;
    const { factors, judge } = factorRig({
      store: {
        readFactors: async () => reply as never,
        writeFactors: async () => {
          writes += 1;
          return true;
        },
      },
    });
    for (const call of [
      () => factors.enrolled(alice),
      () => factors.status(alice),
      () => judge('123456'),
      () => judge('0000-0000-0000-0000'),
      () => factors.removeAll(alice),
      () => factors.regenerateBackupCodes(alice),
      () => factors.importTotp(alice, { secret: 'A'.repeat(16) }),
    ]) {
      await expect(call()).rejects.toThrow(StoreUnavailable);
    }
    expect(writes).toBe(0);
  });

  it('and null means none', async () => {
    const { factors } = factorRig({ store: { readFactors: async () => null } });
    expect((await factors.enrolled(alice)).methods).toEqual([]);
  });

  it.each<[string, () => Promise<never>]>([
    ['an error', () => Promise.reject(new Error('away'))],
    ['a rejection of nothing', () => Promise.reject(undefined)],
    [
      'a throw',
      () => {
        throw new Error('away');
      },
    ],
    ['silence', () => new Promise(() => {})],
  ])('with %s, within a second (PND-16)', async (_, readFactors) => {
    const { factors } = factorRig({ store: { readFactors } });
    const start = performance.now();
    await expect(factors.enrolled(alice)).rejects.toThrow(StoreUnavailable);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it.each([undefined, null, 1, 'true', {}, []])(
    'with %p for a change, and gives the try back (CFG-08)',
    async (reply) => {
      const rig = factorRig();
      const { secret, backupCodes } = await rig.addTotp();
      const odd = factorRig({ store: { ...rig.store, writeFactors: async () => reply as never } });
      for (let i = 0; i < 6; i += 1) {
        await expect(odd.judge(rig.code(secret))).rejects.toThrow(StoreUnavailable);
        await expect(odd.judge(backupCodes[0] ?? '')).rejects.toThrow(StoreUnavailable);
      }
      await expect(odd.factors.removeAll(alice)).rejects.toThrow(StoreUnavailable);
      expect(await rig.judge(rig.code(secret))).toBe('verified');
    },
  );

  it('with false for every change: it is busy, gives the try back, and does not go on for ever', async () => {
    const rig = factorRig();
    const { secret } = await rig.addTotp();
    let writes = 0;
    const odd = factorRig({
      store: {
        ...rig.store,
        writeFactors: async () => {
          writes += 1;
          return false;
        },
      },
    });
    for (let i = 0; i < 11; i += 1) await expect(odd.judge(rig.code(secret))).rejects.toThrow(Busy);
    expect(writes).toBe(11 * 32);
    expect(await rig.judge(rig.code(secret))).toBe('verified');
  });

  it.each<[string, Partial<Record<keyof Store, unknown>>]>([
    ['an enrolment that is none', { readChallenge: {} }],
    ['an enrolment that is undefined', { readChallenge: undefined }],
    ['a saved enrolment with a value', { saveChallenge: 'OK' }],
    ['a taken enrolment of 1', { takeChallenge: 1 }],
  ])('with %s (CFG-08)', async (_, replies) => {
    const overrides = Object.fromEntries(
      Object.entries(replies).map(([name, reply]) => [name, async () => reply]),
    );
    const { factors, addTotp } = factorRig({ store: overrides });
    await expect(addTotp()).rejects.toThrow(StoreUnavailable);
    expect((await factors.enrolled(alice)).methods).toEqual([]);
  });

  const granted = { granted: true, stamps: [1], time: 1, full: false };
  const closed = { granted: false, subject: 0, busy: false, closedForMs: 1 };
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['text', 'granted'],
    ['an empty object', {}],
    ['granted 1', { ...granted, granted: 1 }],
    ['granted "true"', { ...granted, granted: 'true' }],
    ['no stamps', { ...granted, stamps: undefined }],
    ['stamps of text', { ...granted, stamps: ['1'] }],
    ['a stamp that is NaN', { ...granted, stamps: [Number.NaN] }],
    ['too few stamps', { ...granted, stamps: [] }],
    ['too many stamps', { ...granted, stamps: [1, 2] }],
    ['a time of text', { ...granted, time: '1' }],
    ['full of 0', { ...granted, full: 0 }],
    ['closed for no time', { ...closed, closedForMs: 0 }],
    ['closed for a negative time', { ...closed, closedForMs: -5 }],
    ['closed for NaN', { ...closed, closedForMs: Number.NaN }],
    ['closed for 2^53', { ...closed, closedForMs: 2 ** 53 }],
    ['busy of nothing', { ...closed, busy: undefined }],
    ['a subject of text', { ...closed, subject: '0' }],
    ['inherited fields', Object.create(granted)],
  ])('with %s for a reservation, and looks at no code (CFG-08)', async (_, reply) => {
    const rig = factorRig();
    const { secret } = await rig.addTotp();
    let reads = 0;
    const odd = factorRig({
      store: {
        ...rig.store,
        reserveAttempt: async () => reply as never,
        readFactors: async (account) => {
          reads += 1;
          return rig.store.readFactors(account);
        },
      },
    });
    await expect(odd.judge(rig.code(secret))).rejects.toThrow(StoreUnavailable);
    await expect(odd.factors.beginTotp(alice, { label: 'alice' })).rejects.toThrow(StoreUnavailable);
    expect(reads).toBe(0);
  });

  it('with anything but nothing for an attempt given back: a right code does not pass', async () => {
    const rig = factorRig({ store: { releaseAttempt: async () => 'OK' as never } });
    const { secret } = await rig.addTotp();
    await expect(rig.judge(rig.code(secret))).rejects.toThrow(StoreUnavailable);
  });
});

describe('a pending login', () => {
  it('is found by its handle, closed once, and then gone', async () => {
    const { factors } = factorRig();
    const handle = await factors.pending.open(proven(), 'print');
    expect(await factors.pending.find(handle)).toMatchObject({
      account: alice,
      methods: ['pwd'],
      factors: 'print',
      handle,
    });
    expect(await factors.pending.close(handle)).toBe(true);
    expect(await factors.pending.close(handle)).toBe(false);
    expect(await factors.pending.find(handle)).toBeNull();
  });

  it('is opened on a proven password only', async () => {
    const { factors } = factorRig();
    await expect(factors.pending.open(new Login(), 'print')).rejects.toThrow(TypeError);
  });

  it.each([
    [299.9, true],
    [300, false],
  ])('lives for five minutes: after %d s: %s (PND-07)', async (seconds, lives) => {
    const { factors, clock } = factorRig();
    const handle = await factors.pending.open(proven(), 'print');
    clock.advance(seconds);
    expect((await factors.pending.find(handle)) !== null).toBe(lives);
    expect((await factors.pending.try(handle)) !== null).toBe(lives);
    expect(await factors.pending.close(handle)).toBe(lives);
  });

  it('is dead after five tries, which prolong nothing (PND-07, PND-08)', async () => {
    const { factors, clock } = factorRig();
    const handle = await factors.pending.open(proven(), 'print');
    for (let i = 1; i <= 5; i += 1) {
      clock.advance(1);
      expect(await factors.pending.try(handle)).toEqual({ last: i === 5 });
    }
    expect(await factors.pending.try(handle)).toBeNull();
    const other = await factors.pending.open(proven(), 'print');
    for (let i = 0; i < 4; i += 1) {
      clock.advance(74);
      await factors.pending.try(other);
    }
    clock.advance(4);
    expect(await factors.pending.find(other)).toBeNull();
  });

  it('is one of at most five of its account: the oldest goes (PND-24)', async () => {
    const { factors } = factorRig();
    const handles: string[] = [];
    for (let i = 0; i < 1000; i += 1) handles.push(await factors.pending.open(proven(), 'print'));
    const bobs = await factors.pending.open(proven(bob), 'print');
    const live = await Promise.all(handles.map((handle) => factors.pending.find(handle)));
    expect(live.map((login) => login !== null).lastIndexOf(false)).toBe(994);
    expect(live.filter((login) => login !== null)).toHaveLength(5);
    expect(await factors.pending.find(bobs)).toMatchObject({ account: bob });
  });

  const record = {
    v: 1,
    account: 'alice',
    subject: '',
    methods: ['pwd'],
    provenAt: 1,
    factors: 'print',
    binding: '',
  };
  it.each<[string, string]>([
    ['no text', ''],
    ['null', 'null'],
    ['cut short', JSON.stringify(record).slice(0, -5)],
    ['of another version', JSON.stringify({ ...record, v: 2 })],
    ['of nobody', JSON.stringify({ ...record, account: undefined })],
    ['of a number', JSON.stringify({ ...record, account: 7 })],
    ['of another account', JSON.stringify({ ...record, account: 'bob' })],
    ['without methods', JSON.stringify({ ...record, methods: 'pwd' })],
    ['without a time', JSON.stringify({ ...record, provenAt: -1 })],
    ['without a fingerprint', JSON.stringify({ ...record, factors: null })],
    ['without a word on its binding', JSON.stringify({ ...record, binding: undefined })],
    ['bound to null', JSON.stringify({ ...record, binding: null })],
    ['of an array', JSON.stringify([record])],
  ])('whose record is %s is none (RED-14)', async (_, odd) => {
    const { factors } = factorRig({
      store: { readPendingLogin: async () => ({ startedAt: 1, record: odd }) },
    });
    const handle = await factors.pending.open(proven(), 'print');
    expect(await factors.pending.find(handle)).toBeNull();
  });

  it.each([undefined, true, 'x', {}, { startedAt: '1', record: '' }, { startedAt: 1 }, []])(
    'of which the store answers %j refuses (CFG-08)',
    async (reply) => {
      const { factors } = factorRig({ store: { readPendingLogin: async () => reply as never } });
      const handle = await factors.pending.open(proven(), 'print');
      await expect(factors.pending.find(handle)).rejects.toThrow(StoreUnavailable);
    },
  );

  it.each([undefined, 0, -1, 1.5, '1', true, Number.NaN, {}])(
    'tried %p times refuses (CFG-08)',
    async (reply) => {
      const { factors } = factorRig({ store: { tryPendingLogin: async () => reply as never } });
      const handle = await factors.pending.open(proven(), 'print');
      await expect(factors.pending.try(handle)).rejects.toThrow(StoreUnavailable);
    },
  );

  it.each([undefined, null, 1, 'OK'])('closed with %p refuses (CFG-08)', async (reply) => {
    const { factors, addTotp, judge, code } = factorRig({
      store: { closePendingLogin: async () => reply as never },
    });
    const { secret } = await addTotp();
    const handle = await factors.pending.open(proven(), 'print');
    await expect(judge(code(secret), alice, handle)).rejects.toThrow(StoreUnavailable);
  });

  it('that another request has completed yields nothing, with a fresh code too (PND-06, I5)', async () => {
    const { factors, addTotp, judge, code, clock } = factorRig();
    const { secret } = await addTotp();
    const handle = await factors.pending.open(proven(), 'print');
    expect(await judge(code(secret), alice, handle)).toBe('verified');
    clock.advance(30);
    expect(await judge(code(secret), alice, handle)).toBe('dead');
  });

  it('that is dead costs no failure of the account', async () => {
    const { factors, addTotp, judge, wrong, code } = factorRig();
    const { secret } = await addTotp();
    const handle = await factors.pending.open(proven(), 'print');
    await factors.pending.close(handle);
    for (let i = 0; i < 12; i += 1) {
      expect(await judge(wrong(secret), alice, handle)).toBe('dead');
    }
    expect(await judge(code(secret))).toBe('verified');
  });

  it('whose record is whole is one, so that the records above are refused for what they lack', async () => {
    const { factors } = factorRig({
      store: { readPendingLogin: async () => ({ startedAt: 1, record: JSON.stringify(record) }) },
    });
    expect(await factors.pending.find(await factors.pending.open(proven(), 'print'))).not.toBeNull();
  });

  it('that is bound is found with that very secret only (PND-21)', async () => {
    const { factors, kept } = boundRig();
    const handle = await factors.pending.open(proven(), 'print', 'a secret');
    expect(await factors.pending.find(handle, 'a secret')).toMatchObject({ account: alice });
    for (const other of [undefined, '', 'A secret', 'a secret ', 'undefined']) {
      expect(await factors.pending.find(handle, other)).toBeNull();
    }
    expect(JSON.stringify(kept)).not.toContain('a secret');
    const unbound = await factors.pending.open(proven(), 'print');
    expect(await factors.pending.find(unbound, 'a secret')).toMatchObject({ account: alice });
  });
});

/** A rig, and everything that it gave its store as a pending login. */
function boundRig() {
  const kept: unknown[] = [];
  const store = memoryStore();
  const { factors } = factorRig({
    store: {
      ...store,
      openPendingLogin: (login) => {
        kept.push(login);
        return store.openPendingLogin(login);
      },
    },
  });
  return { factors, kept };
}

describe('the factor store', () => {
  it('holds factors and credentials, and nothing else; the store holds the rest (factorStore)', async () => {
    const clock = factorRig().clock;
    const called = { store: new Set<string>(), factorStore: new Set<string>() };
    const watch = (name: keyof typeof called, kept: Store): Store =>
      Object.fromEntries(
        Object.entries(kept).map(([method, call]) => [
          method,
          (...args: never[]) => {
            called[name].add(method);
            return (call as (...given: never[]) => unknown)(...args);
          },
        ]),
      ) as unknown as Store;
    const factorStore = memoryStore({ now: clock.now });
    const rig = factorRig({
      store: watch('store', memoryStore({ now: clock.now })),
      options: { factorStore: watch('factorStore', factorStore) },
    });
    const { secret } = await rig.addTotp();
    const { authenticator } = await rig.addKey();
    expect(await rig.judge(rig.code(secret))).toBe('verified');
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle));
    expect(await rig.judge(given, alice, handle)).toBe('verified');
    await rig.factors.removeAll(alice);
    const methods: (keyof FactorStore)[] = [
      'readFactors',
      'writeFactors',
      'claimCredential',
      'releaseCredential',
    ];
    expect(called.factorStore).toEqual(new Set(methods));
    expect(methods.filter((method) => called.store.has(method))).toEqual([]);
    expect(called.store).toContain('reserveAttempt');
    expect(called.store).toContain('openPendingLogin');
    expect(called.store).toContain('saveChallenge');
    expect(await factorStore.readFactors(accountKey('alice'))).toMatchObject({
      revision: expect.any(Number),
    });
  });

  it('is `store` where there is none of its own', async () => {
    const rig = factorRig();
    await rig.addTotp();
    expect(await rig.store.readFactors(accountKey('alice'))).toMatchObject({ revision: 1 });
  });

  it('alone decides: factors in the other store count for nothing', async () => {
    const rig = factorRig();
    await rig.addTotp();
    const { factors } = factorRig({ store: rig.store, options: { factorStore: memoryStore() } });
    expect((await factors.enrolled(alice)).methods).toEqual([]);
  });
});

describe('SecondFactors', () => {
  const store = memoryStore();
  const good = { store, issuer: 'Acme', keys: [sealingKey] };
  const factorMethods = new Set(['readFactors', 'writeFactors', 'claimCredential', 'releaseCredential']);
  const withoutFactors = Object.fromEntries(
    Object.entries(store).filter(([name]) => !factorMethods.has(name)),
  );

  it.each<Partial<SecondFactorsOptions>>([
    {},
    { origin },
    { origin, bindPending: false },
    { origin: 'http://localhost' },
    { origin: 'http://localhost:3000', bindPending: true },
    { origin, rpId: 'acme.example', userVerification: 'required' },
    { origin: 'https://login.acme.example:8443', rpId: 'acme.example' },
    { store: withoutFactors as never, factorStore: store },
    { keys: [sealingKey.toString('base64'), sealingKey.toString('hex')] },
  ])('takes good options %#', (options) => {
    expect(() => new SecondFactors({ ...good, ...options })).not.toThrow();
  });

  it('takes no other kind of login for one with a proven password', async () => {
    const { factors } = factorRig();
    await expect(factors.pending.open(new Login(), 'print')).rejects.toThrow(TypeError);
  });

  it.each<[unknown, RegExp]>([
    [undefined, /^SecondFactors: option store must be a store/],
    [null, /^SecondFactors: options must be an object, not null$/],
    [{ ...good, store: {} }, /^SecondFactors: option store must be a store .*, not an object$/],
    [{ ...good, store: { ...store, takeChallenge: 1 } }, /^SecondFactors: option store/],
    [{ ...good, store: withoutFactors }, /^SecondFactors: option store/],
    [{ ...good, store: withoutFactors, factorStore: undefined }, /^SecondFactors: option store/],
    [
      { ...good, factorStore: withoutFactors },
      /^SecondFactors: option factorStore must be a factor store such as sqlStore\(kysely\), not an object$/,
    ],
    [{ ...good, factorStore: null }, /^SecondFactors: option factorStore/],
    [{ ...good, issuer: '' }, /^SecondFactors: option issuer must be a non-empty string, not ""$/],
    [{ store, keys: good.keys }, /^SecondFactors: option issuer/],
    [{ store, issuer: 'Acme' }, /^SecondFactors: option keys must be a list of 32-byte keys/],
    [{ ...good, keys: [] }, /^SecondFactors: option keys must be a list of at least one/],
    [{ ...good, keys: 'CANARY' }, /^SecondFactors: option keys must be .* 32-byte keys, not another string$/],
    [{ ...good, keys: ['CANARY'] }, /^SecondFactors: keys\[0\] must be 32 random bytes, or those in base64/],
    [
      { ...good, origin: 'acme.example' },
      /^SecondFactors: option origin must be an origin .*"acme.example"$/,
    ],
    [{ ...good, origin: 'https://acme.example/' }, /^SecondFactors: option origin must/],
    [{ ...good, origin: 'https://ACME.example' }, /^SecondFactors: option origin must/],
    [{ ...good, origin: 'https://acme.example:443' }, /^SecondFactors: option origin must/],
    [{ ...good, origin: 'null' }, /^SecondFactors: option origin must/],
    [
      { ...good, origin: 'http://acme.example' },
      /^SecondFactors: option origin must .*http for localhost only/,
    ],
    [{ ...good, origin: 'http://localhost.acme.example' }, /^SecondFactors: option origin must/],
    [{ ...good, origin: 'http://127.0.0.1' }, /^SecondFactors: option origin must/],
    [{ ...good, origin: 'ftp://acme.example' }, /^SecondFactors: option origin must/],
    [{ ...good, origin: ['https://acme.example'] }, /^SecondFactors: option origin must/],
    [{ ...good, rpId: 'acme.example' }, /^SecondFactors: option rpId needs option origin$/],
    [
      { ...good, userVerification: 'required' },
      /^SecondFactors: option userVerification needs option origin$/,
    ],
    [{ ...good, bindPending: true }, /^SecondFactors: option bindPending needs option origin$/],
    [{ ...good, origin, bindPending: 'true' }, /^SecondFactors: option bindPending must be true or false/],
    [{ ...good, origin, userVerification: true }, /^SecondFactors: option userVerification must be one of/],
    [{ ...good, origin, rpId: 7 }, /^SecondFactors: option rpId must be a non-empty string/],
    [{ ...good, origin, rpId: 'evil.example' }, /^SecondFactors: .*"evil.example" is not one of/],
    [{ ...good, origin, rpId: 'example' }, /^SecondFactors: .*"example" is not one of/],
    [{ ...good, origin, rpId: 'login.acme.example' }, /^SecondFactors: .*is not one of/],
    [
      { ...good, limits: [{ failures: 0, withinSeconds: 1 }] },
      /limits\[0\]\.failures must be a whole number/,
    ],
    [{ ...good, now: 0 }, /^SecondFactors: option now must be a function, not 0$/],
    [
      { ...good, window: 9 },
      /^SecondFactors: unknown option "window"; it takes store, factorStore, issuer, keys,/,
    ],
  ])('rejects bad options %#, without quoting a key', (options, message) => {
    expect(() => new SecondFactors(options as never)).toThrow(TypeError);
    expect(() => new SecondFactors(options as never)).toThrow(message);
    expect(() => new SecondFactors(options as never)).not.toThrow('CANARY');
  });

  it('leaves its options as they were (CFG-13)', () => {
    const options = Object.freeze({ ...good, origin, keys: Object.freeze([sealingKey]) as Buffer[] });
    expect(() => new SecondFactors(options)).not.toThrow();
  });
});
