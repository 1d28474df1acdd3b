import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { StoreUnavailable } from '../../src/core/errors.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import { added, alice, bob, factorRig, sealingKey, wideLimits, type FactorRig } from '../rig/factor-rig.js';

/** 80 bits, as many services gave them. */
const shortSecret = 'GEZDGNBVGY3TQOJQ';

describe('an enrolment', () => {
  it('counts only once it is confirmed with a code (ENR-05)', async () => {
    const { factors, code } = factorRig();
    const { secret, uri } = await factors.beginTotp(alice, { label: 'alice' });
    expect(uri).toMatch(/^otpauth:\/\/totp\/Acme:alice\?secret=[A-Z2-7]{32}&issuer=Acme&/);
    expect(uri).toContain(`secret=${secret}&`);
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    expect(added(await factors.confirmTotp(alice, code(secret))).backupCodes).toHaveLength(10);
    expect((await factors.enrolled(alice)).methods).toEqual(['totp', 'backup_code']);
    expect((await factors.enrolled(bob)).methods).toEqual([]);
  });

  it('is not confirmed by a code of the secret shown before (ENR-04)', async () => {
    const { factors, code } = factorRig();
    const first = await factors.beginTotp(alice, { label: 'alice' });
    const second = await factors.beginTotp(alice, { label: 'alice' });
    expect(first.secret).not.toBe(second.secret);
    expect(await factors.confirmTotp(alice, code(first.secret))).toEqual({ outcome: 'wrong' });
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    expect(await factors.confirmTotp(alice, code(second.secret))).toMatchObject({ outcome: 'added' });
  });

  it('survives a mistyped code', async () => {
    const { factors, code, wrong } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    expect(await factors.confirmTotp(alice, wrong(secret))).toEqual({ outcome: 'wrong' });
    expect(await factors.confirmTotp(alice, code(secret))).toMatchObject({ outcome: 'added' });
  });

  it('leaves a live factor alone, whose codes do not confirm it (ENR-04)', async () => {
    const { factors, addTotp, judge, code, record } = factorRig();
    const { secret } = await addTotp();
    await factors.beginTotp(alice, { label: 'alice' });
    expect(await factors.confirmTotp(alice, code(secret))).toEqual({ outcome: 'wrong' });
    expect((await record())?.list).toHaveLength(1);
    expect(await judge(code(secret))).toBe('verified');
  });

  it('confirmed 20 times at once is one factor, and one answer shows codes', async () => {
    const { factors, code, record } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    const given = code(secret);
    const answers = await Promise.all(Array.from({ length: 20 }, () => factors.confirmTotp(alice, given)));
    expect(answers.filter(({ outcome }) => outcome === 'added')).toHaveLength(1);
    expect(answers.filter(({ outcome }) => outcome === 'wrong')).toHaveLength(19);
    expect((await record())?.list).toHaveLength(1);
  });

  it('cannot be confirmed again', async () => {
    const { factors, code, clock } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    added(await factors.confirmTotp(alice, code(secret)));
    clock.advance(30);
    expect(await factors.confirmTotp(alice, code(secret))).toEqual({ outcome: 'wrong' });
    expect((await factors.status(alice)).factors).toHaveLength(1);
  });

  it('uses its code up (TOT-02)', async () => {
    const { factors, code, judge } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    const given = code(secret);
    added(await factors.confirmTotp(alice, given));
    expect(await judge(given)).toBe('replayed');
  });

  it.each([
    [599.9, 'added'],
    [600, 'wrong'],
  ])('ends ten minutes after it was begun: after %d s: %s', async (seconds, outcome) => {
    const { factors, code, clock } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    clock.advance(seconds);
    expect((await factors.confirmTotp(alice, code(secret))).outcome).toBe(outcome);
  });

  it('needs one to be under way, and a code', async () => {
    const { factors } = factorRig();
    expect(await factors.confirmTotp(alice, '123456')).toEqual({ outcome: 'wrong' });
    await factors.beginTotp(alice, { label: 'alice' });
    for (const given of ['', '12345', 123_456, null, undefined, ['123456'], {}]) {
      expect(await factors.confirmTotp(alice, given as never)).toEqual({ outcome: 'wrong' });
    }
  });

  it("is nobody else's", async () => {
    const { factors, code } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    expect(await factors.confirmTotp(bob, code(secret))).toEqual({ outcome: 'wrong' });
    expect((await factors.enrolled(bob)).methods).toEqual([]);
  });

  it.each([
    ['text', 'x'],
    ['null', 'null'],
    ['a list', '[]'],
    ['without an id', '{"name":"x","secret":"x"}'],
    ['without a name', '{"id":"x","secret":"x"}'],
    ['without a secret', '{"id":"x","name":"x"}'],
    ['with a secret that was sealed for nobody', '{"id":"x","name":"x","secret":"x"}'],
  ])('whose stored record is %s is none', async (_, record) => {
    const { factors } = factorRig({ store: { readChallenge: async () => record } });
    expect(await factors.confirmTotp(alice, '123456')).toEqual({ outcome: 'wrong' });
  });

  it.each([undefined, null, {}, { label: '' }, { label: 7 }, { lable: 'x' }])(
    'needs a label: %j',
    async (options) => {
      const { factors } = factorRig();
      await expect(factors.beginTotp(alice, options as never)).rejects.toThrow(/^beginTotp: /);
    },
  );

  it('of an account that was reset is over: what was shown before cannot come back', async () => {
    const { factors, code } = factorRig();
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    await factors.removeAll(alice);
    expect(await factors.confirmTotp(alice, code(secret))).toEqual({ outcome: 'wrong' });
    expect((await factors.status(alice)).factors).toEqual([]);
  });
});

