import type { Rule } from './options.js';

/** Where an authorization server stands, and what it says of itself (RFC 8414 section 2). */
export interface OAuthPlaces {
  /** Path of the metadata, of the issuer's origin. */
  readonly wellKnown: string;
  /** Paths of the endpoints, of the same origin. */
  readonly token: string;
  readonly revoke: string;
  readonly introspect: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

// No segment that a URL would resolve away, and no character that a router takes for a pattern.
const path = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/;

/** RFC 8414 section 2: no query, no fragment. As a URL parser writes it, since clients compare it as text. */
export const issuerUrl: Rule = {
  demand: 'an https URL without query or fragment, such as https://acme.example (http for localhost only)',
  accepts: (value) => {
    if (typeof value !== 'string' || !URL.canParse(value)) return false;
    const { origin, protocol, hostname } = new URL(value);
    const isSecure = protocol === 'https:' || (protocol === 'http:' && hostname === 'localhost');
    // A token's record names it: 255 bytes at most.
    return (
      isSecure &&
      value.length <= 255 &&
      value.startsWith(origin) &&
      path.test(withoutSlash(value.slice(origin.length)))
    );
  },
};

export const pathPrefix: Rule = {
  demand: 'a path such as /oauth',
  accepts: (value) => typeof value === 'string' && path.test(value),
};

/** Everything comes from the options: a Host header that a client made up reaches no answer. */
export function oauthPlaces(issuer: string, prefix: string, scopes: readonly string[]): OAuthPlaces {
  const { origin } = new URL(issuer);
  const [token, revoke, introspect] = [
    `${prefix}/token`,
    `${prefix}/revoke`,
    `${prefix}/introspect`,
  ] as const;
  const secrets = ['client_secret_basic', 'client_secret_post'];
  const metadata = {
    issuer,
    token_endpoint: `${origin}${token}`,
    token_endpoint_auth_methods_supported: [...secrets, 'none'],
    revocation_endpoint: `${origin}${revoke}`,
    revocation_endpoint_auth_methods_supported: [...secrets, 'none'],
    introspection_endpoint: `${origin}${introspect}`,
    introspection_endpoint_auth_methods_supported: secrets,
    grant_types_supported: ['password'],
    // Section 3.2 leaves out what has no elements, but section 2 demands this one: there is no authorization endpoint.
    response_types_supported: [],
    ...(scopes.length > 0 && { scopes_supported: [...scopes] }),
  };
  // Section 3: the well-known part stands before the issuer's path, whose last slash goes.
  const wellKnown = `/.well-known/oauth-authorization-server${withoutSlash(issuer.slice(origin.length))}`;
  return { wellKnown, token, revoke, introspect, metadata };
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
