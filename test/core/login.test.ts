import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { Login } from '../../src/core/login.js';

const alice = { id: 'alice' };
const start = Date.UTC(2030, 0, 1);

function proven(now = start): Login {
  const login = new Login();
  login.verifyPassword(alice, now);
  login.passFactor('otp');
  return login;
}

describe('the proof of a login', () => {
  it('is taken with all that a token says of it', () => {
    const login = new Login();
    let returned = 0;
    const giveBack = async (): Promise<void> => {
      returned += 1;
    };
    login.count({
      identifier: 'alice',
      account: undefined,
      subject: 'key',
      told: 'told',
      startedAt: 7,
      giveBack,
    });
    login.verifyPassword(alice, start);
    login.passFactor('otp');
    expect(returned).toBe(1);
    expect(Login.take(login, start)).toEqual({
      account: alice,
      methods: ['pwd', 'otp'],
      provenAt: start,
      startedAt: 7,
    });
  });

  it('is good once', () => {
    const login = proven();
    Login.take(login, start);
    expect(() => Login.take(login, start)).toThrow(TypeError);
  });

  it.each([
    [0, true],
    [1, true],
    [300_000, true],
    [300_001, false],
    [3_600_000, false],
    [Number.NaN, false],
    [Number.POSITIVE_INFINITY, false],
  ])('is good for five minutes: after %d ms: %s (TOK-14)', (age, good) => {
    let taken: unknown;
    try {
      taken = Login.take(proven(), start + age);
    } catch (error) {
      taken = error;
    }
    expect(taken instanceof TypeError).toBe(!good);
  });

  it('says who without a second factor where the account has none', () => {
    const login = new Login();
    login.verifyPassword(alice, start);
    login.passFactor();
    expect(Login.take(login, start).methods).toEqual(['pwd']);
  });

  it.each<[string, (login: Login) => void]>([
    ['nothing', () => {}],
    ['the lockout only', (login) => login.passLockout('told')],
    ['the password only', (login) => login.verifyPassword(alice, start)],
    ['a factor only', (login) => login.passFactor('otp')],
    [
      'a wrong password and a factor',
      (login) => {
        login.failPassword();
        login.passFactor('otp');
      },
    ],
  ])('is none with %s', (_, advance) => {
    const login = new Login();
    advance(login);
    expect(() => Login.take(login, start)).toThrow(TypeError);
  });

  it('is no look-alike (TOK-14)', () => {
    const login = proven();
    const facts = {
      account: alice,
      methods: ['pwd'],
      password: 'verified',
      factorPassed: true,
      provenAt: start,
    };
    const fakes: unknown[] = [
      undefined,
      null,
      'alice',
      1,
      true,
      {},
      { satisfied: true },
      facts,
      Object.assign({}, login),
      Object.create(login),
      Object.create(Login.prototype),
      Object.create(Login.prototype, Object.getOwnPropertyDescriptors(facts)),
      JSON.parse(JSON.stringify(login)),
      new Proxy(login, {}),
      [login],
    ];
    for (const fake of fakes) expect(() => Login.take(fake as Login, start)).toThrow(TypeError);
    expect(() => Login.take(login, start)).not.toThrow();
  });

  it('shows nothing when it is printed (LOG-06)', () => {
    const login = proven();
    const counted = {
      identifier: 'CANARY',
      account: undefined,
      subject: 'CANARY',
      told: 'told',
      startedAt: 1,
    };
    login.count({ ...counted, giveBack: async () => {} });
    const shown = [
      inspect(login, { depth: Infinity, showHidden: true }),
      JSON.stringify(login),
      inspect(Object.entries(login)),
    ];
    expect(shown.join()).not.toMatch(/CANARY|alice/);
  });
});

describe('a resumed login', () => {
  const resumed = {
    account: alice,
    subject: 'key',
    told: 'told',
    startedAt: 7,
    methods: ['pwd'],
    provenAt: start,
    handle: 'handle',
    factors: 'fingerprint',
  };

  it('needs the factor still', () => {
    const login = new Login();
    login.resume(resumed, start);
    expect(login.password).toBe('verified');
    expect(login.factorPassed).toBe(false);
    expect(() => Login.take(login, start)).toThrow(TypeError);
  });

  it.each([
    ['299.99 s after the password, for its pending login was opened a little later (PND-07)', 299_990, 20],
    ['five minutes after its factor was asked for', 299_990, 300_000],
    ['where the clock of this process is behind that of the first (CLK-01)', -3_600_000, 0],
    ['where it is ahead (CLK-01)', 3_600_000, 0],
  ])('is dated by its password and aged by this request: %s', (_, resumedAfter, takenAfter) => {
    const login = new Login();
    login.resume(resumed, start + resumedAfter);
    login.passFactor('otp');
    expect(Login.take(login, start + resumedAfter + takenAfter)).toEqual({
      account: alice,
      provenAt: start,
      startedAt: 7,
      methods: ['pwd', 'otp'],
    });
  });

  it('is good for five minutes of this request', () => {
    const login = new Login();
    login.resume(resumed, start);
    login.passFactor('otp');
    expect(() => Login.take(login, start + 300_001)).toThrow(TypeError);
  });
});

describe('a password, once judged,', () => {
  it('stays verified', () => {
    const login = new Login();
    login.verifyPassword(alice, start);
    login.failPassword();
    expect(login.password).toBe('verified');
  });

  it('is not given back when it failed', () => {
    const login = new Login();
    let returned = 0;
    const giveBack = async (): Promise<void> => {
      returned += 1;
    };
    login.count({
      identifier: 'alice',
      account: undefined,
      subject: 'key',
      told: 'told',
      startedAt: 7,
      giveBack,
    });
    login.failPassword();
    expect(returned).toBe(0);
    expect(login.account).toBeUndefined();
  });

  it('reports an attempt that could not be given back, without an unhandled rejection', async () => {
    const login = new Login();
    const counted = { identifier: 'alice', account: undefined, subject: 'key', told: 'told', startedAt: 7 };
    login.count({ ...counted, giveBack: () => Promise.reject(new Error('away')) });
    login.verifyPassword(alice, start);
    await new Promise(setImmediate);
    await expect(login.returned).rejects.toThrow('away');
  });
});