describe('an enrolment in place of another (TOT-12)', () => {
  it('leaves the old code working until it is confirmed, and the new one only from then on', async () => {
    const { factors, addTotp, judge, code, clock, revision, record } = factorRig();
    const old = await addTotp();
    const fresh = await factors.beginTotp(alice, { label: 'alice', replaces: old.id, name: 'New phone' });
    expect(await judge(code(old.secret))).toBe('verified');
    expect(await judge(code(fresh.secret))).toBe('wrong');
    const before = { revision: await revision(), codes: (await record())?.codes };
    clock.advance(30);
    const { id, backupCodes } = added(await factors.confirmTotp(alice, code(fresh.secret)));
    // In one step: there is no version of the record with both, and none with neither.
    expect(await revision()).toBe(before.revision + 1);
    expect(await factors.status(alice)).toMatchObject({ factors: [{ id, name: 'New phone' }] });
    expect(backupCodes).toBeNull();
    expect((await record())?.codes).toEqual(before.codes);
    clock.advance(30);
    expect(await judge(code(old.secret))).toBe('wrong');
    expect(await judge(code(fresh.secret))).toBe('verified');
  });

  it('leaves the other factors alone', async () => {
    const { factors, addTotp, addKey, code, touch, judge, clock } = factorRig();
    const old = await addTotp();
    const kept = await addTotp(alice, { name: 'Tablet' });
    const { authenticator } = await addKey();
    const fresh = await addTotp(alice, { replaces: old.id });
    expect(await judge(code(kept.secret))).toBe('verified');
    expect(await touch(authenticator)).toBe('verified');
    clock.advance(30);
    expect(await judge(code(fresh.secret))).toBe('verified');
    expect((await factors.status(alice)).factors.map(({ id }) => id)).not.toContain(old.id);
  });

  it('is a conflict where that one is gone by then, and adds nothing', async () => {
    const rig = factorRig();
    await rig.addKey();
    const { id } = await rig.addTotp();
    const { secret } = await rig.factors.beginTotp(alice, { label: 'alice', replaces: id });
    await rig.factors.remove(alice, id);
    const before = await rig.record();
    expect(await rig.factors.confirmTotp(alice, rig.code(secret))).toEqual({ outcome: 'conflict' });
    expect(await rig.record()).toEqual(before);
  });

  it("cannot take the place of another account's factor", async () => {
    const rig = factorRig();
    const bobs = await rig.addTotp(bob);
    await rig.addTotp(alice);
    const { secret } = await rig.factors.beginTotp(alice, { label: 'alice', replaces: bobs.id });
    expect(await rig.factors.confirmTotp(alice, rig.code(secret))).toEqual({ outcome: 'conflict' });
    expect(await rig.judge(rig.code(bobs.secret), bob)).toBe('verified');
  });
});

