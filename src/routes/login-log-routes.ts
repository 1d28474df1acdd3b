import { Router } from '@koa/router';
import type { Account } from '../core/account.js';
import { demandInstance } from '../core/instance.js';
import { logCsv } from '../core/log-csv.js';
import { LoginLog } from '../core/login-log.js';
import { callback, readOptions, required } from '../core/options.js';
import { isBoolean } from '../core/store-call.js';
import type { AuthContext, AuthState } from '../http/auth-state.js';
import { demandToken } from '../http/bearer.js';
import { findActor, type AccountFinder } from '../http/find-account.js';
import { askHook } from '../http/hook.js';
import { answerCsv, nextPage, readFormat } from '../http/listing.js';
import { answerLog, readLogRequest, writtenFilter, type LogFilter } from '../http/log-requests.js';
import { decided, refuse } from '../http/refuse.js';

export interface LoginLogRoutesOptions {
  /** Whether the actor may read what the filter lets through: only `true` lets it. An empty filter is the whole log. */
  readonly mayRead: (actor: Account, filter: LogFilter, ctx: AuthContext) => Promise<boolean> | boolean;
  /**
   * Loads the acting account again, by its id, with the role that it has now; null when it may do nothing any more.
   *
   * @default the account of the token
   */
  readonly actor?: AccountFinder;
}

/**
 * The login log for administrators, newest entries first, to be mounted behind `requireToken` under a path of the app: a
 * page of JSON, or of CSV for `?format=csv` and `Accept: text/csv`.
 *
 * GET `/`
 */
export function loginLogRoutes(log: LoginLog, options: LoginLogRoutesOptions): Router<AuthState> {
  demandInstance('loginLogRoutes', LoginLog, log);
  const { mayRead, actor: findAccount } = readOptions<LoginLogRoutesOptions>('loginLogRoutes', options, {
    mayRead: required(callback),
    actor: callback,
  });

  const router = new Router<AuthState>();
  router.get('/', async (ctx: AuthContext) => {
    const found = demandToken(ctx, 'loginLogRoutes');
    const actor = found && (await findActor(ctx, findAccount, found.account));
    if (actor === undefined) return;
    const asked = readLogRequest(ctx);
    const format = readFormat(ctx);
    if (asked === null || format === null) return refuse(ctx, 'invalid_request');
    const { filter, page } = asked;
    const allowed = await askHook(ctx, 'mayRead', () => mayRead(actor, filter, ctx), isBoolean);
    if (allowed === undefined) return;
    if (!allowed.answer) return refuse(ctx, 'forbidden');

    const given = Object.entries({ ...filter, ...page }).filter(([, value]) => value !== undefined);
    const listed = await decided(ctx, log.query(Object.fromEntries(given)));
    if (listed === undefined) return;
    const { entries, next } = listed;
    if (format === 'json') return answerLog(ctx, entries, next);
    const link = next === null ? null : nextPage(page.limit, next, writtenFilter(filter));
    answerCsv(ctx, 'login-log.csv', logCsv(entries), link);
  });
  return router;
}
