import { describe, expect, it } from '@jest/globals';
import { accountKey } from '../../src/core/account.js';
import { Busy, StoreUnavailable } from '../../src/core/errors.js';
import { keyHash } from '../../src/core/key-hash.js';
import type { SecondFactorsOptions } from '../../src/core/second-factor-options.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import {
  added,
  alice,
  bob,
  factorRig,
  origin,
  sealingKey,
  wideLimits,
  type FactorRig,
} from '../rig/factor-rig.js';
import {
  flagBits,
  SoftwareAuthenticator,
  type AssertionLies,
  type ServerOptions,
} from '../rig/software-authenticator.js';

/** Options that a browser gets, as far as tests look at them. */
interface BrowserOptions extends ServerOptions {
  readonly rp?: object;
  readonly rpId?: string;
  readonly user?: { readonly id: string; readonly name: string };
  readonly timeout?: number;
  readonly userVerification?: string;
  readonly allowCredentials?: readonly { readonly id: string }[];
  readonly excludeCredentials?: readonly { readonly id: string }[];
  readonly authenticatorSelection?: object;
  readonly attestation?: string;
}

async function begin(rig: FactorRig, account = alice): Promise<BrowserOptions> {
  const begun = await rig.factors.beginSecurityKey(account, { userName: account.id });
  if (begun === null) throw new Error('no options');
  return begun as BrowserOptions;
}

