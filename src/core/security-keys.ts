import { accountKey, type Account } from './account.js';
import type { FactorBook } from './factor-book.js';
import { addFactor, type AddingFactor, type FactorAddition } from './factor-changes.js';
import type { Factors } from './factor-record.js';
import type { ChallengeStore, FactorStore } from './factor-store.js';
import type { FactorJudgement } from './factor-verdict.js';
import { keyHash } from './key-hash.js';
import { ask, isBoolean, isNothing, isTextOrNull } from './store-call.js';
import {
  authenticationOptions,
  ceremonyTimeoutMs,
  registrationOptions,
  verifyAuthentication,
  verifyRegistration,
  type RelyingParty,
  type SecurityKey,
} from './webauthn.js';

/** FIDO security keys of accounts: each challenge good once, each credential one account's. */
export class SecurityKeys {
  constructor(
    readonly book: FactorBook,
    readonly credentials: FactorStore,
    readonly challenges: ChallengeStore,
    readonly party: RelyingParty,
    readonly now: () => number,
  ) {}

  /** `PublicKeyCredentialCreationOptionsJSON` for the browser; replaces a registration that was started before. */
  async beginRegistration(account: Account, userName: string): Promise<object> {
    const existing = keysOf(await this.book.read(account));
    const options = await registrationOptions(this.party, {
      userId: userHandleOf(account),
      userName,
      existing,
    });
    await this.#save(registrationKey(account), options.challenge);
    return options;
  }

  /** Uses the registration's challenge up, whatever comes of it. `conflict` for a key that is registered already. */
  async confirmRegistration(
    account: Account,
    response: unknown,
    name: string,
    adding: AddingFactor,
  ): Promise<FactorAddition> {
    // Read before the challenge is taken: of a reset in between, one or the other tells.
    const { resets } = await this.book.read(account);
    const challenge = await this.#take(registrationKey(account));
    const key =
      challenge === null ? null : await verifyRegistration(this.party, response, challenge, this.now());
    if (key === null) return { outcome: 'wrong' };
    await adding.before?.();
    const claim = (): Promise<boolean> =>
      this.credentials.claimCredential(keyHash('credential', key.id), accountKey(account.id));
    if (!(await ask(claim, isBoolean))) return { outcome: 'conflict' };
    const factor = { ...key, name, createdAt: this.now(), lastUsedAt: null };
    const added = await addFactor(this.book, account, factor, { ...adding, resets });
    if (added.outcome !== 'added') await this.#releaseUnused(account, key.id);
    return added;
  }

  /** What is begun can be confirmed no more. */
  async endRegistration(account: Account): Promise<void> {
    await this.#take(registrationKey(account));
  }

  /** `PublicKeyCredentialRequestOptionsJSON` for one step of one login; null when the account has no key. */
  async challenge(account: Account, step: string, factors: Factors): Promise<object | null> {
    const keys = keysOf(factors);
    if (keys.length === 0) return null;
    const options = await authenticationOptions(this.party, keys);
    await this.#save(assertionKey(account, step), options.challenge);
    return options;
  }

  /** Checks the answer to the challenge of that step, which it uses up whatever comes of it. */
  async accept(account: Account, step: string, response: unknown): Promise<FactorJudgement> {
    const challenge = await this.#take(assertionKey(account, step));
    if (challenge === null) return 'wrong';
    const keys = keysOf(await this.book.read(account));
    const verdict = await verifyAuthentication(this.party, response, challenge, keys, userHandleOf(account));
    if (verdict.outcome !== 'verified') return verdict.outcome === 'cloned' ? 'cloned' : 'wrong';
    const { counter, backedUp } = verdict;
    return this.book.change<FactorJudgement>(account, (factors) => {
      const key = keysOf(factors).find(({ id }) => id === verdict.key);
      if (key === undefined) return { factors: null, answer: 'wrong' };
      // Compared again with what is stored now: of two answers with one counter, one is a copy.
      const isAhead = counter > key.counter || (counter === 0 && key.counter === 0);
      if (!isAhead) return { factors: null, answer: 'cloned' };
      const used = { ...key, counter, backedUp, lastUsedAt: this.now() };
      const list = factors.list.map((one) => (one.id === key.id ? used : one));
      return { factors: { ...factors, list, wrongCodes: 0 }, answer: { codesLeft: null } };
    });
  }

  /** Lets the keys among removed factors be registered again, by whomever. */
  async releaseAll(
    account: Account,
    removed: readonly { readonly id: string; readonly type: string }[],
  ): Promise<void> {
    const owner = accountKey(account.id);
    const keys = removed.filter(({ type }) => type === 'webauthn').map(({ id }) => keyHash('credential', id));
    const release = (key: string): Promise<void> =>
      ask(() => this.credentials.releaseCredential(key, owner), isNothing);
    await Promise.all(keys.map(release));
  }

  /** A key that was not added after all; the account may have it from another request, and keeps it then. */
  async #releaseUnused(account: Account, id: string): Promise<void> {
    const { list } = await this.book.read(account);
    if (!list.some((factor) => factor.id === id)) await this.releaseAll(account, [{ id, type: 'webauthn' }]);
  }

  async #save(key: string, challenge: string): Promise<void> {
    await ask(() => this.challenges.saveChallenge(key, challenge, ceremonyTimeoutMs), isNothing);
  }

  async #take(key: string): Promise<string | null> {
    return ask(() => this.challenges.takeChallenge(key), isTextOrNull);
  }
}

function keysOf({ list }: Factors): SecurityKey[] {
  return list.filter((factor) => factor.type === 'webauthn');
}

/** The user handle of WebAuthn: 32 bytes that are no personal data (Level 2, section 14.6.1). */
function userHandleOf(account: Account): string {
  return keyHash('webauthn user', account.id);
}

function registrationKey(account: Account): string {
  return keyHash('webauthn registration', accountKey(account.id));
}

function assertionKey(account: Account, step: string): string {
  return keyHash('webauthn assertion', accountKey(account.id), step);
}
