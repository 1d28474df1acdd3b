import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { readCbor } from '../../src/core/cbor.js';
import {
  authenticationOptions,
  registrationOptions,
  relyingParty,
  verifyAuthentication,
  verifyRegistration,
  type RelyingPartyOptions,
  type SecurityKey,
} from '../../src/core/webauthn.js';
import {
  cbor,
  flagBits,
  Raw,
  sha256,
  SoftwareAuthenticator,
  type AssertionLies,
  type AuthenticatorOptions,
  type CborValue,
  type RegistrationLies,
} from '../rig/software-authenticator.js';
import { makeKeyPair } from '../rig/key-pair.js';

const origin = 'https://login.acme.example';
const site = { name: 'Acme', id: 'acme.example', origins: [origin] };
const rp = relyingParty(site);
const strict = relyingParty({ ...site, userVerification: 'required' });
const framed = relyingParty({ ...site, allowCrossOriginFrom: ['https://partner.example'] });
const userId = sha256('alice').toString('hex');
const handle = sha256('alice').toString('base64url');
const bobsHandle = sha256('bob').toString('base64url');
const { up, uv, be, bs, at, ed } = flagBits;

function device(options: Partial<AuthenticatorOptions> = {}): SoftwareAuthenticator {
  return new SoftwareAuthenticator({ origin, rpId: 'acme.example', ...options });
}

async function beginRegistration() {
  return registrationOptions(rp, { userId, userName: 'alice', existing: [] });
}

async function enrol(authenticator: SoftwareAuthenticator, party = rp): Promise<SecurityKey> {
  const options = await beginRegistration();
  const key = await verifyRegistration(party, authenticator.register(options), options.challenge);
  if (key === null) throw new Error('an honest registration was refused');
  return { ...key, name: 'key', createdAt: 0, lastUsedAt: null };
}

/**
 * An answer, and whether it came within what a request may cost, at best of three. Processor time of this process:
 * what else the machine does is not ours.
 */
async function quickly<T>(work: () => Promise<T>): Promise<{ answer: T; quick: boolean }> {
  for (let run = 1; ; run += 1) {
    const before = process.cpuUsage();
    const answer = await work();
    const { user, system } = process.cpuUsage(before);
    const quick = user + system < 20_000;
    if (quick || run === 3) return { answer, quick };
  }
}

function bytes(text = ''): Buffer {
  return Buffer.from(text, 'base64url');
}

/** An answer whose attestation object was changed on the way. */
function withAttestation(answer: { response: Record<string, unknown> }, change: (object: Buffer) => Buffer) {
  const object = bytes(String(answer.response['attestationObject']));
  return {
    ...answer,
    response: { ...answer.response, attestationObject: change(object).toString('base64url') },
  };
}

function twice(first: string, last: string): string {
  return `{"type":"webauthn.get","challenge":"${first}","challenge":"${last}","origin":"${origin}"}`;
}

/** With one bit of a number in it changed. */
function flipped(signature: Buffer): Buffer {
  signature.writeUInt8(signature.readUInt8(20) ^ 1, 20);
  return signature;
}

function party(options: Partial<RelyingPartyOptions>) {
  return relyingParty({ name: 'Acme', origins: ['https://login.acme.example'], ...options });
}

const nested = (depth: number): Buffer => Buffer.alloc(depth, 0x81);
const map = (...entries: [CborValue, CborValue][]): ReadonlyMap<CborValue, CborValue> => new Map(entries);

describe('options', () => {
  it('asks for a second factor: no attestation, no passkey, our algorithms, a touch', async () => {
    const alices = await enrol(device({ transports: ['nfc', 'usb'] }));
    const options = await registrationOptions(rp, { userId, userName: 'alice', existing: [alices] });
    expect(options).toMatchObject({
      rp: { id: 'acme.example', name: 'Acme' },
      user: { id: handle, name: 'alice', displayName: '' },
      attestation: 'none',
      timeout: 300_000,
      pubKeyCredParams: [-8, -7, -257].map((alg) => ({ alg, type: 'public-key' })),
      authenticatorSelection: {
        residentKey: 'discouraged',
        requireResidentKey: false,
        userVerification: 'discouraged',
      },
      excludeCredentials: [{ id: alices.id, type: 'public-key', transports: ['usb', 'nfc'] }],
    });
    expect(await authenticationOptions(rp, [alices])).toMatchObject({
      rpId: 'acme.example',
      timeout: 300_000,
      userVerification: 'discouraged',
      allowCredentials: [{ id: alices.id, type: 'public-key', transports: ['usb', 'nfc'] }],
    });
  });

  it('asks for user verification where the site demands it', async () => {
    const options = await registrationOptions(strict, { userId, userName: 'alice', existing: [] });
    expect(options.authenticatorSelection?.userVerification).toBe('required');
    expect((await authenticationOptions(strict, [])).userVerification).toBe('required');
  });

  it('has a fresh challenge of 256 bits each time', async () => {
    const all = [
      await beginRegistration(),
      await beginRegistration(),
      await authenticationOptions(rp, []),
      await authenticationOptions(rp, []),
    ].map(({ challenge }) => challenge);
    expect(new Set(all).size).toBe(4);
    for (const challenge of all) expect(Buffer.from(challenge, 'base64url')).toHaveLength(32);
  });
});