describe('a registration', () => {
  it('adds a named key, and what is known of it holds no key material', async () => {
    const { factors, device, clock, record } = factorRig();
    const key = device();
    const begun = await factors.beginSecurityKey(alice, { userName: 'alice@acme.example' });
    expect(begun).toMatchObject({
      rp: { id: 'acme.example', name: 'Acme' },
      user: { name: 'alice@acme.example' },
      attestation: 'none',
      timeout: 300_000,
      authenticatorSelection: { userVerification: 'discouraged', residentKey: 'discouraged' },
    });
    expect((await factors.enrolled(alice)).methods).toEqual([]);
    const given = key.register(begun as ServerOptions);
    const addition = added(await factors.confirmSecurityKey(alice, given, { name: 'Blue key' }));
    expect(addition).toEqual({ outcome: 'added', id: key.id, backupCodes: expect.any(Array) });
    expect(await factors.status(alice)).toMatchObject({
      factors: [{ id: key.id, type: 'webauthn', name: 'Blue key', createdAt: clock.now(), lastUsedAt: null }],
    });
    expect(Object.keys((await factors.status(alice)).factors[0] ?? {})).toHaveLength(5);
    expect((await factors.enrolled(alice)).methods).toEqual(['webauthn', 'backup_code']);
    expect((await record())?.list).toMatchObject([{ counter: 0, backedUp: false, transports: ['usb'] }]);
  });

  it('names the user by a hash: authenticators show it to whoever holds them', async () => {
    const rig = factorRig();
    const [first, again, bobs] = [await begin(rig), await begin(rig), await begin(rig, bob)];
    expect(first.user?.id).toHaveLength(43);
    expect(again.user?.id).toBe(first.user?.id);
    expect(bobs.user?.id).not.toBe(first.user?.id);
    expect(Buffer.from(first.user?.id ?? '', 'base64url').toString('hex')).not.toBe(accountKey('alice'));
  });

  it('excludes the keys that the account has', async () => {
    const rig = factorRig();
    const { id } = await rig.addKey();
    await rig.addKey(bob);
    expect((await begin(rig)).excludeCredentials).toMatchObject([{ id }]);
  });

  it('takes a challenge once: neither after a success nor after a failure (WAN-05)', async () => {
    const rig = factorRig();
    const options = await begin(rig);
    const wrong = rig.device().register(options, { origin: 'https://evil.example' });
    expect(await rig.factors.confirmSecurityKey(alice, wrong)).toEqual({ outcome: 'wrong' });
    const right = rig.device().register(options);
    expect(await rig.factors.confirmSecurityKey(alice, right)).toEqual({ outcome: 'wrong' });
    const again = rig.device().register(await begin(rig));
    added(await rig.factors.confirmSecurityKey(alice, again));
    expect(await rig.factors.confirmSecurityKey(alice, again)).toEqual({ outcome: 'wrong' });
    expect((await rig.record())?.list).toHaveLength(1);
  });

  it('begun anew ends the one before', async () => {
    const rig = factorRig();
    const first = await begin(rig);
    const second = await begin(rig);
    expect(await rig.factors.confirmSecurityKey(alice, rig.device().register(first))).toEqual({
      outcome: 'wrong',
    });
    expect(first.challenge).not.toBe(second.challenge);
  });

  it.each([
    [299.9, 'added'],
    [300, 'wrong'],
  ])('waits five minutes: after %d s: %s', async (seconds, outcome) => {
    const rig = factorRig();
    const given = rig.device().register(await begin(rig));
    rig.clock.advance(seconds);
    expect((await rig.factors.confirmSecurityKey(alice, given)).outcome).toBe(outcome);
  });

  it('of an account that was reset is over', async () => {
    const rig = factorRig();
    const given = rig.device().register(await begin(rig));
    await rig.factors.removeAll(alice);
    expect(await rig.factors.confirmSecurityKey(alice, given)).toEqual({ outcome: 'wrong' });
  });

  it("is nobody else's", async () => {
    const rig = factorRig();
    const given = rig.device().register(await begin(rig));
    expect(await rig.factors.confirmSecurityKey(bob, given)).toEqual({ outcome: 'wrong' });
    await begin(rig, bob);
    expect(await rig.factors.confirmSecurityKey(bob, given)).toEqual({ outcome: 'wrong' });
  });

  it.each([undefined, null, '', 'x', 7, true, [], {}, { id: 'x' }, { response: {} }])(
    'takes no %j for an answer (WAN-22)',
    async (response) => {
      const rig = factorRig();
      await begin(rig);
      expect(await rig.factors.confirmSecurityKey(alice, response)).toEqual({ outcome: 'wrong' });
      expect(await rig.record()).toBeNull();
    },
  );

  it('is not possible where the app has no origin: nothing is offered, nothing confirmed', async () => {
    const factors = new SecondFactors({ store: memoryStore(), issuer: 'Acme', keys: [sealingKey] });
    expect(await factors.beginSecurityKey(alice, { userName: 'alice' })).toBeNull();
    expect(await factors.confirmSecurityKey(alice, {})).toEqual({ outcome: 'wrong' });
    expect(await factors.challenge(alice, await factors.enrolled(alice), 'handle')).toBeNull();
    expect(await factors.verify(alice, { kind: 'webauthn', response: {} }, 'handle')).toEqual({
      outcome: 'dead',
    });
    expect(await factors.verify(alice, { kind: 'webauthn', response: {} })).toMatchObject({
      reason: 'wrong',
    });
    // A start that cannot lead anywhere is not counted.
    for (let i = 0; i < 50; i += 1) await factors.beginSecurityKey(alice, { userName: 'alice' });
    expect((await factors.beginTotp(alice, { label: 'alice' })).secret).toHaveLength(32);
  });

  it.each([undefined, null, {}, { userName: '' }, { userName: 7 }, { username: 'x' }])(
    'needs a user name: %j',
    async (options) => {
      await expect(factorRig().factors.beginSecurityKey(alice, options as never)).rejects.toThrow(
        /^beginSecurityKey: /,
      );
    },
  );
});

