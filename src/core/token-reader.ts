import { readTokenRecord, type VerifiedToken } from './token-record.js';
import type { StoredToken } from './token-store.js';

/** Tokens whose last reading is remembered, about 1 KB each. */
const mostRemembered = 2000;

/**
 * Reads what the store answers. To read a record costs several times more than to see that it is the one that was read
 * last: that the store still has it is what decides, and that is asked each time. Two generations bound the memory.
 */
export class TokenReader {
  #young = new Map<string, Reading>();
  #old = new Map<string, Reading>();

  /** @throws {StoreUnavailable} for a record that is not ours. */
  read(stored: StoredToken): VerifiedToken {
    const known = this.#young.get(stored.key) ?? this.#old.get(stored.key);
    if (known !== undefined && isSame(known.stored, stored)) return known.found;
    const found = frozen(readTokenRecord(stored));
    if (this.#young.size >= mostRemembered / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(stored.key, { stored, found });
    return found;
  }
}

interface Reading {
  readonly stored: StoredToken;
  readonly found: VerifiedToken;
}

function isSame(one: StoredToken, other: StoredToken): boolean {
  return (
    one.record === other.record &&
    one.createdAt === other.createdAt &&
    one.expiresAt === other.expiresAt &&
    one.usedAt === other.usedAt
  );
}

/** Several requests are told the same facts; none may change them for the others. */
function frozen(found: VerifiedToken): VerifiedToken {
  Object.freeze(found.account);
  Object.freeze(found.methods);
  Object.freeze(found.token);
  return Object.freeze(found);
}
