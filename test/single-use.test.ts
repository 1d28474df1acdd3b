import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AccessTokens } from '../src/core/access-tokens.js';
import type { Account } from '../src/core/account.js';
import { Busy, StoreUnavailable } from '../src/core/errors.js';
import { SecondFactors } from '../src/core/second-factors.js';
import { memoryStore } from '../src/stores/memory.js';
import { added, offer, origin, proven, sealingKey, wideLimits } from './rig/factor-rig.js';
import { fakeClock, type FakeClock } from './rig/fake-clock.js';
import { SoftwareAuthenticator, type ServerOptions } from './rig/software-authenticator.js';
import { codeOf } from './rig/totp-code.js';
import { storeKinds } from './stores/kinds.js';

const { kinds, start, end } = storeKinds();
beforeAll(start, 60_000);
afterAll(end);

/** One process that serves logins. */
interface Door {
  readonly factors: SecondFactors;
  readonly tokens: AccessTokens;
}

/** What can be used once: answers whether this use was accepted. */
type Use = (
  door: Door,
  given?: { readonly account?: Account; readonly spell?: (text: string) => string },
) => Promise<boolean>;

interface Place {
  readonly account: Account;
  readonly door: Door;
  readonly clock: FakeClock;
}

const asIs = (text: string): string => text;
const stepOf = (clock: FakeClock): number => Math.floor(clock.now() / 30_000);

async function enrol({ account, door, clock }: Place): Promise<{ secret: string; codes: readonly string[] }> {
  const { secret } = await door.factors.beginTotp(account, { label: 'alice' });
  const { backupCodes } = added(await door.factors.confirmTotp(account, codeOf(secret, stepOf(clock))));
  clock.advance(60);
  return { secret, codes: backupCodes ?? [] };
}

async function open({ account, door }: Place): Promise<string> {
  const { fingerprint } = await door.factors.enrolled(account);
  return door.factors.pending.open(proven(account), fingerprint);
}

const device = (): SoftwareAuthenticator => new SoftwareAuthenticator({ origin, rpId: 'acme.example' });

const consumables: readonly (readonly [name: string, make: (place: Place) => Promise<Use>])[] = [
  [
    'a code of an authenticator app',
    async (place) => {
      const { secret } = await enrol(place);
      const code = codeOf(secret, stepOf(place.clock));
      return async ({ factors }, { account = place.account, spell = asIs } = {}) =>
        (await factors.verify(account, offer(spell(code)))).outcome === 'verified';
    },
  ],
  [
    'an emergency code',
    async (place) => {
      const [code = ''] = (await enrol(place)).codes;
      return async ({ factors }, { account = place.account, spell = asIs } = {}) =>
        (await factors.verify(account, offer(spell(code)))).outcome === 'verified';
    },
  ],
  [
    'the challenge of a security key',
    async (place) => {
      const { account: owner, door } = place;
      const key = device();
      const begun = await door.factors.beginSecurityKey(owner, { userName: 'alice' });
      added(await door.factors.confirmSecurityKey(owner, key.register(begun as ServerOptions)));
      const handle = await open(place);
      const asked = await door.factors.challenge(owner, await door.factors.enrolled(owner), handle);
      const response = key.authenticate(asked as unknown as ServerOptions);
      return async ({ factors }, { account = owner, spell = asIs } = {}) => {
        const spelt = JSON.parse(spell(JSON.stringify(response))) as object;
        return (await factors.verify(account, offer(spelt), handle)).outcome === 'verified';
      };
    },
  ],
  [
    'a pending login',
    async (place) => {
      await enrol(place);
      const handle = await open(place);
      return async ({ factors }, { spell = asIs } = {}) =>
        (await factors.pending.find(spell(handle))) !== null && factors.pending.close(spell(handle));
    },
  ],
  [
    'the enrolment of an authenticator app',
    async ({ account: owner, door, clock }) => {
      const { secret } = await door.factors.beginTotp(owner, { label: 'alice' });
      const code = codeOf(secret, stepOf(clock));
      return async ({ factors }, { account = owner, spell = asIs } = {}) =>
        (await factors.confirmTotp(account, spell(code))).outcome === 'added';
    },
  ],
  [
    'the enrolment of a security key',
    async ({ account: owner, door }) => {
      const key = device();
      const begun = await door.factors.beginSecurityKey(owner, { userName: 'alice' });
      const response = key.register(begun as ServerOptions);
      return async ({ factors }, { account = owner, spell = asIs } = {}) => {
        const spelt: unknown = JSON.parse(spell(JSON.stringify(response)));
        return (await factors.confirmSecurityKey(account, spelt)).outcome === 'added';
      };
    },
  ],
  [
    'the proof of a login',
    async ({ account }) => {
      const login = proven(account);
      login.passFactor('otp');
      return async ({ tokens }) => tokens.issue(login).then((issued) => issued !== null);
    },
  ],
];

/** Spellings that people and attackers try; some are another thing altogether, none is a second one. */
const spellings: readonly (readonly [name: string, spell: (text: string) => string])[] = [
  ['as it is', asIs],
  ['in lower case', (text) => (text.startsWith('{') ? text : text.toLowerCase())],
  ['without hyphens', (text) => (text.startsWith('{') ? text : text.replaceAll('-', ''))],
  ['with spaces', (text) => (text.startsWith('{') ? `  ${text}  ` : ` ${text.replaceAll('-', ' ')} `)],
  [
    'with O for 0 and I for 1',
    (text) => (text.startsWith('{') ? text : text.replaceAll('0', 'O').replaceAll('1', 'I')),
  ],
  [
    'in full width',
    (text) => text.replaceAll(/[0-9](?![^{]*\})/g, (digit) => String.fromCodePoint(0xff_10 + Number(digit))),
  ],
  ['with a line break', (text) => `${text}\n`],
];

