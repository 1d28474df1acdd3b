import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { generateSync } from 'otplib/functional';
import { StoreUnavailable } from '../../src/core/errors.js';
import type { StoredFactor } from '../../src/core/factor-store.js';
import { Login } from '../../src/core/login.js';
import {
  SecondFactors,
  type FactorVerdict,
  type SecondFactorsOptions,
} from '../../src/core/second-factors.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';

const key = randomBytes(32);
const alice = { id: 'alice' };
const bob = { id: 'bob' };

function rig(overrides: Partial<Store> = {}, options: Partial<SecondFactorsOptions> = {}) {
  const clock = fakeClock();
  const kept = memoryStore({ now: clock.now });
  const store: Store = { ...kept, ...overrides };
  const factors = new SecondFactors({ store, issuer: 'Acme', keys: [key], now: clock.now, ...options });
  const stepNow = (): number => Math.floor(clock.now() / 30_000);
  const code = (secret: string, steps = 0): string =>
    generateSync({ secret, strategy: 'hotp', counter: stepNow() + steps });

  /** Enrols; time goes on, so that the code of the present step is unused. */
  async function enrol(account = alice): Promise<string> {
    const begun = await factors.beginTotp(account, { label: account.id });
    if (begun === null || !(await factors.confirmTotp(account, code(begun.secret))))
      throw new Error('not enrolled');
    clock.advance(60);
    return begun.secret;
  }
  async function verify(given: string, account = alice, handle?: string): Promise<FactorVerdict> {
    return factors.verify(account, await factors.enrolled(account), given, handle);
  }
  /** Whether the code was accepted, or why not. */
  async function judge(given: string, account = alice): Promise<string> {
    const verdict = await verify(given, account);
    return verdict.outcome === 'refused' ? verdict.reason : verdict.outcome;
  }
  const wrong = (secret: string): string => {
    const right = new Set([-1, 0].map((steps) => code(secret, steps)));
    return ['000000', '000001', '000002'].find((one) => !right.has(one)) ?? '';
  };
  return { clock, store: kept, factors, code, enrol, verify, judge, wrong };
}

async function withLastStep(lastStep: unknown) {
  const made = rig();
  const secret = await made.enrol();
  const [stored] = (await made.factors.enrolled(alice)).factors;
  const odd = { ...stored, lastStep } as unknown as StoredFactor;
  const factors = new SecondFactors({
    store: { ...made.store, readFactors: async () => [odd], acceptStep: async () => true },
    issuer: 'Acme',
    keys: [key],
    now: made.clock.now,
  });
  return { factors, given: made.code(secret) };
}

function proven(account = alice): Login {
  const login = new Login();
  login.verifyPassword(account, Date.now());
  return login;
}

