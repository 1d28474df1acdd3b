import { jest, beforeAll, describe, expect, it } from '@jest/globals';
import type { SecurityKey } from '../../src/core/webauthn.js';
import {
  flagBits,
  Raw,
  sha256,
  SoftwareAuthenticator,
  type AssertionLies,
  type CborValue,
  type RegistrationLies,
} from '../rig/software-authenticator.js';

/** The library as a careless or hostile version of it: everything is verified (SUP-06). */
jest.unstable_mockModule('@simplewebauthn/server', () => ({
  generateAuthenticationOptions: () => Promise.resolve({ challenge: 'fresh' }),
  generateRegistrationOptions: () => Promise.resolve({ challenge: 'fresh' }),
  verifyAuthenticationResponse: () => Promise.resolve({ verified: true }),
  verifyRegistrationResponse: () => Promise.resolve({ verified: true }),
}));

const { relyingParty, verifyAuthentication, verifyRegistration } = await import('../../src/core/webauthn.js');

const origin = 'https://acme.example';
const rp = relyingParty({ name: 'Acme', origins: [origin], userVerification: 'required' });
const server = { challenge: 'fresh' };
const userId = sha256('alice').toString('hex');
const { up, uv, be, bs, at } = flagBits;

const packed: [string, CborValue][] = [
  ['alg', -7],
  ['sig', Buffer.alloc(8)],
];

function device(): SoftwareAuthenticator {
  return new SoftwareAuthenticator({ origin, rpId: 'acme.example', userVerified: true });
}

const lies: [string, AssertionLies & RegistrationLies][] = [
  ['another type', { type: 'payment.get' }],
  ['another challenge', { challenge: 'stale' }],
  ['another challenge of the same length', { challenge: 'Fresh' }],
  ['another origin', { origin: 'https://evil.example' }],
  ['a frame', { crossOrigin: true }],
  ['another RP ID', { rpIdHash: sha256('evil.example') }],
  ['another rawId', { rawId: 'A'.repeat(43) }],
  ['another id', { id: 'A'.repeat(43) }],
  ['bytes behind the authenticator data', { trailing: Buffer.of(0) }],
  ['another credential type', { credentialType: 'password' }],
];

describe('with a library that verifies everything (SUP-06)', () => {
  let key: SecurityKey;
  const authenticator = device();

  beforeAll(async () => {
    const made = await verifyRegistration(rp, authenticator.register(server), 'fresh');
    if (made === null) throw new Error('an honest registration was refused');
    key = { ...made, name: 'key', createdAt: 0, lastUsedAt: null };
  });

  it.each<[string, AssertionLies]>([
    ...lies,
    ['nobody present', { flags: uv }],
    ['nobody verified', { flags: up }],
    ['an impossible backup', { flags: up | uv | bs }],
    ['the handle of another', { userHandle: sha256('bob').toString('base64url') }],
  ])('an assertion of %s is refused', async (_, forged) => {
    const answer = authenticator.authenticate(server, forged);
    expect(await verifyAuthentication(rp, answer, 'fresh', [key], userId)).toEqual({ outcome: 'refused' });
  });

  it.each<[string, RegistrationLies]>([
    ...lies,
    ['nobody present', { flags: uv | at }],
    ['nobody verified', { flags: up | at }],
    ['an impossible backup', { flags: up | uv | at | bs }],
    ['an algorithm that was not offered', { alg: -35 }],
    ['an unknown format', { fmt: 'new' }],
    ['another format with a packed statement', { fmt: 'tpm', attStmt: new Map<string, CborValue>(packed) }],
    [
      'certificates that nobody asked for',
      { fmt: 'packed', attStmt: new Map<string, CborValue>([...packed, ['x5c', [Buffer.alloc(9)]]]) },
    ],
    [
      'a statement signed in text',
      {
        fmt: 'packed',
        attStmt: new Map<string, CborValue>([
          ['alg', -7],
          ['sig', 'x'],
        ]),
      },
    ],
    ['no attestation with a statement', { attStmt: new Map<string, CborValue>(packed) }],
    ['a statement of null', { attStmt: new Raw(Buffer.of(0xf6)) }],
    ['extensions that are no map', { extensions: [1], flags: up | uv | at | flagBits.ed }],
  ])('a registration of %s is refused', async (_, forged) => {
    expect(await verifyRegistration(rp, device().register(server, forged), 'fresh')).toBeNull();
  });

  it('an honest ceremony passes', async () => {
    const answer = authenticator.authenticate(server, { flags: up | uv | be });
    expect(await verifyAuthentication(rp, answer, 'fresh', [key], userId)).toMatchObject({
      outcome: 'verified',
    });
  });
});