/** Whether a use was accepted; undefined where the store could not decide in time, on a machine that is busy. */
async function accepted(use: Promise<boolean>): Promise<boolean | undefined> {
  return use.catch((error: unknown) => {
    if (error instanceof StoreUnavailable || error instanceof Busy) return undefined;
    if (error instanceof TypeError) return false;
    throw error;
  });
}

describe.each(kinds)('on %s', (_kind, openStore) => {
  const clock = fakeClock(Date.now());
  let doors: readonly [Door, Door];

  const openDoor = (): Door => {
    const { store, factorStore = store } = openStore();
    const options = { store, factorStore, issuer: 'Acme', keys: [sealingKey], origin, limits: wideLimits };
    return {
      factors: new SecondFactors({ ...options, now: clock.now }),
      tokens: new AccessTokens({ store }),
    };
  };
  beforeAll(() => {
    doors = [openDoor(), openDoor()];
  });

  describe.each(consumables)('%s is used', (_what, make) => {
    const begin = async (): Promise<{ use: Use; other: Account }> => {
      const place = { account: { id: randomUUID() }, door: doors[0], clock };
      const other = { id: randomUUID() };
      await enrol({ ...place, account: other });
      return { use: await make(place), other };
    };

    it('once, and never again by any door, in any spelling, for another account, or after a restart', async () => {
      const { use, other } = await begin();
      expect(await accepted(use(doors[0]))).toBe(true);
      const uses: Promise<boolean | undefined>[] = [];
      for (const [, spell] of spellings) {
        for (const door of doors) {
          for (const account of [undefined, other]) {
            const given = account === undefined ? { spell } : { spell, account };
            uses.push(accepted(use(door, given)));
          }
        }
      }
      const answers = await Promise.all(uses);
      for (const seconds of [0, 1, 29, 30, 31, 59]) {
        clock.advance(seconds);
        answers.push(await accepted(use(doors[1])), await accepted(use(openDoor())));
      }
      expect(answers.filter(Boolean)).toEqual([]);
    });

    it('once by 100 at the same moment, over two doors', async () => {
      const { use } = await begin();
      const uses = Array.from({ length: 100 }, (_, index) => accepted(use(doors[index % 2] as Door)));
      const answers = await Promise.all(uses);
      const times = answers.filter(Boolean).length;
      expect(times).toBeLessThanOrEqual(1);
      // Where all were decided, exactly one was the first.
      expect(times === 1 || answers.includes(undefined)).toBe(true);
      expect(await accepted(use(doors[1]))).not.toBe(true);
    });

    it('once by 70 at the same moment, in every spelling', async () => {
      const { use } = await begin();
      const spelt = Array.from(
        { length: 70 },
        (_, index) => spellings[index % spellings.length]?.[1] ?? asIs,
      );
      const uses = spelt.map((spell, index) => accepted(use(doors[index % 2] as Door, { spell })));
      // A wrong spelling may have used an enrolment or a challenge up before the right one came.
      expect((await Promise.all(uses)).filter(Boolean).length).toBeLessThanOrEqual(1);
      expect(await accepted(use(doors[0]))).toBe(false);
    });

    it('never by somebody else, who leaves it usable', async () => {
      const { use, other } = await begin();
      const isOthers = (await Promise.all(doors.map((door) => accepted(use(door, { account: other }))))).some(
        Boolean,
      );
      const isOwners = await accepted(use(doors[1]));
      // A pending login and a proof name their account themselves: there is no other to use them for.
      expect([isOthers, isOwners]).toEqual(
        ['a pending login', 'the proof of a login'].includes(_what) ? [true, false] : [false, true],
      );
    });
  });
});

describe('a code of an authenticator app', () => {
  it('is accepted once in 10,000 replays over the edges of steps, in every order of codes (TOT-03, TOT-04)', async () => {
    const clock = fakeClock(Date.UTC(2030, 0, 1));
    const store = memoryStore({ now: clock.now });
    const options = { store, issuer: 'Acme', keys: [sealingKey], limits: wideLimits, now: clock.now };
    const factors = new SecondFactors(options);
    const account = { id: 'alice' };
    const { secret } = await factors.beginTotp(account, { label: 'alice' });
    added(await factors.confirmTotp(account, codeOf(secret, stepOf(clock))));
    clock.advance(60);

    const seen = new Map<number, number>();
    let last = 0;
    for (let replay = 0; replay < 10_000; replay += 1) {
      clock.advance([0, 0, 0.4, 1, 7, 14.5, 29.999][replay % 7] ?? 0);
      const step = stepOf(clock) - ((replay * 7) % 3);
      const { outcome } = await factors.verify(account, offer(codeOf(secret, step)));
      if (outcome !== 'verified') continue;
      seen.set(step, (seen.get(step) ?? 0) + 1);
      expect(step).toBeGreaterThan(last);
      expect(stepOf(clock) - step).toBeLessThanOrEqual(1);
      last = step;
    }
    expect(seen.size).toBeGreaterThan(1000);
    expect([...seen.values()].filter((times) => times > 1)).toEqual([]);
  }, 60_000);
});
