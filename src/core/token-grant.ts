import { integer } from './options.js';
import { scopeText } from './scope.js';

/** Seven days, in seconds. No token lives longer, whatever the options say. */
export const longestTokenSeconds = 604_800;

/** What the issuer decides about one token. */
export interface TokenGrant {
  readonly scope?: string;
  readonly name?: string;
  readonly lifetimeSeconds?: number;
}

/** What a grant may hold, wherever it is given. */
export const tokenGrantRules = {
  scope: scopeText,
  name: {
    demand: 'a string of at most 255 bytes',
    accepts: (value: unknown) => typeof value === 'string' && Buffer.byteLength(value) <= 255,
  },
  lifetimeSeconds: integer(1, longestTokenSeconds),
};