describe('a code', () => {
  it('works once, at whatever second of its window it is tried again (TOT-02, TOT-03)', async () => {
    const { addTotp, judge, code, clock } = factorRig();
    const given = code((await addTotp()).secret);
    clock.advance(29);
    expect(await judge(given)).toBe('verified');
    for (const seconds of [0, 2, 14, 14]) {
      clock.advance(seconds);
      expect(await judge(given)).toBe('replayed');
    }
    clock.advance(1);
    expect(await judge(given)).toBe('wrong');
  });

  it('of the step before, then of the present one: both work, in this order only (TOT-04)', async () => {
    const { addTotp, judge, code } = factorRig();
    const { secret } = await addTotp();
    expect(await judge(code(secret, -1))).toBe('verified');
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(code(secret, -1))).toBe('replayed');
    expect(await judge(code(secret))).toBe('replayed');
  });

  it('older than one that was accepted is refused, even if it was never used (TOT-04, I4)', async () => {
    const { addTotp, judge, code } = factorRig();
    const { secret } = await addTotp();
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(code(secret, -1))).toBe('replayed');
  });

  it('of a future step is never accepted (TOT-05)', async () => {
    const { addTotp, judge, code } = factorRig();
    const { secret } = await addTotp();
    expect(await judge(code(secret, 1))).toBe('wrong');
    expect(await judge(code(secret))).toBe('verified');
  });

  it.each([
    [-31, 'wrong'],
    [-1, 'wrong'],
    [0, 'verified'],
    [29, 'verified'],
    [30, 'verified'],
    [59, 'verified'],
    [60, 'wrong'],
    [61, 'wrong'],
  ])('offered at second %d from the start of its step is %s (TOT-06)', async (second, word) => {
    const { addTotp, judge, code, clock } = factorRig();
    const { secret } = await addTotp();
    const step = Math.floor(clock.now() / 30_000) + 10;
    clock.set(step * 30_000);
    const given = code(secret);
    clock.advance(second);
    expect(await judge(given)).toBe(word);
  });

  it('has one spelling: with spaces it is none, so no replay hides in one (TOT-09)', async () => {
    const { factors, addTotp, code } = factorRig();
    const given = code((await addTotp()).secret);
    const spellings = [` ${given}`, `${given} `, `${given.slice(0, 3)} ${given.slice(3)}`];
    for (const spelling of spellings) {
      const verdict = await factors.verify(alice, { kind: 'totp', code: spelling });
      expect(verdict).toMatchObject({ outcome: 'refused', reason: 'wrong' });
    }
    expect((await factors.verify(alice, { kind: 'totp', code: given })).outcome).toBe('verified');
  });

  it('of a phone that is five minutes off is refused always (TOT-23)', async () => {
    const { addTotp, judge, code, clock } = factorRig();
    const { secret } = await addTotp();
    for (let i = 0; i < 5; i += 1) {
      expect(await judge(code(secret, -10))).toBe('wrong');
      expect(await judge(code(secret, 10))).toBe('wrong');
      clock.advance(60);
    }
  });

  it('offered 100 times at once works once (RCE-05)', async () => {
    const { addTotp, code, judge } = factorRig({ options: { limits: wideLimits } });
    const given = code((await addTotp()).secret);
    const answers = await Promise.all(Array.from({ length: 100 }, () => judge(given)));
    expect(answers.filter((answer) => answer === 'verified')).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'replayed')).toHaveLength(99);
  });

  it("of bob is nothing on alice's login and stays good for his (PND-04)", async () => {
    const { addTotp, code, judge, record } = factorRig();
    await addTotp(alice);
    const bobs = await addTotp(bob);
    const before = await record(bob);
    expect(await judge(code(bobs.secret), alice)).toBe('wrong');
    expect(await record(bob)).toEqual(before);
    expect(await judge(code(bobs.secret), bob)).toBe('verified');
  });

  it('opens nothing where the secret is sealed under a key that this process lacks (CFG-10)', async () => {
    const { store, addTotp, code, clock } = factorRig();
    const { secret } = await addTotp();
    const given = { kind: 'totp', code: code(secret) } as const;
    const made = { store, issuer: 'Acme', now: clock.now };
    const other = new SecondFactors({ ...made, keys: [randomBytes(32)] });
    for (let i = 0; i < 11; i += 1) {
      expect(await other.verify(alice, given)).toEqual({ outcome: 'unreadable' });
    }
    const both = new SecondFactors({ ...made, keys: [randomBytes(32), sealingKey] });
    expect(await both.verify(alice, given)).toMatchObject({ outcome: 'verified' });
  });

  it("opens nothing where alice's sealed secret was copied into bob's record", async () => {
    const { addTotp, code, judge, record, tamper } = factorRig();
    const { secret } = await addTotp(alice);
    const stolen = await record(alice);
    await tamper(() => stolen, bob);
    expect(await judge(code(secret), bob)).toBe('unreadable');
  });

  it("opens nothing where one factor's sealed secret was copied into another of the account", async () => {
    const { addTotp, code, judge, tamper } = factorRig();
    const { secret } = await addTotp();
    await tamper((record) => ({ ...record, list: [{ ...record.list[0], id: 'another' }] }));
    expect(await judge(code(secret))).toBe('unreadable');
  });
});

