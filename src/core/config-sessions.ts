import type { ConfigFacts } from './config-facts.js';
import { enforced, weak, type Judged } from './config-findings.js';
import { spanOf } from './time-span.js';

/** How long a login lasts, and what carries it. */
export function tokenFindings({ tokens, session }: ConfigFacts): Judged[] {
  const part = 'tokens';
  if (tokens === null) {
    return [weak(part, 'tokens_missing', 'No access tokens were given.', 'new AccessTokens({ store })')];
  }
  const { lifetimeSeconds, maxStaleSeconds } = tokens;
  const ends = `A token ends after ${spanOf(lifetimeSeconds)} at the latest`;
  const found = [
    lifetimeSeconds <= 86_400
      ? enforced(part, 'token_lifetime', `${ends}.`)
      : weak(
          part,
          'token_lifetime_long',
          `${ends}; NIST advises a day with two factors.`,
          'lifetimeSeconds: 86_400, or idleSeconds of issueToken',
        ),
    maxStaleSeconds <= 1
      ? enforced(
          part,
          'revocation',
          maxStaleSeconds === 0
            ? 'A revoked token is refused at once.'
            : `A revoked token is refused within ${maxStaleSeconds} s.`,
        )
      : weak(
          part,
          'revocation_late',
          `A revoked token may pass for ${maxStaleSeconds} s.`,
          'cache: { maxStaleSeconds: 1 }',
        ),
  ];
  if (session === null) return found;
  const cookie = 'The cookie of a session is HttpOnly, SameSite, Secure and __Host-.';
  return [
    ...found,
    session.isHostOnly && session.isSafe
      ? enforced('session', 'session_cookie', cookie)
      : weak(
          'session',
          'session_cookie_weak',
          `Not so: ${cookie}`,
          'sessionOptions() with an https origin, unchanged',
        ),
  ];
}