describe('an honest ceremony', () => {
  it.each<[string, Partial<AuthenticatorOptions>]>([
    ['ES256 over USB', { alg: 'ES256', transports: ['usb'] }],
    ['ES256 over NFC', { alg: 'ES256', transports: ['nfc'] }],
    ['ES256 in the platform', { alg: 'ES256', transports: ['internal'], userVerified: true }],
    ['EdDSA', { alg: 'EdDSA' }],
    ['RS256', { alg: 'RS256', transports: ['internal'] }],
    ['RS256 of 4096 bits', { alg: 'RS256', rsaBits: 4096 }],
    ['a key of the U2F era', { style: 'u2f', transports: ['usb'] }],
  ])('registers and verifies: %s', async (_, options) => {
    const authenticator = device(options);
    const key = await enrol(authenticator);
    expect(key).toMatchObject({
      type: 'webauthn',
      id: authenticator.id,
      publicKey: cbor(authenticator.coseKey()).toString('base64url'),
      counter: 0,
      transports: options.transports ?? ['usb'],
      aaguid:
        options.style === 'u2f'
          ? '00000000-0000-0000-0000-000000000000'
          : '01234567-89ab-cdef-0123-456789abcdef',
      backedUp: false,
    });
    const request = await authenticationOptions(rp, [key]);
    const answer = authenticator.authenticate(request);
    expect(await verifyAuthentication(rp, answer, request.challenge, [key], userId)).toEqual({
      outcome: 'verified',
      key: key.id,
      counter: 1,
      backedUp: false,
    });
  });

  it('finds the key that answered among several', async () => {
    const [one, two] = [device(), device({ alg: 'EdDSA' })];
    const keys = [await enrol(one), await enrol(two)];
    const request = await authenticationOptions(rp, keys);
    expect(
      await verifyAuthentication(rp, two.authenticate(request), request.challenge, keys, userId),
    ).toMatchObject({ outcome: 'verified', key: two.id });
  });

  it.each<[string, RegistrationLies, object]>([
    ['a packed statement that the key signed itself (WAN-24)', { fmt: 'self' }, { counter: 0 }],
    ['extension data', { extensions: map(['credProtect', 2]) }, {}],
    ['a passkey that is backed up', { flags: up | at | be | bs }, { backedUp: true }],
    ['no transports', { transports: undefined }, { transports: [] }],
    ['unknown transports', { transports: ['usb', 'warp', 5, 'usb'] }, { transports: ['usb'] }],
    ['a counter that began elsewhere', { counter: 2 ** 32 - 1 }, { counter: 2 ** 32 - 1 }],
    ['unknown client data', { extra: { other_keys_can_be_added_here: 'x' } }, {}],
    [
      'a body that names its own expectations, which nobody reads (WAN-03)',
      {
        body: {
          challenge: 'x',
          expectedChallenge: 'x',
          expectedOrigin: 'x',
          origin: 'x',
          rpID: 'x',
          publicKey: 'x',
          counter: 7,
        },
        response: { publicKey: 'x', publicKeyAlgorithm: -65535, authenticatorData: 'x' },
      },
      { counter: 0 },
    ],
  ])('registers with %s', async (_, lies, expected) => {
    const options = await beginRegistration();
    const answer = device().register(options, lies);
    expect(await verifyRegistration(rp, answer, options.challenge)).toMatchObject(expected);
  });

  it.each<[string, AssertionLies, number, number]>([
    ['no user handle, as U2F keys have none', { userHandle: undefined }, 0, 1],
    ['a user handle of null', { userHandle: null }, 0, 1],
    ['an empty user handle', { userHandle: '' }, 0, 1],
    ['no counter at all', { counter: 0 }, 0, 0],
    ['a counter that leapt', { counter: 2 ** 32 - 1 }, 5, 2 ** 32 - 1],
    ['extension data', { extensions: map(['uvm', [[2, 4, 2]]]) }, 0, 1],
    ['no crossOrigin member', { crossOrigin: undefined }, 0, 1],
    [
      'a body that names its own expectations (WAN-03)',
      { body: { challenge: 'x', origin: 'x', rpID: 'x', credential: {}, publicKey: 'x', counter: 9 } },
      0,
      1,
    ],
  ])('verifies with %s', async (_, lies, stored, counter) => {
    const authenticator = device();
    const key = { ...(await enrol(authenticator)), counter: stored };
    const request = await authenticationOptions(rp, [key]);
    const answer = authenticator.authenticate(request, lies);
    expect(await verifyAuthentication(rp, answer, request.challenge, [key], userId)).toEqual({
      outcome: 'verified',
      key: key.id,
      counter,
      backedUp: false,
    });
  });

  it('needs user verification only where the site demands it (WAN-20)', async () => {
    const authenticator = device();
    const key = await enrol(authenticator);
    for (const [party, lies, outcome] of [
      [rp, {}, 'verified'],
      [relyingParty({ ...site, userVerification: 'preferred' }), {}, 'verified'],
      [strict, {}, 'refused'],
      [strict, { flags: up | uv }, 'verified'],
    ] as const) {
      const request = await authenticationOptions(party, [key]);
      const answer = authenticator.authenticate(request, lies);
      const verdict = await verifyAuthentication(party, answer, request.challenge, [key], userId);
      expect(verdict.outcome).toBe(outcome);
    }
    const options = await beginRegistration();
    const { challenge } = options;
    expect(await verifyRegistration(strict, device().register(options), challenge)).toBeNull();
    expect(
      await verifyRegistration(strict, device({ userVerified: true }).register(options), challenge),
    ).not.toBeNull();
  });

  it('takes frames of the sites that an option names, and of no others (WAN-10)', async () => {
    const authenticator = device();
    const key = await enrol(authenticator);
    const request = await authenticationOptions(framed, [key]);
    for (const [lies, fine] of [
      [{ crossOrigin: true, topOrigin: 'https://partner.example' }, true],
      [{ crossOrigin: false }, true],
      [{ crossOrigin: true, topOrigin: 'https://evil.example' }, false],
      [{ crossOrigin: true, topOrigin: ['https://partner.example'] }, false],
      [{ crossOrigin: true }, false],
      [{ crossOrigin: false, topOrigin: 'https://partner.example' }, false],
      [{ crossOrigin: 'true', topOrigin: 'https://partner.example' }, false],
    ] as const) {
      const answer = authenticator.authenticate(request, lies);
      const verdict = await verifyAuthentication(framed, answer, request.challenge, [key], userId);
      expect([lies, verdict.outcome]).toEqual([lies, fine ? 'verified' : 'refused']);
      const registration = await verifyRegistration(
        framed,
        device().register(request, lies),
        request.challenge,
      );
      expect([lies, registration !== null]).toEqual([lies, fine]);
    }
  });

  it('reads a challenge that occurs twice as it was signed, the last one (WAN-31)', async () => {
    const authenticator = device();
    const key = await enrol(authenticator);
    const request = await authenticationOptions(rp, [key]);
    for (const [clientData, outcome] of [
      [twice('other', request.challenge), 'verified'],
      [twice(request.challenge, 'other'), 'refused'],
    ] as const) {
      const answer = authenticator.authenticate(request, { clientData });
      const verdict = await verifyAuthentication(rp, answer, request.challenge, [key], userId);
      expect(verdict.outcome).toBe(outcome);
    }
  });
});

