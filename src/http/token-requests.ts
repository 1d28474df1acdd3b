import type { AccessTokens } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import type { ListedToken, VerifiedToken } from '../core/token-record.js';
import { answer, isoTime } from './answer.js';
import type { AuthContext } from './auth-state.js';
import { demandToken } from './bearer.js';
import { emitEvent } from './events.js';
import { pathField } from './fields.js';
import type { Misordered } from './misordered.js';
import { endOtherTokens } from './other-tokens.js';
import { decided, refuse } from './refuse.js';
import { endSession } from './session-login.js';

/** A request about tokens, and whose it is. */
export interface TokenRequest {
  readonly ctx: AuthContext;
  readonly tokens: AccessTokens;
  readonly found: VerifiedToken;
}

/**
 * The token of this request, where somebody logged in for it. One that was issued to a robot opens what its scope says
 * and manages no tokens: it lies in files and pipelines, and whoever finds it must not see or end others.
 *
 * @returns undefined when the request has been refused.
 */
export function demandLoginToken(ctx: AuthContext, middleware: Misordered): VerifiedToken | undefined {
  const found = demandToken(ctx, middleware);
  if (found === undefined || found.token.issuer === null) return found;
  return refuseAccess(ctx, found.account, 'token of a robot');
}

export function refuseAccess(ctx: AuthContext, { id }: Account, reason: string): undefined {
  emitEvent(ctx, { name: 'tokens.access_refused', account: id, reason });
  refuse(ctx, 'forbidden');
  return undefined;
}

/** Answers with the live tokens of an account. */
export async function showTokens(
  ctx: AuthContext,
  tokens: AccessTokens,
  account: Account,
  current?: string,
): Promise<void> {
  const listed = await decided(ctx, tokens.list(account));
  if (listed !== undefined) answer(ctx, 200, { tokens: listed.map((one) => written(one, current)) });
}

/** Logs out. A token that another request has ended meanwhile is one that has ended. */
export async function endCurrent({ ctx, tokens, found }: TokenRequest): Promise<void> {
  const { account, token } = found;
  if ((await decided(ctx, tokens.revoke(token.id))) === undefined) return;
  if (token.carry === 'session') endSession(ctx);
  answerEnded(ctx, account, token.id);
}

export async function endOthers({ ctx, tokens, found }: TokenRequest): Promise<void> {
  if ((await decided(ctx, endOtherTokens(ctx, tokens, found))) !== undefined) answer(ctx, 204);
}

export async function endOne({ ctx, tokens, found: { account, token } }: TokenRequest): Promise<void> {
  const id = pathField(ctx, 'id');
  const isEnded = await decided(ctx, tokens.revokeOwn(account, id));
  if (isEnded === undefined) return;
  if (!isEnded) return refuse(ctx, 'not_found');
  if (token.carry === 'session' && token.id === id) endSession(ctx);
  answerEnded(ctx, account, id);
}

/** @param actor - Who ended it, where that is not its owner. */
export function answerEnded(ctx: AuthContext, { id }: Account, token: string, actor?: Account): void {
  const by = actor === undefined ? {} : { actor: actor.id };
  emitEvent(ctx, { name: 'token.revoked', account: id, token, ...by });
  answer(ctx, 204);
}

function written(token: ListedToken, current: string | undefined): object {
  return {
    id: token.id,
    name: token.name,
    scope: token.scope,
    created_at: isoTime(token.createdAt),
    last_used_at: isoTime(token.lastUsedAt),
    expires_at: isoTime(token.expiresAt),
    address: token.address,
    methods: token.methods,
    carried_by: token.carry,
    client: token.client,
    issued_by: token.issuer,
    current: token.id === current,
  };
}