describe('enrolment', () => {
  it('counts only once it is confirmed with a code (ENR-05)', async () => {
    const { factors, code } = rig();
    const begun = await factors.beginTotp(alice, { label: 'alice' });
    expect(begun?.uri).toMatch(/^otpauth:\/\/totp\/Acme:alice\?secret=[A-Z2-7]{32}&issuer=Acme&/);
    expect(begun?.uri).toContain(begun?.secret);
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    expect(await factors.confirmTotp(alice, code(begun?.secret ?? ''))).toBe(true);
    expect((await factors.enrolled(alice)).methods).toEqual(['totp']);
    expect((await factors.enrolled(bob)).methods).toEqual([]);
  });

  it('is not confirmed by a code of the secret shown before (ENR-04)', async () => {
    const { factors, code } = rig();
    const first = await factors.beginTotp(alice, { label: 'alice' });
    const second = await factors.beginTotp(alice, { label: 'alice' });
    expect(first?.secret).not.toBe(second?.secret);
    expect(await factors.confirmTotp(alice, code(first?.secret ?? ''))).toBe(false);
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    expect(await factors.confirmTotp(alice, code(second?.secret ?? ''))).toBe(true);
  });

  it('does not replace a live factor: the old code works on (ENR-04, TOT-12)', async () => {
    const { factors, enrol, judge, code } = rig();
    const secret = await enrol();
    expect(await factors.beginTotp(alice, { label: 'alice' })).toBeNull();
    expect(await factors.confirmTotp(alice, code(secret))).toBe(false);
    expect(await judge(code(secret))).toBe('verified');
  });

  it('confirmed twice at once is one factor', async () => {
    const { factors, code } = rig();
    const begun = await factors.beginTotp(alice, { label: 'alice' });
    const given = code(begun?.secret ?? '');
    const answers = await Promise.all(Array.from({ length: 20 }, () => factors.confirmTotp(alice, given)));
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect((await factors.enrolled(alice)).factors).toHaveLength(1);
  });

  it('uses its code up (TOT-02)', async () => {
    const { factors, code, judge } = rig();
    const begun = await factors.beginTotp(alice, { label: 'alice' });
    const given = code(begun?.secret ?? '');
    expect(await factors.confirmTotp(alice, given)).toBe(true);
    expect(await judge(given)).toBe('replayed');
  });

  it('ends ten minutes after it was begun', async () => {
    const { factors, code, clock } = rig();
    const begun = await factors.beginTotp(alice, { label: 'alice' });
    clock.advance(600);
    expect(await factors.confirmTotp(alice, code(begun?.secret ?? ''))).toBe(false);
  });

  it('needs one to be under way, and a code', async () => {
    const { factors } = rig();
    expect(await factors.confirmTotp(alice, '123456')).toBe(false);
    await factors.beginTotp(alice, { label: 'alice' });
    for (const given of ['', '12345', 123_456, null, undefined, ['123456'], {}]) {
      expect(await factors.confirmTotp(alice, given as never)).toBe(false);
    }
  });

  it("is nobody else's", async () => {
    const { factors, code } = rig();
    const begun = await factors.beginTotp(alice, { label: 'alice' });
    expect(await factors.confirmTotp(bob, code(begun?.secret ?? ''))).toBe(false);
    expect((await factors.enrolled(bob)).methods).toEqual([]);
  });

  it.each([undefined, null, {}, { label: '' }, { label: 7 }, { lable: 'x' }])(
    'needs a label: %j',
    async (options) => {
      const { factors } = rig();
      await expect(factors.beginTotp(alice, options as never)).rejects.toThrow(/^beginTotp: /);
    },
  );
});