const wrongOrigins: [string, unknown][] = [
  ['http', 'http://login.acme.example'],
  ['another port', 'https://login.acme.example:8443'],
  ['a subdomain', 'https://sub.login.acme.example'],
  ['the parent domain', 'https://acme.example'],
  ['a longer domain', 'https://login.acme.example.evil.test'],
  ['null as text', 'null'],
  ['null', null],
  ['upper case', 'https://LOGIN.acme.example'],
  ['a trailing slash', 'https://login.acme.example/'],
  ['a user', 'https://user@login.acme.example'],
  ['a list', [origin]],
  ['none', undefined],
];

/** Lies of client and authenticator that both ceremonies must see through. */
const commonLies: [string, AssertionLies & RegistrationLies][] = [
  ...wrongOrigins.map(([what, value]): [string, AssertionLies] => [
    `WAN-08 origin: ${what}`,
    { origin: value },
  ]),
  ['WAN-02 rawId of another key', { rawId: randomBytes(32).toString('base64url') }],
  ['WAN-02 no rawId', { rawId: undefined }],
  ['WAN-02 no id', { id: undefined }],
  ['WAN-02 id of a number', { id: 7 }],
  ['WAN-02 id of a list', { id: ['x'] }],
  ['WAN-02 empty id', { id: '' }],
  ['WAN-02 type of another kind', { credentialType: 'password' }],
  ['WAN-02 no type', { credentialType: undefined }],
  ['WAN-06 no challenge', { challenge: undefined }],
  ['WAN-06 empty challenge', { challenge: '' }],
  ['WAN-06 challenge of null', { challenge: null }],
  ['WAN-06 challenge in a list', { challenge: ['x'] }],
  ['WAN-06 another challenge', { challenge: randomBytes(32).toString('base64url') }],
  ['WAN-10 another site frames it', { crossOrigin: true, topOrigin: 'https://evil.example' }],
  ['WAN-10 framed, and by whom is not told', { crossOrigin: true }],
  ['WAN-10 crossOrigin of text', { crossOrigin: 'true' }],
  ['WAN-10 top origin without a frame', { topOrigin: origin }],
  ['WAN-21 type payment.get', { type: 'payment.get' }],
  ['WAN-21 no type', { type: undefined }],
  ['WAN-21 type in a list', { type: ['webauthn.get'] }],
  ['WAN-22 client data that is no JSON', { clientData: '{"type":"webauthn.get"' }],
  ['WAN-22 client data of null', { clientData: 'null' }],
  ['WAN-22 client data of a list', { clientData: '[]' }],
  ['WAN-22 client data of 500 KB', { extra: { pad: 'x'.repeat(500_000) } }],
  ['WAN-22 client data of 4,097 bytes', { clientData: ' '.repeat(4097) }],
  ['WAN-22 client data that is a number', { response: { clientDataJSON: 5 } }],
  ['WAN-22 client data that is empty', { response: { clientDataJSON: '' } }],
  ['WAN-22 no response', { body: {}, response: { clientDataJSON: undefined } }],
  ['RP ID of another site', { rpIdHash: sha256('evil.example') }],
  ['RP ID of the host, not the domain', { rpIdHash: sha256('login.acme.example') }],
  ['bytes behind the authenticator data', { trailing: Buffer.from('00', 'hex') }],
  ['WAN-22 extensions nested 10,000 deep', { extensions: new Raw(nested(10_000)) }],
  ['WAN-22 extensions nested 1,000 deep', { extensions: new Raw(nested(1000)) }],
  ['extensions that are no map', { extensions: [1] }],
];