describe('several authenticators', () => {
  it('have names, and times of their own', async () => {
    const { factors, addTotp, judge, code, clock } = factorRig();
    const start = clock.now();
    await addTotp();
    const phone = await addTotp(alice, { name: 'Phone' });
    await addTotp(alice, { name: 'Tablet' });
    expect(await judge(code(phone.secret))).toBe('verified');
    expect((await factors.status(alice)).factors).toEqual([
      { id: expect.any(String), type: 'totp', name: 'Authenticator app', createdAt: start, lastUsedAt: null },
      {
        id: phone.id,
        type: 'totp',
        name: 'Phone',
        createdAt: start + 60_000,
        lastUsedAt: clock.now(),
      },
      expect.objectContaining({ name: 'Tablet', createdAt: start + 120_000, lastUsedAt: null }),
    ]);
  });

  it('each take each of their codes once, whatever was used of the others (I4)', async () => {
    const { addTotp, judge, code } = factorRig();
    const made = [await addTotp(), await addTotp(), await addTotp()];
    for (const { secret } of made) expect(await judge(code(secret, -1))).toBe('verified');
    for (const { secret } of made) expect(await judge(code(secret, -1))).toBe('replayed');
    for (const { secret } of made) expect(await judge(code(secret))).toBe('verified');
  });

  it('of which one is sealed under a lost key: the other works, and a wrong code is wrong', async () => {
    const { addTotp, judge, code, wrong, tamper } = factorRig();
    await addTotp();
    const good = await addTotp();
    await tamper(({ list: [first, second], ...rest }) => ({
      ...rest,
      list: [{ ...first, secret: 'AAAA' }, second],
    }));
    expect(await judge(wrong(good.secret))).toBe('wrong');
    expect(await judge(code(good.secret))).toBe('verified');
    expect(await judge(code(good.secret))).toBe('replayed');
  });
});

describe('the last step that is stored (TOT-13)', () => {
  it('may be null, and then means that no code was used', async () => {
    const { addTotp, judge, code, tamper, record } = factorRig();
    const { secret } = await addTotp();
    await tamper((stored) => ({ ...stored, list: [{ ...stored.list[0], lastStep: null }] }));
    expect(await judge(code(secret))).toBe('verified');
    expect((await record())?.list).toMatchObject([{ lastStep: expect.any(Number) }]);
    expect(await judge(code(secret))).toBe('replayed');
  });

  it.each([undefined, '37037036', '', -1, 2 ** 53, 1.5, true, false, [], {}])(
    'refuses when it is %p: replay protection is never off',
    async (lastStep) => {
      const { factors, addTotp, judge, code, tamper } = factorRig();
      const { secret } = await addTotp();
      await tamper((stored) => ({ ...stored, list: [{ ...stored.list[0], lastStep }] }));
      await expect(factors.enrolled(alice)).rejects.toThrow(StoreUnavailable);
      await expect(judge(code(secret))).rejects.toThrow(StoreUnavailable);
    },
  );
});