describe('one credential', () => {
  // Keys of the U2F style, which keep no user handle: else they would name the account that tried last.

  it('registered for two accounts at once is one of them: one added, one conflict (RCE-20)', async () => {
    for (let i = 0; i < 20; i += 1) {
      const rig = factorRig();
      const key = rig.device();
      const given = [key.register(await begin(rig, alice)), key.register(await begin(rig, bob))];
      const answers = await Promise.all(
        [alice, bob].map((account, index) => rig.factors.confirmSecurityKey(account, given[index])),
      );
      expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual(['added', 'conflict']);
      const [winner, loser] = answers[0]?.outcome === 'added' ? [alice, bob] : [bob, alice];
      expect((await rig.record(winner))?.list).toHaveLength(1);
      expect(await rig.record(loser)).toBeNull();
      expect((await rig.factors.enrolled(loser)).methods).toEqual([]);
    }
  });

  it('registered twice for one account is one factor, which stays its own', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey(alice, rig.device({ style: 'u2f' }));
    const before = await rig.record();
    expect(await rig.register(authenticator)).toEqual({ outcome: 'conflict' });
    expect(await rig.record()).toEqual(before);
    expect(await rig.register(authenticator, bob)).toEqual({ outcome: 'conflict' });
    expect(await rig.touch(authenticator)).toBe('verified');
  });

  it.each<[string, (rig: FactorRig, id: string) => Promise<unknown>]>([
    ['removed', ({ factors }, id) => factors.remove(alice, id)],
    ['reset', ({ factors }) => factors.removeAll(alice)],
  ])('that was %s can be registered by another, and is the new owner’s alone', async (_, end) => {
    const rig = factorRig();
    const { authenticator, id } = await rig.addKey(alice, rig.device({ style: 'u2f' }));
    await rig.addTotp();
    expect(await rig.register(authenticator, bob)).toEqual({ outcome: 'conflict' });
    await end(rig, id);
    added(await rig.register(authenticator, bob));
    expect(await rig.register(authenticator, alice)).toEqual({ outcome: 'conflict' });
    expect(await rig.touch(authenticator, bob)).toBe('verified');
  });

  it('that is kept as the last factor stays its owner’s', async () => {
    const rig = factorRig();
    const { authenticator, id } = await rig.addKey(alice, rig.device({ style: 'u2f' }));
    expect(await rig.factors.remove(alice, id, { keepLast: true })).toBe('kept');
    expect(await rig.register(authenticator, bob)).toEqual({ outcome: 'conflict' });
  });

  it.each<[string, (rig: FactorRig) => Promise<unknown>, string]>([
    ['there are twenty factors', (rig) => fill(rig, 20), 'conflict'],
    ['a first factor was asked for', (rig) => fill(rig, 1), 'factor_needed'],
  ])('that was not added because %s is free for others', async (_, prepare, outcome) => {
    const rig = factorRig();
    await prepare(rig);
    const key = rig.device();
    const given = key.register(await begin(rig));
    const onlyFirst = outcome === 'factor_needed';
    expect(await rig.factors.confirmSecurityKey(alice, given, { onlyFirst })).toEqual({ outcome });
    added(await rig.register(key, bob));
    expect(await rig.touch(key, bob)).toBe('verified');
  });

  it('is released where it was one: an authenticator that goes releases nothing', async () => {
    const released: string[] = [];
    const rig = factorRig({
      store: {
        releaseCredential: async (credential, account) => {
          released.push(credential, account);
        },
      },
    });
    const totp = await rig.addTotp();
    const { id } = await rig.addKey();
    await rig.factors.remove(alice, totp.id);
    expect(released).toEqual([]);
    await rig.factors.removeAll(alice);
    expect(released).toEqual([keyHash('credential', id), accountKey('alice')]);
  });

  it('is filed under a hash', async () => {
    const claimed: string[] = [];
    const store = memoryStore();
    const rig = factorRig({
      store: {
        claimCredential: (credential, account) => {
          claimed.push(credential, account);
          return store.claimCredential(credential, account);
        },
      },
    });
    const { id } = await rig.addKey();
    expect(claimed).toEqual([keyHash('credential', id), accountKey('alice')]);
  });
});

