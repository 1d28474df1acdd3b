import { isAccount } from '../core/account.js';
import type { Asked } from './command.js';
import { Failure, Misuse } from './failure.js';
import type { NewLogEntry } from '../core/log-entry.js';

/** What an operator is about to do: kept before it is done. */
export type Deed = Pick<NewLogEntry, 'name' | 'outcome' | 'account' | 'ip' | 'details'>;

/**
 * Keeps in the login log what an operator is about to do, and does it only then. Where no log is configured there is
 * nowhere to keep it; answers whether it was kept.
 *
 * @throws {Failure} when it cannot be kept: nothing is done then.
 */
export async function keepDeed({ config, flags }: Asked, deed: Deed): Promise<boolean> {
  const { actor = 'operator' } = flags;
  if (!isAccount({ id: actor })) throw new Misuse('--actor must be a name of 1 to 255 bytes');
  const log = config.find('log');
  if (log === undefined) return false;
  try {
    await log.append({ ...deed, actor, reason: 'by the command line' });
  } catch {
    throw new Failure('the login log could not keep it, so nothing was done');
  }
  return true;
}

/** For the last line of what was done. */
export function keptLine(kept: boolean): string {
  return kept ? 'The login log has it.' : 'No log is configured, so no record of it is kept.';
}