describe('a code', () => {
  it('works once, at whatever second of its window it is tried again (TOT-02, TOT-03)', async () => {
    const { enrol, judge, code, clock } = rig();
    const secret = await enrol();
    const given = code(secret);
    clock.advance(29);
    expect(await judge(given)).toBe('verified');
    for (const second of [29, 31, 45, 59]) {
      clock.advance(second === 29 ? 0 : second === 31 ? 2 : 14);
      expect(await judge(given)).toBe('replayed');
    }
    clock.advance(1);
    expect(await judge(given)).toBe('wrong');
  });

  it('of the step before, then of the present one: both work, in this order only (TOT-04)', async () => {
    const { enrol, judge, code } = rig();
    const secret = await enrol();
    expect(await judge(code(secret, -1))).toBe('verified');
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(code(secret, -1))).toBe('replayed');
    expect(await judge(code(secret))).toBe('replayed');
  });

  it('older than one that was accepted is refused, even if it was never used (TOT-04, I4)', async () => {
    const { enrol, judge, code } = rig();
    const secret = await enrol();
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(code(secret, -1))).toBe('replayed');
  });

  it('of a future step is never accepted (TOT-05)', async () => {
    const { enrol, judge, code } = rig();
    const secret = await enrol();
    expect(await judge(code(secret, 1))).toBe('wrong');
    expect(await judge(code(secret))).toBe('verified');
  });

  it('has one spelling: with spaces it is none, so no replay hides in one (TOT-09)', async () => {
    const { enrol, judge, code } = rig();
    const secret = await enrol();
    const given = code(secret);
    for (const spelling of [` ${given}`, `${given} `, `${given.slice(0, 3)} ${given.slice(3)}`]) {
      expect(await judge(spelling)).toBe('wrong');
    }
    expect(await judge(given)).toBe('verified');
  });

  it('of a phone that is five minutes off is refused always (TOT-23)', async () => {
    const { enrol, judge, code, clock } = rig();
    const secret = await enrol();
    for (let i = 0; i < 5; i += 1) {
      expect(await judge(code(secret, -10))).toBe('wrong');
      expect(await judge(code(secret, 10))).toBe('wrong');
      clock.advance(60);
    }
  });

  it('is refused while the clock is behind the last one, without an error, and works again after (TOT-14)', async () => {
    const { enrol, judge, code, clock } = rig();
    const secret = await enrol();
    expect(await judge(code(secret))).toBe('verified');
    clock.advance(-300);
    expect(await judge(code(secret))).toBe('replayed');
    clock.advance(330);
    expect(await judge(code(secret))).toBe('verified');
  });

  it('offered 100 times at once works once (RCE-05)', async () => {
    const { enrol, code, judge } = rig({}, { limits: [{ failures: 1000, withinSeconds: 60 }] });
    const given = code(await enrol());
    const answers = await Promise.all(Array.from({ length: 100 }, () => judge(given)));
    expect(answers.filter((answer) => answer === 'verified')).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'replayed')).toHaveLength(99);
  });

  it("of bob is nothing on alice's login and stays good for his (PND-04)", async () => {
    const { enrol, code, judge } = rig();
    await enrol(alice);
    const bobs = await enrol(bob);
    expect(await judge(code(bobs), alice)).toBe('wrong');
    expect(await judge(code(bobs), bob)).toBe('verified');
  });

  it('opens nothing where the secret is sealed under a key that this process lacks (CFG-10)', async () => {
    const { store, enrol, code, clock } = rig();
    const secret = await enrol();
    const other = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32)], now: clock.now });
    expect(await other.verify(alice, await other.enrolled(alice), code(secret))).toEqual({
      outcome: 'unreadable',
    });
    const both = new SecondFactors({ store, issuer: 'Acme', keys: [randomBytes(32), key], now: clock.now });
    expect(await both.verify(alice, await both.enrolled(alice), code(secret))).toMatchObject({
      outcome: 'verified',
    });
  });

  it("opens nothing where alice's sealed secret was copied into bob's record", async () => {
    const { factors, enrol, code } = rig();
    const secret = await enrol(alice);
    const stolen = await factors.enrolled(alice);
    expect(await factors.verify(bob, stolen, code(secret))).toEqual({ outcome: 'unreadable' });
  });
});

describe('wrong codes', () => {
  it('lock the second factor at the tenth in a minute, and right ones are refused then (I2)', async () => {
    const { enrol, verify, wrong, code, clock } = rig();
    const secret = await enrol();
    for (let i = 1; i <= 10; i += 1) {
      expect(await verify(wrong(secret))).toEqual({
        outcome: 'refused',
        reason: 'wrong',
        last: false,
        lockedSeconds: i === 10 ? 60 : 0,
      });
    }
    expect(await verify(code(secret))).toEqual({ outcome: 'locked', busy: false, retryAfterSeconds: 60 });
    clock.advance(60);
    expect(await verify(code(secret))).toMatchObject({ outcome: 'verified' });
  });

  it('are evaluated at most 40 times a day, however patient the guesser is (TOT-15)', async () => {
    const { enrol, verify, wrong, clock } = rig();
    const secret = await enrol();
    let evaluated = 0;
    for (let second = 0; second < 86_400; second += 20) {
      if ((await verify(wrong(secret))).outcome === 'refused') evaluated += 1;
      clock.advance(20);
    }
    expect(evaluated).toBe(40);
  });

  it('of alice lock nobody else, and no other secret of hers', async () => {
    const { enrol, verify, wrong, judge, code, store } = rig();
    const secret = await enrol(alice);
    const bobs = await enrol(bob);
    for (let i = 0; i < 10; i += 1) await verify(wrong(secret));
    expect(await judge(code(bobs), bob)).toBe('verified');
    expect(store).toBeDefined();
  });

  it('are told apart from those beyond the limits that the app sets', async () => {
    const { enrol, judge, wrong } = rig({}, { limits: [{ failures: 2, withinSeconds: 10 }] });
    const secret = await enrol();
    expect(await judge(wrong(secret))).toBe('wrong');
    expect(await judge(wrong(secret))).toBe('wrong');
    expect(await judge(wrong(secret))).toBe('locked');
  });

  it('and a right one: what succeeds is given back', async () => {
    const { enrol, judge, wrong, code, clock } = rig();
    const secret = await enrol();
    for (let i = 0; i < 9; i += 1) expect(await judge(wrong(secret))).toBe('wrong');
    expect(await judge(code(secret))).toBe('verified');
    clock.advance(30);
    expect(await judge(code(secret))).toBe('verified');
    expect(await judge(wrong(secret))).toBe('wrong');
    expect(await judge(wrong(secret))).toBe('locked');
  });
});

