import { isAccount, type Account } from '../core/account.js';
import { auditCsv, auditFactors, type Member } from '../core/factor-audit.js';
import { demandInstance } from '../core/instance.js';
import { callback, readOptions, required } from '../core/options.js';
import { SecondFactors } from '../core/second-factors.js';
import { isBoolean, own } from '../core/store-call.js';
import { answer } from '../http/answer.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { answerCsv, nextPage, readFormat, readPage } from '../http/listing.js';
import { findActor, type AccountFinder } from '../http/find-account.js';
import { demandToken } from '../http/bearer.js';
import { askHook } from '../http/hook.js';
import { decided, refuse } from '../http/refuse.js';

/** Which members are asked for. */
export interface MemberPage {
  /** What the page before gave as `next`; undefined for the first. */
  readonly cursor: string | undefined;
  /** Most members of the page. */
  readonly limit: number;
}

export interface AuditSecondFactorsOptions {
  /** Lists the members that the actor administers, a page at a time; `next` is null on the last. */
  readonly members: (
    page: MemberPage,
    actor: Account,
    ctx: AuthContext,
  ) => Promise<{ readonly members: readonly Member[]; readonly next: string | null }>;
  /** Whether the actor may read the audit: only `true` lets it. */
  readonly mayRead: (actor: Account, ctx: AuthContext) => Promise<boolean> | boolean;
  /**
   * Loads the acting account again, by its id, with the role that it has now; null when it may do nothing any more.
   *
   * @default the account of the token
   */
  readonly actor?: AccountFinder;
}

/**
 * Answers who has which second factor, since when, last used when, and how many emergency codes are left: a page of
 * JSON, or of CSV for `?format=csv` and `Accept: text/csv`. `?cursor=` and `?limit=` (200 at most) turn the pages. After
 * `requireToken`.
 */
export function auditSecondFactors(
  factors: SecondFactors,
  options: AuditSecondFactorsOptions,
): AuthMiddleware {
  demandInstance('auditSecondFactors', SecondFactors, factors);
  const {
    members: listMembers,
    mayRead,
    actor: findAccount,
  } = readOptions<AuditSecondFactorsOptions>('auditSecondFactors', options, {
    members: required(callback),
    mayRead: required(callback),
    actor: callback,
  });

  return async function auditSecondFactors(ctx) {
    const found = demandToken(ctx, 'auditSecondFactors');
    const actor = found && (await findActor(ctx, findAccount, found.account));
    if (actor === undefined) return;
    const asked = await askHook(ctx, 'mayRead', () => mayRead(actor, ctx), isBoolean);
    if (asked === undefined) return;
    if (!asked.answer) return refuse(ctx, 'forbidden');

    const page = readPage(ctx);
    const format = readFormat(ctx);
    if (page === null || format === null) return refuse(ctx, 'invalid_request');
    const listed = await askHook(ctx, 'members', () => listMembers(page, actor, ctx), isMemberPage);
    if (listed === undefined) return;
    const { members, next } = listed.answer;
    const rows = await decided(ctx, auditFactors(factors, members));
    if (rows === undefined) return;
    if (format === 'json') return answer(ctx, 200, { members: rows, next });
    answerCsv(ctx, 'second-factors.csv', auditCsv(rows), next === null ? null : nextPage(page.limit, next));
  };
}

function isMemberPage(answer: unknown): boolean {
  const [members, next] = [own(answer, 'members'), own(answer, 'next')];
  const isCursor = next === null || (typeof next === 'string' && next.isWellFormed());
  return Array.isArray(members) && members.every(isMember) && isCursor;
}

function isMember(value: unknown): boolean {
  const name = own(value, 'name');
  return isAccount(value) && (name === undefined || typeof name === 'string');
}
