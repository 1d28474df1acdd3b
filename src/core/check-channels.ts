import { channel, type Channel } from 'node:diagnostics_channel';

/** What `requireToken` decided. `undecided`: the store, or a function of the app, could not tell. */
export type TokenCheckOutcome = 'passed' | 'refused' | 'undecided';

export type BreachCheckOutcome = 'clean' | 'breached' | 'unavailable';

/** What these channels publish: the outcome, and nothing of whose it was. */
export interface CheckMessage<Outcome extends string> {
  readonly outcome: Outcome;
}

/**
 * Checks that happen at each request, or pass as a rule, are too many for events. Whoever counts them subscribes with
 * `node:diagnostics_channel`; while nobody does, telling costs next to nothing. The channels are of the whole process.
 */
export const tokenCheckChannel = 'koa-portcullis:token-check';
export const breachCheckChannel = 'koa-portcullis:breach-check';

const tokenChecks = channel(tokenCheckChannel);
const breachChecks = channel(breachCheckChannel);

export function tellTokenCheck(outcome: TokenCheckOutcome): void {
  tell(tokenChecks, outcome);
}

export function tellBreachCheck(outcome: BreachCheckOutcome): void {
  tell(breachChecks, outcome);
}

/** Asked first: a message that nobody reads is not made. */
function tell(checks: Channel, outcome: string): void {
  if (checks.hasSubscribers) checks.publish({ outcome });
}
