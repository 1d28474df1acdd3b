import type { KnownClient, OAuthClients } from '../core/oauth-clients.js';
import type { AuthContext } from './auth-state.js';
import { hasSecondAuthorization } from './bearer.js';
import { emitEvent } from './events.js';
import type { OAuthForm } from './oauth-form.js';
import { refuseOAuth } from './oauth-refusals.js';

/** Who a client says it is. */
interface Claim {
  readonly id: string;
  readonly secret: string | undefined;
}

/**
 * The client that sends this request (RFC 6749 section 2.3.1): by the Authorization header, by the form, or, without a
 * secret, by its id alone. Undefined when the request has been refused, an unknown client and a wrong secret alike.
 */
export function demandClient(
  ctx: AuthContext,
  clients: OAuthClients,
  issuer: string,
  form: OAuthForm,
): KnownClient | undefined {
  const { authorization: header } = ctx.req.headers;
  const { client_id: id = '', client_secret: secret } = form;
  const claim = header === undefined ? { id, secret } : readBasic(header);
  const isTwice = hasSecondAuthorization(ctx.req) || (header !== undefined && secret !== undefined);
  const isOther = header !== undefined && id !== '' && claim !== null && claim.id !== id;
  if (isTwice || isOther) {
    refuseOAuth(ctx, 'invalid_request');
    return undefined;
  }
  const client = claim && clients.authenticate(claim.id, claim.secret);
  if (client !== null) return client;
  tellRefused(ctx, 'authentication failed', claim !== null && clients.has(claim.id) ? claim.id : undefined);
  if (header !== undefined) ctx.set('WWW-Authenticate', `Basic realm="${issuer}"`);
  refuseOAuth(ctx, 'invalid_client');
  return undefined;
}

/** Refuses a client that is who it says, and may not do what it asks for. */
export function refuseUnauthorized(ctx: AuthContext, { id }: KnownClient, reason: string): void {
  tellRefused(ctx, reason, id);
  refuseOAuth(ctx, 'unauthorized_client');
}

/** @param client - A known one: people type secrets into the field of the id. */
function tellRefused(ctx: AuthContext, reason: string, client: string | undefined): void {
  emitEvent(ctx, { name: 'client.refused', reason, ...(client !== undefined && { client }) });
}

/** Null for what is no `Basic` of two form-encoded parts. An empty secret is none. */
function readBasic(header: string): Claim | null {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  if (encoded === undefined) return null;
  const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  if (id === undefined || secret === undefined) return null;
  try {
    return { id: formDecode(id), secret: formDecode(secret) || undefined };
  } catch {
    return null;
  }
}

/** @throws {URIError} on a percent sign that encodes nothing. */
function formDecode(part: string): string {
  return decodeURIComponent(part.replaceAll('+', ' '));
}
