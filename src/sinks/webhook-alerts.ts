import type { Alert, AlertSink } from '../core/alert.js';
import { callback, readOptions, type Rule } from '../core/options.js';
import { errorCode } from './error-code.js';
import { unlessAborted } from './unless-aborted.js';
import { receiverUrl } from './secure-url.js';
import { readWebhookKeys, signWebhook, webhookSecret } from './webhook-signature.js';

export interface WebhookAlertsOptions {
  /** Where alerts are posted to: https, or http on this machine. Redirects are not followed. Never quoted in an error. */
  readonly url: string;
  /**
   * Signs each request, so that the receiver knows whose it is: 24 to 64 random bytes as `whsec_` and their base64, or as
   * bytes. Of a list every one signs: put the new one in front, drop the old one once the receiver knows the new.
   */
  readonly secret: string | Uint8Array | readonly (string | Uint8Array)[];
  /**
   * Headers to be added, such as `Authorization`.
   *
   * @default {}
   */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Sends the request; pass one of your own to go through a proxy.
   *
   * @default globalThis.fetch
   */
  readonly fetch?: typeof globalThis.fetch;
  /**
   * Clock in milliseconds since the epoch.
   *
   * @default Date.now
   */
  readonly now?: () => number;
}

const ownHeaders = /^(?:host|connection|content-.*|transfer-encoding|webhook-.*)$/i;

const headerRecord: Rule = {
  demand: 'an object of headers in printable ASCII, none of them one that the webhook sets itself',
  accepts: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(
      ([name, text]) =>
        /^[\w!#$%&'*+.^`|~-]+$/.test(name) &&
        !ownHeaders.test(name) &&
        typeof text === 'string' &&
        /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text),
    ),
  secret: true,
};

const rules = {
  url: receiverUrl,
  secret: webhookSecret,
  headers: headerRecord,
  fetch: callback,
  now: callback,
} satisfies { [K in keyof WebhookAlertsOptions]-?: Rule };

/**
 * Posts alerts as JSON, signed as Standard Webhooks says, so that receivers can verify them with its libraries. Any answer of
 * 2xx is success. An error holds its status and nothing else of the request or the answer.
 *
 * @see https://www.standardwebhooks.com
 * @throws {TypeError} on an unknown option or a wrong value; secrets, URL and headers are never quoted.
 */
export function webhookAlerts(options: WebhookAlertsOptions): AlertSink {
  const {
    url,
    secret,
    headers = {},
    fetch = globalThis.fetch,
    now = Date.now,
  } = readOptions('webhookAlerts', options, rules);
  const keys = readWebhookKeys(secret);
  const added = { ...headers };

  async function post(alert: Alert, signal: AbortSignal): Promise<void> {
    const body = webhookBody(alert);
    const signature = signWebhook(keys, alert.id, Math.floor(now() / 1000), body);
    const request = {
      method: 'POST',
      redirect: 'manual',
      headers: { ...added, 'Content-Type': 'application/json', ...signature },
      body,
      signal,
    } as const;
    const asked = Promise.resolve().then(() => fetch(url, request));
    const response = await asked.catch((error: unknown) => {
      // The message of an error of the network can hold the URL.
      throw new Error(`the receiver could not be reached${errorCode(error)}`);
    });
    // Nobody needs its body. Unread it would keep the connection, endless it would be read for ever.
    response.body?.cancel().catch(() => {});
    if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
  }

  return {
    name: 'webhook',
    send: (alert, signal) => unlessAborted(signal, 'the receiver', () => post(alert, signal)),
  };
}

/** Version 1. Fields may be added to it; one that changes its meaning makes another version. */
function webhookBody(alert: Alert): string {
  const { id, kind, severity, account, subject, address, actor, count, accounts, sources, digest } = alert;
  return JSON.stringify({
    type: `alert.${kind}`,
    version: 1,
    timestamp: new Date(alert.until).toISOString(),
    data: {
      id,
      kind,
      severity,
      account,
      subject,
      address,
      user_agent: alert.userAgent,
      request_id: alert.requestId,
      since: new Date(alert.since).toISOString(),
      until: new Date(alert.until).toISOString(),
      count,
      accounts,
      sources,
      actor,
      digest,
    },
  });
}