/** Fills the account with authenticators of another system, which are begun nowhere and so limited by nothing. */
async function fill({ factors }: FactorRig, count: number): Promise<void> {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  for (let i = 0; i < count; i += 1)
    added(await factors.importTotp(alice, { secret: letters.charAt(i).repeat(16) }));
}

describe('an answer', () => {
  it('to the challenge of its pending login is accepted, as proof of hardware', async () => {
    const { factors, addKey, open, challenge, clock, record } = factorRig();
    const { authenticator, id } = await addKey();
    const handle = await open();
    const asked = (await challenge(handle)) as BrowserOptions;
    expect(asked).toMatchObject({
      rpId: 'acme.example',
      timeout: 300_000,
      userVerification: 'discouraged',
      allowCredentials: [{ id, transports: ['usb'], type: 'public-key' }],
    });
    const response = authenticator.authenticate(asked);
    expect(await factors.verify(alice, { kind: 'webauthn', response }, handle)).toEqual({
      outcome: 'verified',
      factor: 'webauthn',
      method: 'hwk',
      codesLeft: null,
    });
    expect((await factors.status(alice)).factors).toMatchObject([{ lastUsedAt: clock.now() }]);
    expect((await record())?.list).toMatchObject([{ counter: 1 }]);
    expect(await factors.pending.find(handle)).toBeNull();
  });

  it('that says the key is backed up now is kept, so that it cannot deny it later (WebAuthn 7.2 step 19)', async () => {
    const { up, be, bs } = flagBits;
    const rig = factorRig();
    const { authenticator } = await rig.addKey(alice);
    const answer = async (flags: number): Promise<string> => {
      const handle = await rig.open();
      const asked = await rig.challenge(handle);
      return rig.judge(authenticator.authenticate(asked, { flags }), alice, handle);
    };
    expect(await answer(up | be | bs)).toBe('verified');
    expect((await rig.record())?.list).toMatchObject([{ backedUp: true }]);
    expect(await answer(up)).toBe('wrong');
    expect(await answer(up | be)).toBe('verified');
    expect((await rig.record())?.list).toMatchObject([{ backedUp: false }]);
  });

  it('is asked of every key of the account, and of no other; nothing says what they are called (PND-27)', async () => {
    const rig = factorRig();
    const first = await rig.addKey();
    await rig.addTotp();
    const second = await rig.addKey();
    await rig.addKey(bob);
    await rig.factors.rename(alice, first.id, 'CANARY');
    const asked = (await rig.challenge(await rig.open())) as BrowserOptions;
    expect(asked.allowCredentials?.map(({ id }) => id)).toEqual([first.id, second.id]);
    expect(JSON.stringify(asked)).not.toMatch(/CANARY|publicKey|aaguid|Acme/);
  });

  it('is asked of nobody without a key', async () => {
    const rig = factorRig();
    await rig.addTotp();
    const enrolled = await rig.factors.enrolled(alice);
    expect(await rig.factors.challenge(alice, enrolled, await rig.open())).toBeNull();
  });

  it('is accepted once: the same bytes again are refused, in the same login and in another', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle));
    expect(await rig.judge(given, alice, handle)).toBe('verified');
    expect(await rig.judge(given, alice, handle)).toBe('dead');
    const other = await rig.open();
    await rig.challenge(other);
    expect(await rig.judge(given, alice, other)).toBe('wrong');
  });

  it('that is wrong uses its challenge up: the right one to the same challenge comes too late (I5)', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const asked = await rig.challenge(handle);
    expect(await rig.judge({ id: 'x' }, alice, handle)).toBe('wrong');
    expect(await rig.judge(authenticator.authenticate(asked), alice, handle)).toBe('wrong');
    expect(await rig.judge(authenticator.authenticate(await rig.challenge(handle)), alice, handle)).toBe(
      'verified',
    );
  });

  it('to a challenge that a newer one has replaced is refused', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const first = await rig.challenge(handle);
    await rig.challenge(handle);
    expect(await rig.judge(authenticator.authenticate(first), alice, handle)).toBe('wrong');
  });

  it('sent 100 times at once is accepted once', async () => {
    const rig = factorRig({ options: { limits: wideLimits } });
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle));
    const answers = await Promise.all(Array.from({ length: 100 }, () => rig.judge(given, alice, handle)));
    expect(answers.filter((answer) => answer === 'verified')).toHaveLength(1);
    // Four more tries of the pending login were free; the rest found it used up.
    expect(answers.filter((answer) => answer === 'wrong')).toHaveLength(4);
    expect(answers.filter((answer) => answer === 'dead')).toHaveLength(95);
    expect((await rig.record())?.list).toMatchObject([{ counter: 1 }]);
  });

  it('without a pending login answers nothing, and is counted', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const asked = await rig.challenge(await rig.open());
    const given = authenticator.authenticate(asked);
    for (let i = 0; i < 10; i += 1) expect(await rig.judge(given)).toBe('wrong');
    expect(await rig.judge(given)).toBe('locked');
  });

  it('beyond the limits is not looked at, and its challenge stays good', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    for (let i = 0; i < 10; i += 1) await rig.judge('0000-0000-0000-0000');
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle));
    expect(await rig.judge(given, alice, handle)).toBe('locked');
    rig.clock.advance(60);
    expect(await rig.judge(given, alice, handle)).toBe('verified');
  });
});

