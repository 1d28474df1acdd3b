import type { AuthEvent, Happening, WithReason } from '../core/auth-event.js';
import type { AuthContext } from './auth-state.js';
import { clientAddress } from './client-address.js';
import { requestFacts } from './request-facts.js';

/**
 * A listener that throws or rejects is the app's error: it answers no login otherwise, keeps the event from no
 * other listener and, where it is asynchronous, does not end the process as an unhandled rejection.
 */
export function emitEvent(ctx: AuthContext, happening: Happening): void {
  const event: AuthEvent = { ...happening, time: Date.now(), ip: clientAddress(ctx), ...requestFacts(ctx) };
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