describe('a factor that goes', () => {
  it('is asked for no more, and changes the fingerprint as one that comes does', async () => {
    const { factors, enrol } = rig();
    const none = (await factors.enrolled(alice)).fingerprint;
    await enrol();
    const first = (await factors.enrolled(alice)).fingerprint;
    expect(await factors.removeAll(alice)).toBe(1);
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    expect(await factors.removeAll(alice)).toBe(0);
    await enrol();
    const second = (await factors.enrolled(alice)).fingerprint;
    expect(new Set([none, first, second]).size).toBe(3);
  });

  it('ends an enrolment under way too', async () => {
    const { factors, code } = rig();
    const begun = await factors.beginTotp(alice, { label: 'alice' });
    await factors.removeAll(alice);
    expect(await factors.confirmTotp(alice, code(begun?.secret ?? ''))).toBe(false);
  });
});

describe('the last step that a store answers', () => {
  it('may be null, and then means that no code was used', async () => {
    const { factors, given } = await withLastStep(null);
    expect(await factors.verify(alice, await factors.enrolled(alice), given)).toMatchObject({
      outcome: 'verified',
    });
  });

  it.each([undefined, Number.NaN, '37037036', -1, 2 ** 53, 1.5, Number.POSITIVE_INFINITY, true, [], {}])(
    'refuses when it is %p: replay protection is never off (TOT-13)',
    async (lastStep) => {
      const { factors } = await withLastStep(lastStep);
      await expect(factors.enrolled(alice)).rejects.toThrow(StoreUnavailable);
    },
  );
});

