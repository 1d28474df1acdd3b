import { isAccount, type Account } from '../core/account.js';
import type { FactorAddition } from '../core/factor-changes.js';
import type { FactorFacts } from '../core/factor-facts.js';
import { factorName } from '../core/factor-name.js';
import type { FreshLoginRule } from '../core/fresh-login.js';
import type { SecondFactors } from '../core/second-factors.js';
import { isTotpCode } from '../core/totp.js';
import { answer, isoTime } from './answer.js';
import type { AuthContext } from './auth-state.js';
import { isHeldBy, type EnrolmentRule } from './enrolment-policy.js';
import { emitEvent } from './events.js';
import { bodyField, pathField } from './fields.js';
import { refuseStale } from './fresh-login.js';
import { askHook } from './hook.js';
import { decided, refuse } from './refuse.js';

/** A request of an account about its own factors. */
export interface FactorRequest {
  readonly ctx: AuthContext;
  readonly factors: SecondFactors;
  readonly account: Account;
  readonly rule: FreshLoginRule;
  /** The login behind the request proved no factor: it may add one only where there is none. */
  readonly onlyFirst: boolean;
  readonly userName: ((account: Account, ctx: AuthContext) => Promise<string> | string) | undefined;
  readonly policy: EnrolmentRule | undefined;
  /** Ends what else the account is logged in by, where the app wants that on a change of factors. */
  readonly endOthers: (() => Promise<number>) | undefined;
}

export async function showFactors({ ctx, factors, account }: FactorRequest): Promise<void> {
  const status = await decided(ctx, factors.status(account));
  if (status === undefined) return;
  const { backupCodes } = status;
  answer(ctx, 200, {
    factors: status.factors.map(written),
    backup_codes: backupCodes && {
      left: backupCodes.left,
      created_at: isoTime(backupCodes.createdAt),
      last_used_at: isoTime(backupCodes.lastUsedAt),
    },
  });
}

export async function beginTotp(request: FactorRequest): Promise<void> {
  const { ctx, factors, account } = request;
  const name = readName(ctx);
  const replaces = bodyField('replaces')(ctx);
  if (name === null || (replaces !== undefined && typeof replaces !== 'string'))
    return refuse(ctx, 'invalid_request');
  const label = await userNameOf(request);
  if (label === undefined) return;
  if (replaces !== undefined) {
    const status = await decided(ctx, factors.status(account));
    if (status === undefined) return;
    if (!status.factors.some(({ id, type }) => id === replaces && type === 'totp'))
      return refuseChange(request, 'not_found', 'no such factor');
  }
  const named = { ...(name !== undefined && { name }), ...(replaces !== undefined && { replaces }) };
  const begun = await decided(ctx, factors.beginTotp(account, { label, ...named }));
  if (begun !== undefined) answer(ctx, 200, begun);
}

export async function confirmTotp(request: FactorRequest): Promise<void> {
  const { ctx, factors, account } = request;
  const code = bodyField('otp_token')(ctx);
  if (!isTotpCode(code)) return refuse(ctx, 'invalid_request');
  const added = await decided(ctx, factors.confirmTotp(account, code, addingOf(request)));
  if (added?.outcome === 'wrong') return refuse(ctx, 'invalid_second_factor');
  if (added !== undefined) await answerAdded(request, added, 'totp');
}

export async function beginKey(request: FactorRequest): Promise<void> {
  const { ctx, factors, account } = request;
  const userName = await userNameOf(request);
  if (userName === undefined) return;
  const options = await decided(ctx, factors.beginSecurityKey(account, { userName }));
  if (options === undefined) return;
  if (options === null) return refuse(ctx, 'not_found');
  answer(ctx, 200, options);
}

export async function confirmKey(request: FactorRequest): Promise<void> {
  const { ctx, factors, account } = request;
  const name = readName(ctx);
  const response = bodyField('webauthn')(ctx);
  if (name === null || typeof response !== 'object') return refuse(ctx, 'invalid_request');
  const options = { ...addingOf(request), ...(name !== undefined && { name }) };
  const added = await decided(ctx, factors.confirmSecurityKey(account, response, options));
  if (added?.outcome === 'wrong') return refuse(ctx, 'invalid_request');
  if (added !== undefined) await answerAdded(request, added, 'webauthn');
}

