import { keyHash } from './key-hash.js';
import { SecretText } from './secret-text.js';

/** Secrets of tokens, told apart by what carries them: that of a session opens nothing in a header, nor the other way round. */
export const tokenSecrets = { bearer: new SecretText('pcat_'), session: new SecretText('pcss_') };

/** Regular expression source that matches every access token, for secret scanners. */
export const accessTokenPattern: string = tokenSecrets.bearer.pattern;

/** Regular expression source that matches every session id, for secret scanners. */
export const sessionIdPattern: string = tokenSecrets.session.pattern;

/** What a token is filed under. */
export function tokenKey(secret: string): string {
  return keyHash('token', secret);
}
