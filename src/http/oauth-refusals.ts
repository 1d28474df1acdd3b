import { takeRefusal, type AuthContext } from './auth-state.js';
import { refusals, type RefusalCode } from './refusals.js';

/** Errors of the RFCs, with their statuses; `temporarily_unavailable` keeps the status of what it stands for. */
const errors = {
  invalid_request: [400, 'A parameter is missing, malformed, or there twice, or the body is no form.'],
  invalid_client: [401, 'The client is unknown, its secret is wrong, or it authenticated in another way.'],
  invalid_scope: [400, 'This client may not ask for that scope.'],
  unsupported_grant_type: [400, 'The only grant type is password.'],
  unauthorized_client: [400, 'This client may not do that.'],
} as const;

export type OAuthError = keyof typeof errors;

/** RFC 6749 section 5.2. Written for clients of the standard, so it is left out of `ctx.state.auth.refusal`. */
export function refuseOAuth(ctx: AuthContext, error: OAuthError): void {
  const [status, error_description] = errors[error];
  ctx.status = status;
  ctx.body = { error, error_description };
}

/**
 * Says in the words of RFC 6749 section 5.2 what a step refused, if one did. Its own code is kept as `reason`, and so is
 * what it adds, such as `methods` and `pending`. To be called once the steps have ended, as `lockout` tells a failed
 * attempt by its 401.
 */
export function translateRefusal(ctx: AuthContext): void {
  const refusal = takeRefusal(ctx);
  if (refusal === undefined) return;
  const { error: reason, error_description, ...extras } = refusal;
  // A step of the app's own may have left a code that is none.
  const status = Object.hasOwn(refusals, reason) ? refusals[reason][0] : 400;
  const error = errorFor(reason, status);
  // 429 and 503 say when to come back, and no client takes them for a wrong password.
  ctx.status = status === 429 || status === 503 ? status : 400;
  ctx.body = { ...extras, error, error_description, ...(reason !== error && { reason }) };
}

/** A lock and a wrong password are both a grant that is not accepted now; what could not be decided is neither. */
function errorFor(reason: RefusalCode, status: number): string {
  if (reason === 'invalid_request') return reason;
  return reason === 'busy' || status === 503 ? 'temporarily_unavailable' : 'invalid_grant';
}
