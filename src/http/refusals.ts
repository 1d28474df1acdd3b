/** Status and sentence of every refusal, in the order of the statuses. */
export const refusals = {
  invalid_request: [400, 'The request is malformed.'],
  invalid_credentials: [401, 'The user name or the password is wrong.'],
  second_factor_required: [401, 'A second factor is needed to complete this login.'],
  invalid_second_factor: [401, 'The second factor is wrong or was used before.'],
  pending_login_invalid: [401, 'This login has expired or was already used. Start again with the password.'],
  invalid_token: [401, 'An access token is needed; this one is missing, expired, revoked or wrong.'],
  insufficient_user_authentication: [401, 'A more recent login is needed for this. Log in again.'],
  forbidden: [403, 'This is not allowed.'],
  insufficient_scope: [403, 'The access token does not cover this.'],
  cannot_reset_self: [403, 'The own second factors cannot be reset. Ask another owner.'],
  csrf_rejected: [403, 'The request came from another site.'],
  enrolment_required: [403, 'A second factor must be enrolled first.'],
  not_found: [404, 'There is nothing here.'],
  conflict: [409, 'This contradicts what exists already.'],
  content_too_large: [413, 'The request body is too large.'],
  unsupported_media_type: [415, 'The request body has a type that is not accepted here.'],
  password_policy: [422, 'The password does not meet the policy.'],
  password_breached: [422, 'The password is known from a data breach. Choose another one.'],
  locked_out: [429, 'Too many failed attempts. Try again later.'],
  busy: [429, 'Too many attempts are being checked at this moment. Try again.'],
  store_unavailable: [503, 'Logins cannot be checked at this moment. Try again later.'],
  breach_check_unavailable: [
    503,
    'Passwords cannot be checked against breaches at this moment. Try again later.',
  ],
} as const satisfies Record<string, readonly [status: number, description: string]>;

/** Every expected no. The code is the contract; the sentence beside it may change. */
export type RefusalCode = keyof typeof refusals;

/** Body of a refusal: RFC 6749 section 5.2 names, plus what the code adds. */
export interface RefusalBody {
  readonly error: RefusalCode;
  readonly error_description: string;
  readonly [extra: string]: unknown;
}