export async function renameFactor(request: FactorRequest): Promise<void> {
  const { ctx, factors, account, onlyFirst } = request;
  const name = readName(ctx);
  if (typeof name !== 'string') return refuse(ctx, 'invalid_request');
  // A factor that came since the login was found to need none is not this login's to change; nor below.
  const renamed = onlyFirst ? null : await decided(ctx, factors.rename(account, pathField(ctx, 'id'), name));
  if (renamed === undefined) return;
  if (renamed === null) return refuseChange(request, 'not_found', 'no such factor');
  emitEvent(ctx, { name: 'factor.renamed', account: account.id, factor: renamed.type });
  answer(ctx, 204);
}

export async function removeFactor(request: FactorRequest): Promise<void> {
  const { ctx, factors, account, onlyFirst, policy } = request;
  const keepLast = policy === undefined ? false : await isHeldBy(ctx, policy, account);
  if (keepLast === undefined) return;
  const id = pathField(ctx, 'id');
  const refusal = onlyFirst ? 'not_found' : await endOthersBeforeRemoval(request, id, keepLast);
  if (refusal === undefined) return;
  const removed = refusal ?? (await decided(ctx, factors.remove(account, id, { keepLast })));
  if (removed === undefined) return;
  if (removed === 'not_found') return refuseChange(request, 'not_found', 'no such factor');
  if (removed === 'kept') return refuseChange(request, 'conflict', 'last factor');
  emitEvent(ctx, { name: 'factor.removed', account: account.id, factor: removed.type });
  if (await othersEnded(request)) answer(ctx, 204);
}

export async function regenerateCodes({ ctx, factors, account, onlyFirst }: FactorRequest): Promise<void> {
  const codes = onlyFirst ? null : await decided(ctx, factors.regenerateBackupCodes(account));
  if (codes === undefined) return;
  if (codes === null) return refuse(ctx, 'conflict');
  emitEvent(ctx, { name: 'backup_codes.regenerated', account: account.id });
  answer(ctx, 200, { backup_codes: codes });
}

async function answerAdded(
  request: FactorRequest,
  added: FactorAddition,
  factor: 'totp' | 'webauthn',
): Promise<void> {
  const { ctx, account, rule } = request;
  if (added.outcome === 'factor_needed') return refuseStale(ctx, rule);
  if (added.outcome !== 'added') return refuseChange(request, 'conflict', 'in use, or too many');
  emitEvent(ctx, { name: 'factor.enrolled', account: account.id, factor });
  if (await othersEnded(request)) answer(ctx, 201, { id: added.id, backup_codes: added.backupCodes });
}

/**
 * Others end before the change: where they cannot, nothing has changed and no emergency code is lost with the answer.
 * And they end once more after it, as a login that began in between may have asked for no factor.
 */
function addingOf({ onlyFirst, endOthers }: FactorRequest) {
  return { onlyFirst, ...(endOthers !== undefined && { before: endOthers }) };
}

/** What speaks against the removal; null for nothing, undefined when the request has been refused. */
async function endOthersBeforeRemoval(
  { ctx, factors, account, endOthers }: FactorRequest,
  id: string,
  keepLast: boolean,
): Promise<'not_found' | 'kept' | null | undefined> {
  if (endOthers === undefined) return null;
  const status = await decided(ctx, factors.status(account));
  if (status === undefined) return undefined;
  if (!status.factors.some((factor) => factor.id === id)) return 'not_found';
  if (keepLast && status.factors.length === 1) return 'kept';
  return (await decided(ctx, endOthers())) === undefined ? undefined : null;
}

/** False when the request has been refused. */
async function othersEnded({ ctx, endOthers }: FactorRequest): Promise<boolean> {
  return endOthers === undefined || (await decided(ctx, endOthers())) !== undefined;
}

function refuseChange({ ctx, account }: FactorRequest, code: 'not_found' | 'conflict', reason: string): void {
  emitEvent(ctx, { name: 'factor.change_refused', account: account.id, reason });
  refuse(ctx, code);
}

/** Undefined where none is given, null for what is no name. */
function readName(ctx: AuthContext): string | undefined | null {
  const name = bodyField('name')(ctx);
  if (name === undefined) return undefined;
  return typeof name === 'string' && factorName.accepts(name) ? name : null;
}

async function userNameOf({ ctx, account, userName }: FactorRequest): Promise<string | undefined> {
  if (userName === undefined) return account.id;
  return (await askHook(ctx, 'userName', () => userName(account, ctx), isUserName))?.answer;
}

/** As an account's id may be: a QR code holds no more than 2 KB, and half a character cannot be escaped. */
function isUserName(name: unknown): boolean {
  return isAccount({ id: name });
}

function written({ id, type, name, createdAt, lastUsedAt }: FactorFacts): object {
  return { id, type, name, created_at: isoTime(createdAt), last_used_at: isoTime(lastUsedAt) };
}