describe('a store that answers oddly refuses', () => {
  const factor = { id: 'x', type: 'totp', label: '', createdAt: 1, secret: 'x', lastStep: null };

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['an empty object', {}],
    ['text', '[]'],
    ['false', false],
    ['zero', 0],
    ['something that looks like a list', { length: 0 }],
    ['a list of nothing', [undefined]],
    ['a list of null', [null]],
    ['a factor of no type', [{ ...factor, type: undefined }]],
    ['a factor of an unknown type', [{ ...factor, type: 'sms' }]],
    ['a factor without a secret', [{ ...factor, secret: null }]],
    ['a factor without an id', [{ ...factor, id: 7 }]],
    ['a factor without a time', [{ ...factor, createdAt: 'now' }]],
    ['a factor that inherits', [Object.create(factor)]],
    ['a good and a bad one', [factor, {}]],
  ])('with %s for factors: only an empty list means none (PND-16)', async (_, reply) => {
    const { factors } = rig({ readFactors: async () => reply as never });
    await expect(factors.enrolled(alice)).rejects.toThrow(StoreUnavailable);
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
    const { factors } = rig({ readFactors });
    const start = performance.now();
    await expect(factors.enrolled(alice)).rejects.toThrow(StoreUnavailable);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it.each([undefined, null, 1, 'true', {}, []])(
    'with %p for an accepted step, and gives the try back (CFG-08)',
    async (reply) => {
      const { enrol, verify, code, factors } = rig({ acceptStep: async () => reply as never });
      const secret = await enrol();
      for (let i = 0; i < 11; i += 1) await expect(verify(code(secret))).rejects.toThrow(StoreUnavailable);
      expect((await factors.enrolled(alice)).methods).toEqual(['totp']);
    },
  );

  it.each<[string, Partial<Record<keyof Store, unknown>>]>([
    ['an enrolment that is none', { readEnrolment: {} }],
    ['an enrolment that is undefined', { readEnrolment: undefined }],
    ['a saved enrolment with a value', { saveEnrolment: 'OK' }],
    ['a confirmed enrolment of 1', { confirmEnrolment: 1 }],
  ])('with %s (CFG-08)', async (_, replies) => {
    const overrides = Object.fromEntries(
      Object.entries(replies).map(([name, reply]) => [name, async () => reply]),
    );
    const { factors, code } = rig(overrides);
    const confirm = async (): Promise<boolean> => {
      const begun = await factors.beginTotp(alice, { label: 'alice' });
      return factors.confirmTotp(alice, code(begun?.secret ?? ''));
    };
    await expect(confirm()).rejects.toThrow(StoreUnavailable);
    expect((await factors.enrolled(alice)).methods).toEqual([]);
  });

  it.each([undefined, null, '1', -1, true])('with %p for the number of factors removed', async (reply) => {
    const { factors } = rig({ removeFactors: async () => reply as never });
    await expect(factors.removeAll(alice)).rejects.toThrow(StoreUnavailable);
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
    let accepted = 0;
    const { enrol, verify, code } = rig({
      reserveAttempt: async () => reply as never,
      acceptStep: async () => {
        accepted += 1;
        return true;
      },
    });
    const secret = await enrol();
    await expect(verify(code(secret))).rejects.toThrow(StoreUnavailable);
    expect(accepted).toBe(0);
  });

  it('with anything but nothing for an attempt given back: a right code does not pass', async () => {
    const { enrol, verify, code } = rig({ releaseAttempt: async () => 'OK' as never });
    const secret = await enrol();
    await expect(verify(code(secret))).rejects.toThrow(StoreUnavailable);
  });
});

describe('a pending login', () => {
  it('is found by its handle, closed once, and then gone', async () => {
    const { factors } = rig();
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
    const { factors } = rig();
    await expect(factors.pending.open(new Login(), 'print')).rejects.toThrow(TypeError);
  });

  it.each([
    [299.9, true],
    [300, false],
  ])('lives for five minutes: after %d s: %s (PND-07)', async (seconds, lives) => {
    const { factors, clock } = rig();
    const handle = await factors.pending.open(proven(), 'print');
    clock.advance(seconds);
    expect((await factors.pending.find(handle)) !== null).toBe(lives);
    expect((await factors.pending.try(handle)) !== null).toBe(lives);
    expect(await factors.pending.close(handle)).toBe(lives);
  });

  it('is dead after five tries, which prolong nothing (PND-07, PND-08)', async () => {
    const { factors, clock } = rig();
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
    const { factors } = rig();
    const handles: string[] = [];
    for (let i = 0; i < 1000; i += 1) handles.push(await factors.pending.open(proven(), 'print'));
    const bobs = await factors.pending.open(proven(bob), 'print');
    const live = await Promise.all(handles.map((handle) => factors.pending.find(handle)));
    expect(live.map((login) => login !== null).lastIndexOf(false)).toBe(994);
    expect(live.filter((login) => login !== null)).toHaveLength(5);
    expect(await factors.pending.find(bobs)).toMatchObject({ account: bob });
  });

  const record = { v: 1, account: 'alice', subject: '', methods: ['pwd'], provenAt: 1, factors: 'print' };
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
    ['of an array', JSON.stringify([record])],
  ])('whose record is %s is none (RED-14)', async (_, odd) => {
    const { factors } = rig({ readPendingLogin: async () => ({ startedAt: 1, record: odd }) });
    const handle = await factors.pending.open(proven(), 'print');
    expect(await factors.pending.find(handle)).toBeNull();
  });

  it.each([undefined, true, 'x', {}, { startedAt: '1', record: '' }, { startedAt: 1 }, []])(
    'of which the store answers %j refuses (CFG-08)',
    async (reply) => {
      const { factors } = rig({ readPendingLogin: async () => reply as never });
      const handle = await factors.pending.open(proven(), 'print');
      await expect(factors.pending.find(handle)).rejects.toThrow(StoreUnavailable);
    },
  );

  it.each([undefined, 0, -1, 1.5, '1', true, Number.NaN, {}])(
    'tried %p times refuses (CFG-08)',
    async (reply) => {
      const { factors } = rig({ tryPendingLogin: async () => reply as never });
      const handle = await factors.pending.open(proven(), 'print');
      await expect(factors.pending.try(handle)).rejects.toThrow(StoreUnavailable);
    },
  );

  it.each([undefined, null, 1, 'OK'])('closed with %p refuses (CFG-08)', async (reply) => {
    const { factors, enrol, verify, code } = rig({ closePendingLogin: async () => reply as never });
    const secret = await enrol();
    const handle = await factors.pending.open(proven(), 'print');
    await expect(verify(code(secret), alice, handle)).rejects.toThrow(StoreUnavailable);
  });

  it('that another request has completed yields nothing, with a fresh code too (PND-06, I5)', async () => {
    const { factors, enrol, verify, code, clock } = rig();
    const secret = await enrol();
    const handle = await factors.pending.open(proven(), 'print');
    expect(await verify(code(secret), alice, handle)).toMatchObject({ outcome: 'verified' });
    clock.advance(30);
    expect(await verify(code(secret), alice, handle)).toEqual({ outcome: 'dead' });
  });

  it('that is dead costs no failure of the account', async () => {
    const { factors, enrol, verify, wrong, code } = rig();
    const secret = await enrol();
    const handle = await factors.pending.open(proven(), 'print');
    await factors.pending.close(handle);
    for (let i = 0; i < 12; i += 1) {
      expect(await verify(wrong(secret), alice, handle)).toEqual({ outcome: 'dead' });
    }
    expect(await verify(code(secret))).toMatchObject({ outcome: 'verified' });
  });
});

