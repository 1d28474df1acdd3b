import type { LockoutStanding } from '../core/attempt.js';
import type { Lockout } from '../core/lockout.js';
import { Misuse } from './failure.js';

/** @throws {Misuse} for what is no address. */
export async function addressStanding(attempts: Lockout, address: string): Promise<LockoutStanding> {
  try {
    return await attempts.statusOfAddress(address);
  } catch (error) {
    if (error instanceof TypeError) throw new Misuse('--address must be an IP address');
    throw error;
  }
}