/** A challenge that is not the one of `handle`, alice's pending login. */
type Elsewhere = (rig: FactorRig, handle: string) => Promise<ServerOptions>;

describe('a challenge of somewhere else is none (WAN-05)', () => {
  const elsewhere: [string, Elsewhere][] = [
    ['another pending login of the same account', async (rig) => rig.challenge(await rig.open())],
    ["another account's pending login", async (rig) => rig.challenge(await rig.open(bob), bob)],
    ['the same handle in another account', (rig, handle) => rig.challenge(handle, bob)],
    ['a registration of the same account', (rig) => begin(rig)],
    ["another account's registration", (rig) => begin(rig, bob)],
    ['nobody', async () => ({ challenge: Buffer.alloc(32, 7).toString('base64url') })],
  ];

  it.each(elsewhere)('in a login that has one of its own: that of %s', async (_, ask) => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    await rig.addKey(bob);
    const handle = await rig.open();
    await rig.challenge(handle);
    const given = authenticator.authenticate(await ask(rig, handle));
    const before = await rig.record();
    expect(await rig.judge(given, alice, handle)).toBe('wrong');
    expect(await rig.record()).toEqual(before);
  });

  it.each(elsewhere)('in a login that has none: that of %s (WAN-06)', async (_, ask) => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    await rig.addKey(bob);
    const handle = await rig.open();
    const given = authenticator.authenticate(await ask(rig, handle));
    expect(await rig.judge(given, alice, handle)).toBe('wrong');
  });

  it.each<[string, Elsewhere]>([
    ['a pending login of the same account', (rig, handle) => rig.challenge(handle)],
    ["another account's pending login", async (rig) => rig.challenge(await rig.open(bob), bob)],
    ["another account's registration", (rig) => begin(rig, bob)],
  ])('and the reverse, at a registration: that of %s', async (_, ask) => {
    const rig = factorRig();
    await rig.addKey();
    await rig.addKey(bob);
    const handle = await rig.open();
    const asked = await ask(rig, handle);
    await begin(rig);
    const given = rig.device().register(asked);
    expect(await rig.factors.confirmSecurityKey(alice, given)).toEqual({ outcome: 'wrong' });
    expect((await rig.record())?.list).toHaveLength(1);
  });

  it('and one that was taken elsewhere stays good where it belongs', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const [mine, other] = [await rig.open(), await rig.open()];
    const asked = await rig.challenge(mine);
    await rig.challenge(other);
    expect(await rig.judge(authenticator.authenticate(asked), alice, other)).toBe('wrong');
    expect(await rig.judge(authenticator.authenticate(asked), alice, mine)).toBe('verified');
  });

  it.each([
    ['no challenge', { challenge: undefined }],
    ['an empty challenge', { challenge: '' }],
    ['null', { challenge: null }],
    ['"undefined"', { challenge: 'undefined' }],
    ['"null"', { challenge: 'null' }],
  ])('and client data with %s is refused, whether one is stored or not (WAN-06)', async (_, lies) => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const server = { challenge: 'unused' };
    expect(await rig.judge(authenticator.authenticate(server, lies), alice, handle)).toBe('wrong');
    await rig.challenge(handle);
    expect(await rig.judge(authenticator.authenticate(server, lies), alice, handle)).toBe('wrong');
  });
});

