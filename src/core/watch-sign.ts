import { canonicalAddress, sourceOfCanonical } from './address-source.js';
import type { AuthEvent } from './auth-event.js';
import { keyHash } from './key-hash.js';

/** The request that something was last seen in. */
export interface Seen {
  readonly address: string | null;
  readonly userAgent: string;
  readonly requestId: string;
}

export type SignType =
  | 'failed'
  | 'refused'
  | 'locked'
  | 'factor_failed'
  | 'factor_refused'
  | 'factors_spent'
  | 'cloned'
  | 'replayed'
  | 'device_replayed'
  | 'succeeded';

/** What an event says to one of the documents. */
export interface Sign {
  readonly type: SignType;
  /** Short hash of the source; '' for none. */
  readonly source: string;
  /** Short hashes of the account and the subject: what a source tried. */
  readonly members: readonly string[];
  /** How often: signs that say the same are one while they wait. */
  readonly times: number;
  readonly seen: Seen;
  /** Of a login that succeeded. */
  readonly login: SeenLogin | null;
}

export interface SeenLogin {
  readonly account: string;
  readonly device: 'known' | 'new' | undefined;
  /** It proved a second factor. */
  readonly hasFactor: boolean;
}

/** What a document is about: an account, a name that may be one, a source, or all names that are nobody's. */
export interface WatchSubject {
  readonly kind: 'account' | 'subject' | 'source' | 'names';
  readonly name: string;
}

/** Wrong, whoever they are from. A replayed code and one that a clock spoilt were right once. */
const wrongFactors = new Set(['wrong', 'malformed', 'suspended', 'cloned']);

/** Which documents an event concerns, and what it says to each. */
export function signsOf(event: AuthEvent): readonly (readonly [WatchSubject, Sign])[] {
  const { ip, userAgent, requestId } = event;
  const address = canonicalAddress(ip);
  const from = address === null ? null : sourceOfCanonical(address);
  const seen = { address, userAgent, requestId };
  const source = from === null ? '' : shortHash('source', from);
  const sign = (type: SignType, members: readonly string[] = [], login: SeenLogin | null = null): Sign => ({
    type,
    source,
    members,
    times: 1,
    seen,
    login,
  });
  const toSource = (type: SignType, members: readonly string[]): [WatchSubject, Sign][] =>
    from === null ? [] : [[{ kind: 'source', name: from }, sign(type, members)]];
  const toTried = (type: SignType): [WatchSubject, Sign][] => {
    const tried = triedBy(event);
    return tried === null ? [] : [[tried, sign(type)]];
  };
  const toAccount = (type: SignType): [WatchSubject, Sign][] =>
    'account' in event && typeof event.account === 'string'
      ? [[{ kind: 'account', name: event.account }, sign(type)]]
      : [];

  switch (event.name) {
    case 'login.failed': {
      const tried = triedBy(event);
      if (tried !== null) return [...toTried('failed'), ...toSource('failed', [memberOf(tried)])];
      const member = event.subject === undefined ? [] : [memberOf({ kind: 'subject', name: event.subject })];
      const names: WatchSubject = { kind: 'names', name: '' };
      const aggregated: [WatchSubject, Sign][] = event.account === null ? [[names, sign('failed')]] : [];
      return [...aggregated, ...(member.length === 0 ? [] : toSource('failed', member))];
    }
    case 'login.refused':
      if (event.reason === 'locked out') return toTried('refused');
      // It cannot fail there while it is locked out, but it goes on.
      if (event.reason === 'address locked out') return toSource('refused', []);
      return event.reason === 'second factor locked out' ? toAccount('factor_refused') : [];
    case 'account.locked':
      return toTried('locked');
    case 'second_factor.failed':
      return wrongFactors.has(event.reason) ? toAccount('factor_failed') : [];
    case 'second_factor.locked':
    case 'pending_login.exhausted':
      return toAccount('factors_spent');
    case 'security_key.cloned':
      return toAccount('cloned');
    case 'totp.replayed':
      return toAccount('replayed');
    case 'device.replayed':
      return toAccount('device_replayed');
    case 'login.succeeded': {
      const { account, subject, methods, device } = event;
      const login = { account, device, hasFactor: methods.includes('otp') || methods.includes('hwk') };
      const whose: WatchSubject[] = [{ kind: 'account', name: account }];
      // Failures were filed under it where `lockout` could not say whose name it is.
      if (subject !== undefined) whose.push({ kind: 'subject', name: subject });
      return [
        ...whose.map((one): [WatchSubject, Sign] => [one, sign('succeeded', [], login)]),
        ...toSource('succeeded', whose.map(memberOf)),
      ];
    }
    default:
      return [];
  }
}

/** One sign for two that say the same; null where they must be told apart. */
export function mergeSigns(last: Sign, sign: Sign): Sign | null {
  const isSame =
    last.login === null &&
    sign.login === null &&
    last.type === sign.type &&
    last.source === sign.source &&
    last.members.join() === sign.members.join();
  return isSame ? { ...sign, times: last.times + sign.times } : null;
}

export function keyOf({ kind, name }: WatchSubject): string {
  return keyHash('watch', kind, name);
}

/** 48 bits of a hash: enough to tell some hundreds apart, and no name. */
export function shortHash(...parts: readonly [string, ...string[]]): string {
  return Buffer.from(keyHash('watch', ...parts), 'hex')
    .subarray(0, 6)
    .toString('base64url');
}

/** Whose password was tried; null for nobody's name, or where it is not known at all. */
function triedBy(event: AuthEvent): WatchSubject | null {
  if (!('account' in event || 'subject' in event)) return null;
  const { account, subject } = event as { account?: string | null; subject?: string };
  if (typeof account === 'string') return { kind: 'account', name: account };
  return account === undefined && subject !== undefined ? { kind: 'subject', name: subject } : null;
}

function memberOf({ kind, name }: WatchSubject): string {
  return shortHash(kind, name);
}
