import type { Factors } from './factor-record.js';
import type { LockoutStanding } from './attempt.js';
import { mostWrongCodes } from './totp-factors.js';

/** What keeps an account from using its factors now. */
export interface FactorStanding extends LockoutStanding {
  /** Wrong codes of authenticator apps since any factor was last accepted. */
  readonly wrongCodes: number;
  /** After so many in a row, codes are refused until another factor is used or the factors are reset. */
  readonly suspended: boolean;
}

export function standingOf({ wrongCodes }: Factors, windows: LockoutStanding): FactorStanding {
  return { ...windows, wrongCodes, suspended: wrongCodes >= mostWrongCodes };
}
