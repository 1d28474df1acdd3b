import { isAccount } from '../core/account.js';
import { addressStanding } from './address-standing.js';
import { keepDeed, keptLine } from './audit-trail.js';
import type { Asked, Command, Outcome } from './command.js';
import { Failure, Misuse } from './failure.js';
import { shown } from './output.js';

/** Forgets failures. What an operator does is kept first, or not done. */
export const unlock: Command = {
  summary:
    'forgets the failures of an account, an address, or the known devices of an account (needs attempts)',
  usage: 'NAME-OR-ACCOUNT | --address IP | --device ID --account ACCOUNT [--actor NAME]',
  flags: ['address', 'device', 'account', 'actor'],
  name: 'optional',
  async run(asked: Asked): Promise<Outcome> {
    const { name, flags } = asked;
    const { address, device, account } = flags;
    if ([name, address, device].filter((one) => one !== undefined).length !== 1)
      throw new Misuse('unlock needs one of a name or account, --address and --device');
    if ((device === undefined) !== (account === undefined))
      throw new Misuse('--device and --account go together');
    if (address !== undefined) return unlockAddress(asked, address);
    if (device !== undefined && account !== undefined) return unlockDevices(asked, device, account);
    return unlockAccount(asked, name ?? '');
  },
};

async function unlockAccount(asked: Asked, name: string): Promise<Outcome> {
  const attempts = asked.config.need('attempts', 'unlock');
  const factors = asked.config.find('factors');
  const id = isAccount({ id: name }) ? name : null;
  if (id === null) throw new Misuse('a name or account has 1 to 255 bytes');
  const before = await attempts.status(name);
  const standing = await factors?.standing({ id });
  const kept = await keepDeed(asked, { name: 'account.unlocked', outcome: 'changed', account: id });
  const forgotten = await attempts.unlock(name);
  const factorsForgotten = (await factors?.unlock({ id })) ?? false;
  const windows = [
    ['wrong passwords', before.failures],
    ['wrong passwords of known devices', before.devices?.failures],
    ['wrong second factors', standing?.failures],
  ] as const;
  const lines = windows.flatMap(([what, failures]) =>
    failures?.some((count) => count > 0) === true
      ? [`${what}: ${failures.join(', ')} in its windows, forgotten`]
      : [],
  );
  const value = {
    account: name,
    forgotten: forgotten || factorsForgotten,
    before,
    factors: standing ?? null,
    logged: kept,
  };
  return {
    lines: [
      forgotten || factorsForgotten
        ? `${shown(name)} is unlocked.`
        : `${shown(name)}: there was nothing to forget.`,
      ...lines,
      keptLine(kept),
    ],
    value,
  };
}

async function unlockAddress(asked: Asked, address: string): Promise<Outcome> {
  const attempts = asked.config.need('attempts', 'unlock');
  const before = await addressStanding(attempts, address);
  const kept = await keepDeed(asked, { name: 'address.unlocked', outcome: 'changed', ip: address });
  const forgotten = await attempts.unlockAddress(address);
  return {
    lines: [
      forgotten
        ? `${shown(address)} is unlocked: ${before.failures.join(', ')} failures in its windows, forgotten.`
        : `${shown(address)}: there was nothing to forget.`,
      keptLine(kept),
    ],
    value: { address, forgotten, before, logged: kept },
  };
}

/** The devices of an account share one lane: what one of them has used up, all have. */
async function unlockDevices(asked: Asked, device: string, account: string): Promise<Outcome> {
  const attempts = asked.config.need('attempts', 'unlock');
  const { devices } = attempts;
  if (devices === undefined)
    throw new Failure('attempts is made without devices: no device has attempts of its own');
  if (!isAccount({ id: account })) throw new Misuse('--account has 1 to 255 bytes');
  const known = await devices.list({ id: account });
  if (!known.some(({ id }) => id === device))
    throw new Failure(`${shown(account)} has no known device ${shown(device)}`);
  const { devices: before } = await attempts.status(account);
  const kept = await keepDeed(asked, {
    name: 'devices.unlocked',
    outcome: 'changed',
    account,
    details: { device },
  });
  const forgotten = await attempts.unlockDevices(account);
  return {
    lines: [
      forgotten
        ? `The known devices of ${shown(account)} are unlocked: they share their attempts.`
        : `The known devices of ${shown(account)}: there was nothing to forget.`,
      keptLine(kept),
    ],
    value: { account, device, forgotten, before: before ?? null, logged: kept },
  };
}