describe('a clock that was set back (TOT-14)', () => {
  it('refuses right codes as such, without an error, until time has caught up', async () => {
    const { addTotp, judge, code, clock, record } = factorRig();
    const { secret } = await addTotp();
    expect(await judge(code(secret))).toBe('verified');
    const before = await record();
    clock.advance(-300);
    expect(await judge(code(secret))).toBe('clock');
    expect(await judge(code(secret, -1))).toBe('clock');
    clock.advance(270);
    expect(await judge(code(secret))).toBe('clock');
    expect(await record()).toEqual(before);
    clock.advance(30);
    expect(await judge(code(secret))).toBe('replayed');
    clock.advance(30);
    expect(await judge(code(secret))).toBe('verified');
  });

  it('does not make wrong codes look right', async () => {
    const { addTotp, judge, code, wrong, clock } = factorRig();
    const { secret } = await addTotp();
    expect(await judge(code(secret))).toBe('verified');
    clock.advance(-300);
    expect(await judge(wrong(secret))).toBe('wrong');
  });

  it('leaves an authenticator alone whose last code is older', async () => {
    const { addTotp, judge, code, clock } = factorRig();
    const idle = await addTotp();
    clock.advance(3600);
    const used = await addTotp();
    expect(await judge(code(used.secret))).toBe('verified');
    clock.advance(-300);
    expect(await judge(code(used.secret))).toBe('clock');
    expect(await judge(code(idle.secret))).toBe('verified');
  });
});

/** Tries wrong codes as fast as the limits allow, and answers what became of each that was looked at. */
async function guess(rig: FactorRig, secret: string, times: number): Promise<string[]> {
  const answers: string[] = [];
  while (answers.length < times) {
    const answer = await rig.judge(rig.wrong(secret));
    if (answer === 'locked') rig.clock.advance(3600);
    else answers.push(answer);
  }
  return answers;
}

/** Alice with a key, ten codes and an authenticator that is suspended, on a later day. */
async function suspended() {
  const rig = factorRig();
  const { authenticator } = await rig.addKey();
  const { secret } = await rig.addTotp();
  const [backupCode = ''] = (await rig.factors.regenerateBackupCodes(alice)) ?? [];
  expect((await guess(rig, secret, 100)).at(-1)).toBe('suspended');
  rig.clock.advance(86_400);
  return { rig, secret, authenticator, backupCode };
}

