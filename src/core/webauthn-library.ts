import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server';
import { keyAlgorithms } from './credential-key.js';
import type { RelyingParty } from './relying-party.js';
import type { CeremonyResponse } from './webauthn-response.js';

/** The library's verdict on a registration, an attestation's signature included. */
export function isRegistrationVerified(
  rp: RelyingParty,
  { id, parts }: CeremonyResponse<'clientDataJSON' | 'attestationObject'>,
  challenge: string,
): Promise<boolean> {
  return isVerified(
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
  return isVerified(
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
async function isVerified(verification: Promise<{ readonly verified: boolean }>): Promise<boolean> {
  try {
    const { verified } = await verification;
    return verified;
  } catch {
    return false;
  }
}
