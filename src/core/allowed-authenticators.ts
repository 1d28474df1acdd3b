import { readCertificate, type Certificate } from './certificate.js';
import { describe, type Rule } from './options.js';
import { own } from './store-call.js';

/**
 * A model of authenticator. The names are those of a FIDO metadata statement, so that statements can be given as
 * they are; their other members are not read.
 *
 * @see FIDO Metadata Statement v3 section 4
 */
export interface AllowedAuthenticator {
  /**
   * AAGUID of the model, a UUID. U2F keys have none, or one of zeros.
   *
   * @default zeros, where `attestationCertificateKeyIdentifiers` are given
   */
  readonly aaguid?: string | undefined;
  /**
   * Certificates that its attestations lead to, in PEM or as the base64 of their DER: of its maker's authority, or
   * the attestation certificate itself.
   */
  readonly attestationRootCertificates: readonly string[];
  /**
   * Public keys of attestation certificates (RFC 5280 section 4.2.1.2 method 1, in hexadecimal digits): only these
   * are of the model. They tell U2F keys of one maker apart.
   *
   * @default every attestation certificate under the roots
   */
  readonly attestationCertificateKeyIdentifiers?: readonly string[] | undefined;
}

/** An AllowedAuthenticator that was read. */
export interface AuthenticatorModel {
  readonly aaguid: string;
  readonly roots: readonly Certificate[];
  readonly keyIdentifiers: readonly string[] | undefined;
}

/** What authenticators of the U2F era have for an AAGUID. */
export const noAaguid = '00000000-0000-0000-0000-000000000000';

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const pem = /^\s*-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----\s*$/;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

export const authenticatorList: Rule = {
  demand: 'a non-empty list of authenticators',
  accepts: (v) => Array.isArray(v) && v.length > 0,
};

/** @throws {TypeError} naming owner, option, entry, demand and value given. */
export function readAllowedAuthenticators(
  owner: string,
  given: readonly AllowedAuthenticator[],
): AuthenticatorModel[] {
  return given.map((entry, index) => {
    const refuse = (member: string, demand: string): never => {
      const found = describe(own(entry, member));
      throw new TypeError(
        `${owner}: option allowedAuthenticators[${index}].${member} must be ${demand}, not ${found}`,
      );
    };
    const identifiers = own(entry, 'attestationCertificateKeyIdentifiers');
    if (identifiers !== undefined && !isListOf(identifiers, /^[0-9a-f]{40}$/i)) {
      refuse(
        'attestationCertificateKeyIdentifiers',
        'a non-empty list of SHA-1 hashes in hexadecimal digits',
      );
    }
    const aaguid = own(entry, 'aaguid') ?? (identifiers === undefined ? undefined : noAaguid);
    if (typeof aaguid !== 'string' || !uuid.test(aaguid)) return refuse('aaguid', 'a UUID');
    const certificates = own(entry, 'attestationRootCertificates');
    const roots = isListOf(certificates, /./) ? certificates.map(readRoot) : [];
    if (roots.length === 0 || roots.includes(null)) {
      refuse('attestationRootCertificates', 'a non-empty list of certificates, in PEM or the base64 of DER');
    }
    return {
      aaguid: aaguid.toLowerCase(),
      roots: roots as readonly Certificate[],
      keyIdentifiers: (identifiers as string[] | undefined)?.map((identifier) => identifier.toLowerCase()),
    };
  });
}

function isListOf(value: unknown, form: RegExp): value is string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((v) => typeof v === 'string' && form.test(v))
  );
}

function readRoot(text: string): Certificate | null {
  const encoded = (pem.exec(text)?.[1] ?? text).replaceAll(/\s/g, '');
  return base64.test(encoded) ? readCertificate(Buffer.from(encoded, 'base64')) : null;
}
