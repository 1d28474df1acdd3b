import { createHash, randomBytes, sign, type JsonWebKey, type KeyObject } from 'node:crypto';
import { makeKeyPair } from './key-pair.js';

/** Minimal CBOR encoder: just what an authenticator sends, and `Raw` for what none would. */
export class Raw {
  constructor(readonly bytes: Uint8Array) {}
}
export type CborValue =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | Raw
  | readonly CborValue[]
  | ReadonlyMap<CborValue, CborValue>;

export function cbor(value: CborValue): Buffer {
  if (value instanceof Raw) return Buffer.from(value.bytes);
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (value instanceof Map) {
    const map = value as ReadonlyMap<CborValue, CborValue>;
    const entries = [...map].flatMap(([key, entry]) => [cbor(key), cbor(entry)]);
    return Buffer.concat([head(5, map.size), ...entries]);
  }
  const items = value as readonly CborValue[];
  return Buffer.concat([head(4, items.length), ...items.map(cbor)]);
}

function head(major: number, argument: number): Buffer {
  if (argument < 24) return Buffer.of((major << 5) | argument);
  const width = argument < 0x100 ? 1 : argument < 0x10000 ? 2 : 4;
  const bytes = Buffer.alloc(1 + width);
  bytes[0] = (major << 5) | (width === 1 ? 24 : width === 2 ? 25 : 26);
  bytes.writeUIntBE(argument, 1, width);
  return bytes;
}

export type AlgorithmName = 'ES256' | 'EdDSA' | 'RS256';

/** What every ceremony can lie about. Bytes that are given as text are base64url. */
export interface ClientLies {
  type?: unknown;
  challenge?: unknown;
  origin?: unknown;
  crossOrigin?: unknown;
  topOrigin?: unknown;
  /** More keys of the client data. */
  extra?: Record<string, unknown>;
  /** Client data as text, instead of all of the above. */
  clientData?: string;
  id?: unknown;
  rawId?: unknown;
  credentialType?: unknown;
  /** More members of the body. */
  body?: Record<string, unknown>;
  /** More members of `response`, or other values of its own. */
  response?: Record<string, unknown>;
}

export interface AuthenticatorLies {
  rpIdHash?: Uint8Array;
  flags?: number;
  counter?: number;
  extensions?: CborValue;
  /** Appended to the authenticator data, and signed with it. */
  trailing?: Uint8Array;
  /** Authenticator data as bytes, instead of all of the above. */
  authData?: Uint8Array;
  signature?: Uint8Array;
  /** Changes a signature that was honest. */
  tamper?: (signature: Buffer) => Buffer;
}

export interface RegistrationLies extends ClientLies, AuthenticatorLies {
  aaguid?: Uint8Array;
  credentialId?: Uint8Array;
  alg?: CborValue;
  /** Parameters of the COSE key to replace; `undefined` removes one. */
  key?: Record<number, CborValue | undefined>;
  keyBytes?: Uint8Array;
  /** `self` is a packed statement that the key signs. */
  fmt?: CborValue;
  attStmt?: CborValue;
  attestationObject?: Uint8Array;
  transports?: unknown;
}

export interface AssertionLies extends ClientLies, AuthenticatorLies {
  userHandle?: unknown;
}

export const flagBits = { up: 0x01, uv: 0x04, be: 0x08, bs: 0x10, at: 0x40, ed: 0x80 };

export interface AuthenticatorOptions {
  origin: string;
  rpId: string;
  alg?: AlgorithmName;
  /** U2F keys: P-256, a zero AAGUID, no user verification and no user handle. */
  style?: 'ctap2' | 'u2f';
  transports?: readonly string[];
  counter?: number;
  userVerified?: boolean;
  rsaBits?: number;
}

/** Reads the options that a server sent; nothing but these members is looked at. */
export interface ServerOptions {
  challenge: string;
  user?: { id: string };
}

