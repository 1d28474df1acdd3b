import type { Rule } from '../core/options.js';

/** https, or http to this machine itself: what goes out must be read and changed by nobody on the way. */
export function readSecureUrl(value: unknown): URL | null {
  const url = typeof value === 'string' && !/[\p{C}\s#]/u.test(value) ? URL.parse(value) : null;
  if (url === null || url.username !== '' || url.password !== '') return null;
  const isLoopback = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback) ? url : null;
}

const demand = 'an https URL without credentials or fragment (or http to this machine)';

export const appUrl: Rule = { demand, accepts: (value) => readSecureUrl(value) !== null };

/** Of a receiver, which may know its senders by a secret in the path: never quoted. */
export const receiverUrl: Rule = { ...appUrl, secret: true, required: true };