describe('a forged registration', () => {
  const p256 = makeKeyPair('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
  const rsa = (bits: number): RegistrationLies => {
    const { n, e } = makeKeyPair('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' });
    return { keyBytes: cbor(map([1, 3], [3, -257], [-1, bytes(n)], [-2, bytes(e)])) };
  };
  const off = Buffer.alloc(32, 1);
  const padded = device().coseKey();
  padded.set(-2, Buffer.concat([Buffer.of(0), padded.get(-2) as Buffer]));
  const attestation = (...more: [CborValue, CborValue][]): Buffer => cbor(map(...more));

  it.each<[string, RegistrationLies, Partial<AuthenticatorOptions>?]>([
    ...commonLies,
    ['WAN-21 type webauthn.get', { type: 'webauthn.get' }],
    ['user not present', { flags: at }],
    ['backed up but not eligible', { flags: up | at | bs }],
    ['no new credential', { flags: up }],
    [
      'no new credential, and no bytes of one',
      { authData: Buffer.concat([sha256('acme.example'), Buffer.of(up, 0, 0, 0, 1)]) },
    ],
    ['flags that announce extensions there are none of', { flags: up | at | ed }],
    ['id unlike the attested one', { id: randomBytes(32).toString('base64url') }],
    ['attested id unlike the outer one', { credentialId: randomBytes(32) }],
    ['id of 15 bytes', { credentialId: Buffer.alloc(15, 1), id: Buffer.alloc(15, 1).toString('base64url') }],
    [
      'id of 1,024 bytes',
      { credentialId: Buffer.alloc(1024, 1), id: Buffer.alloc(1024, 1).toString('base64url') },
    ],
    ['id with padding', { credentialId: Buffer.alloc(16), id: `${'A'.repeat(22)}==` }],
    ['id in another spelling of its bytes', { credentialId: Buffer.alloc(16), id: `${'A'.repeat(21)}B` }],
    ['transports of text', { transports: 'usb' }],
    ['transports of a number', { transports: 5 }],
    ['WAN-22 attestation that is a number', { response: { attestationObject: 5 } }],
    ['WAN-22 attestation that is missing', { response: { attestationObject: undefined } }],
    ['WAN-22 attestation that is empty', { response: { attestationObject: '' } }],
    ['WAN-22 attestation with padding', { response: { attestationObject: 'oA==' } }],
    ['WAN-22 attestation in base64', { response: { attestationObject: '+/+/' } }],
    ['WAN-22 attestation of 500 KB', { attestationObject: randomBytes(500_000) }],
    ['WAN-22 attestation of 16,385 bytes', { attStmt: map(['pad', Buffer.alloc(16_000)]), fmt: 'packed' }],
    ['WAN-22 extensions of 16 KB', { extensions: map(['pad', Buffer.alloc(16_384)]) }],
    ['WAN-22 attestation nested 10,000 deep', { attestationObject: nested(10_000) }],
    ['WAN-22 statement nested 10,000 deep', { attStmt: new Raw(nested(10_000)) }],
    ['WAN-22 maps nested 10,000 deep', { attestationObject: Buffer.alloc(10_000, 0xa1) }],
    ['WAN-22 tags nested 10,000 deep', { attestationObject: Buffer.alloc(10_000, 0xc1) }],
    ['WAN-22 list of four billion', { attestationObject: Buffer.from('9affffffff00', 'hex') }],
    ['WAN-22 bytes of four billion', { attestationObject: Buffer.from('5affffffff00', 'hex') }],
    ['WAN-22 attestation of indefinite length', { attestationObject: Buffer.from('bfff', 'hex') }],
    ['WAN-22 attestation that is a list', { attestationObject: cbor(['none']) }],
    ['WAN-22 attestation that is an empty map', { attestationObject: attestation() }],
    [
      'WAN-22 authenticator data of 1 byte',
      { attestationObject: attestation(['fmt', 'none'], ['attStmt', map()], ['authData', Buffer.alloc(1)]) },
    ],
    ['WAN-22 authenticator data of 36 bytes', { authData: Buffer.alloc(36) }],
    [
      'WAN-22 authenticator data that ends in the credential',
      { authData: Buffer.concat([sha256('acme.example'), Buffer.of(up | at), Buffer.alloc(4 + 17)]) },
    ],
    [
      'WAN-22 authenticator data of text',
      { attestationObject: attestation(['fmt', 'none'], ['attStmt', map()], ['authData', 'x']) },
    ],
    ['WAN-23 algorithm RS1', { alg: -65535 }, { alg: 'RS256' }],
    ['WAN-23 unknown algorithm', { alg: -999 }],
    ['WAN-23 algorithm of text', { alg: 'ES256' }],
    ['WAN-23 no algorithm', { key: { 3: undefined } }],
    ['WAN-23 ES384', { alg: -35 }],
    ['WAN-23 PS256', { alg: -37 }, { alg: 'RS256' }],
    ['WAN-23 algorithm of another kind of key', { alg: -8 }],
    ['WAN-23 RSA key for ES256', { alg: -7 }, { alg: 'RS256' }],
    ['WAN-23 P-256 point off its curve', { key: { '-2': off, '-3': off } }],
    ['WAN-23 P-256 point at infinity', { key: { '-2': Buffer.alloc(32), '-3': Buffer.alloc(32) } }],
    ['WAN-23 P-384 for ES256', { key: { '-1': 2, '-2': bytes(p256.x), '-3': bytes(p256.y) } }],
    ['WAN-23 P-384 by number only', { key: { '-1': 2 } }],
    ['WAN-23 secp256k1 by number', { key: { '-1': 8 } }],
    ['WAN-23 X25519 for EdDSA', { key: { '-1': 4 } }, { alg: 'EdDSA' }],
    ['WAN-23 EdDSA key of 31 bytes', { key: { '-2': Buffer.alloc(31, 1) } }, { alg: 'EdDSA' }],
    ['WAN-23 coordinate of 33 bytes', { key: { '-2': Buffer.alloc(33, 1) } }],
    ['WAN-23 coordinate with a zero in front', { keyBytes: cbor(padded) }],
    ['WAN-23 kind of another key', { key: { 1: 1 } }],
    [
      'WAN-23 RSA modulus of text',
      {
        key: {
          '-1': makeKeyPair('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }).n,
        },
      },
      { alg: 'RS256' },
    ],
    ['WAN-23 compressed point', { key: { '-3': true } }],
    ['WAN-23 no y', { key: { '-3': undefined } }],
    ['WAN-23 private part in the key', { key: { '-4': Buffer.alloc(32, 1) } }],
    ['WAN-23 RSA of 512 bits', rsa(512)],
    ['WAN-23 RSA of 1,024 bits', rsa(1024)],
    ['WAN-23 RSA of 2,040 bits', rsa(2040)],
    ['WAN-23 RSA above 4,096 bits', { key: { '-1': Buffer.alloc(520, 0xff) } }, { alg: 'RS256' }],
    [
      'WAN-23 RSA padded with zeros',
      { key: { '-1': Buffer.concat([Buffer.alloc(192), off]) } },
      { alg: 'RS256' },
    ],
    ['WAN-23 RSA with exponent 1', { key: { '-2': Buffer.of(1) } }, { alg: 'RS256' }],
    ['WAN-23 RSA with exponent 3', { key: { '-2': Buffer.of(3) } }, { alg: 'RS256' }],
    ['key that is no map', { keyBytes: cbor([1, 2]) }],
    ['key with a parameter twice', { keyBytes: Buffer.from('a2010201020326', 'hex') }],
    [
      'key in a longer form',
      { keyBytes: Buffer.concat([Buffer.from('b805', 'hex'), cbor(device().coseKey()).subarray(1)]) },
    ],
    ['WAN-24 none with a statement', { attStmt: map(['sig', Buffer.alloc(8)]) }],
    ['WAN-24 none with a list', { attStmt: [] }],
    ['WAN-24 unknown format', { fmt: 'packed2' }],
    ['WAN-24 format in upper case', { fmt: 'None' }],
    ['WAN-24 format that is a number', { fmt: 5 }],
    [
      'WAN-24 fido-u2f, which was not asked for',
      { fmt: 'fido-u2f', attStmt: map(['sig', off], ['x5c', [off]]) },
    ],
    [
      'WAN-24 packed with certificates',
      { fmt: 'packed', attStmt: map(['alg', -7], ['sig', off], ['x5c', [off]]) },
    ],
    ['WAN-24 packed without a statement', { fmt: 'packed' }],
    [
      'WAN-24 packed, signed by nobody',
      { fmt: 'packed', attStmt: map(['alg', -7], ['sig', Buffer.from('3006020101020101', 'hex')]) },
    ],
    ['WAN-24 packed, signature of text', { fmt: 'packed', attStmt: map(['alg', -7], ['sig', 'x']) }],
    ['WAN-24 packed, one bit flipped', { fmt: 'self', tamper: flipped }],
  ])('is refused: %s', async (_, lies, options = {}) => {
    const request = await beginRegistration();
    const answer = device(options).register(request, lies);
    expect(await quickly(() => verifyRegistration(rp, answer, request.challenge))).toEqual({
      answer: null,
      quick: true,
    });
  });

  it('of bytes behind the attestation object is refused', async () => {
    const options = await beginRegistration();
    const longer = withAttestation(device().register(options), (object) =>
      Buffer.concat([object, Buffer.of(0)]),
    );
    expect(await verifyRegistration(rp, longer, options.challenge)).toBeNull();
  });

  it('of a packed statement by another algorithm than the key is refused (WAN-24)', async () => {
    const options = await beginRegistration();
    const honest = device({ alg: 'EdDSA' }).register(options, { fmt: 'self' });
    expect(await verifyRegistration(rp, honest, options.challenge)).not.toBeNull();
    const forged = withAttestation(honest, (object) => {
      object[object.indexOf(Buffer.from('alg')) + 3] = 0x26;
      return object;
    });
    expect(await verifyRegistration(rp, forged, options.challenge)).toBeNull();
  });

  it('with an empty stored challenge proves nothing (WAN-06)', async () => {
    for (const challenge of ['', undefined]) {
      const answer = device().register({ challenge: '' }, { challenge });
      expect(await verifyRegistration(rp, answer, '')).toBeNull();
    }
  });
});

describe('a forged assertion', () => {
  const authenticator = device();
  let key: SecurityKey;
  let other: SecurityKey;

  beforeAll(async () => {
    key = await enrol(authenticator);
    other = await enrol(device());
  });

  async function judge(lies: AssertionLies, stored: Partial<SecurityKey> = {}, id = userId) {
    const keys = [other, { ...key, ...stored }];
    const request = await authenticationOptions(rp, keys);
    const answer = authenticator.authenticate(request, lies);
    return () => verifyAuthentication(rp, answer, request.challenge, keys, id);
  }

  it.each<[string, AssertionLies | (() => AssertionLies), Partial<SecurityKey>?]>([
    ...commonLies,
    ['WAN-01 one bit flipped', { tamper: flipped }],
    ['WAN-01 signature of zeros', { signature: Buffer.from('3006020100020100', 'hex') }],
    ['WAN-01 signature that is no DER', { signature: Buffer.alloc(64, 1) }],
    ['WAN-11 id of her other key, signed by this one', () => ({ id: other.id })],
    ['WAN-13 id of nobody', { id: randomBytes(32).toString('base64url') }],
    ['WAN-12 user handle of bob', { userHandle: bobsHandle }],
    ['WAN-12 user handle in hexadecimal', { userHandle: userId }],
    ['WAN-12 user handle of a number', { userHandle: 5 }],
    ['WAN-12 user handle of a list', { userHandle: [handle] }],
    ['WAN-12 user handle with padding', { userHandle: `${handle}=` }],
    [
      'WAN-16 low counter, invalid signature',
      { counter: 1, signature: Buffer.from('3006020101020101', 'hex') },
      { counter: 9 },
    ],
    ['WAN-21 type webauthn.create', { type: 'webauthn.create' }],
    ['WAN-22 empty signature', { signature: Buffer.alloc(0) }],
    ['WAN-22 signature of 1,025 bytes', { signature: Buffer.alloc(1025, 1) }],
    [
      'WAN-22 signature with 1,024 bytes behind it',
      { tamper: (signature) => Buffer.concat([signature, Buffer.alloc(1024)]) },
    ],
    ['WAN-22 signature of 500 KB', { signature: Buffer.alloc(500_000, 1) }],
    ['WAN-22 signature of a number', { response: { signature: 5 } }],
    ['WAN-22 no signature', { response: { signature: undefined } }],
    ['WAN-22 authenticator data of a number', { response: { authenticatorData: 5 } }],
    ['WAN-22 authenticator data that is missing', { response: { authenticatorData: undefined } }],
    ['WAN-22 authenticator data of 1 byte', { authData: Buffer.of(1) }],
    [
      'WAN-22 authenticator data of 36 bytes',
      { authData: Buffer.concat([sha256('acme.example'), Buffer.of(up, 0, 0, 1)]) },
    ],
    ['WAN-22 authenticator data of 4,097 bytes', { extensions: map(['pad', Buffer.alloc(4060)]) }],
    ['user not present', { flags: 0 }],
    ['user verified but not present', { flags: uv }],
    ['backed up but not eligible', { flags: up | bs }],
    ['no longer eligible for the backup that it has', { flags: up }, { backedUp: true }],
    ['stored key that cannot be read (WAN-32)', {}, { publicKey: 'oA' }],
    ['stored key of nothing (WAN-32)', {}, { publicKey: '' }],
    [
      'stored key of another (WAN-32)',
      () => ({}),
      { publicKey: cbor(device().coseKey()).toString('base64url') },
    ],
  ])('is refused: %s', async (_, lies, stored = {}) => {
    const work = await judge(typeof lies === 'function' ? lies() : lies, stored);
    expect(await quickly(work)).toEqual({ answer: { outcome: 'refused' }, quick: true });
  });

  it.each(['clientDataJSON', 'authenticatorData', 'signature'])(
    'with its %s in another spelling of the same bytes is refused (WAN-22)',
    async (part) => {
      const request = await authenticationOptions(rp, [key]);
      const honest = authenticator.authenticate(request);
      const text = String(honest.response[part]);
      for (const spelling of [`${text}=`, `${text}==`, ` ${text}`, `${text}\n`, [text]]) {
        const answer = { ...honest, response: { ...honest.response, [part]: spelling } };
        expect(await verifyAuthentication(rp, answer, request.challenge, [key], userId)).toEqual({
          outcome: 'refused',
        });
      }
      const verdict = await verifyAuthentication(rp, honest, request.challenge, [key], userId);
      expect(verdict.outcome).toBe('verified');
    },
  );

  it('that brings a key along is refused', async () => {
    const attested = Buffer.concat([
      sha256('acme.example'),
      Buffer.of(up | at, 0, 0, 0, 9),
      Buffer.alloc(16),
      Buffer.of(0, 32),
      authenticator.credentialId,
      cbor(authenticator.coseKey()),
    ]);
    expect(await (await judge({ authData: attested }))()).toEqual({ outcome: 'refused' });
  });

  it('by a key of another account is refused (WAN-13)', async () => {
    const bobs = device();
    const bob = await enrol(bobs);
    const request = await authenticationOptions(rp, [key]);
    const answer = bobs.authenticate(request);
    expect(await verifyAuthentication(rp, answer, request.challenge, [key], userId)).toEqual({
      outcome: 'refused',
    });
    expect(await verifyAuthentication(rp, answer, request.challenge, [], userId)).toEqual({
      outcome: 'refused',
    });
    expect((await verifyAuthentication(rp, answer, request.challenge, [bob], userId)).outcome).toBe(
      'verified',
    );
  });

  it('with an empty stored challenge proves nothing (WAN-06)', async () => {
    for (const challenge of ['', undefined]) {
      const answer = authenticator.authenticate({ challenge: '' }, { challenge });
      expect(await verifyAuthentication(rp, answer, '', [key], userId)).toEqual({ outcome: 'refused' });
    }
  });

  it.each([
    ['equal to the stored one', 5, 5],
    ['below the stored one', 4, 5],
    ['gone back to zero', 0, 5],
  ])('that is signed, with a counter %s, tells of a clone (WAN-18)', async (_, counter, stored) => {
    expect(await (await judge({ counter }, { counter: stored }))()).toEqual({
      outcome: 'cloned',
      key: key.id,
    });
  });

  it('refuses the old of two answers that arrive in reverse order, and goes on (WAN-18)', async () => {
    const first = await judge({ counter: 6 }, { counter: 5 });
    const second = await judge({ counter: 7 }, { counter: 5 });
    expect(await second()).toMatchObject({ outcome: 'verified', counter: 7 });
    expect(await first()).toMatchObject({ outcome: 'verified', counter: 6 });
    expect(await (await judge({ counter: 6 }, { counter: 7 }))()).toMatchObject({ outcome: 'cloned' });
    expect(await (await judge({ counter: 8 }, { counter: 7 }))()).toMatchObject({ outcome: 'verified' });
  });
});

describe('the CBOR of authenticators', () => {
  it.each<[string, string]>([
    ['nothing', ''],
    ['a length past the end', '43aabb'],
    ['a list past the end', '8201'],
    ['an indefinite length', '5f41aaff'],
    ['an indefinite list', '9f01ff'],
    ['an eight-byte length', '1b0000000000000001'],
    ['a number not in its shortest form', '1817'],
    ['a length not in its shortest form', '5900ff'],
    ['four bytes where two would do', '1a0000ffff'],
    ['a key twice', 'a201010102'],
    ['text that is no UTF-8', '62c328'],
    ['a tag', 'c100'],
    ['a float', 'f93c00'],
    ['undefined', 'f7'],
    ['five levels', '818181818100'],
  ])('does not have %s', (_, hex) => {
    expect(readCbor(Buffer.from(hex, 'hex'))).toBeNull();
  });

  it.each<[string, CborValue]>([
    ['numbers', [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, -1, -24, -25, -257, -65_535]],
    ['flags and nothing', [true, false, null]],
    ['text', ['', 'a', 'ä'.repeat(200)]],
    ['bytes', [Buffer.alloc(0), Buffer.alloc(300, 7)]],
    ['four levels', [[[[]]]]],
    ['a map', map([1, 'x'], ['y', map()])],
  ])('reads %s back', (_, value) => {
    const encoded = cbor(value);
    expect(readCbor(Buffer.concat([Buffer.of(0), encoded, Buffer.of(0)]), 1)).toEqual({
      value,
      end: encoded.length + 1,
    });
  });
});

describe('a body of any shape', () => {
  it.each([[undefined], [null], [[]], [''], [0], [{}], [{ response: null }], [{ response: [] }]])(
    'is refused: %j (WAN-22)',
    async (body) => {
      expect(await quickly(() => verifyRegistration(rp, body, 'x'))).toEqual({ answer: null, quick: true });
      expect(await quickly(() => verifyAuthentication(rp, body, 'x', [], userId))).toEqual({
        answer: { outcome: 'refused' },
        quick: true,
      });
    },
  );

  it('never throws and never passes, whatever the JSON (WAN-32)', async () => {
    const authenticator = device();
    const key = await enrol(authenticator);
    const request = await authenticationOptions(rp, [key]);
    const honest = authenticator.authenticate(request);
    const made = device().register(request);
    const junk = fc.oneof(fc.jsonValue(), fc.base64String(), fc.constant(undefined));
    const names = ['id', 'rawId', 'type', 'response'];
    const parts = ['clientDataJSON', 'authenticatorData', 'signature', 'attestationObject'];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.constantFrom(...parts),
        junk,
        fc.boolean(),
        async (name, part, value, deep) => {
          for (const body of [honest, made]) {
            const { response } = body;
            if (deep && !(part in response)) continue;
            const bent = deep
              ? { ...body, response: { ...response, [part]: value } }
              : { ...body, [name]: value };
            expect(await verifyRegistration(rp, bent, request.challenge)).toBeNull();
            expect(await verifyAuthentication(rp, bent, request.challenge, [key], userId)).toEqual({
              outcome: 'refused',
            });
          }
          expect(await verifyRegistration(rp, value, request.challenge)).toBeNull();
        },
      ),
      { numRuns: 300 },
    );
  });

  it('never throws and never passes, whatever the bytes', async () => {
    const options = await beginRegistration();
    const authenticator = device();
    const key = await enrol(authenticator);
    const bytes = fc.uint8Array({ maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(bytes, async (noise) => {
        const made = device().register(options, { attestationObject: noise });
        expect(await verifyRegistration(rp, made, options.challenge)).toBeNull();
        const attested = Buffer.concat([sha256('acme.example'), Buffer.of(up | at, 0, 0, 0, 1), noise]);
        expect(
          await verifyRegistration(rp, device().register(options, { authData: attested }), options.challenge),
        ).toBeNull();
        const signed = authenticator.authenticate(options, { signature: noise });
        expect(await verifyAuthentication(rp, signed, options.challenge, [key], userId)).toEqual({
          outcome: 'refused',
        });
      }),
      { numRuns: 100 },
    );
  });

  it('reads nothing from a polluted prototype', async () => {
    const options = await beginRegistration();
    const honest = device().register(options);
    expect(await verifyRegistration(rp, Object.create(honest), options.challenge)).toBeNull();
  });
});

