import { createHash, timingSafeEqual } from 'node:crypto';
import type { AuthenticatorData } from './authenticator-data.js';
import type { RelyingParty } from './relying-party.js';
import { own } from './store-call.js';

/** Longest parts taken, in bytes. Real ones stay below a quarter of them. */
const byteLimits = {
  clientDataJSON: 4096,
  authenticatorData: 4096,
  attestationObject: 16_384,
  signature: 1024,
};
type Part = keyof typeof byteLimits;

/** WebAuthn Level 3 sections 4 (at least 16 bytes) and 7.1 step 25. */
const credentialIdBytes = { least: 16, most: 1023 };

export interface CeremonyResponse<P extends Part> {
  readonly id: string;
  readonly parts: Readonly<Record<P, Buffer>>;
  /** The `response` member, for what only one kind of ceremony has. */
  readonly rest: unknown;
}

/**
 * A RegistrationResponseJSON or AuthenticationResponseJSON with these parts, cut on length before anything is
 * decoded; null for any other shape. Members that are not named here are never looked at.
 */
export function readResponse<P extends Part>(
  response: unknown,
  ...names: readonly P[]
): CeremonyResponse<P> | null {
  const id = own(response, 'id');
  if (readBase64url(id, credentialIdBytes.most, credentialIdBytes.least) === null) return null;
  if (own(response, 'rawId') !== id || own(response, 'type') !== 'public-key') return null;
  const rest = own(response, 'response');
  const parts = {} as Record<P, Buffer>;
  for (const name of names) {
    const bytes = readBase64url(own(rest, name), byteLimits[name], 1);
    if (bytes === null) return null;
    parts[name] = bytes;
  }
  return { id: id as string, parts, rest };
}

/** Only the one canonical spelling: a second one of the same bytes would be a second name of the same thing. */
function readBase64url(text: unknown, mostBytes: number, leastBytes: number): Buffer | null {
  if (typeof text !== 'string' || text.length > Math.ceil((mostBytes * 4) / 3)) return null;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length >= leastBytes && bytes.toString('base64url') === text ? bytes : null;
}

/**
 * What the browser vouches for: WebAuthn Level 3 section 7.1 steps 5 to 11, section 7.2 steps 8 to 14. A key that
 * occurs twice counts as JSON.parse counts it, the last time.
 */
export function isClientDataFor(
  { origins, allowCrossOriginFrom = [] }: RelyingParty,
  type: 'webauthn.create' | 'webauthn.get',
  challenge: string,
  bytes: Buffer,
): boolean {
  const client = parseJson(bytes);
  const topOrigin = own(client, 'topOrigin');
  const crossOrigin = own(client, 'crossOrigin') ?? false;
  return (
    own(client, 'type') === type &&
    isSameText(own(client, 'challenge'), challenge) &&
    includes(origins, own(client, 'origin')) &&
    // Cross-origin without a top origin could be embedded anywhere; a top origin without it is a contradiction.
    (crossOrigin === false
      ? topOrigin === undefined
      : crossOrigin === true && includes(allowCrossOriginFrom, topOrigin))
  );
}

/** What the authenticator vouches for: section 7.1 steps 14 to 17, section 7.2 steps 15 to 18. */
export function isAuthenticatedFor(rp: RelyingParty, data: AuthenticatorData): boolean {
  return (
    data.rpIdHash.equals(createHash('sha256').update(rp.id).digest()) &&
    data.userPresent &&
    (data.userVerified || rp.userVerification !== 'required') &&
    (data.backupEligible || !data.backedUp)
  );
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function includes(list: readonly string[], value: unknown): boolean {
  return typeof value === 'string' && list.includes(value);
}

/** In constant time. An empty expectation equals nothing: no challenge was given out. */
function isSameText(given: unknown, expected: string): boolean {
  if (typeof given !== 'string' || expected === '') return false;
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