/** One credential on one authenticator behind one browser, honest unless told otherwise. */
export class SoftwareAuthenticator {
  readonly alg: AlgorithmName;
  readonly credentialId = randomBytes(32);
  readonly privateKey: KeyObject;
  readonly #publicKey: JsonWebKey;
  readonly #style: 'ctap2' | 'u2f';
  readonly #options: AuthenticatorOptions;
  counter: number;
  userHandle: string | undefined;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.alg = options.alg ?? 'ES256';
    this.#style = options.style ?? 'ctap2';
    this.counter = options.counter ?? 0;
    const pair =
      this.alg === 'ES256'
        ? makeKeyPair('ec', { namedCurve: 'P-256' })
        : this.alg === 'EdDSA'
          ? makeKeyPair('ed25519')
          : makeKeyPair('rsa', { modulusLength: options.rsaBits ?? 2048 });
    this.privateKey = pair.privateKey;
    this.#publicKey = pair.publicKey.export({ format: 'jwk' });
  }

  get id(): string {
    return this.credentialId.toString('base64url');
  }

  /** Answers `navigator.credentials.create()`, as JSON. */
  register(server: ServerOptions, lies: RegistrationLies = {}) {
    if (this.#style === 'ctap2') this.userHandle = server.user?.id;
    const clientDataJSON = this.#clientData('webauthn.create', server, lies);
    const attested = Buffer.concat([
      lies.aaguid ??
        (this.#style === 'u2f' ? Buffer.alloc(16) : Buffer.from('0123456789abcdef0123456789abcdef', 'hex')),
      uint16((lies.credentialId ?? this.credentialId).length),
      lies.credentialId ?? this.credentialId,
      lies.keyBytes ?? cbor(this.coseKey(lies)),
    ]);
    const authData = this.#authData(lies, flagBits.at, attested);
    const self = lies.fmt === 'self';
    const signature = self ? this.#sign(authData, clientDataJSON, lies) : undefined;
    const statement = self
      ? new Map<CborValue, CborValue>([
          ['alg', algorithms[this.alg]],
          ['sig', signature as Buffer],
        ])
      : new Map<CborValue, CborValue>();
    const attestationObject =
      lies.attestationObject ??
      cbor(
        new Map<CborValue, CborValue>([
          ['fmt', self ? 'packed' : (lies.fmt ?? 'none')],
          ['attStmt', lies.attStmt ?? statement],
          ['authData', authData],
        ]),
      );
    return this.#body(lies, {
      clientDataJSON: clientDataJSON.toString('base64url'),
      attestationObject: Buffer.from(attestationObject).toString('base64url'),
      transports: 'transports' in lies ? lies.transports : (this.#options.transports ?? ['usb']),
    });
  }

  /** Answers `navigator.credentials.get()`, as JSON, and advances the counter. */
  authenticate(server: ServerOptions, lies: AssertionLies = {}) {
    this.counter += 1;
    const clientDataJSON = this.#clientData('webauthn.get', server, lies);
    const authData = this.#authData(lies, 0, Buffer.alloc(0));
    const signature = this.#sign(authData, clientDataJSON, lies);
    const userHandle = 'userHandle' in lies ? lies.userHandle : this.userHandle;
    return this.#body(lies, {
      clientDataJSON: clientDataJSON.toString('base64url'),
      authenticatorData: authData.toString('base64url'),
      signature: signature.toString('base64url'),
      ...(userHandle !== undefined && { userHandle }),
    });
  }

  coseKey({ alg = algorithms[this.alg], key = {} }: Pick<RegistrationLies, 'alg' | 'key'> = {}) {
    const { x = '', y = '', n = '', e = '' } = this.#publicKey;
    const cose = new Map<CborValue, CborValue>(
      this.alg === 'ES256'
        ? [
            [1, 2],
            [3, alg],
            [-1, 1],
            [-2, bytes(x)],
            [-3, bytes(y)],
          ]
        : this.alg === 'EdDSA'
          ? [
              [1, 1],
              [3, alg],
              [-1, 6],
              [-2, bytes(x)],
            ]
          : [
              [1, 3],
              [3, alg],
              [-1, bytes(n)],
              [-2, bytes(e)],
            ],
    );
    for (const [parameter, value] of Object.entries(key)) {
      if (value === undefined) cose.delete(Number(parameter));
      else cose.set(Number(parameter), value);
    }
    return cose;
  }

  #clientData(type: string, { challenge }: ServerOptions, lies: ClientLies): Buffer {
    if (lies.clientData !== undefined) return Buffer.from(lies.clientData);
    const { origin } = this.#options;
    const honest = { type, challenge, origin, crossOrigin: false };
    const told = Object.fromEntries(
      ['type', 'challenge', 'origin', 'crossOrigin', 'topOrigin']
        .filter((name) => name in lies)
        .map((name) => [name, lies[name as keyof ClientLies]]),
    );
    return Buffer.from(JSON.stringify({ ...honest, ...told, ...lies.extra }));
  }

  #authData(lies: AuthenticatorLies, always: number, attested: Buffer): Buffer {
    if (lies.authData !== undefined) return Buffer.from(lies.authData);
    const verified = this.#style === 'ctap2' && this.#options.userVerified === true ? flagBits.uv : 0;
    const extended = lies.extensions === undefined ? 0 : flagBits.ed;
    const flags = lies.flags ?? flagBits.up | verified | always | extended;
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(lies.counter ?? this.counter);
    return Buffer.concat([
      lies.rpIdHash ?? sha256(this.#options.rpId),
      Buffer.of(flags),
      counter,
      attested,
      lies.extensions === undefined ? Buffer.alloc(0) : cbor(lies.extensions),
      lies.trailing ?? Buffer.alloc(0),
    ]);
  }

  #sign(authData: Buffer, clientDataJSON: Buffer, lies: AuthenticatorLies): Buffer {
    if (lies.signature !== undefined) return Buffer.from(lies.signature);
    const digest = this.alg === 'EdDSA' ? null : 'sha256';
    const signature = sign(digest, Buffer.concat([authData, sha256(clientDataJSON)]), this.privateKey);
    return lies.tamper?.(signature) ?? signature;
  }

  #body(lies: ClientLies, response: Record<string, unknown>) {
    return {
      id: 'id' in lies ? lies.id : this.id,
      rawId: 'rawId' in lies ? lies.rawId : 'id' in lies ? lies.id : this.id,
      type: 'credentialType' in lies ? lies.credentialType : 'public-key',
      clientExtensionResults: {},
      ...lies.body,
      response: { ...response, ...lies.response },
    };
  }
}

const algorithms: Readonly<Record<AlgorithmName, number>> = { ES256: -7, EdDSA: -8, RS256: -257 };

function bytes(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}

export function sha256(bytes: string | Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
