import { accountKey } from './account.js';
import { keyHash } from './key-hash.js';
import type { Login, ResumedLogin } from './login.js';
import {
  isPendingOrNull,
  isTries,
  type PendingLoginStore,
  type StoredPendingLogin,
  pendingSeconds,
} from './pending-store.js';
import { parseRecord } from './record.js';
import { SecretText } from './secret-text.js';
import { ask, isBoolean, isCount, isNothing, own } from './store-call.js';

/** Wrong factors after which a pending login is dead and the password is asked for again. */
export const pendingTries = 5;

/** Live pending logins of one account. */
const pendingPerAccount = 5;

// The handle says in clear which account's records it is filed under, as their hash, so that all pending logins
// of an account are one record: counted, capped and ended together.
const text = new SecretText('pcpl_', true);

/** The time between the proof of the password and the proof of a factor. */
export class PendingLogins {
  constructor(readonly store: PendingLoginStore) {}

  /**
   * Opens one for a login whose password is proven; the handle is shown once and stored hashed.
   *
   * @param binding - A secret that only the same client knows; without one the handle alone continues the login.
   */
  async open(login: Login, factors: string, binding?: string): Promise<string> {
    const { account, counted, startedAt, methods, provenAt } = login;
    if (account === undefined) throw new TypeError('A pending login needs a proven password');
    const key = accountKey(account.id);
    const handle = text.create(Buffer.from(key, 'hex').toString('base64url'));
    const record = {
      v: 1,
      account: account.id,
      subject: counted?.subject ?? '',
      methods,
      provenAt,
      factors,
      binding: bindingHash(binding),
    };
    await ask(
      () =>
        this.store.openPendingLogin({
          account: key,
          handle: keyHash('pending', handle),
          startedAt,
          lifetimeMs: pendingSeconds * 1000,
          maxPerAccount: pendingPerAccount,
          record: JSON.stringify(record),
        }),
      isNothing,
    );
    return handle;
  }

  /** The login that a handle stands for; null for one that is unknown, ended, used up, mistyped or another client's. */
  async find(handle: string, binding?: string): Promise<ResumedLogin | null> {
    const place = placeOf(handle);
    if (place === null) return null;
    const stored = await ask(() => this.store.readPendingLogin(...place), isPendingOrNull);
    if (stored === null) return null;
    const login = readRecord(stored, handle, binding);
    return login !== null && accountKey(login.account.id) === place[0] ? login : null;
  }

  /** Counts one try at a factor. False when the pending login is dead. */
  async try(handle: string): Promise<{ readonly last: boolean } | null> {
    const place = placeOf(handle);
    if (place === null) return null;
    const tries = await ask(() => this.store.tryPendingLogin(...place, pendingTries), isTries);
    return tries === null ? null : { last: tries >= pendingTries };
  }

  /** Ends one. True for exactly one caller. */
  async close(handle: string): Promise<boolean> {
    const place = placeOf(handle);
    return place !== null && ask(() => this.store.closePendingLogin(...place), isBoolean);
  }
}

function bindingHash(binding: string | undefined): string {
  return binding === undefined ? '' : keyHash('pending binding', binding);
}

function placeOf(handle: string): [account: string, handle: string] | null {
  if (!text.isWellFormed(handle)) return null;
  return [Buffer.from(text.addressOf(handle), 'base64url').toString('hex'), keyHash('pending', handle)];
}

/** Null for a record that is not exactly ours: then nothing was proven. */
function readRecord(
  { startedAt, record }: StoredPendingLogin,
  handle: string,
  binding: string | undefined,
): ResumedLogin | null {
  const read = parseRecord(record);
  const fields = ['account', 'subject', 'methods', 'provenAt', 'factors', 'binding'];
  const [id, subject, methods, provenAt, factors, bound] = fields.map((field) => own(read, field));
  if (
    own(read, 'v') !== 1 ||
    typeof id !== 'string' ||
    typeof subject !== 'string' ||
    !Array.isArray(methods) ||
    !isCount(provenAt) ||
    typeof factors !== 'string' ||
    (bound !== '' && bound !== bindingHash(binding))
  ) {
    return null;
  }
  return {
    account: { id },
    subject: subject === '' ? undefined : subject,
    startedAt,
    methods: methods as string[],
    provenAt,
    handle,
    factors,
  };
}
