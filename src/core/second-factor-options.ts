import { authenticatorList, type AllowedAuthenticator } from './allowed-authenticators.js';
import { limitList, type LockoutLimit } from './attempt-limits.js';
import { attemptStoreMethods, type AttemptStore } from './attempt-store.js';
import {
  challengeStoreMethods,
  factorStoreMethods,
  type ChallengeStore,
  type FactorStore,
} from './factor-store.js';
import type { FactorKey } from './key-ring.js';
import { callback, flag, offering, oneOf, readOptions, required, text } from './options.js';
import { isSecureOrigin, relyingParty, type RelyingParty } from './relying-party.js';
import { pendingStoreMethods, type PendingLoginStore } from './pending-store.js';
import { own } from './store-call.js';

export interface SecondFactorsOptions {
  /** Where pending logins, challenges and failures are kept, and factors too unless `factorStore` is given. */
  readonly store: PendingLoginStore & ChallengeStore & AttemptStore & Partial<FactorStore>;
  /**
   * Where factors are kept: `sqlStore(kysely)` where they must outlive Redis.
   *
   * @default `store`
   */
  readonly factorStore?: FactorStore;
  /** The service's name, shown by authenticator apps and browsers. */
  readonly issuer: string;
  /** Keys that seal TOTP secrets at rest: 32 random bytes each; the first seals, every one opens. */
  readonly keys: readonly FactorKey[];
  /**
   * Origin of the app's pages, such as `https://acme.example`: a second step sent from another one is refused. Security
   * keys need it, and it decides where they work, so it is https, or http://localhost while developing.
   */
  readonly origin?: string;
  /**
   * Relying party id of security keys: the origin's host name or a parent domain of it.
   *
   * @default the host name of `origin`
   */
  readonly rpId?: string;
  /**
   * Whether a security key must verify its user (PIN, fingerprint) beside presence. After a password presence is enough.
   *
   * @default 'discouraged'
   */
  readonly userVerification?: 'discouraged' | 'preferred' | 'required';
  /**
   * Models of security keys that may be registered, each proven by its attestation: statements of the FIDO Metadata
   * Service, or their `aaguid` and `attestationRootCertificates`.
   *
   * @default every model, and no attestation is asked for
   */
  readonly allowedAuthenticators?: readonly AllowedAuthenticator[];
  /**
   * Binds a pending login to the browser that proved the password, by a cookie: its handle is worthless to whoever
   * reads it elsewhere. Clients that keep no cookies cannot log in then.
   *
   * @default false
   */
  readonly bindPending?: boolean;
  /**
   * Wrong factors allowed for one account, whatever the pending login.
   *
   * @default 10 in 1 minute, 20 in 1 hour, 40 in 1 day; each locks for as long as its window
   */
  readonly limits?: readonly LockoutLimit[];
  /**
   * Clock of the process in milliseconds since the epoch: TOTP codes are compared with it.
   *
   * @default Date.now
   */
  readonly now?: () => number;
}

type Decided = 'store' | 'issuer' | 'keys' | 'factorStore' | 'bindPending' | 'now';

/** The options with their defaults, and the relying party that they make. */
export interface ReadFactorOptions extends Required<Pick<SecondFactorsOptions, Decided>> {
  readonly limits: readonly LockoutLimit[] | undefined;
  readonly origin: string | undefined;
  readonly party: RelyingParty | undefined;
}

/** @throws {TypeError} on an unknown option or a wrong value. */
export function readSecondFactorsOptions(given: SecondFactorsOptions): ReadFactorOptions {
  const shared = [...pendingStoreMethods, ...challengeStoreMethods, ...attemptStoreMethods];
  const hasOwnFactors = own(given, 'factorStore') !== undefined;
  const methods = hasOwnFactors ? shared : [...shared, ...factorStoreMethods];
  const read = readOptions<SecondFactorsOptions>('SecondFactors', given, {
    store: required(offering('a store such as memoryStore() or redisStore(redis)', ...methods)),
    factorStore: offering('a factor store such as sqlStore(kysely)', ...factorStoreMethods),
    issuer: required(text),
    keys: required({ demand: 'a list of 32-byte keys', accepts: Array.isArray, secret: true }),
    origin: {
      demand: 'an origin such as https://acme.example (http for localhost only)',
      accepts: isSecureOrigin,
    },
    rpId: text,
    userVerification: oneOf('discouraged', 'preferred', 'required'),
    allowedAuthenticators: authenticatorList,
    bindPending: flag,
    limits: limitList,
    now: callback,
  });
  const {
    store,
    origin,
    limits,
    factorStore = store as FactorStore,
    bindPending = false,
    now = Date.now,
  } = read;
  for (const name of ['rpId', 'userVerification', 'allowedAuthenticators', 'bindPending'] as const) {
    if (origin === undefined && read[name] !== undefined)
      throw new TypeError(`SecondFactors: option ${name} needs option origin`);
  }
  const { issuer, keys, rpId: id, userVerification = 'discouraged', allowedAuthenticators } = read;
  const options = {
    name: issuer,
    origins: [origin ?? ''],
    userVerification,
    ...(id !== undefined && { id }),
    ...(allowedAuthenticators !== undefined && { allowedAuthenticators }),
  };
  const party = origin === undefined ? undefined : relyingParty(options, 'SecondFactors');
  return { store, factorStore, issuer, keys, limits, origin, party, bindPending, now };
}
