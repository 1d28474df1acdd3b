import type { AccessTokens } from './access-tokens.js';
import type { Account } from './account.js';
import type { FactorFacts } from './factor-facts.js';
import type { KnownDevices } from './known-devices.js';
import type { SecondFactors } from './second-factors.js';

/**
 * Removes all factors of an account and ends everything that was gained with them: tokens, pending logins, logins
 * under way. Tokens go before, so a failure half-way leaves the account locked rather than open, and again after, so
 * that no login slips through in between. Known devices go last: all they have is attempts of their own. To be repeated
 * until it succeeds.
 */
export async function resetFactors(
  factors: SecondFactors,
  tokens: AccessTokens,
  account: Account,
  devices?: KnownDevices,
): Promise<readonly FactorFacts[]> {
  await tokens.revokeAll(account);
  const removed = await factors.removeAll(account);
  await tokens.revokeAll(account);
  await devices?.revokeAll(account);
  return removed;
}

/**
 * Whether two ids are one account's, in whatever spelling an app's look-up lets through: padded, in capitals or in
 * compatibility characters. Ids that differ in nothing else count as one, so that nobody is taken for somebody else.
 */
export function isSameAccount(one: Account, other: Account): boolean {
  return folded(one.id) === folded(other.id);
}

function folded(id: string): string {
  return id.normalize('NFKC').toLowerCase().trim();
}
