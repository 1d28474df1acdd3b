import { createHash, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { SettingsService, type MetadataStatement } from '@simplewebauthn/server';
import * as fc from 'fast-check';
import { readCborMap } from '../../src/core/cbor.js';
import { FactorBook } from '../../src/core/factor-book.js';
import { readSecondFactorsOptions } from '../../src/core/second-factor-options.js';
import { SecurityKeys } from '../../src/core/security-keys.js';
import {
  registrationOptions,
  relyingParty,
  verifyRegistration,
  type NewSecurityKey,
  type RelyingParty,
  type RelyingPartyOptions,
} from '../../src/core/webauthn.js';
import { memoryStore } from '../../src/stores/memory.js';
import {
  attestationSubject,
  der,
  makeCertificate,
  type CertificateParts,
  type MadeCertificate,
} from '../rig/certificates.js';
import {
  sha256,
  SoftwareAuthenticator,
  type AuthenticatorOptions,
  type CborValue,
  type RegistrationLies,
  type ServerOptions,
} from '../rig/software-authenticator.js';
import { makeKeyPair } from '../rig/key-pair.js';

type Allowed = NonNullable<RelyingPartyOptions['allowedAuthenticators']>[number];

const origin = 'https://acme.example';
const userId = sha256('alice').toString('hex');
/** Neither the day of this test nor of the machine: only the time that is passed in may count. */
const now = Date.parse('2040-01-01T00:00:00Z');
const day = 86_400_000;
const aaguid = '01234567-89ab-cdef-0123-456789abcdef';
const aaguidBytes = Buffer.from(aaguid.replaceAll('-', ''), 'hex');
const zeros = '00000000-0000-0000-0000-000000000000';

const root = makeCertificate({ subject: { CN: 'Root' }, ca: true });
const middle = makeCertificate({ subject: { CN: 'Middle' }, issuer: root, ca: true });
const stranger = makeCertificate({ subject: { CN: 'Root' }, ca: true });
const leaf = makeCertificate({ issuer: root, aaguid: aaguidBytes });
const u2fLeaf = makeCertificate({ subject: { CN: 'U2F EE Serial 1' }, issuer: root, ca: undefined });

function party(...allowed: Partial<Allowed>[]): RelyingParty {
  const honest = { aaguid, attestationRootCertificates: [root.pem] };
  const allowedAuthenticators = allowed.map((one) => ({ ...honest, ...one }));
  return relyingParty({ name: 'Acme', origins: [origin], allowedAuthenticators });
}

const rp = party({});
const u2fParty = party({ aaguid: zeros });

interface Statement {
  format?: string;
  alg?: CborValue;
  x5c?: CborValue;
  /** Signs the statement, instead of the first certificate's key. */
  signer?: KeyObject;
  hash?: string | null;
  signature?: CborValue;
  /** What is signed, from what should be. */
  bend?: (signed: Buffer) => Buffer;
  more?: [CborValue, CborValue][];
  /** Members that are left out. */
  without?: readonly string[];
  credential?: Partial<AuthenticatorOptions>;
  lies?: RegistrationLies;
}

/** The answer of an authenticator whose maker gave it this chain. */
function attest(server: ServerOptions, chain: readonly MadeCertificate[], told: Statement = {}) {
  const { format = 'packed', alg = -7, hash = 'sha256', bend = (signed) => signed, lies = {} } = told;
  const isU2f = format === 'fido-u2f';
  const authenticator = new SoftwareAuthenticator({
    origin,
    rpId: 'acme.example',
    style: isU2f ? 'u2f' : 'ctap2',
    ...told.credential,
  });
  // The same bytes both times, but for the statement.
  const { response } = authenticator.register(server, lies);
  const bare = readCborMap(Buffer.from(String(response['attestationObject']), 'base64url'));
  const authData = bare?.get('authData') as Buffer;
  const clientDataHash = sha256(Buffer.from(String(response['clientDataJSON']), 'base64url'));
  const cose = authenticator.coseKey();
  const signed = isU2f
    ? Buffer.concat([
        Buffer.of(0),
        authData.subarray(0, 32),
        clientDataHash,
        authenticator.credentialId,
        Buffer.of(4),
        cose.get(-2) as Buffer,
        (cose.get(-3) ?? Buffer.alloc(0)) as Buffer,
      ])
    : Buffer.concat([authData, clientDataHash]);
  const signer = told.signer ?? chain[0]?.privateKey ?? authenticator.privateKey;
  const statement = new Map<CborValue, CborValue>([
    ...(isU2f ? [] : ([['alg', alg]] as [CborValue, CborValue][])),
    ['sig', told.signature ?? sign(hash, bend(signed), signer)],
    ['x5c', told.x5c ?? chain.map((certificate) => certificate.der)],
    ...(told.more ?? []),
  ]);
  for (const member of told.without ?? []) statement.delete(member);
  return authenticator.register(server, { fmt: format, attStmt: statement, ...lies });
}

async function register(
  chain: readonly MadeCertificate[],
  told: Statement = {},
  site = told.format === 'fido-u2f' ? u2fParty : rp,
  at = now,
): Promise<NewSecurityKey | null> {
  const options = await registrationOptions(site, { userId, userName: 'alice', existing: [] });
  return verifyRegistration(site, attest(options, chain, told), options.challenge, at);
}

const leafOf = (parts: CertificateParts): MadeCertificate =>
  makeCertificate({ issuer: root, aaguid: aaguidBytes, ...parts });

/** A chain of that many certificates under the root, leaf first. */
function chainOf(length: number): MadeCertificate[] {
  let issuer = root;
  const chain: MadeCertificate[] = [];
  for (let left = length; left > 1; left -= 1) {
    issuer = makeCertificate({ subject: { CN: `Middle ${left}` }, issuer, ca: true });
    chain.unshift(issuer);
  }
  return [makeCertificate({ issuer, aaguid: aaguidBytes }), ...chain];
}

describe('an authenticator on the list', () => {
  it('is asked for its attestation', async () => {
    const user = { userId, userName: 'alice', existing: [] };
    expect((await registrationOptions(rp, user)).attestation).toBe('direct');
    const anyone = relyingParty({ name: 'Acme', origins: [origin] });
    expect((await registrationOptions(anyone, user)).attestation).toBe('none');
  });

  it.each<[string, readonly MadeCertificate[], Statement]>([
    ['one certificate, its root at home', [leaf], {}],
    ['one certificate and its root', [leaf, root], {}],
    ['a chain of two, its root at home', [leafOf({ issuer: middle }), middle], {}],
    ['a chain of three', [leafOf({ issuer: middle }), middle, root], {}],
    ['eight certificates', chainOf(8), {}],
    ['no AAGUID in its certificate', [leafOf({ aaguid: undefined } as object)], {}],
    ['no basic constraints in its certificate', [leafOf({ ca: undefined })], {}],
    ['an EdDSA credential', [leaf], { credential: { alg: 'EdDSA' } }],
    ['an RS256 credential', [leaf], { credential: { alg: 'RS256' } }],
    ['a U2F statement', [u2fLeaf], { format: 'fido-u2f' }],
    ['what follows the root', [leaf, root, stranger], {}],
  ])('is registered with %s', async (_, chain, told) => {
    expect(await register(chain, told)).toMatchObject({
      type: 'webauthn',
      aaguid: told.format === 'fido-u2f' ? zeros : aaguid,
      transports: ['usb'],
    });
  });

  it.each<[string, CborValue, string | null, () => { publicKey: KeyObject; privateKey: KeyObject }]>([
    ['ES384', -35, 'sha384', () => makeKeyPair('ec', { namedCurve: 'P-384' })],
    ['ES512', -36, 'sha512', () => makeKeyPair('ec', { namedCurve: 'P-521' })],
    ['RS256', -257, 'sha256', () => makeKeyPair('rsa', { modulusLength: 2048 })],
    ['EdDSA', -8, null, () => makeKeyPair('ed25519')],
  ])('may sign its statement with %s, by a key of that kind alone', async (_, alg, hash, makeKeys) => {
    const chain = [leafOf({ keys: makeKeys() })];
    expect(await register(chain, { alg, hash })).not.toBeNull();
    for (const other of [-7, -8, -35, -36, -257, -65535, 'ES256', null].filter((one) => one !== alg)) {
      expect([other, await register(chain, { alg: other, hash })]).toEqual([other, null]);
    }
  });

  it('may be given as PEM, as base64, and as a statement of the FIDO Metadata Service', async () => {
    const broken = root.base64.replaceAll(/(.{60})/g, '$1\r\n');
    for (const text of [root.pem, `\n${root.pem}\n`, root.base64, broken]) {
      expect(await register([leaf], {}, party({ attestationRootCertificates: [text] }))).not.toBeNull();
    }
    expect(await register([leaf], {}, party({ aaguid: aaguid.toUpperCase() }))).not.toBeNull();
    const statement: Pick<
      MetadataStatement,
      'aaguid' | 'attestationRootCertificates' | 'attestationCertificateKeyIdentifiers' | 'description'
    > = { aaguid, attestationRootCertificates: [stranger.base64, root.base64], description: 'Model' };
    expect(await register([leaf], {}, party(statement))).not.toBeNull();
  });

  it('may be listed by the attestation certificate itself', async () => {
    const own = makeCertificate({ aaguid: aaguidBytes });
    const site = party({ attestationRootCertificates: [own.pem] });
    expect(await register([own], {}, site)).not.toBeNull();
    expect(await register([own], {})).toBeNull();
    const known = party({ attestationRootCertificates: [leaf.pem] });
    expect(await register([leaf], {}, known)).not.toBeNull();
    expect(await register([leaf, root], {}, known)).not.toBeNull();
    expect(await register([leafOf({})], {}, known)).toBeNull();
  });

  it('may be listed by an authority below the root', async () => {
    const site = party({ attestationRootCertificates: [middle.pem] });
    expect(await register([leafOf({ issuer: middle }), middle, root], {}, site)).not.toBeNull();
    expect(await register([leaf, root], {}, site)).toBeNull();
  });

  it('is told from others of its maker by the key of its certificate', async () => {
    const spki = u2fLeaf.publicKey.export({ type: 'spki', format: 'der' });
    const identifier = createHash('sha1').update(spki.subarray(-65)).digest('hex');
    const attestationRootCertificates = [root.base64];
    const other = makeCertificate({ subject: { CN: 'U2F EE Serial 2' }, issuer: root });
    for (const text of [identifier, identifier.toUpperCase()]) {
      const site = party({
        aaguid: undefined,
        attestationRootCertificates,
        attestationCertificateKeyIdentifiers: ['0'.repeat(40), text],
      });
      expect(await register([u2fLeaf], { format: 'fido-u2f' }, site)).not.toBeNull();
      expect(await register([other], { format: 'fido-u2f' }, site)).toBeNull();
      expect(await register([leaf], {}, site)).toBeNull();
    }
  });

  it('counts under the roots of its own model only', async () => {
    const others = {
      aaguid: '11111111-2222-3333-4444-555555555555',
      attestationRootCertificates: [root.pem],
    };
    const own = { aaguid, attestationRootCertificates: [stranger.pem] };
    expect(await register([leaf], {}, party(others, own))).toBeNull();
    expect(await register([leaf], {}, party(own, { ...others, aaguid }))).not.toBeNull();
  });

  it('is judged by nothing but this list, whatever the library was set to', async () => {
    for (const identifier of ['packed', 'none'] as const) {
      SettingsService.setRootCertificates({
        identifier,
        certificates: [stranger.pem],
      });
    }
    try {
      expect(await register([leaf])).not.toBeNull();
      expect(await register([leafOf({ issuer: stranger })])).toBeNull();
    } finally {
      SettingsService.setRootCertificates({ identifier: 'packed', certificates: [] });
    }
  });
});

/** A public key whose algorithm is of no name. */
function unknownKeys(): NonNullable<CertificateParts['keys']> {
  const { publicKey, privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  spki.writeUInt8(0x7f, 12);
  return { publicKey: { export: () => spki } as unknown as KeyObject, privateKey };
}

const expired = { from: new Date(now - 2 * day), to: new Date(now - day) };
const early = { from: new Date(now + day), to: new Date(now + 2 * day) };

describe('a certificate', () => {
  it('counts from its first second to its last', async () => {
    const chain = [leafOf({ from: new Date(now), to: new Date(now + day) })];
    for (const [at, fine] of [
      [now - 1000, false],
      [now, true],
      [now + day, true],
      [now + day + 1000, false],
      [Number.NaN, false],
    ] as const) {
      expect([at, (await register(chain, {}, rp, at)) !== null]).toEqual([at, fine]);
    }
    const options = await registrationOptions(rp, { userId, userName: 'alice', existing: [] });
    expect(await verifyRegistration(rp, attest(options, chain), options.challenge)).toBeNull();
  });

  it.each<[string, CertificateParts]>([
    ['of another root', { issuer: stranger }],
    ['of nobody', { issuer: undefined } as object],
    ['that only names the root', { issuer: stranger, issuerName: root.name }],
    ['that the root signed in the name of another', { issuerName: middle.name }],
    ['that has expired', expired],
    ['that is not yet valid', early],
    ['of another model', { aaguid: Buffer.alloc(16, 1) }],
    ['of no model', { aaguid: Buffer.alloc(0) }],
    ['with an AAGUID and more', { aaguid: Buffer.concat([aaguidBytes, Buffer.of(0)]) }],
    [
      'with an AAGUID in one octet string, not two',
      { aaguid: undefined, extensions: [['1.3.6.1.4.1.45724.1.1.4', false, aaguidBytes]] } as object,
    ],
    [
      'with a critical AAGUID',
      { aaguid: undefined, extensions: [['1.3.6.1.4.1.45724.1.1.4', true, der(4, aaguidBytes)]] } as object,
    ],
    ['with two AAGUIDs', { extensions: [['1.3.6.1.4.1.45724.1.1.4', false, der(4, Buffer.alloc(16))]] }],
    ['with a critical extension that nobody knows', { extensions: [['1.2.3.4', true, der(5)]] }],
    ['of an authority', { ca: true }],
    ['of version 1', { version: 1 }],
    ['of another unit', { subject: { ...attestationSubject, OU: 'Authenticator Attestation CA' } }],
    ['of no unit', { subject: { ...attestationSubject, OU: undefined } }],
    ['of no country', { subject: { ...attestationSubject, C: undefined } }],
    ['of a long country', { subject: { ...attestationSubject, C: 'AAA' } }],
    ['of no maker', { subject: { ...attestationSubject, O: undefined } }],
    ['of no name', { subject: { ...attestationSubject, CN: undefined } }],
    [
      'with its unit inside another part',
      { subject: { ...attestationSubject, OU: 'x', CN: 'x\nOU=Authenticator Attestation' } },
    ],
    ['with a key that nobody knows', { keys: unknownKeys() }],
    ['of more than 8 KB', { extensions: [['1.2.3.4', false, der(4, Buffer.alloc(8192))]] }],
  ])('%s does not vouch for a key', async (_, parts) => {
    expect(await register([leafOf(parts), root])).toBeNull();
  });

  it.each<[string, CertificateParts]>([
    ['with a harmless extension that nobody knows', { extensions: [['1.2.3.4', false, der(5)]] }],
    ['that says of an extension that it is not critical', { extensions: [['1.2.3.4', null, der(5)]] }],
    ['with a critical use of its key', { extensions: [['2.5.29.15', true, der(3, Buffer.of(7, 0x80))]] }],
    ['of almost 8 KB', { extensions: [['1.2.3.4', false, der(4, Buffer.alloc(7000))]] }],
  ])('%s vouches for a key', async (_, parts) => {
    expect(await register([leafOf(parts)])).not.toBeNull();
  });

  it.each<[string, CertificateParts]>([
    ['has expired', expired],
    ['is not yet valid', early],
  ])('of a root that %s vouches for nothing', async (_, parts) => {
    const old = makeCertificate({ subject: { CN: 'Old' }, ca: true, ...parts });
    const site = party({ attestationRootCertificates: [old.pem] });
    expect(await register([leafOf({ issuer: old })], {}, site)).toBeNull();
    expect(await register([leafOf({ issuer: old }), old], {}, site)).toBeNull();
    const itself = makeCertificate({ aaguid: aaguidBytes, ...parts });
    expect(await register([itself], {}, party({ attestationRootCertificates: [itself.pem] }))).toBeNull();
  });

  it('listed as a root that is no authority issues none', async () => {
    const known = party({ attestationRootCertificates: [leaf.pem] });
    expect(await register([leafOf({ issuer: leaf })], {}, known)).toBeNull();
    expect(await register([leafOf({ issuer: leaf }), leaf], {}, known)).toBeNull();
  });
});

function keyUse(bits: number): [string, boolean, Buffer] {
  return ['2.5.29.15', true, der(3, Buffer.of(1, bits))];
}

describe('a chain', () => {
  it.each<[string, CertificateParts]>([
    ['has expired', expired],
    ['is not yet valid', early],
    ['is no authority', { ca: false }],
    ['has no basic constraints', { ca: undefined }],
    ['is of version 1', { version: 1 }],
    ['may sign no certificates', { extensions: [keyUse(0x80)] }],
    ['has a critical extension that nobody knows', { extensions: [['2.5.29.30', true, der(0x30)]] }],
    ['is of another root', { issuer: stranger }],
    ['only names the root', { issuer: stranger, issuerName: root.name }],
  ])('with a link that %s leads nowhere', async (_, parts) => {
    const link = makeCertificate({ subject: { CN: 'Link' }, issuer: root, ca: true, ...parts });
    expect(await register([leafOf({ issuer: link }), link, root])).toBeNull();
    expect(await register([leafOf({ issuer: link }), link])).toBeNull();
  });

  it('with links that may sign certificates leads to the root', async () => {
    const extensions = [keyUse(0x06)];
    const link = makeCertificate({ subject: { CN: 'Link' }, issuer: root, ca: true, extensions });
    expect(await register([leafOf({ issuer: link }), link])).not.toBeNull();
  });

  it('is no longer than each authority in it allows', async () => {
    for (const [pathLength, fine] of [
      [0, false],
      [1, true],
    ] as const) {
      const top = makeCertificate({ subject: { CN: 'Top' }, ca: true, pathLength });
      const site = party({ attestationRootCertificates: [top.pem] });
      const link = makeCertificate({ subject: { CN: 'Link' }, issuer: top, ca: true, pathLength: 0 });
      const below = makeCertificate({ subject: { CN: 'Below' }, issuer: link, ca: true });
      expect(await register([leafOf({ issuer: top })], {}, site)).not.toBeNull();
      const answer = await register([leafOf({ issuer: link }), link], {}, site);
      expect([pathLength, answer !== null]).toEqual([pathLength, fine]);
      expect(await register([leafOf({ issuer: below }), below, link], {}, site)).toBeNull();
    }
  });

  it('must be in order and whole', async () => {
    const end = leafOf({ issuer: middle });
    for (const chain of [[end], [end, root], [end, root, middle], [middle, end], [end, stranger, middle]]) {
      expect(await register(chain)).toBeNull();
    }
  });

  it('that signed a leaf with the key of another is refused', async () => {
    const forged = makeCertificate({ issuer: { ...middle, privateKey: stranger.privateKey } });
    expect(await register([forged, middle, root])).toBeNull();
    expect(await register([{ ...leaf, privateKey: stranger.privateKey }])).toBeNull();
  });

  it('in a circle leads nowhere', async () => {
    const keys = makeKeyPair('ec', { namedCurve: 'P-256' });
    const a = makeCertificate({ subject: { CN: 'A' }, ca: true, keys });
    const b = makeCertificate({ subject: { CN: 'B' }, ca: true, issuer: a });
    const back = makeCertificate({ subject: { CN: 'A' }, ca: true, keys, issuer: b });
    const end = leafOf({ issuer: back });
    for (const chain of [
      [end, back, b, back, b, back, b, back],
      [end, back, back],
      [end, end],
    ]) {
      expect(await register(chain)).toBeNull();
    }
  });
});

describe('a statement', () => {
  it.each<[string, Statement]>([
    ['of none', { format: 'none' }],
    ['of none, and empty', { lies: { fmt: 'none', attStmt: new Map() } }],
    ['that the key signed itself', { lies: { fmt: 'self', attStmt: undefined } as object }],
    ['without certificates', { without: ['x5c'] }],
    ['without a signature', { without: ['sig'] }],
    ['without an algorithm', { without: ['alg'] }],
    ['with something more', { more: [['ecdaaKeyId', Buffer.of(1)]] }],
    ['with something more instead of an algorithm', { without: ['alg'], more: [['ver', '2.0']] }],
    ['of another format', { format: 'tpm' }],
    ['of another format still', { format: 'apple' }],
    ['of a format that objects have', { format: 'constructor' }],
    ['of no format', { lies: { fmt: null } }],
    ['signed by another key', { signer: stranger.privateKey }],
    ['over other data', { bend: (signed) => Buffer.concat([signed, Buffer.of(0)]) }],
    ['with an empty signature', { signature: Buffer.alloc(0) }],
    ['with a signature in text', { signature: 'x' }],
    ['with a long signature', { signature: Buffer.alloc(8000, 1) }],
    ['with no certificates', { x5c: [] }],
    ['with a certificate in text', { x5c: leaf.base64 }],
    ['with a certificate that is no list', { x5c: leaf.der }],
    ['with a certificate of a model that is not listed', { lies: { aaguid: Buffer.alloc(16, 2) } }],
    ['with a certificate in PEM', { x5c: [Buffer.from(leaf.pem)] }],
    ['with bytes behind its certificate', { x5c: [Buffer.concat([leaf.der, Buffer.of(0)])] }],
    ['with half a certificate', { x5c: [leaf.der.subarray(0, -20)] }],
    ['with junk for a certificate', { x5c: [Buffer.alloc(300, 0x30)] }],
    ['with an empty certificate', { x5c: [Buffer.alloc(0)] }],
    ['with numbers for certificates', { x5c: [1, 2] }],
    ['with junk behind its certificate', { x5c: [leaf.der, Buffer.from('junk')] }],
    ['with text behind its certificate', { x5c: [leaf.der, 'junk'] }],
    ['with a thousand certificates', { x5c: Array.from({ length: 1000 }, () => Buffer.of(0x30, 0)) }],
    ['with a thousand good certificates', { x5c: Array.from({ length: 1000 }, () => leaf.der) }],
    ['with a certificate of a megabyte', { x5c: [Buffer.alloc(1_048_576)] }],
  ])('%s is refused', async (_, told) => {
    expect(await register([leaf], told)).toBeNull();
  });

  it('with nine certificates is refused', async () => {
    expect(await register(chainOf(9))).toBeNull();
  });

  it.each<[string, readonly MadeCertificate[], Statement]>([
    ['with the root behind its certificate', [u2fLeaf, root], {}],
    ['with an algorithm', [u2fLeaf], { more: [['alg', -7]] }],
    ['signed by another key', [u2fLeaf], { signer: stranger.privateKey }],
    ['over other data', [u2fLeaf], { bend: (signed) => signed.subarray(1) }],
    ['of an authenticator with an AAGUID', [u2fLeaf], { lies: { aaguid: aaguidBytes } }],
    ['for an EdDSA credential', [u2fLeaf], { credential: { alg: 'EdDSA' } }],
    ['for an RS256 credential', [u2fLeaf], { credential: { alg: 'RS256' } }],
    ['of another root', [makeCertificate({ issuer: stranger })], {}],
    ['of another format', [u2fLeaf], { lies: { fmt: 'tpm' } }],
    [
      'signed on another curve',
      [makeCertificate({ issuer: root, keys: makeKeyPair('ec', { namedCurve: 'P-384' }) })],
      {},
    ],
  ])('of a U2F key %s is refused', async (_, chain, told) => {
    const listed = { attestationRootCertificates: [root.pem] };
    const both = party({ aaguid, ...listed }, { aaguid: zeros, ...listed });
    expect(await register(chain, { format: 'fido-u2f', ...told }, both)).toBeNull();
  });

  it('that was made for another ceremony is refused', async () => {
    const user = { userId, userName: 'alice', existing: [] };
    const [one, two] = [await registrationOptions(rp, user), await registrationOptions(rp, user)];
    const answer = attest(one, [leaf]);
    expect(await verifyRegistration(rp, answer, two.challenge, now)).toBeNull();
    const client = attest(two, [leaf]).response['clientDataJSON'];
    const moved = { ...answer, response: { ...answer.response, clientDataJSON: client } };
    expect(await verifyRegistration(rp, moved, two.challenge, now)).toBeNull();
    expect(await verifyRegistration(rp, answer, one.challenge, now)).not.toBeNull();
  });

  it('of any bytes is refused, and nothing is thrown', async () => {
    const flip = fc.tuple(fc.nat({ max: leaf.der.length - 1 }), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(flip, fc.uint8Array({ maxLength: 200 }), async ([at, bits], noise) => {
        const bent = Buffer.from(leaf.der);
        bent.writeUInt8(bent.readUInt8(at) ^ bits, at);
        expect(await register([leaf], { x5c: [bent] })).toBeNull();
        expect(await register([leaf], { x5c: [Buffer.from(noise)] })).toBeNull();
        expect(await register([leaf], { x5c: [der(0x30, der(0x30, noise))] })).toBeNull();
        expect(await register([leaf], { signature: Buffer.from(noise) })).toBeNull();
      }),
      { numRuns: 150 },
    );
  });

  it('costs little, however its keys were made', async () => {
    const site = party({});
    const keys = makeKeyPair('rsa', { modulusLength: 2048 });
    const options = await registrationOptions(site, { userId, userName: 'alice', existing: [] });
    const links = [1, 2, 3, 4, 5, 6].map((link) =>
      makeCertificate({ subject: { CN: 'Root' }, ca: true, keys, issuerName: root.name, pathLength: link }),
    );
    const answer = attest(options, [leafOf({ issuer: stranger }), ...links]);
    const times = [];
    for (let run = 0; run < 5; run += 1) {
      const before = process.cpuUsage();
      expect(await verifyRegistration(site, answer, options.challenge, now)).toBeNull();
      const { user, system } = process.cpuUsage(before);
      times.push(user + system);
    }
    expect(Math.min(...times)).toBeLessThan(20_000);
  });
});

describe('the option', () => {
  const good = { aaguid, attestationRootCertificates: [root.pem] };
  const wrong: [string, unknown, RegExp][] = [
    ['no list', {}, /option allowedAuthenticators must be a non-empty list of authenticators, not an object/],
    ['an empty list', [], /option allowedAuthenticators must be a non-empty list/],
    ['no entry', [null], /allowedAuthenticators\[0\]\.aaguid must be a UUID, not undefined/],
    ['no AAGUID', [{ ...good, aaguid: undefined }], /allowedAuthenticators\[0\]\.aaguid must be a UUID/],
    ['a short AAGUID', [good, { ...good, aaguid: '0123' }], /\[1\]\.aaguid must be a UUID, not "0123"/],
    ['an AAGUID and more', [{ ...good, aaguid: `${aaguid}0` }], /\.aaguid must be a UUID/],
    ['an AAGUID of a number', [{ ...good, aaguid: 7 }], /\.aaguid must be a UUID, not 7/],
    ['an AAGUID of null', [{ ...good, aaguid: null }], /\.aaguid must be a UUID/],
    ['no roots', [{ aaguid }], /\.attestationRootCertificates must be a non-empty list of certificates/],
    ['empty roots', [{ ...good, attestationRootCertificates: [] }], /not an array of 0/],
    ['roots that are text', [{ ...good, attestationRootCertificates: root.pem }], /RootCertificates must be/],
    ...[
      '',
      'junk',
      '!!!!',
      root.pem.replace('BEGIN CERTIFICATE', 'BEGIN PUBLIC KEY'),
      root.pem.replaceAll(/(?<=M).{40}/g, ''),
      root.pem + stranger.pem,
      `${root.base64}AAAA`,
      `${root.base64}=AAAA`,
      `!${root.base64}`,
      7,
      null,
    ].map((text): [string, unknown, RegExp] => [
      `a root of ${JSON.stringify(text)?.slice(0, 30)}`,
      [{ ...good, attestationRootCertificates: [root.pem, text] }],
      /allowedAuthenticators\[0\]\.attestationRootCertificates must be a non-empty list of certificates/,
    ]),
    [
      'empty key identifiers',
      [{ ...good, attestationCertificateKeyIdentifiers: [] }],
      /\.attestationCertificateKeyIdentifiers must be a non-empty list of SHA-1 hashes/,
    ],
    [
      'a key identifier that is none',
      [{ ...good, attestationCertificateKeyIdentifiers: ['0'.repeat(39)] }],
      /\.attestationCertificateKeyIdentifiers must be/,
    ],
  ];
  const shared = { store: memoryStore(), issuer: 'Acme', keys: [Buffer.alloc(32, 1)] };

  it.each(wrong)('is refused with %s', (_, value, message) => {
    const given = value as Allowed[];
    for (const [make, owner] of [
      [
        () => relyingParty({ name: 'Acme', origins: [origin], allowedAuthenticators: given }),
        /^relyingParty: /,
      ],
      [
        () => readSecondFactorsOptions({ ...shared, origin, allowedAuthenticators: given }),
        /^SecondFactors: /,
      ],
    ] as const) {
      expect(make).toThrow(TypeError);
      expect(make).toThrow(message);
      expect(make).toThrow(owner);
    }
  });

  it('of second factors needs an origin, and goes to the relying party', () => {
    expect(() => readSecondFactorsOptions({ ...shared, allowedAuthenticators: [good] })).toThrow(
      /SecondFactors: option allowedAuthenticators needs option origin/,
    );
    const { party } = readSecondFactorsOptions({ ...shared, origin, allowedAuthenticators: [good] });
    expect(party?.allowedAuthenticators).toMatchObject([{ aaguid, keyIdentifiers: undefined }]);
    expect(readSecondFactorsOptions({ ...shared, origin }).party).not.toHaveProperty('allowedAuthenticators');
  });

  it('is read once', async () => {
    const roots = [root.pem];
    const list = [{ aaguid, attestationRootCertificates: roots }];
    const site = relyingParty({ name: 'Acme', origins: [origin], allowedAuthenticators: list });
    list.length = 0;
    roots[0] = stranger.pem;
    expect(await register([leaf], {}, site)).not.toBeNull();
  });

  it('judges enrolments by the clock that they were given', async () => {
    const account = { id: 'alice' };
    for (const [at, outcome] of [
      [now, 'added'],
      [Date.parse('2042-01-01T00:00:00Z'), 'wrong'],
    ] as const) {
      const store = memoryStore();
      const keys = new SecurityKeys(new FactorBook(store), store, store, rp, () => at);
      const options = (await keys.beginRegistration(account, 'alice')) as ServerOptions;
      const added = await keys.confirmRegistration(account, attest(options, [leaf]), 'key', {});
      expect(added.outcome).toBe(outcome);
    }
  });
});

describe('the certificates of this test', () => {
  it('are such as OpenSSL knows them', () => {
    const known = new X509Certificate(leaf.der);
    expect(known.checkIssued(new X509Certificate(root.der))).toBe(true);
    expect(known.verify(root.publicKey)).toBe(true);
    expect([known.ca, new X509Certificate(root.der).ca]).toEqual([false, true]);
    expect(known.subject).toBe('C=AA\nO=Maker\nOU=Authenticator Attestation\nCN=Model');
  });
});