describe('wrong codes in a row (TOT-16)', () => {
  it('suspend codes at the hundredth, over days, and waiting lifts nothing', async () => {
    const rig = factorRig();
    const { secret } = await rig.addTotp();
    const start = rig.clock.now();
    const answers = await guess(rig, secret, 100);
    expect(rig.clock.now() - start).toBeGreaterThan(2 * 86_400_000);
    expect(new Set(answers.slice(0, 99))).toEqual(new Set(['wrong']));
    expect(answers[99]).toBe('suspended');
    for (const days of [1, 30, 365]) {
      rig.clock.advance(days * 86_400);
      const before = await rig.record();
      expect(await rig.judge(rig.code(secret))).toBe('suspended');
      expect(await rig.judge(rig.wrong(secret))).toBe('suspended');
      expect(await rig.record()).toEqual(before);
    }
    await rig.factors.unlock(alice);
    expect(await rig.judge(rig.code(secret))).toBe('suspended');
  });

  it('suspend every authenticator of the account, and nobody else', async () => {
    const rig = factorRig({ options: { limits: wideLimits } });
    const { secret } = await rig.addTotp();
    const other = await rig.addTotp();
    const bobs = await rig.addTotp(bob);
    for (let i = 0; i < 100; i += 1) await rig.judge(rig.wrong(secret, other.secret));
    expect(await rig.judge(rig.code(secret))).toBe('suspended');
    expect(await rig.judge(rig.code(other.secret))).toBe('suspended');
    expect(await rig.judge(rig.code(bobs.secret), bob)).toBe('verified');
  });

  it('are forgotten when an emergency code is used', async () => {
    const { rig, secret, backupCode } = await suspended();
    expect(await rig.judge(backupCode)).toBe('verified');
    expect(await rig.judge(rig.code(secret))).toBe('verified');
  });

  it('are forgotten when a security key is used', async () => {
    const { rig, secret, authenticator } = await suspended();
    expect(await rig.touch(authenticator)).toBe('verified');
    expect(await rig.judge(rig.code(secret))).toBe('verified');
  });

  it('are not forgotten for a wrong emergency code, a wrong answer, new codes, or a new name', async () => {
    const { rig, secret, authenticator } = await suspended();
    expect(await rig.judge('0000-0000-0000-0000')).toBe('wrong');
    const handle = await rig.open();
    const answer = authenticator.authenticate(await rig.challenge(handle), {
      origin: 'https://evil.example',
    });
    expect(await rig.judge(answer, alice, handle)).toBe('wrong');
    await rig.factors.regenerateBackupCodes(alice);
    await rig.factors.rename(alice, authenticator.id, 'Key');
    expect(await rig.judge(rig.code(secret))).toBe('suspended');
  });

  it.each<[string, (rig: FactorRig) => Promise<unknown>]>([
    ['a reset', ({ factors }) => factors.removeAll(alice)],
    [
      'the removal of every factor',
      async ({ factors }) => {
        const { factors: all } = await factors.status(alice);
        for (const { id } of all) await factors.remove(alice, id);
      },
    ],
  ])('are forgotten with %s: a new authenticator works', async (_, end) => {
    const { rig } = await suspended();
    await end(rig);
    expect((await rig.record())?.wrongCodes).toBe(0);
    const { secret } = await rig.addTotp();
    expect(await rig.judge(rig.code(secret))).toBe('verified');
  });

  it('count from the last success on: 99, a right one, 99 more', async () => {
    const rig = factorRig();
    const { secret } = await rig.addTotp();
    expect(await guess(rig, secret, 99)).not.toContain('suspended');
    rig.clock.advance(86_400);
    expect(await rig.judge(rig.code(secret))).toBe('verified');
    expect(await guess(rig, secret, 99)).not.toContain('suspended');
    expect(await guess(rig, secret, 1)).toEqual(['suspended']);
  });

  it('are no guesses where they are replays, or where the account has no authenticator', async () => {
    const rig = factorRig({ options: { limits: wideLimits } });
    await rig.addKey(bob);
    const { secret } = await rig.addTotp();
    const given = rig.code(secret);
    expect(await rig.judge(given)).toBe('verified');
    for (let i = 0; i < 120; i += 1) {
      expect(await rig.judge(given)).toBe('replayed');
      expect(await rig.judge('000000', bob)).toBe('wrong');
    }
    expect((await rig.record())?.wrongCodes).toBe(0);
    expect((await rig.record(bob))?.wrongCodes).toBe(0);
  });

  it('all count where they are sent at once', async () => {
    const rig = factorRig({ options: { limits: [{ failures: 25, withinSeconds: 60 }] } });
    const { secret } = await rig.addTotp();
    const answers = await Promise.all(Array.from({ length: 40 }, () => rig.judge(rig.wrong(secret))));
    expect(answers.filter((answer) => answer === 'wrong')).toHaveLength(25);
    expect((await rig.record())?.wrongCodes).toBe(25);
  });
});