describe('a key', () => {
  it("that names another key of alice's is refused (WAN-11)", async () => {
    const rig = factorRig();
    const first = await rig.addKey();
    const second = await rig.addKey();
    const handle = await rig.open();
    const given = first.authenticator.authenticate(await rig.challenge(handle), { id: second.id });
    const before = await rig.record();
    expect(await rig.judge(given, alice, handle)).toBe('wrong');
    expect(await rig.record()).toEqual(before);
    expect(await rig.touch(second.authenticator)).toBe('verified');
  });

  it("that names bob as its user in alice's login is refused (WAN-12)", async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey(alice);
    const bobs = await rig.addKey(bob);
    const handle = await rig.open();
    const { userHandle } = bobs.authenticator;
    const given = authenticator.authenticate(await rig.challenge(handle), { userHandle });
    expect(await rig.judge(given, alice, handle)).toBe('wrong');
    expect(await rig.touch(authenticator)).toBe('verified');
  });

  it.each<[string, AssertionLies]>([
    ['as it is', {}],
    [
      "with alice's user handle",
      { userHandle: Buffer.from(keyHash('webauthn user', 'alice'), 'hex').toString('base64url') },
    ],
    ['without a user handle', { userHandle: undefined }],
  ])(
    "of bob's in alice's pending login is refused, %s, and his counter stays (WAN-13, PND-04)",
    async (_, lies) => {
      const rig = factorRig();
      await rig.addKey(alice);
      const bobs = await rig.addKey(bob);
      const before = [await rig.record(alice), await rig.record(bob)];
      const handle = await rig.open(alice);
      const given = bobs.authenticator.authenticate(await rig.challenge(handle), lies);
      expect(await rig.judge(given, alice, handle)).toBe('wrong');
      expect([await rig.record(alice), await rig.record(bob)]).toEqual(before);
      expect(await rig.touch(bobs.authenticator, bob)).toBe('verified');
    },
  );

  it('that was removed while its challenge was out is refused', async () => {
    const rig = factorRig();
    const { authenticator, id } = await rig.addKey();
    await rig.addTotp();
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle));
    await rig.factors.remove(alice, id);
    expect(await rig.judge(given, alice, handle)).toBe('wrong');
  });

  it('that is removed while its answer is checked is refused', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle));
    let reads = 0;
    const { judge } = factorRig({
      store: {
        ...rig.store,
        readFactors: async (account) => {
          reads += 1;
          if (reads === 2) await rig.factors.removeAll(alice);
          return rig.store.readFactors(account);
        },
      },
    });
    expect(await judge(given, alice, handle)).toBe('wrong');
    expect(reads).toBe(2);
    expect((await rig.record())?.list).toEqual([]);
  });
});

