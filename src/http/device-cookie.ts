import type { Account } from '../core/account.js';
import { Busy, StoreUnavailable } from '../core/errors.js';
import type { FoundDevice, KnownDevices, RememberedDevice } from '../core/known-devices.js';
import type { Login } from '../core/login.js';
import { printable } from '../core/printable.js';
import type { AuthContext } from './auth-state.js';
import { clientAddress } from './client-address.js';
import { emitEvent, emitStoreFailure } from './events.js';
import { decided } from './refuse.js';
import { isFromAnotherSite } from './site.js';

const longestUserAgent = 256;

/**
 * Whether a known device asks, for a name that is counted. One whose secret was used up by a later login is a stranger: it
 * was copied, or restored from a backup. The device that has the newer secret stays known, or whoever holds an old copy
 * could make its owner a stranger again.
 *
 * @param name - Undefined where it is not known: then nobody is.
 * @returns undefined when the request has been refused: a store that cannot tell decides nothing.
 */
export async function meetDevice(
  ctx: AuthContext,
  login: Login,
  devices: KnownDevices | undefined,
  name: string | undefined,
): Promise<boolean | undefined> {
  if (devices === undefined || !login.hasCookies) return false;
  // Or a page elsewhere could log its visitor in to an account of its own, whose cookie would take the place of hers
  // (login CSRF), and one on another host of the site, to which even a strict cookie is sent, could spend her attempts.
  if (isFromAnotherSite(ctx, devices.origin)) login.ignoreCookies();
  const isRead = login.hasCookies && name !== undefined;
  const cookie = readDeviceCookie(ctx, devices);
  const found = await decided(ctx, isRead ? devices.recognise(cookie, name) : nobody);
  if (found === undefined) return undefined;
  const isKnown = found !== null && !found.isReplayed;
  if (found?.isReplayed === true)
    emitEvent(ctx, { name: 'device.replayed', account: found.account, device: found.id });
  login.meetDevice(isKnown ? 'known' : 'new');
  return isKnown;
}

const nobody: Promise<FoundDevice | null> = Promise.resolve(null);

/**
 * After the answer was made: where that is a token, the browser gets a cookie with a new secret. Where the store fails it
 * gets none: the login stands all the same, as nothing depends on the device.
 */
export async function rememberDevice(
  ctx: AuthContext,
  { spent, account, hasCookies }: Login,
  devices: KnownDevices | undefined,
  name: string | undefined,
): Promise<void> {
  const isToBeKept = spent && hasCookies && ctx.status < 400;
  if (devices === undefined || name === undefined || account === undefined || !isToBeKept) return;
  const remembered = await remember(ctx, devices, account, name);
  if (remembered === undefined) return;
  const { id, isNew, cookie } = remembered;
  const { key, secure } = cookieOf(devices);
  const attributes = `Path=/; Max-Age=${devices.lifetimeSeconds}; HttpOnly; SameSite=Strict${secure}`;
  // Written by hand: behind a proxy that ends TLS, Koa's cookies refuse to send a secure one.
  ctx.append('Set-Cookie', `${key}=${cookie}; ${attributes}`);
  if (isNew) emitEvent(ctx, { name: 'device.added', account: account.id, device: id });
}

async function remember(
  ctx: AuthContext,
  devices: KnownDevices,
  account: Account,
  name: string,
): Promise<RememberedDevice | undefined> {
  const userAgent = printable(ctx.get('User-Agent'), longestUserAgent);
  const about = { userAgent, address: clientAddress(ctx) };
  try {
    return await devices.remember(account, name, readDeviceCookie(ctx, devices), about);
  } catch (error) {
    if (error instanceof StoreUnavailable) emitStoreFailure(ctx, error.reason);
    else if (!(error instanceof Busy)) throw error;
    return undefined;
  }
}

/** Ids of the account's devices that this request is signed for. */
export function markedDevices(ctx: AuthContext, devices: KnownDevices, account: Account): readonly string[] {
  return devices.marked(account, readDeviceCookie(ctx, devices));
}

/** Empty where there is none. */
function readDeviceCookie(ctx: AuthContext, devices: KnownDevices): string {
  return ctx.cookies.get(cookieOf(devices).key, { signed: false }) ?? '';
}

// `__Host-`: no other host of the domain, and no page over plain http, can plant one. `Strict`, as no link from elsewhere
// leads to a login that has been filled in.
function cookieOf({ origin }: KnownDevices): { readonly key: string; readonly secure: string } {
  return origin.startsWith('https:')
    ? { key: '__Host-portcullis_device', secure: '; Secure' }
    : { key: 'portcullis_device', secure: '' };
}
