import { isSameAccount, resetFactors } from '../core/factor-reset.js';
import type { FactorStatus } from '../core/factor-facts.js';
import type { FactorStanding } from '../core/factor-standing.js';
import { keepDeed } from './audit-trail.js';
import type { Asked, Command, Outcome } from './command.js';
import { Failure } from './failure.js';
import { namedAccount } from './named-account.js';
import { shown, shownTime, table } from './output.js';

/** What an account has enrolled. A reset ends tokens and pending logins too, and is never without a record. */
export const factors: Command = {
  summary:
    'shows the second factors of an account, or removes all of them (needs factors; --reset: tokens and log too)',
  usage: 'ACCOUNT [--reset] [--actor NAME]',
  flags: ['reset', 'actor'],
  name: 'required',
  async run(asked: Asked): Promise<Outcome> {
    const account = namedAccount(asked);
    const secondFactors = asked.config.need('factors', 'factors');
    const [status, standing] = await Promise.all([
      secondFactors.status(account),
      secondFactors.standing(account),
    ]);
    if (asked.flags.reset === true) return reset(asked, account, status);
    return {
      lines: linesOf(account.id, status, standing),
      value: { account: account.id, ...status, standing },
    };
  },
};

async function reset(asked: Asked, account: { readonly id: string }, before: FactorStatus): Promise<Outcome> {
  const { config } = asked;
  const [secondFactors, tokens] = [
    config.need('factors', 'factors'),
    config.need('tokens', 'factors --reset'),
  ];
  if (config.find('log') === undefined) {
    throw new Failure(
      'factors --reset needs the export log, made by new LoginLog(): a reset without a record is not done',
    );
  }
  const { actor } = asked.flags;
  // As on the routes: nobody weakens the account that they act from.
  if (actor !== undefined && isSameAccount({ id: actor }, account))
    throw new Failure('nobody resets their own second factors: let somebody else do it');
  const details = { count: before.factors.length };
  await keepDeed(asked, { name: 'factors.reset', outcome: 'changed', account: account.id, details });
  const removed = await resetFactors(secondFactors, tokens, account, config.find('attempts')?.devices);
  return {
    lines: [
      `${removed.length} second factors of ${shown(account.id)} are removed; its tokens and pending logins ended.`,
      ...removed.map(({ type, name }) => `  ${type}  ${shown(name)}`),
      'Its password is enough now: tell the owner. The login log has it.',
    ],
    value: { account: account.id, removed, logged: true },
  };
}

function linesOf(
  account: string,
  { factors: list, backupCodes }: FactorStatus,
  standing: FactorStanding,
): string[] {
  if (list.length === 0) return [`${shown(account)} has no second factor.`];
  const rows = list.map(({ id, type, name, createdAt, lastUsedAt }) => [
    type,
    shown(name),
    shownTime(createdAt),
    shownTime(lastUsedAt),
    id,
  ]);
  return [
    ...table(['TYPE', 'NAME', 'ENROLLED', 'LAST USED', 'ID'], rows),
    backupCodes === null ? 'No emergency codes.' : `${backupCodes.left} emergency codes are left.`,
    ...(standing.suspended ? ['Authenticator apps are suspended: 100 wrong codes in a row.'] : []),
    ...(standing.locked ? [`Locked for ${standing.retryAfterSeconds} s by wrong factors.`] : []),
  ];
}
