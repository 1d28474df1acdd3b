import { randomBytes } from 'node:crypto';
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server';
import { isFromAllowedModel } from './attestation-trust.js';
import { isUnprovenStatement, readAttestation, withoutStatement } from './attestation.js';
import { readAuthenticatorData } from './authenticator-data.js';
import { keyAlgorithm, keyAlgorithms } from './credential-key.js';
import type { RelyingParty } from './relying-party.js';
import { own } from './store-call.js';
import { isAssertionVerified, isRegistrationVerified, webauthnLibrary } from './webauthn-library.js';
import { isAuthenticatedFor, isClientDataFor, readResponse } from './webauthn-response.js';

export { relyingParty, type RelyingParty, type RelyingPartyOptions } from './relying-party.js';

/** A registered credential, as an account's record keeps it. */
export interface SecurityKey {
  readonly type: 'webauthn';
  /** Credential id, base64url. */
  readonly id: string;
  /** Given by its owner. */
  readonly name: string;
  /** COSE_Key, base64url. */
  readonly publicKey: string;
  /** Signature counter of its last use; 0 for ever on keys without one. */
  readonly counter: number;
  readonly transports: readonly string[];
  /** Model, as the key claims: proven only for keys registered under `allowedAuthenticators`. */
  readonly aaguid: string;
  readonly backedUp: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
}

export type NewSecurityKey = Omit<SecurityKey, 'name' | 'createdAt' | 'lastUsedAt'>;

export type AssertionVerdict =
  | {
      readonly outcome: 'verified';
      readonly key: string;
      /** To be stored by compare-and-set: of two equal answers one must lose. */
      readonly counter: number;
      readonly backedUp: boolean;
    }
  /** Signed by the key, but its counter did not advance: there are two of it, or an old answer came late. */
  | { readonly outcome: 'cloned'; readonly key: string }
  | { readonly outcome: 'refused' };

/** How long a client waits for its user; WebAuthn Level 3 section 15.1 recommends five to ten minutes. */
export const ceremonyTimeoutMs = 300_000;

const knownTransports = ['usb', 'nfc', 'ble', 'smart-card', 'hybrid', 'internal'];
const refused: AssertionVerdict = { outcome: 'refused' };

/**
 * What a client needs to register a key. No passkey is asked for, since the key is a second factor, found by its id;
 * and an attestation only where `allowedAuthenticators` are to be told from others.
 *
 * @param user - `id`: 64 hexadecimal digits; authenticators show it to whoever holds them, so nothing personal.
 */
export async function registrationOptions(
  rp: RelyingParty,
  user: { readonly userId: string; readonly userName: string; readonly existing: readonly SecurityKey[] },
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const { generateRegistrationOptions } = await webauthnLibrary();
  return generateRegistrationOptions({
    rpName: rp.name,
    rpID: rp.id,
    userID: new Uint8Array(Buffer.from(user.userId, 'hex')),
    userName: user.userName,
    challenge: newChallenge(),
    timeout: ceremonyTimeoutMs,
    attestationType: rp.allowedAuthenticators === undefined ? 'none' : 'direct',
    authenticatorSelection: { residentKey: 'discouraged', userVerification: rp.userVerification },
    supportedAlgorithmIDs: [...keyAlgorithms],
    excludeCredentials: user.existing.map(descriptor),
  });
}

/**
 * The key that answers a challenge of `registrationOptions`; null for every answer that is forged or malformed.
 * The caller must have taken the challenge from its store, once, and must see that no other account has the key.
 *
 * @param response - A RegistrationResponseJSON, as the client sent it.
 * @param now - Milliseconds since the epoch. Under `allowedAuthenticators` nothing passes without it.
 * @see WebAuthn Level 3 section 7.1
 */
