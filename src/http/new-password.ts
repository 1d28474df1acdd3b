import { isPassword } from '../core/password.js';
import type { AuthContext } from './auth-state.js';
import type { FieldReader } from './fields.js';
import { refuse } from './refuse.js';

/** Reads a password that is about to be set. Null, and the request is refused as malformed, where it is none. */
export function readNewPassword(ctx: AuthContext, readPassword: FieldReader): string | null {
  const given = readPassword(ctx);
  if (isPassword(given)) return given;
  refuse(ctx, 'invalid_request');
  return null;
}
