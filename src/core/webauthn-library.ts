import { keyAlgorithms } from './credential-key.js';
import type { RelyingParty } from './relying-party.js';
import type { CeremonyResponse } from './webauthn-response.js';

type Library = typeof import('@simplewebauthn/server');

let library: Promise<Library> | undefined;

/** Loaded where security keys are in use: it takes longer than all the rest of the package. */
export function webauthnLibrary(): Promise<Library> {
  library ??= import('@simplewebauthn/server');
  return library;
}

/** The library's verdict on a registration, an attestation's signature included. */
export function isRegistrationVerified(
  rp: RelyingParty,
  { id, parts }: CeremonyResponse<'clientDataJSON' | 'attestationObject'>,
  challenge: string,
): Promise<boolean> {
  return isVerified(({ verifyRegistrationResponse }) =>
    verifyRegistrationResponse({
      response: bare(id, {
        clientDataJSON: parts.clientDataJSON.toString('base64url'),
        attestationObject: parts.attestationObject.toString('base64url'),
      }),
      ...expected(rp, challenge),
      supportedAlgorithmIDs: [...keyAlgorithms],
    }),
  );
}

/** The library's verdict on an assertion, its signature above all. It does not judge the counter. */
export function isAssertionVerified(
  rp: RelyingParty,
  { id, parts }: CeremonyResponse<'clientDataJSON' | 'authenticatorData' | 'signature'>,
  challenge: string,
  publicKey: string,
): Promise<boolean> {
  return isVerified(({ verifyAuthenticationResponse }) =>
    verifyAuthenticationResponse({
      response: bare(id, {
        clientDataJSON: parts.clientDataJSON.toString('base64url'),
        authenticatorData: parts.authenticatorData.toString('base64url'),
        signature: parts.signature.toString('base64url'),
      }),
      ...expected(rp, challenge),
      ...(rp.allowCrossOriginFrom !== undefined && { expectedTopOrigin: [...rp.allowCrossOriginFrom] }),
      // With the stored counter, an answer that nobody signed would be reported as a clone.
      credential: { id, publicKey: new Uint8Array(Buffer.from(publicKey, 'base64url')), counter: 0 },
    }),
  );
}

/** Only members that were checked go on to the library. */
function bare<T>(id: string, response: T) {
  return { id, rawId: id, type: 'public-key' as const, clientExtensionResults: {}, response };
}

function expected(rp: RelyingParty, challenge: string) {
  return {
    expectedChallenge: challenge,
    expectedOrigin: [...rp.origins],
    expectedRPID: rp.id,
    requireUserVerification: rp.userVerification === 'required',
  };
}

/** The library throws for much of what is forged, in words that quote it: all that is one no. */
async function isVerified(
  verify: (library: Library) => Promise<{ readonly verified: boolean }>,
): Promise<boolean> {
  const loaded = await webauthnLibrary();
  try {
    const { verified } = await verify(loaded);
    return verified;
  } catch {
    return false;
  }
}