export async function verifyRegistration(
  rp: RelyingParty,
  response: unknown,
  challenge: string,
  now = Number.NaN,
): Promise<NewSecurityKey | null> {
  const given = readResponse(response, 'clientDataJSON', 'attestationObject'); // steps 3 and 25
  if (given === null) return null;
  if (!isClientDataFor(rp, 'webauthn.create', challenge, given.parts.clientDataJSON)) return null; // steps 5 to 11
  const attestation = readAttestation(given.parts.attestationObject); // step 13
  if (attestation === null || !isAuthenticatedFor(rp, attestation.data)) return null; // steps 14 to 17
  const { data } = attestation;
  if (data.attested === null || data.attested.id.toString('base64url') !== given.id) return null;
  const algorithm = keyAlgorithm(data.attested.publicKey); // step 20
  if (algorithm === null) return null;
  const models = rp.allowedAuthenticators;
  const isFit = // steps 21 to 24
    models === undefined
      ? isUnprovenStatement(attestation, algorithm)
      : isFromAllowedModel(models, attestation, given.parts.clientDataJSON, now);
  if (!isFit) return null;
  const transports = own(given.rest, 'transports') ?? [];
  if (!Array.isArray(transports)) return null;
  // Of a proven statement the library learns nothing: it would judge by global settings, and look up revocations.
  const object = models === undefined ? given.parts.attestationObject : withoutStatement(attestation);
  const known = { ...given, parts: { ...given.parts, attestationObject: object } };
  if (!(await isRegistrationVerified(rp, known, challenge))) return null;
  return {
    type: 'webauthn',
    id: given.id,
    publicKey: data.attested.publicKey.toString('base64url'),
    counter: data.counter,
    transports: knownTransports.filter((transport) => transports.includes(transport)),
    aaguid: data.attested.aaguid,
    backedUp: data.backedUp,
  };
}

/** What a client needs to answer with one of these keys. */
export async function authenticationOptions(
  rp: RelyingParty,
  keys: readonly SecurityKey[],
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const { generateAuthenticationOptions } = await webauthnLibrary();
  return generateAuthenticationOptions({
    rpID: rp.id,
    challenge: newChallenge(),
    timeout: ceremonyTimeoutMs,
    userVerification: rp.userVerification,
    allowCredentials: keys.map(descriptor),
  });
}

/**
 * Judges an answer to a challenge of `authenticationOptions`. The caller must have taken the challenge from its
 * store, once, and must hand in the keys of the one account whose login this is.
 *
 * @param response - An AuthenticationResponseJSON, as the client sent it.
 * @param userHandle - The account's `userId` of `registrationOptions`.
 * @see WebAuthn Level 3 section 7.2
 */
export async function verifyAuthentication(
  rp: RelyingParty,
  response: unknown,
  challenge: string,
  keys: readonly SecurityKey[],
  userHandle: string,
): Promise<AssertionVerdict> {
  const given = readResponse(response, 'clientDataJSON', 'authenticatorData', 'signature'); // step 3
  const key = keys.find(({ id }) => id === given?.id); // steps 5 and 6
  if (given === null || key === undefined || !isHandle(own(given.rest, 'userHandle'), userHandle))
    return refused;
  const { clientDataJSON, authenticatorData } = given.parts;
  if (!isClientDataFor(rp, 'webauthn.get', challenge, clientDataJSON)) return refused; // steps 8 to 14
  const data = readAuthenticatorData(authenticatorData);
  if (data === null || !isAuthenticatedFor(rp, data)) return refused; // steps 15 to 18
  // Section 6.1: only a new credential comes with its key. Step 19: one that was backed up stays eligible for it.
  if (data.attested !== null || (key.backedUp && !data.backupEligible)) return refused;
  if (!(await isAssertionVerified(rp, given, challenge, key.publicKey))) return refused; // steps 20 and 21
  const advanced = data.counter > key.counter || (data.counter === 0 && key.counter === 0); // step 22
  if (!advanced) return { outcome: 'cloned', key: key.id };
  return { outcome: 'verified', key: key.id, counter: data.counter, backedUp: data.backedUp };
}

function newChallenge(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(randomBytes(32));
}

function descriptor({ id, transports }: SecurityKey): { id: string; transports: string[] } {
  return { id, transports: [...transports] };
}

function isHandle(given: unknown, userHandle: string): boolean {
  // Keys of the U2F era have none; some clients write that as null or empty.
  if (given === undefined || given === null || given === '') return true;
  return given === Buffer.from(userHandle, 'hex').toString('base64url');
}
