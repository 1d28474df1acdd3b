import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import type { Alert } from '../../src/core/alert.js';
import { webhookAlerts, type WebhookAlertsOptions } from '../../src/sinks/webhook-alerts.js';
import { alertOf, deliver, oneInFour } from '../rig/alerts.js';
import { until } from '../rig/until.js';
import {
  cutOff,
  endless,
  silence,
  startWebhookReceiver,
  status,
  type Posted,
  type WebhookReceiver,
  type WebhookReply,
} from '../rig/webhook-receiver.js';

const never = new AbortController().signal;
const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;
const secret = newSecret();
let receiver: WebhookReceiver;

beforeEach(async () => {
  receiver = await startWebhookReceiver();
});
afterEach(() => receiver.close());

const sinkTo = (options: Partial<WebhookAlertsOptions> = {}) =>
  webhookAlerts({ url: receiver.url, secret, ...options });

/** As a receiver does it, with the library that the scheme's authors give out. */
function verify({ body, headers }: Posted, key = secret): unknown {
  return new Webhook(key).verify(body, headers as Record<string, string>);
}

async function failureOf(sending: Promise<void>): Promise<Error> {
  const error: unknown = await sending.then(() => new Error('it was sent')).catch((e: unknown) => e);
  return error as Error;
}

describe('webhookAlerts posts', () => {
  it('the alert as JSON, with a signature that the standard library verifies', async () => {
    const digest = { kinds: { new_place: 2 }, accounts: ['alice', 'bob'] };
    await sinkTo().send(alertOf({ digest, userAgent: 'Gr\\u00fcn' }), never);
    const [post] = receiver.posts;
    expect(post).toMatchObject({
      method: 'POST',
      path: '/alerts',
      headers: { 'content-type': 'application/json' },
    });
    expect(post && verify(post)).toEqual({
      type: 'alert.repeated_failures',
      version: 1,
      timestamp: '2026-03-01T12:20:00.000Z',
      data: {
        id: 'a1b2c3d4e5f60718',
        kind: 'repeated_failures',
        severity: 'warning',
        account: 'alice',
        subject: 'f'.repeat(64),
        address: '192.0.2.7',
        user_agent: 'Gr\\u00fcn',
        request_id: 'req-1',
        since: '2026-03-01T12:00:05.000Z',
        until: '2026-03-01T12:20:00.000Z',
        count: 12,
        accounts: 1,
        sources: 3,
        actor: null,
        digest,
      },
    });
  });

  it('every field that an alert has', async () => {
    await sinkTo().send(alertOf(), never);
    const { data } = JSON.parse(receiver.posts[0]?.body ?? '') as { data: object };
    const names = Object.keys(alertOf()).map((name) =>
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    );
    expect(Object.keys(data).toSorted()).toEqual(names.toSorted());
  });

  it('with the id of the alert, the time of this try, and letters of any alphabet signed as they are sent', async () => {
    let seconds = Math.floor(Date.now() / 1000);
    const sink = sinkTo({ now: () => seconds * 1000 + 999 });
    const alert = alertOf({ account: 'Zoë 漢字 \u{1F511}' });
    await sink.send(alert, never);
    seconds += 60;
    await sink.send(alert, never);
    const seen = receiver.posts.map(({ headers }) => [headers['webhook-id'], headers['webhook-timestamp']]);
    expect(seen).toEqual([
      ['a1b2c3d4e5f60718', String(seconds - 60)],
      ['a1b2c3d4e5f60718', String(seconds)],
    ]);
    for (const post of receiver.posts)
      expect(verify(post)).toMatchObject({ data: { account: alert.account } });
  });

  it('what no other secret, id, time or body is verified for', async () => {
    await sinkTo().send(alertOf(), never);
    const [post] = receiver.posts;
    if (post === undefined) throw new Error('nothing came');
    const { headers } = post;
    expect(() => verify(post, newSecret())).toThrow('No matching signature');
    expect(() => verify({ ...post, body: post.body.replace('alice', 'bob') })).toThrow(
      'No matching signature',
    );
    expect(() => verify({ ...post, headers: { ...headers, 'webhook-id': 'other' } })).toThrow(
      'No matching signature',
    );
    const later = String(Number(headers['webhook-timestamp']) + 1);
    expect(() => verify({ ...post, headers: { ...headers, 'webhook-timestamp': later } })).toThrow(
      'No matching signature',
    );
  });

  it('signed by each secret of a list, so that either can be dropped', async () => {
    const other = newSecret();
    await sinkTo({ secret: [other, secret] }).send(alertOf(), never);
    for (const post of receiver.posts)
      for (const key of [secret, other]) expect(verify(post, key)).toBeTruthy();
    expect(receiver.posts[0]?.headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
  });

  it.each([24, 32, 64])('signed by a secret of %i bytes, as text or as bytes', async (length) => {
    const bytes = randomBytes(length);
    const text = `whsec_${bytes.toString('base64')}`;
    await sinkTo({ secret: text }).send(alertOf(), never);
    await sinkTo({ secret: bytes }).send(alertOf(), never);
    for (const post of receiver.posts) expect(verify(post, text)).toBeTruthy();
    expect(receiver.posts).toHaveLength(2);
  });

  it('headers of the app, as they were when it was made', async () => {
    const headers = { Authorization: 'Bearer of-the-receiver' };
    const sink = sinkTo({ headers });
    headers.Authorization = 'Bearer changed';
    await sink.send(alertOf(), never);
    expect(receiver.posts[0]?.headers['authorization']).toBe('Bearer of-the-receiver');
  });

  it.each([200, 201, 204, 299])('and takes %i for success', async (code) => {
    receiver.reply(status(code));
    await expect(sinkTo().send(alertOf(), never)).resolves.toBeUndefined();
  });

  it('and reads no body: an endless one ends', async () => {
    receiver.reply(endless);
    await expect(sinkTo().send(alertOf(), never)).resolves.toBeUndefined();
    await until(() => receiver.open === 0);
  });
});

describe('webhookAlerts fails', () => {
  it.each([400, 401, 410, 429, 500, 503])('on %i, with the status and nothing else', async (code) => {
    receiver.reply(status(code));
    expect((await failureOf(sinkTo().send(alertOf(), never))).message).toBe(`the receiver answered ${code}`);
  });

  it.each([301, 302, 307, 308])('on a redirect, which it does not follow: %i', async (code) => {
    const other = await startWebhookReceiver();
    receiver.reply(status(code, { Location: other.url }));
    expect((await failureOf(sinkTo().send(alertOf(), never))).message).toBe(`the receiver answered ${code}`);
    expect(other.posts).toEqual([]);
    await other.close();
  });

  it('when the connection is cut, or there is none', async () => {
    receiver.reply(cutOff);
    expect((await failureOf(sinkTo().send(alertOf(), never))).message).toBe(
      'the receiver could not be reached (UND_ERR_SOCKET)',
    );
    const other = await startWebhookReceiver();
    await other.close();
    const { message } = await failureOf(sinkTo({ url: other.url }).send(alertOf(), never));
    expect(message).toBe('the receiver could not be reached (ECONNREFUSED)');
  });

  it('when it is told to give up, and lets go of the connection (ALR-04)', async () => {
    receiver.reply(silence);
    const stop = new AbortController();
    const sending = failureOf(sinkTo().send(alertOf(), stop.signal));
    await until(() => receiver.posts.length === 1);
    stop.abort();
    expect((await sending).message).toBe('the receiver took too long');
    await until(() => receiver.open === 0);
  });

  it('when it is told to, also where fetch does not heed it', async () => {
    const stop = new AbortController();
    const sending = failureOf(sinkTo({ fetch: () => new Promise(() => {}) }).send(alertOf(), stop.signal));
    stop.abort();
    expect((await sending).message).toBe('the receiver took too long');
  });

  it('before it asks, when it was told to before', async () => {
    expect((await failureOf(sinkTo().send(alertOf(), AbortSignal.abort()))).message).toBe(
      'the receiver took too long',
    );
    expect(receiver.posts).toEqual([]);
  });

  it('without a word of secret, URL or headers', async () => {
    const canary = 'CANARY-in-the-path';
    const options = { url: `${receiver.url}/${canary}`, headers: { Authorization: `Bearer ${canary}` } };
    const failing = [
      sinkTo(options),
      sinkTo({ ...options, fetch: () => Promise.reject(new Error(`cannot reach ${options.url}`)) }),
      sinkTo({
        ...options,
        fetch: () => {
          throw new Error(`cannot reach ${options.url}`);
        },
      }),
    ];
    for (const reply of [status(500), cutOff]) {
      receiver.reply(reply);
      for (const sink of failing) {
        const said = inspect(await failureOf(sink.send(alertOf(), never)), { depth: 9, showHidden: true });
        expect(said).toContain('the receiver');
        for (const word of [canary, secret.slice(6, 20)])
          expect(said + inspect(sink, { depth: 9 })).not.toContain(word);
      }
    }
  });
});

/** The same, 50 ms later. */
function after(reply: WebhookReply): WebhookReply {
  return (response) => void setTimeout(() => reply(response), 50);
}

describe('with every fourth request failing', () => {
  it('every alert arrives, signed, and ids tell those that came twice (ALR-04)', async () => {
    const faults = [
      status(500),
      cutOff,
      silence,
      after(status(204)),
      status(302, { Location: '/elsewhere' }),
      after(cutOff),
    ];
    const isFault = oneInFour(7);
    let turn = 0;
    receiver.reply((response) => (isFault() ? faults[(turn += 1) % faults.length] : status(204))?.(response));
    const alerts = Array.from({ length: 120 }, (_, index): Alert => alertOf({ id: `alert-${index}` }));
    await deliver(sinkTo(), alerts, 1500);
    const arrived = new Set(receiver.posts.map((post) => (verify(post) as { data: { id: string } }).data.id));
    expect(arrived).toEqual(new Set(alerts.map(({ id }) => id)));
    expect(receiver.posts.length).toBeGreaterThan(130);
    expect(turn).toBeGreaterThan(20);
  });
});

describe('webhookAlerts refuses', () => {
  const url = 'https://soc.example/alerts';

  // prettier-ignore
  it.each([
    ['no URL', { secret }, 'option url must be an https URL without credentials or fragment (or http to this machine), not undefined'],
    ['http', { url: 'http://soc.example/CANARY', secret }, 'option url must be an https URL'],
    ['http to what only looks like this machine', { url: 'http://localhost.CANARY.example/', secret }, 'option url must be an https URL'],
    ['a file', { url: 'file:///CANARY', secret }, 'option url must be an https URL'],
    ['a name and password', { url: 'https://user:CANARY@soc.example/', secret }, 'option url must be an https URL'],
    ['a fragment', { url: `${url}#CANARY`, secret }, 'option url must be an https URL'],
    ['no secret', { url }, "option secret must be 24 to 64 random bytes, as such or as 'whsec_' and their base64, or a list of 1 to 8 of those, not undefined"],
    ['a secret without its prefix', { url, secret: secret.slice(6) }, 'option secret must be'],
    ['a short secret', { url, secret: `whsec_${randomBytes(23).toString('base64')}` }, 'option secret must be'],
    ['a long secret', { url, secret: `whsec_${randomBytes(65).toString('base64')}` }, 'option secret must be'],
    ['a word for a secret', { url, secret: 'whsec_CANARYCANARYCANARYCANARYCANARY!!' }, 'option secret must be'],
    ['a placeholder', { url, secret: `whsec_${Buffer.alloc(32).toString('base64')}` }, 'option secret must be'],
    ['one wrong secret of two', { url, secret: [secret, 'CANARY'] }, 'option secret must be'],
    ['no secret of a list', { url, secret: [] }, 'option secret must be'],
    ['too many secrets', { url, secret: Array.from({ length: 9 }, newSecret) }, 'option secret must be'],
    ['headers of two lines', { url, secret, headers: { 'X-Of': 'CANARY\r\nX: y' } }, 'option headers must be'],
    ['headers of its own', { url, secret, headers: { 'Webhook-Signature': 'CANARY' } }, 'option headers must be'],
    ['a length', { url, secret, headers: { 'Content-Length': '0' } }, 'option headers must be'],
    ['no clock', { url, secret, now: 5 }, 'option now must be a function'],
    ['an unknown option', { url, secret, retries: 3 }, 'webhookAlerts: unknown option "retries"'],
  ])('%s (CFG-05)', (_what, options, message) => {
    const attempt = (): unknown => webhookAlerts(options as WebhookAlertsOptions);
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
    expect(attempt).not.toThrow(/CANARY/);
    expect(attempt).not.toThrow(secret.slice(6, 20));
  });

  it.each(['http://localhost:3000/x', 'http://127.0.0.1/x', 'http://[::1]:8080/x?a=1', url])(
    'but not %s',
    (given) => {
      expect(webhookAlerts({ url: given, secret }).name).toBe('webhook');
    },
  );
});
