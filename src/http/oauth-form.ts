import type { AuthContext } from './auth-state.js';
import { bodyField } from './fields.js';
import { refuseOAuth } from './oauth-refusals.js';

const names = [
  'client_id',
  'client_secret',
  'grant_type',
  'username',
  'password',
  'otp_token',
  'scope',
  'token',
  'token_type_hint',
] as const;

/** The parameters of an OAuth request, each there once and not empty. */
export type OAuthForm = { readonly [Name in (typeof names)[number]]?: string };

const readers = names.map((name) => [name, bodyField(name)] as const);

/**
 * The form of an OAuth request; undefined when it has been refused. RFC 6749 section 3.2: a parameter without a value is
 * as if it were not there, and none may be there twice. A parser makes a list or an object of what is.
 *
 * @throws {Error} where no body parser ran.
 */
export function readForm(ctx: AuthContext): OAuthForm | undefined {
  // Without a prototype: what somebody put there is no parameter.
  const form = Object.create(null) as { -readonly [Name in keyof OAuthForm]: OAuthForm[Name] };
  // Only forms: a page of another site could send JSON as plain text, and a parser might read it.
  let isForm = typeof ctx.is('application/x-www-form-urlencoded') === 'string';
  for (const [name, read] of readers) {
    const value = isForm ? read(ctx) : undefined;
    if (value === undefined || value === '') continue;
    if (typeof value === 'string') form[name] = value;
    else isForm = false;
  }
  if (isForm) return form;
  refuseOAuth(ctx, 'invalid_request');
  return undefined;
}

/**
 * Takes out of the body what no step of a login is to see: the client's secret, and parameters without a value, which a
 * step would take for a malformed one. Nor what a parser keeps of the body as it came.
 */
export function cutBody(ctx: AuthContext): void {
  const request = ctx.request as { body?: object; rawBody?: unknown };
  const entries: readonly [string, unknown][] = Object.entries(request.body ?? {});
  request.body = Object.fromEntries(
    entries.filter(([name, value]) => name !== 'client_secret' && value !== ''),
  );
  delete request.rawBody;
}
