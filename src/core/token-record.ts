import type { Account } from './account.js';
import { StoreUnavailable } from './errors.js';
import { parseRecord } from './record.js';
import { isCount, own } from './store-call.js';
import type { StoredToken } from './token-store.js';

/** What may be known of a token. The token itself is shown once, in the answer to the login. */
export interface TokenFacts {
  /** Names the token in lists, logs and `revoke`; it opens nothing. */
  readonly id: string;
  /** Scope values separated by spaces (RFC 6749 section 3.3); empty for none. */
  readonly scope: string;
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** A live token: whose it is and which login it was issued by. */
export interface VerifiedToken {
  readonly account: Account;
  readonly methods: readonly string[];
  /** When the password was proven, in seconds since the epoch. */
  readonly authTime: number;
  readonly token: TokenFacts;
}

/** What the store keeps of a token beside its hash and its times. */
export function writeTokenRecord(facts: {
  readonly account: string;
  readonly scope: string;
  readonly name: string;
  readonly methods: readonly string[];
  readonly authTime: number;
}): string {
  return JSON.stringify({ v: 1, ...facts });
}

/** A record that is not exactly ours means that the store is not to be trusted now. */
export function readTokenRecord({ key, createdAt, expiresAt, record }: StoredToken): VerifiedToken {
  const read = parseRecord(record);
  const [id, scope, name, methods, authTime] = ['account', 'scope', 'name', 'methods', 'authTime'].map(
    (field) => own(read, field),
  );
  if (
    own(read, 'v') !== 1 ||
    typeof id !== 'string' ||
    typeof scope !== 'string' ||
    typeof name !== 'string' ||
    !Array.isArray(methods) ||
    !isCount(authTime)
  ) {
    throw new StoreUnavailable('a token record that makes no sense');
  }
  const tokenId = Buffer.from(key, 'hex').toString('base64url');
  return {
    account: { id },
    methods: methods as string[],
    authTime,
    token: { id: tokenId, scope, name, createdAt, expiresAt },
  };
}
