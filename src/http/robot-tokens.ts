import type { AccessTokens } from '../core/access-tokens.js';
import type { Account } from '../core/account.js';
import { factorName } from '../core/factor-name.js';
import { isScope } from '../core/scope.js';
import { robotGrantRules } from '../core/token-grant.js';
import type { AuthContext } from './auth-state.js';
import { refuseBearer } from './bearer.js';
import { clientAddress } from './client-address.js';
import { emitEvent } from './events.js';
import { bodyField, pathField } from './fields.js';
import { askHook } from './hook.js';
import { answerToken } from './issue.js';
import { decided, refuse } from './refuse.js';
import { answerEnded } from './token-requests.js';

/** One change of a robot's tokens that is about to be made, for the app's audit. */
export interface RobotTokenChange {
  readonly action: 'issue' | 'revoke';
  /** Account ids. */
  readonly actor: string;
  readonly robot: string;
  /** Id of the token that is to end; null for one that is to be issued. */
  readonly token: string | null;
  readonly name: string;
  readonly scope: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Address of the actor's client, as far as it can be trusted. */
  readonly ip: string;
}

/** A request of an administrator who may change the tokens of this robot. */
export interface RobotRequest {
  readonly ctx: AuthContext;
  readonly tokens: AccessTokens;
  readonly actor: Account;
  /** Id of the token that the actor presented. */
  readonly presented: string;
  readonly robot: Account;
  readonly scopes: ReadonlySet<string>;
  readonly longestSeconds: number;
  readonly now: () => number;
  readonly audit: (change: RobotTokenChange, ctx: AuthContext) => unknown;
}

export async function issueRobotToken(request: RobotRequest): Promise<void> {
  const { ctx, tokens, actor, presented, robot } = request;
  const asked = readGrant(request);
  if (asked === null) return refuse(ctx, 'invalid_request');
  const { name, scope, lifetimeSeconds } = asked;
  if (!(await isAudited(request, { action: 'issue', token: null, name, scope }))) return;
  const grant = { name, scope, lifetimeSeconds, issuer: actor.id, address: clientAddress(ctx) };
  const issued = await decided(ctx, tokens.issueToRobot(robot, grant));
  if (issued === undefined) return;
  // The hooks may have taken seconds: a revocation meanwhile is of this request too. Asked after the write, as what is
  // revoked later is not.
  const acting = await decided(ctx, tokens.find(presented));
  if (acting === undefined || acting === null) {
    await tokens.revoke(issued.facts.token.id).catch(() => {});
    return acting === null ? refuseBearer(ctx, 'invalid_token') : undefined;
  }
  const { id: token } = issued.facts.token;
  emitEvent(ctx, { name: 'token.issued', account: robot.id, token, scope, issuer: actor.id });
  answerToken(ctx, issued);
  ctx.status = 201;
  ctx.body = { ...(ctx.body as object), name };
}

export async function endRobotToken(request: RobotRequest): Promise<void> {
  const { ctx, tokens, actor, robot } = request;
  const listed = await decided(ctx, tokens.list(robot));
  if (listed === undefined) return;
  const id = pathField(ctx, 'token');
  const found = listed.find((one) => one.id === id);
  if (found === undefined) return refuse(ctx, 'not_found');
  const { name, scope } = found;
  if (!(await isAudited(request, { action: 'revoke', token: id, name, scope }))) return;
  const isEnded = await decided(ctx, tokens.revoke(id));
  if (isEnded === undefined) return;
  if (isEnded) answerEnded(ctx, robot, id, actor);
  else refuse(ctx, 'not_found');
}

type Change = Pick<RobotTokenChange, 'action' | 'token' | 'name' | 'scope'>;

/** False when the request has been refused: what the audit did not take does not happen. */
async function isAudited(
  { ctx, actor, robot, now, audit }: RobotRequest,
  { action, token, name, scope }: Change,
): Promise<boolean> {
  const parties = { actor: actor.id, robot: robot.id };
  const row = { action, ...parties, token, name, scope, time: now(), ip: clientAddress(ctx) };
  const kept = await askHook(
    ctx,
    'audit',
    () => audit(row, ctx),
    () => true,
  );
  return kept !== undefined;
}

/** Null for what may not be issued. */
function readGrant({ ctx, scopes, longestSeconds }: RobotRequest) {
  const name = bodyField('name')(ctx);
  const scope = bodyField('scope')(ctx);
  const asked = bodyField('lifetime_seconds')(ctx);
  const lifetimeSeconds = asked === undefined ? longestSeconds : asked;
  if (!isName(name) || !isScope(scope) || !isLifetime(lifetimeSeconds, longestSeconds)) return null;
  if (!scope.split(' ').every((value) => scopes.has(value))) return null;
  return { name, scope, lifetimeSeconds };
}

/** As factors are named: it stands in the same kinds of lists. */
function isName(given: unknown): given is string {
  return factorName.accepts(given) && robotGrantRules.name.accepts(given);
}

function isLifetime(given: unknown, longestSeconds: number): given is number {
  return robotGrantRules.lifetimeSeconds.accepts(given) && (given as number) <= longestSeconds;
}
