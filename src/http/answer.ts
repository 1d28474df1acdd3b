import type { AuthContext } from './auth-state.js';

/** Answers what is one account's alone: nothing on the way may keep it. */
export function answer(ctx: AuthContext, status: number, body?: object): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.status = status;
  if (body !== undefined) ctx.body = body;
}

/** A time in milliseconds since the epoch, as answers say it; null for never. */
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
