import type { Account } from '../core/account.js';
import { callback, readOptions, required, type Rule } from '../core/options.js';
import { isBoolean } from '../core/store-call.js';
import type { AuthContext } from './auth-state.js';
import { askHook } from './hook.js';

/** Who must have a second factor, and from when on. */
export interface EnrolmentPolicy {
  /** From this moment on, accounts without a factor are held back. */
  readonly until: Date;
  /**
   * Accounts that need none, such as robots. Only `true` exempts.
   *
   * @default nobody
   */
  readonly exempt?: (account: Account, ctx: AuthContext) => boolean | Promise<boolean>;
}

/** The policy as it was read. */
export interface EnrolmentRule {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly exempt: EnrolmentPolicy['exempt'] | undefined;
}

const date: Rule = {
  demand: 'a valid Date',
  accepts: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
};

/** @throws {TypeError} on an unknown option or a wrong value. */
export function readEnrolmentPolicy(owner: string, given: EnrolmentPolicy): EnrolmentRule {
  const rules = { until: required(date), exempt: callback };
  const { until, exempt } = readOptions<EnrolmentPolicy>(owner, given, rules);
  return { since: until.getTime(), exempt };
}

/** Whether the rule is for this account; undefined when the request has been refused. */
export async function isHeldBy(
  ctx: AuthContext,
  { exempt }: EnrolmentRule,
  account: Account,
): Promise<boolean | undefined> {
  if (exempt === undefined) return true;
  const asked = await askHook(ctx, 'exempt', () => exempt(account, ctx), isBoolean);
  return asked && !asked.answer;
}
