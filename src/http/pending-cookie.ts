import { randomBytes } from 'node:crypto';
import { pendingSeconds } from '../core/pending-store.js';
import type { AuthContext } from './auth-state.js';
import { readHostCookie, setHostCookie } from './host-cookie.js';

const name = 'portcullis_pending';

/** The secret that binds this browser's pending logins to it; undefined where it has none. */
export function readBinding(ctx: AuthContext, origin: string | undefined): string | undefined {
  const value = readHostCookie(ctx, origin, name);
  return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : undefined;
}

/** The same, made where there is none. One serves all pending logins of a browser, so tabs do not disturb each other. */
export function giveBinding(ctx: AuthContext, origin: string | undefined): string {
  const value = readBinding(ctx, origin) ?? randomBytes(32).toString('base64url');
  setHostCookie(ctx, origin, { name, value, maxAgeSeconds: pendingSeconds });
  return value;
}
