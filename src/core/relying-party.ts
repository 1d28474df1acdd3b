import {
  authenticatorList,
  readAllowedAuthenticators,
  type AllowedAuthenticator,
  type AuthenticatorModel,
} from './allowed-authenticators.js';
import { describe, oneOf, readOptions, required, text, type Rule } from './options.js';

/** The site that security keys are registered for and answer to. */
export interface RelyingParty {
  /** RP ID: the domain that keys are bound to. Keys of another id never answer again. */
  readonly id: string;
  /** Shown by some browsers when a key is registered. */
  readonly name: string;
  /** Where ceremonies may take place; compared exactly. */
  readonly origins: readonly string[];
  readonly userVerification: 'discouraged' | 'preferred' | 'required';
  readonly allowCrossOriginFrom?: readonly string[];
  readonly allowedAuthenticators?: readonly AuthenticatorModel[];
}

export interface RelyingPartyOptions {
  /**
   * The domain that keys are bound to: the host of each origin, or a parent domain of it.
   *
   * @default the host of the first origin
   */
  readonly id?: string;
  /** Name of the service. */
  readonly name: string;
  /** Origins of the app's pages, such as `https://acme.example`. Plain http is taken for localhost only. */
  readonly origins: readonly string[];
  /**
   * Whether the key asks for a PIN or a fingerprint. Behind a password, a touch proves possession.
   *
   * @default 'discouraged'
   */
  readonly userVerification?: 'discouraged' | 'preferred' | 'required';
  /**
   * Origins of other sites that may embed the app's pages and run ceremonies in the frame. A browser that does
   * not tell the embedding site (Safari) is refused.
   *
   * @default none
   */
  readonly allowCrossOriginFrom?: readonly string[];
  /**
   * Models of which keys may be registered, each proven by an attestation (`packed` with certificates, `fido-u2f`).
   * Statements of the FIDO Metadata Service fit as they are.
   *
   * @default every authenticator, and no attestation is asked for
   */
  readonly allowedAuthenticators?: readonly AllowedAuthenticator[];
}

/** @throws {TypeError} on an unknown option, a wrong value, and an id that is not of every origin. */
export function relyingParty(options: RelyingPartyOptions, owner = 'relyingParty'): RelyingParty {
  const {
    name,
    origins,
    id = new URL(origins[0] as string).hostname,
    userVerification = 'discouraged',
    allowCrossOriginFrom,
    allowedAuthenticators,
  } = readOptions<RelyingPartyOptions>(owner, options, {
    id: text,
    name: required(text),
    origins: required(originList),
    userVerification: oneOf('discouraged', 'preferred', 'required'),
    allowCrossOriginFrom: originList,
    allowedAuthenticators: authenticatorList,
  });
  if (!isDomain(id)) {
    throw new TypeError(`${owner}: option id must be a domain in lower case, not ${describe(id)}`);
  }
  const stranger = origins.find((origin) => !isOfDomain(new URL(origin).hostname, id));
  if (stranger !== undefined) {
    throw new TypeError(
      `${owner}: option id must be the host, or a parent domain, of each origin; ` +
        `${describe(id)} is not one of ${describe(stranger)}`,
    );
  }
  return {
    id,
    name,
    origins: [...origins],
    userVerification,
    ...(allowCrossOriginFrom !== undefined && { allowCrossOriginFrom: [...allowCrossOriginFrom] }),
    ...(allowedAuthenticators !== undefined && {
      allowedAuthenticators: readAllowedAuthenticators(owner, allowedAuthenticators),
    }),
  };
}

const originList: Rule = {
  demand: 'a list of origins such as https://acme.example (http for localhost only)',
  accepts: (v) => Array.isArray(v) && v.length > 0 && v.every(isSecureOrigin),
};

/** As a browser writes it, since it is compared as text: no path, no default port, no upper case. */
export function isSecureOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { origin, protocol, hostname } = new URL(value);
  return origin === value && (protocol === 'https:' || (protocol === 'http:' && hostname === 'localhost'));
}

/** An IP address is no domain, so no key can be bound to one. */
function isDomain(id: string): boolean {
  const url = `https://${id}`;
  const labels = id.split('.');
  return (
    URL.canParse(url) &&
    new URL(url).hostname === id &&
    !id.startsWith('[') &&
    labels.every((label) => label !== '') &&
    !/^[0-9]+$/.test(labels.at(-1) ?? '')
  );
}

/** Equal, or a parent at the border of a label; never a top-level domain, which is everybody's. */
function isOfDomain(host: string, id: string): boolean {
  return host === id || (host.endsWith(`.${id}`) && id.includes('.'));
}
