import { AccessTokens } from '../core/access-tokens.js';
import { isAccountOrNull, type Account } from '../core/account.js';
import type { FactorFacts } from '../core/factor-facts.js';
import { isSameAccount, resetFactors } from '../core/factor-reset.js';
import { freshLoginRule, freshLoginRules, type FreshLoginOptions } from '../core/fresh-login.js';
import { demandInstance } from '../core/instance.js';
import { callback, readOptions, required } from '../core/options.js';
import { knownDevices, type KnownDevices } from '../core/known-devices.js';
import { SecondFactors } from '../core/second-factors.js';
import { isBoolean } from '../core/store-call.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { clientAddress } from '../http/client-address.js';
import { emitEvent } from '../http/events.js';
import { findActor, type AccountFinder } from '../http/find-account.js';
import { demandFreshLogin } from '../http/fresh-login.js';
import { askHook } from '../http/hook.js';
import { demandJson } from '../http/json-request.js';
import { decided, refuse } from '../http/refuse.js';

/** One reset, for the app's audit. */
export interface FactorReset {
  /** Account ids. */
  readonly actor: string;
  readonly target: string;
  /** What the target had enrolled; empty for none. */
  readonly factors: readonly FactorFacts[];
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Address of the actor's client, as far as it can be trusted. */
  readonly ip: string;
}

export interface ResetSecondFactorsOptions extends FreshLoginOptions {
  /**
   * Whether the actor's own login must have proven a second factor: always, where there is one, or never.
   *
   * @default 'always'
   */
  readonly factor?: 'if_enrolled' | 'always' | 'never';
  /** The target's tokens end with its factors. */
  readonly tokens: AccessTokens;
  /**
   * The target's known devices are forgotten too.
   *
   * @default they stay known
   */
  readonly devices?: KnownDevices;
  /**
   * Loads the acting account again, by its id, with the role that it has now; null when it may do nothing any more.
   *
   * @default the account of the token
   */
  readonly actor?: AccountFinder;
  /** Looks up whom the request names; null for nobody, and for whoever the actor must not know of. */
  readonly target: (ctx: AuthContext, actor: Account) => Promise<Account | null> | Account | null;
  /** Whether the actor may reset this target: only `true` lets it. */
  readonly mayReset: (actor: Account, target: Account, ctx: AuthContext) => Promise<boolean> | boolean;
  /** Keeps the record of a reset, durably, before anything is done: when it fails, nothing is. */
  readonly audit: (reset: FactorReset, ctx: AuthContext) => unknown;
}

/**
 * Recovery: an owner removes the second factors of somebody who lost them, other owners included and the own account
 * never, and answers 204. After `requireToken`; the owner's own login must be fresh and made with a factor. The target's
 * factors, codes, pending logins and tokens go; its password stays.
 *
 * @see OWASP Multifactor Authentication Cheat Sheet, "Resetting MFA"
 */
export function resetSecondFactors(
  factors: SecondFactors,
  options: ResetSecondFactorsOptions,
): AuthMiddleware {
  demandInstance('resetSecondFactors', SecondFactors, factors);
  const read = readOptions<ResetSecondFactorsOptions>('resetSecondFactors', options, {
    ...freshLoginRules,
    tokens: required({ demand: 'made by new AccessTokens()', accepts: (v) => v instanceof AccessTokens }),
    devices: knownDevices,
    actor: callback,
    target: required(callback),
    mayReset: required(callback),
    audit: required(callback),
  });
  const { withinSeconds, factor = 'always' } = read;
  const { tokens, devices, actor: findAccount, target: findTarget, mayReset, audit } = read;
  const rule = freshLoginRule(withinSeconds, factor);

  return async function resetSecondFactors(ctx) {
    if (!demandJson(ctx, factors)) return;
    const found = await demandFreshLogin(ctx, factors, rule, 'resetSecondFactors');
    if (found === undefined) return;
    const parties = await findParties(ctx, found.account);
    if (parties === undefined) return;
    const { actor, target } = parties;
    if (isSameAccount(actor, target)) return refuseReset(ctx, actor, 'cannot_reset_self');
    const asked = await askHook(ctx, 'mayReset', () => mayReset(actor, target, ctx), isBoolean);
    if (asked === undefined) return;
    if (!asked.answer) return refuseReset(ctx, actor, 'forbidden');

    const before = await decided(ctx, factors.status(target));
    if (before === undefined) return;
    const row = { actor: actor.id, target: target.id, factors: before.factors, time: factors.now() };
    const kept = await askHook(
      ctx,
      'audit',
      () => audit({ ...row, ip: clientAddress(ctx) }, ctx),
      () => true,
    );
    if (kept === undefined) return;
    const removed = await decided(ctx, resetFactors(factors, tokens, target, devices));
    if (removed === undefined) return;
    ctx.status = 204;
    emitEvent(ctx, { name: 'factors.reset', account: target.id, actor: actor.id, count: removed.length });
  };

  async function findParties(
    ctx: AuthContext,
    account: Account,
  ): Promise<{ actor: Account; target: Account } | undefined> {
    const actor = await findActor(ctx, findAccount, account);
    if (actor === undefined) return undefined;
    const target = await askHook(ctx, 'target', () => findTarget(ctx, actor), isAccountOrNull);
    if (target === undefined) return undefined;
    if (target.answer !== null) return { actor, target: target.answer };
    refuse(ctx, 'not_found');
    return undefined;
  }
}

function refuseReset(ctx: AuthContext, actor: Account, code: 'cannot_reset_self' | 'forbidden'): void {
  const reason = code === 'forbidden' ? 'not allowed' : 'own account';
  emitEvent(ctx, { name: 'factors.reset_refused', account: actor.id, reason });
  refuse(ctx, code);
}
