import { describe, expect, it } from '@jest/globals';
import { canonicalBackupCode, newBackupCodes } from '../../src/core/backup-codes.js';
import { added, alice, bob, factorRig, proven, wideLimits } from '../rig/factor-rig.js';

const fullWidth = (text: string): string =>
  text.replaceAll(/[!-~]/g, (one) => String.fromCodePoint((one.codePointAt(0) ?? 0) + 0xfee0));

/** A code of letters and digits that have other spellings, which no random one would reliably hold. */
const spelledCode = '01AB-1C0D-EFGH-10ZV';

describe('backup codes', () => {
  it('are ten of 80 bits each, all different, in groups for reading aloud', () => {
    const { codes, set } = newBackupCodes(alice, 7);
    expect(codes).toHaveLength(10);
    expect(new Set(codes).size).toBe(10);
    // 16 letters of 32: 80 bits; none of I, L, O and U, which are mistaken for others.
    for (const code of codes) expect(code).toMatch(/^(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(set).toEqual({ createdAt: 7, lastUsedAt: null, hashes: expect.any(Array) });
    expect(new Set(set.hashes).size).toBe(10);
  });

  it('use every letter at every place about equally often', () => {
    const codes = Array.from({ length: 1600 }, () => newBackupCodes(alice, 0).codes).flat();
    for (let place = 0; place < 19; place += 1) {
      const seen = new Map<string, number>();
      for (const code of codes) seen.set(code.charAt(place), (seen.get(code.charAt(place)) ?? 0) + 1);
      expect(seen.size).toBe([4, 9, 14].includes(place) ? 1 : 32);
      // Each of 32 letters about 500 times; 300 is nine standard deviations off.
      expect(Math.min(...seen.values())).toBeGreaterThan(300);
    }
  });

  it('come with the first factor only, whatever kind it is', async () => {
    const { factors, addTotp, addKey, record } = factorRig();
    const first = await addTotp();
    expect(first.backupCodes).toHaveLength(10);
    const { codes } = (await record()) ?? {};
    expect((await addTotp()).backupCodes).toEqual([]);
    expect((await addKey()).backupCodes).toEqual([]);
    expect((await record())?.codes).toEqual(codes);
    expect((await addKey(bob)).backupCodes).toHaveLength(10);
    expect((await factors.status(bob)).backupCodes).toMatchObject({ left: 10, lastUsedAt: null });
  });

  it('come with the first factor even where it is the first again', async () => {
    const { factors, addTotp, judge } = factorRig();
    const before = await addTotp();
    await factors.removeAll(alice);
    const after = await addTotp();
    expect(after.backupCodes).toHaveLength(10);
    expect(await judge(before.backupCodes[0] ?? '')).toBe('wrong');
    expect(await judge(after.backupCodes[0] ?? '')).toBe('verified');
  });

  it('are none where all have been used: a later factor brings no new ones by itself', async () => {
    const { factors, addTotp, judge, record } = factorRig();
    const { backupCodes } = await addTotp();
    for (const code of backupCodes) expect(await judge(code)).toBe('verified');
    expect((await factors.enrolled(alice)).methods).toEqual(['totp']);
    expect((await factors.status(alice)).backupCodes).toMatchObject({ left: 0 });
    expect((await addTotp()).backupCodes).toEqual([]);
    expect((await record())?.codes?.hashes).toEqual([]);
    expect(await factors.regenerateBackupCodes(alice)).toHaveLength(10);
    expect((await factors.enrolled(alice)).methods).toEqual(['totp', 'backup_code']);
  });

  it('each work once, and say how many are left (BKP-01)', async () => {
    const { factors, addTotp, judge, clock } = factorRig();
    const { backupCodes } = await addTotp();
    for (const [index, code] of backupCodes.entries()) {
      clock.advance(60);
      expect(await factors.verify(alice, { kind: 'backup_code', code })).toEqual({
        outcome: 'verified',
        factor: 'backup_code',
        method: 'otp',
        codesLeft: 9 - index,
      });
      expect(await judge(code)).toBe('wrong');
      expect((await factors.status(alice)).backupCodes).toMatchObject({
        left: 9 - index,
        lastUsedAt: clock.now(),
      });
    }
  });

  const spellings: [string, (code: string) => string][] = [
    ['as it was', (code) => code],
    ['lower case', (code) => code.toLowerCase()],
    ['no hyphens', (code) => code.replaceAll('-', '')],
    ['spaces', (code) => code.replaceAll('-', ' ')],
    ['spaces around', (code) => `  ${code} `],
    ['a hyphen after each letter', (code) => code.replaceAll('-', '').replaceAll(/./g, '$&-')],
    ['full-width', fullWidth],
    ['full-width lower case', (code) => fullWidth(code.toLowerCase())],
    ['full-width spaces', (code) => code.replaceAll('-', '\u3000')],
    ['O for 0', (code) => code.replaceAll('0', 'O')],
    ['o for 0', (code) => code.replaceAll('0', 'o')],
    ['I for 1', (code) => code.replaceAll('1', 'I')],
    ['l for 1', (code) => code.replaceAll('1', 'l')],
  ];

  it.each(spellings)('have one spelling: %s', (_, spell) => {
    expect(canonicalBackupCode(spell(spelledCode))).toBe('01AB1C0DEFGH10ZV');
  });

  it.each(spellings)('once used, work no more, and unused ones do: %s (BKP-03)', async (_, spell) => {
    const { addTotp, judge, record } = factorRig({ options: { limits: wideLimits } });
    const { backupCodes } = await addTotp();
    const [used = '', unused = ''] = backupCodes;
    expect(await judge(used)).toBe('verified');
    expect(await judge(spell(used))).toBe('wrong');
    expect((await record())?.codes?.hashes).toHaveLength(9);
    expect(await judge(spell(unused))).toBe('verified');
    expect(await judge(unused)).toBe('wrong');
  });

  it.each([
    ['nothing', ''],
    ['spaces', ' '.repeat(16)],
    ['hyphens', '-'.repeat(16)],
    ['15 letters', spelledCode.slice(0, -1)],
    ['17 letters', `${spelledCode}0`],
    ['a U, which no code has', 'U1AB-1C0D-EFGH-10ZV'],
    ['a u', 'u1AB-1C0D-EFGH-10ZV'],
    ['a full stop', '01AB.1C0D.EFGH.10ZV'],
    ['a dash', '01AB–1C0D–EFGH–10ZV'],
    ['a tab', '01AB\t1C0D\tEFGH\t10ZV'],
    ['a line break at its end', `${spelledCode}\n`],
    ['a NUL', `${spelledCode}\0`],
    ['Cyrillic letters', '01АВ-1С0D-EFGH-10ZV'],
    ['an umlaut', '01ÄB-1C0D-EFGH-10ZV'],
    ['a letter with a dot above', '01S\u0307B-1C0D-EFGH-10ZV'],
    ['a dotless i, which is an I in capitals', '01ıB-1C0D-EFGH-10ZV'],
    ['a sharp s, which is SS in capitals', '01ßB-1C0D-EFGH-10Z'],
    ['a lone surrogate', '01\uD800B-1C0D-EFGH-10ZV'],
    ['a code among spaces', ` ${spelledCode}`.padEnd(33)],
    ['megabytes of combining marks', `0${'\u0300'.repeat(1_000_000)}`],
    ['megabytes of spaces', `${spelledCode}${' '.repeat(1_000_000)}`],
  ])('are never %s, and that is said quickly', (_, given) => {
    const start = performance.now();
    expect(canonicalBackupCode(given)).toBeNull();
    expect(performance.now() - start).toBeLessThan(20);
  });

  it('are all void once new ones are made (BKP-05)', async () => {
    const { factors, addTotp, judge, clock } = factorRig({ options: { limits: wideLimits } });
    const { backupCodes } = await addTotp();
    const [used = ''] = backupCodes;
    expect(await judge(used)).toBe('verified');
    clock.advance(60);
    const fresh = (await factors.regenerateBackupCodes(alice)) ?? [];
    expect(fresh).toHaveLength(10);
    expect(new Set([...fresh, ...backupCodes]).size).toBe(20);
    expect((await factors.status(alice)).backupCodes).toEqual({
      left: 10,
      createdAt: clock.now(),
      lastUsedAt: null,
    });
    for (const code of backupCodes) expect(await judge(code)).toBe('wrong');
    for (const code of fresh) expect(await judge(code)).toBe('verified');
  });

  it('made ten times at once: one whole set works, the last that was written (RCE-19)', async () => {
    const { addTotp, judge, store, record } = factorRig({ options: { limits: wideLimits } });
    await addTotp();
    const written: string[] = [];
    const { factors } = factorRig({
      store: {
        ...store,
        writeFactors: async (account, text, expected) => {
          const isWritten = await store.writeFactors(account, text, expected);
          if (isWritten) written.push(text);
          return isWritten;
        },
      },
    });
    const sets = await Promise.all(Array.from({ length: 10 }, () => factors.regenerateBackupCodes(alice)));
    expect(written).toHaveLength(10);
    expect(await record()).toEqual(JSON.parse(written.at(-1) ?? ''));
    const working: number[] = [];
    for (const codes of sets) {
      const answers: string[] = [];
      for (const code of codes ?? []) answers.push(await judge(code));
      working.push(answers.filter((answer) => answer === 'verified').length);
    }
    expect(working.toSorted((a, b) => a - b)).toEqual([...Array.from({ length: 9 }, () => 0), 10]);
  });

  it('offered 100 times at once work once (RCE-06)', async () => {
    const { addTotp, judge, record } = factorRig({ options: { limits: wideLimits } });
    const [code = ''] = (await addTotp()).backupCodes;
    const answers = await Promise.all(Array.from({ length: 100 }, () => judge(code)));
    expect(answers.filter((answer) => answer === 'verified')).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'wrong')).toHaveLength(99);
    expect((await record())?.codes?.hashes).toHaveLength(9);
  });

  it('offered all at once all work: no two of them overwrite each other', async () => {
    const { addTotp, judge, record } = factorRig({ options: { limits: wideLimits } });
    const { backupCodes } = await addTotp();
    const answers = await Promise.all(backupCodes.map((code) => judge(code)));
    expect(new Set(answers)).toEqual(new Set(['verified']));
    expect((await record())?.codes?.hashes).toEqual([]);
  });

  it("are nobody else's, and stay good (PND-04)", async () => {
    const { addTotp, judge, record } = factorRig();
    await addTotp(alice);
    const [code = ''] = (await addTotp(bob)).backupCodes;
    const before = await record(bob);
    expect(await judge(code, alice)).toBe('wrong');
    expect(await record(bob)).toEqual(before);
    expect(await judge(code, bob)).toBe('verified');
  });

  it("open nothing where alice's hashes were copied into bob's record", async () => {
    const { addTotp, judge, record, tamper } = factorRig();
    const [code = ''] = (await addTotp(alice)).backupCodes;
    await addTotp(bob);
    const stolen = await record(alice);
    await tamper((stored) => ({ ...stored, codes: stolen?.codes }), bob);
    expect(await judge(code, bob)).toBe('wrong');
    expect(await judge(code, alice)).toBe('verified');
  });

  it('go with the last factor, and none can be made without one (PND-14)', async () => {
    const { factors, addTotp, addKey, judge, record } = factorRig();
    const totp = await addTotp();
    const key = await addKey();
    await factors.remove(alice, totp.id);
    expect((await factors.status(alice)).backupCodes).toMatchObject({ left: 10 });
    await factors.remove(alice, key.id);
    expect((await factors.status(alice)).backupCodes).toBeNull();
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    expect(await record()).toMatchObject({ v: 1, list: [], codes: null, wrongCodes: 0 });
    expect(await factors.regenerateBackupCodes(alice)).toBeNull();
    expect(await factors.regenerateBackupCodes(bob)).toBeNull();
    expect(await judge(totp.backupCodes[0] ?? '')).toBe('wrong');
  });

  it('are stored as hashes, and shown by nothing after they were made (BKP-09)', async () => {
    const { factors, addTotp, judge, record, store } = factorRig();
    const { backupCodes } = await addTotp();
    await judge(backupCodes[0] ?? '');
    const shown = JSON.stringify([
      await record(),
      await factors.status(alice),
      await factors.enrolled(alice),
    ]);
    for (const code of backupCodes) {
      expect(shown).not.toContain(code);
      expect(shown).not.toContain(code.replaceAll('-', ''));
    }
    for (const hash of (await record())?.codes?.hashes ?? []) {
      expect(hash).toMatch(/^[0-9a-f]{64}$/);
      expect(JSON.stringify(await factors.status(alice))).not.toContain(hash);
    }
    expect(store).toBeDefined();
  });

  it('cost a guesser the same hundredths of a millisecond each, right or wrong (BKP-12)', async () => {
    const { addTotp, judge } = factorRig({ options: { limits: [{ failures: 1000, withinSeconds: 60 }] } });
    await addTotp();
    await judge('0000-0000-0000-0000');
    const { user, system } = process.cpuUsage();
    for (let i = 0; i < 500; i += 1) await judge(`0000-0000-0000-0${String(i).padStart(3, '0')}`);
    const spent = process.cpuUsage({ user, system });
    expect((spent.user + spent.system) / 500 / 1000).toBeLessThan(1);
  });

  it('mixed with codes of an authenticator are five tries of a pending login, not ten (BKP-07)', async () => {
    const { factors, addTotp, judge, wrong, open } = factorRig();
    const { secret, backupCodes } = await addTotp();
    const handle = await open();
    const given = ['0000-0000-0000-0000', wrong(secret), '1111-1111-1111-1111', wrong(secret)];
    for (const one of given) expect(await judge(one, alice, handle)).toBe('wrong');
    expect(
      await factors.verify(alice, { kind: 'backup_code', code: '2222222222222222' }, handle),
    ).toMatchObject({
      outcome: 'refused',
      last: true,
    });
    expect(await judge(backupCodes[0] ?? '', alice, handle)).toBe('dead');
    expect(await judge(backupCodes[0] ?? '')).toBe('verified');
  });

  it('and codes of an authenticator fill one window of the account', async () => {
    const { addTotp, judge, wrong } = factorRig();
    const { secret, backupCodes } = await addTotp();
    for (let i = 0; i < 5; i += 1) {
      expect(await judge('0000-0000-0000-0000')).toBe('wrong');
      expect(await judge(wrong(secret))).toBe('wrong');
    }
    expect(await judge(backupCodes[0] ?? '')).toBe('locked');
  });

  it('are used up by a login that has meanwhile ended: never good twice (I5)', async () => {
    const { factors, addTotp, judge, store } = factorRig();
    const [code = ''] = (await addTotp()).backupCodes;
    const handle = await factors.pending.open(proven(), 'print');
    const late = factorRig({ store: { ...store, closePendingLogin: async () => false } });
    expect(await late.judge(code, alice, handle)).toBe('dead');
    expect(await judge(code)).toBe('wrong');
  });

  it('need a factor in the same step as the first of them: what a store lost brings none', async () => {
    const { factors, code } = factorRig({ store: { writeFactors: async () => false } });
    const { secret } = await factors.beginTotp(alice, { label: 'alice' });
    await expect(factors.confirmTotp(alice, code(secret)).then(added)).rejects.toThrow('Too many checks');
  });
});
