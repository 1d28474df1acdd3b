import type { LockoutLimit } from './attempt-limits.js';
import { attemptStoreMethods, type AttemptStore } from './attempt-store.js';
import {
  challengeStoreMethods,
  factorStoreMethods,
  type ChallengeStore,
  type FactorStore,
} from './factor-store.js';
import type { FactorKey } from './key-ring.js';
import { callback, offering, oneOf, readOptions, required, text } from './options.js';
import { pendingStoreMethods, type PendingLoginStore } from './pending-store.js';

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
   * keys need it.
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

/** @throws {TypeError} on an unknown option or a wrong value. */
export function readSecondFactorsOptions(options: SecondFactorsOptions): SecondFactorsOptions {
  const shared = [...pendingStoreMethods, ...challengeStoreMethods, ...attemptStoreMethods];
  const hasOwnFactors =
    typeof options === 'object' && options !== null && Object.hasOwn(options, 'factorStore');
  const methods = hasOwnFactors ? shared : [...shared, ...factorStoreMethods];
  return readOptions<SecondFactorsOptions>('SecondFactors', options, {
    store: required(offering('a store such as memoryStore() or redisStore(redis)', ...methods)),
    factorStore: offering('a factor store such as sqlStore(kysely)', ...factorStoreMethods),
    issuer: required(text),
    keys: required({ demand: 'a list of 32-byte keys', accepts: Array.isArray, secret: true }),
    origin: { demand: 'an origin such as https://acme.example', accepts: isOrigin },
    rpId: text,
    userVerification: oneOf('discouraged', 'preferred', 'required'),
    limits: { demand: 'a list of limits', accepts: Array.isArray },
    now: callback,
  });
}

function isOrigin(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value;
}