describe('a relying party', () => {
  it.each<[string, Partial<RelyingPartyOptions>, string]>([
    ['the host of its origin', {}, 'login.acme.example'],
    ['a parent domain', { id: 'acme.example' }, 'acme.example'],
    ['the host of localhost over http', { origins: ['http://localhost:3000'] }, 'localhost'],
    [
      'one domain of several origins',
      { id: 'acme.example', origins: ['https://acme.example', 'https://a.acme.example:8443'] },
      'acme.example',
    ],
    ['a host of one label', { origins: ['https://intranet'] }, 'intranet'],
  ])('is %s', (_, options, id) => {
    expect(party(options).id).toBe(id);
  });

  it('asks for a touch alone, and for no frames, unless told otherwise', () => {
    expect(party({})).toEqual({
      id: 'login.acme.example',
      name: 'Acme',
      origins: ['https://login.acme.example'],
      userVerification: 'discouraged',
    });
  });

  it('keeps its own copy of what it was given', () => {
    const given = { name: 'Acme', origins: [origin], allowCrossOriginFrom: ['https://partner.example'] };
    const made = relyingParty(given);
    given.origins.push('https://evil.example');
    given.allowCrossOriginFrom.push('https://evil.example');
    expect(made).toMatchObject({ origins: [origin], allowCrossOriginFrom: ['https://partner.example'] });
  });

  it.each<[string, Partial<RelyingPartyOptions>, RegExp]>([
    ['http elsewhere', { origins: ['http://acme.example'] }, /option origins must be a list of origins/],
    ['a path', { origins: ['https://acme.example/login'] }, /option origins/],
    ['a trailing slash', { origins: ['https://acme.example/'] }, /option origins/],
    ['upper case', { origins: ['https://Acme.example'] }, /option origins/],
    ['no URL', { origins: ['acme.example'] }, /option origins/],
    ['a wildcard', { origins: ['*'] }, /option origins/],
    ['null', { origins: ['null'] }, /option origins/],
    ['no origins', { origins: [] }, /option origins/],
    ['one bad origin among good ones', { origins: [origin, 'http://acme.example'] }, /option origins/],
    [
      'an IP address',
      { origins: ['https://127.0.0.1'] },
      /option id must be a domain in lower case, not "127.0.0.1"/,
    ],
    ['an IPv6 address', { origins: ['https://[::1]'] }, /option id must be a domain/],
    ['an id with a port', { id: 'acme.example:443' }, /option id must be a domain/],
    ['an id in upper case', { id: 'Acme.example' }, /option id must be a domain/],
    ['an id that is a URL', { id: 'https://acme.example' }, /option id must be a domain/],
    ['an id with a dot in front', { id: '.acme.example' }, /option id must be a domain/],
    ['an id with a dot behind', { id: 'acme.example.' }, /option id must be a domain/],
    ['an id that ends within a label', { id: 'me.example' }, /parent domain, of each origin; "me.example"/],
    ['an id below the origin', { id: 'a.login.acme.example' }, /parent domain, of each origin/],
    ['a top-level domain', { id: 'example' }, /parent domain, of each origin/],
    [
      'an origin of another domain',
      { origins: [origin, 'https://acme.test'] },
      /is not one of "https:\/\/acme.test"/,
    ],
    ['a misspelt option', { origin: 'x' } as object, /unknown option "origin"; it takes id, name, origins/],
    [
      'another verification',
      { userVerification: 'never' as 'required' },
      /option userVerification must be one of/,
    ],
    [
      'frames of anybody',
      { allowCrossOriginFrom: ['*'] },
      /option allowCrossOriginFrom must be a list of origins/,
    ],
    ['no name', { name: '' }, /option name must be a non-empty string/],
  ])('is refused: %s', (_, options, message) => {
    const make = (): unknown => party(options);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});
