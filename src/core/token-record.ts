import type { Account } from './account.js';
import { StoreUnavailable } from './errors.js';
import { parseRecord } from './record.js';
import { isCount, isTextOrNull, own } from './store-call.js';
import type { TokenCarrier } from './token-grant.js';
import { tokenKey } from './token-secret.js';
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
  /** Milliseconds since the epoch, up to two minutes late; null for a token that was never used. */
  readonly lastUsedAt: number | null;
  /** It ends when it is not used for so long; null where it does not. */
  readonly idleSeconds: number | null;
  /** Address that the login came from; empty where it is not known. */
  readonly address: string;
  readonly carry: TokenCarrier;
  /** OAuth client that it was issued to; null where that was none. */
  readonly client: string | null;
  /** Issuer identifier (RFC 8414) of the authorization server that knows that client; null where there was none. */
  readonly server: string | null;
  /** Id of the account that issued it to a robot; null for a token of a login. */
  readonly issuer: string | null;
}

/** A live token: whose it is and which login it was issued by. */
export interface VerifiedToken {
  readonly account: Account;
  readonly methods: readonly string[];
  /** When the password was proven, in seconds since the epoch; 0 where there was no login. */
  readonly authTime: number;
  readonly token: TokenFacts;
}

/** A live token in a list: what may be known of it, and how its owner logged in. */
export interface ListedToken extends TokenFacts {
  /** RFC 8176 values; empty where there was no login. */
  readonly methods: readonly string[];
}

/** What the store keeps of a token beside its hash and its times. */
export interface TokenRecord {
  readonly account: string;
  readonly scope: string;
  readonly name: string;
  readonly methods: readonly string[];
  readonly authTime: number;
  readonly address: string;
  readonly carry: TokenCarrier;
  readonly idleSeconds: number | null;
  readonly client: string | null;
  readonly server: string | null;
  readonly issuer: string | null;
}

export function writeTokenRecord(record: TokenRecord): string {
  return JSON.stringify({ v: 1, ...record });
}

/** A record that is not exactly ours means that the store is not to be trusted now. */
export function readTokenRecord({ key, createdAt, expiresAt, usedAt, record }: StoredToken): VerifiedToken {
  const read = parseRecord(record);
  if (!isTokenRecord(read)) throw new StoreUnavailable('a token record that makes no sense');
  const { account, scope, name, methods, authTime, address, carry, idleSeconds } = read;
  const { client, server, issuer } = read;
  return {
    account: { id: account },
    methods,
    authTime,
    token: {
      id: idOfKey(key),
      scope,
      name,
      createdAt,
      expiresAt,
      lastUsedAt: usedAt,
      idleSeconds,
      address,
      carry,
      client,
      server,
      issuer,
    },
  };
}

export function readListedToken(stored: StoredToken): ListedToken {
  const { token, methods } = readTokenRecord(stored);
  return { ...token, methods };
}

/** The hash that a token is stored under, in shorter letters. */
function idOfKey(key: string): string {
  return Buffer.from(key, 'hex').toString('base64url');
}

/** The id of the token with this secret, whether there is one or not. */
export function idOfSecret(secret: string): string {
  return idOfKey(tokenKey(secret));
}

/** Null for what is no token's id. */
export function keyOfId(id: string): string | null {
  if (!/^[A-Za-z0-9_-]{43}$/.test(id)) return null;
  const key = Buffer.from(id, 'base64url').toString('hex');
  // The last letter holds two bits that say nothing: of the four spellings of a hash one is an id.
  return idOfKey(key) === id ? key : null;
}

const textFields = ['account', 'scope', 'name', 'address'] as const;

function isTokenRecord(read: unknown): read is TokenRecord {
  return (
    own(read, 'v') === 1 &&
    textFields.every((field) => typeof own(read, field) === 'string') &&
    Array.isArray(own(read, 'methods')) &&
    isCount(own(read, 'authTime')) &&
    (own(read, 'carry') === 'bearer' || own(read, 'carry') === 'session') &&
    (own(read, 'idleSeconds') === null || isCount(own(read, 'idleSeconds'))) &&
    ['client', 'server', 'issuer'].every((field) => isTextOrNull(own(read, field)))
  );
}