describe('the counter of a key', () => {
  it.each([
    [1, 'verified'],
    [2, 'verified'],
    [0xff_ff_ff_ff, 'verified'],
  ])('that goes from 0 to %d: %s', async (counter, word) => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle), { counter });
    expect(await rig.judge(given, alice, handle)).toBe(word);
    expect((await rig.record())?.list).toMatchObject([{ counter }]);
  });

  it.each([5, 4, 1, 0])('that went from 5 to %d is that of a copy; the key works on', async (counter) => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    authenticator.counter = 4;
    expect(await rig.touch(authenticator)).toBe('verified');
    const before = await rig.record();
    const handle = await rig.open();
    const copied = authenticator.authenticate(await rig.challenge(handle), { counter });
    expect(await rig.judge(copied, alice, handle)).toBe('cloned');
    expect(await rig.record()).toEqual(before);
    expect(await rig.touch(authenticator)).toBe('verified');
  });

  it('with a signature that is wrong is no copy: nobody can raise that alarm without the key (WAN-16)', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    authenticator.counter = 4;
    expect(await rig.touch(authenticator)).toBe('verified');
    const handle = await rig.open();
    const asked = await rig.challenge(handle);
    const given = authenticator.authenticate(asked, { counter: 1, signature: Buffer.alloc(70, 1) });
    expect(await rig.judge(given, alice, handle)).toBe('wrong');
  });

  it('that stays at 0, as keys without one have it, is always good, each challenge once', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    for (let i = 0; i < 3; i += 1) {
      const handle = await rig.open();
      const given = authenticator.authenticate(await rig.challenge(handle), { counter: 0 });
      expect(await rig.judge(given, alice, handle)).toBe('verified');
    }
  });

  it('of two honest answers that arrive in reverse order: one 401, nothing is disabled (WAN-18)', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const [first, second] = [await rig.open(), await rig.open()];
    const early = authenticator.authenticate(await rig.challenge(first));
    const late = authenticator.authenticate(await rig.challenge(second));
    expect(await rig.judge(late, alice, second)).toBe('verified');
    expect(await rig.judge(early, alice, first)).toBe('cloned');
    expect((await rig.record())?.list).toMatchObject([{ counter: 2 }]);
    expect(await rig.touch(authenticator)).toBe('verified');
  });

  it('that two answers share, checked at the same moment, is good for one of them', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handles = [await rig.open(), await rig.open()];
    const given: object[] = [];
    for (const handle of handles) {
      given.push(authenticator.authenticate(await rig.challenge(handle), { counter: 9 }));
    }
    const answers = await Promise.all(
      handles.map((handle, index) => rig.judge(given[index] ?? {}, alice, handle)),
    );
    expect(answers.toSorted()).toEqual(['cloned', 'verified']);
    expect((await rig.record())?.list).toMatchObject([{ counter: 9 }]);
  });

  it('never goes back: a higher one that was stored meanwhile stays', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    const handle = await rig.open();
    const given = authenticator.authenticate(await rig.challenge(handle), { counter: 5 });
    let reads = 0;
    const { judge } = factorRig({
      store: {
        ...rig.store,
        readFactors: async (account) => {
          reads += 1;
          if (reads === 2) {
            await rig.tamper((record) => ({ ...record, list: [{ ...record.list[0], counter: 8 }] }));
          }
          return rig.store.readFactors(account);
        },
      },
    });
    expect(await judge(given, alice, handle)).toBe('cloned');
    expect((await rig.record())?.list).toMatchObject([{ counter: 8 }]);
  });
});

