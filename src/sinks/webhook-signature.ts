import { createHmac } from 'node:crypto';
import type { Rule } from '../core/options.js';

const mostKeys = 8;
const prefix = 'whsec_';

/** One secret, or a list of them while they are rotated. */
export const webhookSecret: Rule = {
  demand: `24 to 64 random bytes, as such or as '${prefix}' and their base64, or a list of 1 to ${mostKeys} of those`,
  accepts: (value) => {
    const given = listOf(value);
    return given.length > 0 && given.length <= mostKeys && given.every((one) => readKey(one) !== null);
  },
  secret: true,
  required: true,
};

export function readWebhookKeys(secret: unknown): Buffer[] {
  return listOf(secret).flatMap((one) => readKey(one) ?? []);
}

/**
 * The headers of Standard Webhooks. The time is signed too, so that a receiver can refuse what somebody recorded and sends
 * again; each try has a time and a signature of its own, and the same id.
 */
export function signWebhook(
  keys: readonly Buffer[],
  id: string,
  seconds: number,
  body: string,
): Record<string, string> {
  const signatures = keys.map(
    (key) => `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`,
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  };
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [value];
}

function readKey(given: unknown): Buffer | null {
  const key =
    typeof given === 'string' ? decode(given) : given instanceof Uint8Array ? Buffer.from(given) : null;
  // Random bytes hardly repeat; half of them the same happens to nobody and is a placeholder.
  return key === null || key.length < 24 || key.length > 64 || new Set(key).size < 12 ? null : key;
}

function decode(text: string): Buffer | null {
  const encoded = text.startsWith(prefix) ? text.slice(prefix.length) : '';
  return /^[A-Za-z0-9+/]{32,86}={0,2}$/.test(encoded) ? Buffer.from(encoded, 'base64') : null;
}
