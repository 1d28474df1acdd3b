import type { AuthContext } from './auth-state.js';
import { clientAddress } from './client-address.js';

type Named<Name extends string, Facts = unknown> = { readonly name: Name } & Facts;
interface OfAccount {
  readonly account: string;
}
interface WithReason {
  readonly reason: string;
}
interface Locked {
  readonly retryAfterSeconds: number;
}
interface Left {
  readonly left: number;
}
/** A token's id. */
interface OfToken {
  readonly token: string;
}
interface OfFactor {
  readonly factor: string;
}
/** The id of an OAuth client that is known. */
interface OfClient {
  readonly client: string;
}
/** The lockout's key of what was counted: the same for the same name, and no name. */
interface OfSubject {
  readonly subject: string;
}

type Happening =
  | Named<'login.succeeded', OfAccount & { readonly methods: readonly string[]; readonly token: string }>
  | Named<'login.failed', Partial<OfAccount & OfSubject> & WithReason>
  | Named<'login.refused', WithReason>
  | Named<'account.locked', Partial<OfAccount> & OfSubject & Locked>
  | Named<'address.locked', Locked>
  | Named<'second_factor.requested', OfAccount>
  | Named<'second_factor.failed', OfAccount & WithReason>
  | Named<'second_factor.locked', OfAccount & Locked>
  | Named<'second_factor.unreadable', OfAccount & WithReason>
  | Named<'totp.replayed', OfAccount>
  | Named<'totp.suspended', OfAccount>
  | Named<'clock.turned_back', OfAccount>
  | Named<'backup_code.used', OfAccount & Left>
  | Named<'backup_codes.depleted', OfAccount & Left>
  | Named<'backup_codes.regenerated', OfAccount>
  | Named<'security_key.cloned', OfAccount>
  | Named<'factor.enrolled', OfAccount & OfFactor>
  | Named<'factor.removed', OfAccount & OfFactor>
  | Named<'factor.renamed', OfAccount & OfFactor>
  | Named<'factor.change_refused', OfAccount & WithReason>
  | Named<'factors.reset_refused', OfAccount & WithReason>
  | Named<'factors.reset', OfAccount & { readonly actor: string; readonly count: number }>
  | Named<'pending_login.exhausted', OfAccount>
  | Named<
      'token.issued',
      OfAccount & OfToken & Partial<OfClient> & { readonly scope: string; readonly issuer?: string }
    >
  | Named<'token.revoked', OfAccount & OfToken & { readonly actor?: string }>
  | Named<'tokens.revoked', OfAccount & { readonly count: number }>
  | Named<'tokens.access_refused', OfAccount & WithReason>
  | Named<'client.refused', Partial<OfClient> & WithReason>
  | Named<'password.refused', WithReason>
  | Named<'breach.skipped', WithReason>
  | Named<'store.failed', WithReason>
  | Named<'config.weak', WithReason>;

/**
 * What happened, for people and logs: `app.on('auth', (event) => …)`. `account` is an account id; the time is
 * the process's, in milliseconds since the epoch; the address is the client's as far as it can be trusted.
 * Never a secret, a body, a raw token or an identifier that proved to be nobody's: people type passwords into
 * the name field.
 */
export type AuthEvent = Happening & { readonly time: number; readonly ip: string };

/**
 * A listener that throws or rejects is the app's error: it answers no login otherwise, keeps the event from no
 * other listener and, where it is asynchronous, does not end the process as an unhandled rejection.
 */
export function emitEvent(ctx: AuthContext, happening: Happening): void {
  const event: AuthEvent = { ...happening, time: Date.now(), ip: clientAddress(ctx) };
  const report = (error: unknown): void => {
    ctx.app.emit('error', error, ctx);
  };
  for (const listener of ctx.app.rawListeners('auth')) {
    try {
      Promise.resolve(listener.call(ctx.app, event)).catch(report);
    } catch (error) {
      report(error);
    }
  }
}

const onceTold = new WeakMap<object, Map<string, number>>();

/** Emits at most once per app and reason within `everyMs`, so that a fault does not flood the log. Answers whether. */
function emitSeldom(ctx: AuthContext, happening: Happening & WithReason, everyMs: number): boolean {
  const told = onceTold.get(ctx.app) ?? new Map<string, number>();
  onceTold.set(ctx.app, told);
  const key = `${happening.name}: ${happening.reason}`;
  const last = told.get(key);
  const now = performance.now();
  if (last !== undefined && now - last < everyMs) return false;
  told.set(key, now);
  emitEvent(ctx, happening);
  return true;
}

/** At most one a second for each reason. */
export function emitStoreFailure(ctx: AuthContext, reason: string): void {
  emitSeldom(ctx, { name: 'store.failed', reason }, 1000);
}

/** Once per app and reason: something is configured so that it protects less than it seems to. Answers whether. */
export function emitWeakness(ctx: AuthContext, reason: string): boolean {
  return emitSeldom(ctx, { name: 'config.weak', reason }, Number.POSITIVE_INFINITY);
}