describe('the options of security keys', () => {
  const { up, uv } = flagBits;

  it.each<[Partial<SecondFactorsOptions>, number, string]>([
    [{}, up, 'verified'],
    [{ userVerification: 'discouraged' }, up, 'verified'],
    [{ userVerification: 'preferred' }, up, 'verified'],
    [{ userVerification: 'required' }, up, 'wrong'],
    [{ userVerification: 'required' }, up | uv, 'verified'],
  ])('%j: an answer with flags %d is %s (WAN-20)', async (options, flags, word) => {
    const rig = factorRig({ options });
    const { authenticator } = await rig.addKey(alice, rig.device({ userVerified: true }));
    const handle = await rig.open();
    const asked = (await rig.challenge(handle)) as BrowserOptions;
    expect(asked.userVerification).toBe(options.userVerification ?? 'discouraged');
    expect(await rig.judge(authenticator.authenticate(asked, { flags }), alice, handle)).toBe(word);
  });

  it('rpId: a parent domain of the origin, which keys of the host itself do not answer to (WAN-33)', async () => {
    const site = { origin: 'https://login.acme.example' };
    const rig = factorRig({ options: { ...site, rpId: 'acme.example' } });
    const key = new SoftwareAuthenticator({ ...site, rpId: 'acme.example' });
    await rig.addKey(alice, key);
    expect(await rig.touch(key)).toBe('verified');
    const changed = factorRig({ store: rig.store, options: site });
    const given = new SoftwareAuthenticator({ ...site, rpId: 'acme.example' });
    expect(await changed.register(given)).toEqual({ outcome: 'wrong' });
    expect(await changed.touch(key)).toBe('wrong');
  });

  it('an http origin of localhost, while developing', async () => {
    const site = { origin: 'http://localhost:3000' };
    const rig = factorRig({ options: site });
    const key = new SoftwareAuthenticator({ ...site, rpId: 'localhost' });
    await rig.addKey(alice, key);
    expect(await rig.touch(key)).toBe('verified');
  });

  it('an origin: an answer for another one is refused (WAN-08)', async () => {
    const rig = factorRig();
    const { authenticator } = await rig.addKey();
    for (const other of [`${origin}/`, `${origin}:8443`, 'http://acme.example', 'https://x.acme.example']) {
      const handle = await rig.open();
      const given = authenticator.authenticate(await rig.challenge(handle), { origin: other });
      expect(await rig.judge(given, alice, handle)).toBe('wrong');
    }
  });
});

async function registers(store: Partial<Store>): Promise<unknown> {
  const rig = factorRig({ store });
  return rig.register(rig.device());
}

async function answers(store: Partial<Store>): Promise<unknown> {
  const rig = factorRig();
  const { authenticator } = await rig.addKey();
  const { open, challenge, judge } = factorRig({ store: { ...rig.store, ...store } });
  const handle = await open();
  return judge(authenticator.authenticate(await challenge(handle)), alice, handle);
}

const odd = (reply: unknown) => async (): Promise<never> => reply as never;

describe('a store that answers oddly refuses', () => {
  it.each([undefined, null, 1, 'OK', {}])('with %p for a claim (CFG-08)', async (reply) => {
    await expect(registers({ claimCredential: odd(reply) })).rejects.toThrow(StoreUnavailable);
  });

  it.each([undefined, 0, 1, true, {}, []])(
    'with %p for a challenge that is taken (CFG-08)',
    async (reply) => {
      await expect(registers({ takeChallenge: odd(reply) })).rejects.toThrow(StoreUnavailable);
      await expect(answers({ takeChallenge: odd(reply) })).rejects.toThrow(StoreUnavailable);
    },
  );

  it.each([null, 'OK', true, 0])('with %p for a challenge that is saved (CFG-08)', async (reply) => {
    await expect(registers({ saveChallenge: odd(reply) })).rejects.toThrow(StoreUnavailable);
    await expect(answers({ saveChallenge: odd(reply) })).rejects.toThrow(StoreUnavailable);
  });

  it.each([undefined, null, 1, 'OK'])('with %p for a counter that is written (CFG-08)', async (reply) => {
    await expect(answers({ writeFactors: odd(reply) })).rejects.toThrow(StoreUnavailable);
  });

  it('that never lets a change through is busy, not open', async () => {
    await expect(answers({ writeFactors: odd(false) })).rejects.toThrow(Busy);
  });

  it.each([null, 'OK', true])('with %p for a credential that is released (CFG-08)', async (reply) => {
    const rig = factorRig({ store: { releaseCredential: odd(reply) } });
    const { id } = await rig.addKey();
    await expect(rig.factors.remove(alice, id)).rejects.toThrow(StoreUnavailable);
  });
});
