import { createHash } from 'node:crypto';
import { accountKey } from '../../src/core/account.js';
import type { Account } from '../../src/core/account.js';
import type { AddedFactor, FactorAddition } from '../../src/core/factor-changes.js';
import type { FactorVerdict, OfferedFactor } from '../../src/core/factor-verdict.js';
import { Login } from '../../src/core/login.js';
import type { SecondFactorsOptions } from '../../src/core/second-factor-options.js';
import { SecondFactors } from '../../src/core/second-factors.js';
import { isTotpCode } from '../../src/core/totp.js';
import { memoryStore, type Store } from '../../src/stores/memory.js';
import { fakeClock } from './fake-clock.js';
import {
  SoftwareAuthenticator,
  type AuthenticatorOptions,
  type ServerOptions,
} from './software-authenticator.js';
import { codeOf } from './totp-code.js';

export const alice: Account = { id: 'alice' };
export const bob: Account = { id: 'bob' };

/** The same in every rig, so that what one has sealed opens in another; a real key is random. */
export const sealingKey: Buffer = createHash('sha256').update('a sealing key of tests').digest();

export const origin = 'https://acme.example';

/** Limits that no test reaches, for what is not about them. */
export const wideLimits = [{ failures: 1000, withinSeconds: 60 }];

/** A login whose password is proven. */
export function proven(account = alice): Login {
  const login = new Login();
  login.verifyPassword(account, Date.now());
  return login;
}

/** A code as the middleware reads it: six digits are an authenticator's, all else an emergency code. */
export function offer(given: string | object): OfferedFactor {
  if (typeof given === 'object') return { kind: 'webauthn', response: given };
  return { kind: isTotpCode(given) ? 'totp' : 'backup_code', code: given };
}

/** What became of a try, in one word. */
export function wordFor(verdict: FactorVerdict): string {
  return verdict.outcome === 'refused' ? verdict.reason : verdict.outcome;
}

/** An addition that succeeded. */
export function added(addition: FactorAddition): AddedFactor {
  if (addition.outcome !== 'added') throw new Error(`not added: ${addition.outcome}`);
  return addition;
}

interface FactorRigOptions {
  /** Methods of the store to replace. */
  readonly store?: Partial<Store>;
  readonly options?: Partial<SecondFactorsOptions>;
}

/** SecondFactors on a memory store, with a clock that stands still. */
export function factorRig({ store: overrides, options }: FactorRigOptions = {}) {
  const clock = fakeClock();
  const kept = memoryStore({ now: clock.now });
  const store: Store = { ...kept, ...overrides };
  const made = { store, issuer: 'Acme', keys: [sealingKey], origin, now: clock.now };
  const factors = new SecondFactors({ ...made, ...options });

  const code = (secret: string, steps = 0): string =>
    codeOf(secret, Math.floor(clock.now() / 30_000) + steps);

  /** A code that is right neither now nor in the step before or after. */
  const wrong = (...secrets: string[]): string => {
    const right = new Set(secrets.flatMap((secret) => [-1, 0, 1].map((steps) => code(secret, steps))));
    return ['000000', '000001', '000002', '000003'].find((one) => !right.has(one)) ?? '';
  };

  const device = (lies: Partial<AuthenticatorOptions> = {}): SoftwareAuthenticator =>
    new SoftwareAuthenticator({ origin, rpId: 'acme.example', ...lies });

  /** Adds an authenticator; a minute goes by, so that the code of the present step is unused. */
  async function addTotp(account = alice, given: { name?: string; replaces?: string } = {}) {
    const { secret } = await factors.beginTotp(account, { label: account.id, ...given });
    const { id, backupCodes } = added(await factors.confirmTotp(account, code(secret)));
    clock.advance(60);
    return { secret, id, backupCodes: backupCodes ?? [] };
  }

  async function register(authenticator: SoftwareAuthenticator, account = alice): Promise<FactorAddition> {
    const begun = await factors.beginSecurityKey(account, { userName: account.id });
    return factors.confirmSecurityKey(account, authenticator.register(begun as ServerOptions));
  }

  /** Adds a security key; a minute goes by, as between any two things that people do. */
  async function addKey(account = alice, authenticator = device()) {
    const { id, backupCodes } = added(await register(authenticator, account));
    clock.advance(60);
    return { authenticator, id, backupCodes: backupCodes ?? [] };
  }

  /** Opens a pending login. */
  async function open(account = alice): Promise<string> {
    const { fingerprint } = await factors.enrolled(account);
    return factors.pending.open(proven(account), fingerprint);
  }

  async function challenge(handle: string, account = alice): Promise<ServerOptions> {
    const asked = await factors.challenge(account, await factors.enrolled(account), handle);
    if (asked === null) throw new Error('no challenge');
    return asked as ServerOptions;
  }

  /** Tries a factor in a pending login, or beside a password. */
  async function judge(given: string | object, account = alice, handle?: string): Promise<string> {
    return wordFor(await factors.verify(account, offer(given), handle));
  }

  /** One whole login with a security key: its challenge, and the authenticator's answer. */
  async function touch(authenticator: SoftwareAuthenticator, account = alice): Promise<string> {
    const handle = await open(account);
    return judge(authenticator.authenticate(await challenge(handle, account)), account, handle);
  }

  /** The account's record as it is stored; null where there is none. */
  async function record(account = alice): Promise<Stored | null> {
    const document = await kept.readFactors(accountKey(account.id));
    return document === null ? null : (JSON.parse(document.record) as Stored);
  }

  /** Changes the stored record behind everybody's back. */
  async function tamper(change: (record: Stored) => unknown, account = alice): Promise<void> {
    const key = accountKey(account.id);
    const document = await kept.readFactors(key);
    const { record = '{}', revision = 0 } = document ?? {};
    await kept.writeFactors(key, JSON.stringify(change(JSON.parse(record) as Stored)), revision);
  }

  async function revision(account = alice): Promise<number> {
    return (await kept.readFactors(accountKey(account.id)))?.revision ?? 0;
  }

  return {
    clock,
    store: kept,
    factors,
    code,
    wrong,
    device,
    addTotp,
    addKey,
    register,
    open,
    challenge,
    judge,
    touch,
    record,
    tamper,
    revision,
  };
}

export type FactorRig = ReturnType<typeof factorRig>;

interface Stored {
  readonly v: unknown;
  readonly list: readonly Readonly<Record<string, unknown>>[];
  readonly codes: { readonly hashes: readonly string[]; readonly [field: string]: unknown } | null;
  readonly wrongCodes: unknown;
}
