import type { ListedToken } from '../core/token-record.js';
import { keepDeed, keptLine } from './audit-trail.js';
import type { Asked, Command, Outcome } from './command.js';
import { Failure, Misuse } from './failure.js';
import { namedAccount } from './named-account.js';
import { shown, shownTime, table } from './output.js';

/** Lists what an account is logged in by, and ends it. A token's id opens nothing. */
export const tokens: Command = {
  summary: 'lists the live tokens of an account, or ends one or all (needs tokens)',
  usage: 'ACCOUNT [--revoke ID | --revoke-all] [--actor NAME]',
  flags: ['revoke', 'revoke-all', 'actor'],
  name: 'required',
  async run(asked: Asked): Promise<Outcome> {
    const { config, flags } = asked;
    const account = namedAccount(asked);
    if (flags.revoke !== undefined && flags['revoke-all'] === true)
      throw new Misuse('--revoke and --revoke-all exclude each other');
    const accessTokens = config.need('tokens', 'tokens');
    const live = await accessTokens.list(account);
    if (flags['revoke-all'] === true) {
      const details = { count: live.length };
      const kept = await keepDeed(asked, {
        name: 'tokens.revoked',
        outcome: 'revoked',
        account: account.id,
        details,
      });
      const count = await accessTokens.revokeAll(account);
      return {
        lines: [
          `${count} of ${shown(account.id)} ended, and every login of it that was under way.`,
          keptLine(kept),
        ],
        value: { account: account.id, revoked: count, logged: kept },
      };
    }
    if (flags.revoke !== undefined) return revokeOne(asked, account, flags.revoke, live);
    return { lines: linesOf(account.id, live), value: { account: account.id, tokens: live } };
  },
};

async function revokeOne(
  asked: Asked,
  account: { readonly id: string },
  id: string,
  live: readonly ListedToken[],
): Promise<Outcome> {
  // What is not of this account is not ended by mistake: an id is easily taken from another line.
  if (!live.some((token) => token.id === id))
    throw new Failure(`${shown(account.id)} has no live token ${shown(id)}`);
  const kept = await keepDeed(asked, {
    name: 'token.revoked',
    outcome: 'revoked',
    account: account.id,
    details: { token: id },
  });
  const revoked = await asked.config.need('tokens', 'tokens').revokeOwn(account, id);
  return {
    lines: [
      revoked ? `The token ${id} of ${shown(account.id)} ended.` : `The token ${id} had ended.`,
      keptLine(kept),
    ],
    value: { account: account.id, token: id, revoked, logged: kept },
  };
}

function linesOf(account: string, live: readonly ListedToken[]): string[] {
  if (live.length === 0) return [`${shown(account)} has no live token.`];
  const rows = live.map((token) => [
    token.id,
    shown(token.name) || '-',
    token.carry,
    shownTime(token.createdAt),
    shownTime(token.expiresAt),
    shownTime(token.lastUsedAt),
    shown(token.address) || '-',
    shown(token.client ?? token.issuer ?? '-'),
  ]);
  return table(
    ['ID', 'NAME', 'CARRY', 'CREATED', 'EXPIRES', 'LAST USED', 'ADDRESS', 'CLIENT OR ISSUER'],
    rows,
  );
}
