import { integer, oneOf, required } from './options.js';
import { isScope, scopeText } from './scope.js';

/** Seven days, in seconds. No token lives longer, whatever the options say. */
export const longestTokenSeconds = 604_800;

/** What brings a token along with each request: its owner's client in a header, or the browser in a cookie. */
export type TokenCarrier = 'bearer' | 'session';

/** What the issuer decides about one token. */
export interface TokenGrant {
  readonly scope?: string;
  readonly name?: string;
  readonly lifetimeSeconds?: number;
  /** Ends the token when it is not used for so long. */
  readonly idleSeconds?: number;
  /** Address that the login came from. */
  readonly address?: string;
  /** OAuth client that it was issued to. */
  readonly client?: string;
  /** Issuer identifier of the authorization server that knows that client. */
  readonly server?: string;
  readonly carry?: TokenCarrier;
}

const shortText = {
  demand: 'a string of at most 255 bytes',
  accepts: (value: unknown) => typeof value === 'string' && Buffer.byteLength(value) <= 255,
};

/** What a grant may hold, wherever it is given. */
export const tokenGrantRules = {
  scope: scopeText,
  name: shortText,
  lifetimeSeconds: integer(1, longestTokenSeconds),
  // Uses are noted within two minutes: anything shorter would be mostly that.
  idleSeconds: integer(60, longestTokenSeconds),
  address: shortText,
  client: shortText,
  server: shortText,
  carry: oneOf('bearer', 'session'),
};

/** What an administrator decides about a robot's token. */
export interface RobotGrant {
  readonly name: string;
  /** Not empty: a robot may do what it was made for. */
  readonly scope: string;
  /** Account id of who answers for it. */
  readonly issuer: string;
  readonly lifetimeSeconds?: number;
  readonly address?: string;
}

export const robotGrantRules = {
  name: required({
    demand: 'a string of 1 to 255 bytes',
    accepts: (value: unknown) => value !== '' && shortText.accepts(value),
  }),
  scope: required({ demand: `at least one, ${scopeText.demand}`, accepts: isScope }),
  issuer: required(shortText),
  lifetimeSeconds: tokenGrantRules.lifetimeSeconds,
  address: shortText,
};