describe('SecondFactors rejects', () => {
  const good = { store: memoryStore(), issuer: 'Acme', keys: [key] };
  it.each<[unknown, RegExp]>([
    [undefined, /^SecondFactors: option store must be a store/],
    [{ ...good, store: {} }, /^SecondFactors: option store must be a store .*, not an object$/],
    [{ ...good, store: { ...good.store, acceptStep: 1 } }, /^SecondFactors: option store/],
    [{ ...good, issuer: '' }, /^SecondFactors: option issuer must be a non-empty string, not ""$/],
    [{ store: good.store, keys: good.keys }, /^SecondFactors: option issuer/],
    [{ store: good.store, issuer: 'Acme' }, /^SecondFactors: option keys must be a list of 32-byte keys/],
    [{ ...good, keys: [] }, /^SecondFactors: option keys must be a list of at least one/],
    [
      { ...good, keys: 'CANARY' },
      /^SecondFactors: option keys must be a list of 32-byte keys, not another string$/,
    ],
    [
      { ...good, keys: ['CANARY'] },
      /^SecondFactors: keys\[0\] must be 32 random bytes, or those in base64 or hex/,
    ],
    [
      { ...good, origin: 'acme.example' },
      /^SecondFactors: option origin must be an origin .*"acme.example"$/,
    ],
    [{ ...good, origin: 'https://acme.example/' }, /^SecondFactors: option origin/],
    [{ ...good, origin: 'https://ACME.example' }, /^SecondFactors: option origin/],
    [{ ...good, origin: 'null' }, /^SecondFactors: option origin/],
    [
      { ...good, limits: [{ failures: 0, withinSeconds: 1 }] },
      /limits\[0\]\.failures must be a whole number/,
    ],
    [{ ...good, now: 0 }, /^SecondFactors: option now must be a function, not 0$/],
    [
      { ...good, window: 9 },
      /^SecondFactors: unknown option "window"; it takes store, issuer, keys, origin, limits, now$/,
    ],
  ])('bad options %#, without quoting a key', (options, message) => {
    expect(() => new SecondFactors(options as never)).toThrow(message);
    expect(() => new SecondFactors(options as never)).not.toThrow('CANARY');
  });
});
