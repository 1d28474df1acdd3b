/**
 * Longest password, in UTF-8 bytes. Cut on bytes before any pattern, hash or normalisation: NFKC of 400 KB of
 * combining marks takes 13 s.
 */
export const longestPasswordBytes = 1024;

export function isOverlong(password: string): boolean {
  return Buffer.byteLength(password) > longestPasswordBytes;
}

/**
 * Whether this can be anyone's password: a string, not empty, not over 1024 UTF-8 bytes, well-formed. Encoded
 * as UTF-8, all lone surrogates become one replacement character: two passwords, one hash.
 */
export function isPassword(given: unknown): given is string {
  return typeof given === 'string' && given !== '' && !isOverlong(given) && given.isWellFormed();
}