describe('an authenticator taken over from another system', () => {
  it('works with its next code, and once with each', async () => {
    const { factors, judge, code, clock, record } = factorRig();
    const addition = added(await factors.importTotp(alice, { secret: shortSecret, name: 'Old phone' }));
    expect(addition.backupCodes).toHaveLength(10);
    expect(await factors.status(alice)).toMatchObject({
      factors: [{ id: addition.id, name: 'Old phone', createdAt: clock.now(), lastUsedAt: null }],
    });
    expect((await record())?.list).toMatchObject([{ lastStep: null }]);
    expect(JSON.stringify(await record())).not.toContain(shortSecret);
    expect(await judge(code(shortSecret))).toBe('verified');
    expect(await judge(code(shortSecret))).toBe('replayed');
  });

  it.each([
    ['80 bits', shortSecret],
    ['lower case', shortSecret.toLowerCase()],
    ['groups', 'GEZD GNBV GY3T QOJQ'],
    ['groups in lower case, with spaces around', ' gezd gnbv gy3t qojq '],
    ['hyphens', 'GEZD-GNBV-GY3T-QOJQ'],
    ['160 bits', shortSecret.repeat(2)],
    ['512 bits', `${shortSecret.repeat(7).slice(0, 102)}Q`.slice(0, 103)],
    ['padding', `${shortSecret.repeat(2).slice(0, 26)}======`],
    ['letters beyond the last whole byte', `${shortSecret}A`],
    ['bits beyond the last whole byte', `${shortSecret}77`],
    ['both', `${shortSecret}777`],
    ['26 random letters, as many services make them', `${shortSecret}ABCDEFGHI7`],
  ])('may be written with %s, as apps read it', async (_, secret) => {
    const { factors, judge, code } = factorRig();
    added(await factors.importTotp(alice, { secret }));
    const plain = secret.replaceAll(/[ =-]/g, '').toUpperCase();
    expect(await judge(code(plain))).toBe('verified');
  });

  it.each([
    ['75 bits', 'GEZDGNBVGY3TQOJ'],
    ['one letter', 'A'],
    ['a 1', 'GEZDGNBVGY3TQOJ1'],
    ['an 8', 'GEZDGNBVGY3TQOJ8'],
    ['an 0', 'GEZDGNBVGY3TQOJ0'],
    ['hexadecimal', '3132333435363738393031323334353637383930'],
    ['base64', 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTA='],
    ['padding in the middle', 'GEZDGNBV=GY3TQOJQ'],
    ['a line break', 'GEZDGNBV\nGY3TQOJQ'],
    ['full-width letters', 'ＧＥＺＤＧＮＢＶＧＹ３ＴＱＯＪＱ'],
    ['520 bits', 'GEZDGNBV'.repeat(13)],
    ['a good one in a megabyte of spaces', `${shortSecret}${' '.repeat(1_000_000)}`],
    ['a megabyte', 'GEZDGNBV'.repeat(130_000)],
    ['a URI', `otpauth://totp/Acme:alice?secret=${shortSecret}`],
    ['nothing', ''],
    ['spaces', '                '],
    ['a number', 1_234_567_890_123_456],
    ['bytes', Buffer.from(shortSecret)],
    ['null', null],
    ['undefined', undefined],
  ])('is refused without being quoted where it is %s', async (_, secret) => {
    const { factors, record } = factorRig();
    const failure = await factors
      .importTotp(alice, { secret: secret as string })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TypeError);
    const { message } = failure as TypeError;
    expect(message).toMatch(/^importTotp: (?:option )?secret must be /);
    for (const part of ['GEZD', 'ＧＥＺＤ', 'MTIz', '3132', '1234']) expect(message).not.toContain(part);
    expect(await record()).toBeNull();
  });

  it('twice is one: with its secret in two factors each code would work twice (I4)', async () => {
    const { factors, judge, code, addTotp } = factorRig();
    added(await factors.importTotp(alice, { secret: shortSecret }));
    for (const secret of [shortSecret, 'gezd gnbv gy3t qojq', `${shortSecret}A`]) {
      expect(await factors.importTotp(alice, { secret })).toEqual({ outcome: 'conflict' });
    }
    const answers = Array.from({ length: 5 }, () => factors.importTotp(bob, { secret: shortSecret }));
    expect((await Promise.all(answers)).filter(({ outcome }) => outcome === 'added')).toHaveLength(1);
    await addTotp();
    expect((await factors.status(alice)).factors).toHaveLength(2);
    expect(await judge(code(shortSecret))).toBe('verified');
    expect(await judge(code(shortSecret))).toBe('replayed');
  });

  it('is one of several', async () => {
    const { factors, judge, code, addTotp } = factorRig();
    const { secret } = await addTotp();
    expect(added(await factors.importTotp(alice, { secret: shortSecret })).backupCodes).toBeNull();
    expect(await judge(code(shortSecret))).toBe('verified');
    expect(await judge(code(secret))).toBe('verified');
  });
});
