import { Router } from '@koa/router';
import { AccessTokens } from '../core/access-tokens.js';
import { isAccountOrNull, type Account } from '../core/account.js';
import { isSameAccount } from '../core/factor-reset.js';
import { freshLoginRule, freshLoginRules, type FreshLoginOptions } from '../core/fresh-login.js';
import { demandInstance } from '../core/instance.js';
import { callback, integer, readOptions, required, type Rule } from '../core/options.js';
import { isScope } from '../core/scope.js';
import { SecondFactors } from '../core/second-factors.js';
import { isBoolean } from '../core/store-call.js';
import { longestTokenSeconds } from '../core/token-grant.js';
import type { AuthContext, AuthState } from '../http/auth-state.js';
import { findActor, type AccountFinder } from '../http/find-account.js';
import { demandFreshLogin } from '../http/fresh-login.js';
import { askHook } from '../http/hook.js';
import { demandJson } from '../http/json-request.js';
import { refuse } from '../http/refuse.js';
import {
  endRobotToken,
  issueRobotToken,
  type RobotRequest,
  type RobotTokenChange,
} from '../http/robot-tokens.js';
import { demandLoginToken, refuseAccess, showTokens } from '../http/token-requests.js';

export interface RobotTokenRoutesOptions extends FreshLoginOptions {
  /** Whose login is fresh, and whether it proved a factor. */
  readonly factors: SecondFactors;
  /**
   * Whether the actor's own login must have proven a second factor: always, where there is one, or never.
   *
   * @default 'always'
   */
  readonly factor?: 'if_enrolled' | 'always' | 'never';
  /**
   * Loads the acting account again, by its id, with the role that it has now; null when it may do nothing any more.
   *
   * @default the account of the token
   */
  readonly actor?: AccountFinder;
  /** Looks up which robot the request names; null for nobody, for a person, and for whoever the actor must not know of. */
  readonly robot: (ctx: AuthContext, actor: Account) => Promise<Account | null> | Account | null;
  /** Whether the actor may see, issue and end the tokens of this robot: only `true` lets it. */
  readonly mayManage: (actor: Account, robot: Account, ctx: AuthContext) => Promise<boolean> | boolean;
  /** The scope values that a robot may be given. */
  readonly scopes: readonly string[];
  /** Keeps the record of a change, durably, before anything is done: when it fails, nothing is. */
  readonly audit: (change: RobotTokenChange, ctx: AuthContext) => unknown;
  /**
   * How long a token may live, and lives where the request does not say, in seconds, at most 604,800.
   *
   * @default 604_800
   */
  readonly longestSeconds?: number;
}

const scopeValues: Rule = {
  demand: 'a list of one or more scope values',
  accepts: (values) =>
    Array.isArray(values) &&
    values.length > 0 &&
    values.every((value: unknown) => isScope(value) && !value.includes(' ')),
};

/**
 * Routes on which an administrator issues narrow tokens to a robot, sees them and ends them, to be mounted behind
 * `requireToken` under a path of the app that names the robot. JSON only. A change needs a fresh login, made with a
 * factor, and a record in the app's audit; the own account is no robot.
 *
 * GET `/` · POST `/` · DELETE `/:token`
 */
export function robotTokenRoutes(tokens: AccessTokens, options: RobotTokenRoutesOptions): Router<AuthState> {
  demandInstance('robotTokenRoutes', AccessTokens, tokens);
  const read = readOptions<RobotTokenRoutesOptions>('robotTokenRoutes', options, {
    ...freshLoginRules,
    factors: required({
      demand: 'made by new SecondFactors()',
      accepts: (v) => v instanceof SecondFactors,
    }),
    actor: callback,
    robot: required(callback),
    mayManage: required(callback),
    scopes: required(scopeValues),
    audit: required(callback),
    longestSeconds: integer(1, longestTokenSeconds),
  });
  const { withinSeconds, factor = 'always', longestSeconds = longestTokenSeconds } = read;
  const { factors, actor: findAccount, robot: findRobot, mayManage, audit } = read;
  const rule = freshLoginRule(withinSeconds, factor);
  const scopes: ReadonlySet<string> = new Set(read.scopes);
  const given = { tokens, scopes, longestSeconds, audit, now: factors.now };

  const changes = (change: (request: RobotRequest) => Promise<void>) => async (ctx: AuthContext) => {
    if (!demandJson(ctx, factors) || demandLoginToken(ctx, 'robotTokenRoutes') === undefined) return;
    const found = await demandFreshLogin(ctx, factors, rule, 'robotTokenRoutes');
    const parties = found && (await findParties(ctx, found.account));
    if (found && parties) await change({ ctx, ...given, ...parties, presented: found.token.id });
  };

  /** Who asks, and for which robot, where the one may manage the other. */
  async function findParties(
    ctx: AuthContext,
    account: Account,
  ): Promise<{ actor: Account; robot: Account } | undefined> {
    const actor = await findActor(ctx, findAccount, account);
    const found = actor && (await askHook(ctx, 'robot', () => findRobot(ctx, actor), isAccountOrNull));
    if (found === undefined || actor === undefined) return undefined;
    const { answer: robot } = found;
    if (robot === null) {
      refuse(ctx, 'not_found');
      return undefined;
    }
    // A token of no login must not outlive that of the login that made it.
    if (isSameAccount(actor, robot)) return refuseAccess(ctx, actor, 'own account');
    const asked = await askHook(ctx, 'mayManage', () => mayManage(actor, robot, ctx), isBoolean);
    if (asked === undefined) return undefined;
    return asked.answer ? { actor, robot } : refuseAccess(ctx, actor, 'not allowed');
  }

  const router = new Router<AuthState>();
  router.get('/', async (ctx) => {
    const found = demandLoginToken(ctx, 'robotTokenRoutes');
    const parties = found && (await findParties(ctx, found.account));
    if (parties !== undefined) await showTokens(ctx, tokens, parties.robot);
  });
  router.post('/', changes(issueRobotToken));
  // Not `:id`, which the path that the app mounts this under may use for the robot.
  router.delete('/:token', changes(endRobotToken));
  return router;
}
