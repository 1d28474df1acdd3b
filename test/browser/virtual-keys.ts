import type { CDPSession, Page } from 'playwright-core';
import type { Json } from './visitor.js';

export interface KeyModel {
  readonly protocol: 'ctap2' | 'u2f';
  readonly transport: 'usb' | 'nfc' | 'ble' | 'internal';
  /** Whether it has a PIN or a finger to verify its user by, and whether that is the right one. */
  readonly hasUserVerification?: boolean;
  readonly isUserVerified?: boolean;
}

/** As the DevTools give it away: bytes in base64. */
export interface StoredCredential {
  readonly credentialId: string;
  readonly isResidentCredential: boolean;
  readonly rpId?: string;
  readonly privateKey: string;
  readonly userHandle?: string;
  readonly signCount: number;
}

export const usbKey: KeyModel = { protocol: 'ctap2', transport: 'usb' };

/** One authenticator that a browser's page can reach; it is touched whenever it blinks. */
export interface VirtualKey {
  /** What no real key gives away. */
  credentials(): Promise<readonly StoredCredential[]>;
  /** Puts a credential in, in place of the one of that id. */
  put(credential: StoredCredential): Promise<void>;
  /** Whether somebody is there to touch it. */
  touch(isTouched: boolean): Promise<void>;
  /** Whether the PIN or the finger is the right one. */
  verifyUser(isVerified: boolean): Promise<void>;
  unplug(): Promise<void>;
}

/** The ports of one page's computer. */
export interface Sockets {
  readonly plug: (model?: KeyModel) => Promise<VirtualKey>;
}

/** @see https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/ */
export async function socketsOf(page: Page): Promise<Sockets> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  return { plug: (model = usbKey) => plug(session, model) };
}

async function plug(session: CDPSession, model: KeyModel): Promise<VirtualKey> {
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: { automaticPresenceSimulation: true, ...model },
  });

  async function credentials(): Promise<readonly StoredCredential[]> {
    return (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
  }

  return {
    credentials,
    async put(credential) {
      const { credentialId } = credential;
      if ((await credentials()).some((one) => one.credentialId === credentialId))
        await session.send('WebAuthn.removeCredential', { authenticatorId, credentialId });
      await session.send('WebAuthn.addCredential', { authenticatorId, credential });
    },
    async touch(isTouched) {
      await session.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: isTouched });
    },
    async verifyUser(isVerified) {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: isVerified });
    },
    async unplug() {
      await session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
    },
  };
}

/** What an answer's authenticator says of its user. */
export function flagsOf(answer: Json): { userPresent: boolean; userVerified: boolean } {
  const flags = Buffer.from(answer.response.authenticatorData, 'base64url')[32] ?? 0;
  return { userPresent: (flags & 1) !== 0, userVerified: (flags & 4) !== 0 };
}

/** The signature counter of an answer. */
export function counterOf(answer: Json): number {
  return Buffer.from(answer.response.authenticatorData, 'base64url').readUInt32BE(33);
}

/** A registration under another credential id of the same length: unattested, nothing in it is signed. */
export function withCredentialId(answer: Json, id: string): Json {
  const [former, bytes] = [answer.id, id].map((text: string) => Buffer.from(text, 'base64url'));
  const object = Buffer.from(answer.response.attestationObject, 'base64url');
  if (former === undefined || bytes === undefined || former.length !== bytes.length)
    throw new Error('ids of two lengths');
  bytes.copy(object, object.indexOf(former));
  const response = { ...answer.response, attestationObject: object.toString('base64url') };
  return { ...answer, id, rawId: id, response };
}
