import type { TokenFacts } from '../../src/core/token-record.js';

/** Facts of a token that was issued to nobody. */
export function tokenFacts(given: Partial<TokenFacts> = {}): TokenFacts {
  return {
    id: 'A'.repeat(43),
    scope: '',
    name: '',
    createdAt: 1,
    expiresAt: 2,
    lastUsedAt: null,
    idleSeconds: null,
    address: '',
    carry: 'bearer',
    client: null,
    server: null,
    issuer: null,
    ...given,
  };
}
