import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as settled } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTransport } from 'nodemailer';
import { alertKinds, type Alert } from '../../src/core/alert.js';
import type { AlertMail } from '../../src/sinks/alert-mail.js';
import { emailAlerts, type EmailAlertsOptions, type MailTransport } from '../../src/sinks/email-alerts.js';
import { alertOf, deliver, oneInFour } from '../rig/alerts.js';
import { startMailServer, type MailFault, type MailServer, type ReceivedMail } from '../rig/smtp-server.js';
import { until } from '../rig/until.js';

let server: MailServer;

beforeEach(async () => {
  server = await startMailServer();
});
afterEach(() => server.close());

const never = new AbortController().signal;
const addressOf = (account: string): string | null =>
  account === 'robot' ? null : `${account}@customer.example`;

function sinkTo(
  options: Partial<EmailAlertsOptions> = {},
  transport: MailTransport = transportTo(server.port),
) {
  return emailAlerts(transport, {
    appName: 'Acme',
    from: 'Acme <security@acme.example>',
    to: addressOf,
    operators: ['ops@acme.example', 'boss@acme.example'],
    ...options,
  });
}

function transportTo(port: number): MailTransport {
  return createTransport({
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    connectionTimeout: 2000,
    greetingTimeout: 2000,
    socketTimeout: 2000,
  });
}

/** Header fields of a mail, unfolded, and its text with its encoding undone. */
function read(mail: ReceivedMail | undefined) {
  const [head = '', ...body] = (mail?.raw ?? '').split('\r\n\r\n');
  const lines = head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n');
  const fields = new Map(
    lines.map((line) => [line.split(':', 1)[0]?.toLowerCase(), line.replace(/^[^:]*: ?/, '')]),
  );
  const text = body.join('\r\n\r\n');
  const isQuoted = fields.get('content-transfer-encoding') === 'quoted-printable';
  const plain = isQuoted
    ? text
        .replaceAll(/=\r\n/g, '')
        .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    : text.replaceAll(/ \r\n/g, ' ');
  return { fields, names: lines.map((line) => line.split(':', 1)[0]), text: plain };
}

const recipients = (): string[] => server.mails.flatMap(({ to }) => to).toSorted();

describe('emailAlerts tells', () => {
  it('the owner what happened, when, from where, how often and what to do', async () => {
    await sinkTo().send(alertOf(), never);
    expect(recipients()).toEqual(['alice@customer.example']);
    const { fields, text } = read(server.mails[0]);
    expect(fields.get('subject')).toBe('Acme: many failed logins to your account');
    expect(fields.get('from')).toBe('Acme <security@acme.example>');
    expect(fields.get('content-type')).toMatch(/^text\/plain; charset=utf-8/);
    expect(fields.get('auto-submitted')).toBe('auto-generated');
    for (const line of [
      'Somebody tried again and again to log in to your account',
      'When: 2026-03-01 12:00:05 UTC to 2026-03-01 12:20:00 UTC',
      'How often: 12 times',
      'Address: 192.0.2.7',
      'Program: an unknown program on Linux',
      'Change your password',
    ])
      expect(text).toContain(line);
  });

  it('operators of what concerns no single account, each in a mail of their own (ALR-03, ALR-08)', async () => {
    const digest = { kinds: { repeated_failures: 900, password_known: 2 }, accounts: ['alice', 'bob'] };
    await deliver(sinkTo(), [
      alertOf({ id: 'one', kind: 'password_spraying', account: null, accounts: 57 }),
      alertOf({ id: 'two', kind: 'unknown_names', account: null, subject: null }),
      alertOf({ id: 'three', kind: 'digest', account: null, digest }),
    ]);
    expect(recipients()).toEqual([
      ...Array<string>(3).fill('boss@acme.example'),
      ...Array<string>(3).fill('ops@acme.example'),
    ]);
    const texts = server.mails.map((mail) => read(mail).text);
    expect(texts.filter((text) => text.includes('Accounts seen: 57'))).toHaveLength(2);
    expect(
      texts.filter((text) => text.includes('repeated_failures: 900') && text.includes('Account: bob')),
    ).toHaveLength(2);
  });

  it('both of what is critical, the owner as owner', async () => {
    await sinkTo().send(alertOf({ kind: 'password_known', severity: 'critical' }), never);
    expect(recipients()).toEqual(['alice@customer.example', 'boss@acme.example', 'ops@acme.example']);
    const subjects = new Map(server.mails.map((mail) => [mail.to[0], read(mail).fields.get('subject')]));
    expect(subjects.get('alice@customer.example')).toBe(
      'Acme: somebody may know the password of your account',
    );
    expect(subjects.get('ops@acme.example')).toBe(
      'Acme: somebody may know the password of an account (critical)',
    );
  });

  it.each([
    ['none', null],
    ['two in one', 'mallory@evil.example, alice@customer.example'],
    ['a header', 'alice@customer.example\r\nBcc: mallory@evil.example'],
    ['a name with an address', 'alice@customer.example <mallory@evil.example>'],
    ['something else', { address: 'mallory@evil.example' } as unknown as string],
  ])('operators in place of an owner whose address is %s (ALR-06)', async (_what, address) => {
    await sinkTo({ to: () => address }).send(alertOf(), never);
    expect(recipients()).toEqual(['boss@acme.example', 'ops@acme.example']);
  });

  it('nobody where nobody is to be told', async () => {
    await sinkTo({ operators: [], to: () => null }).send(alertOf(), never);
    expect(recipients()).toEqual([]);
  });

  it.each(alertKinds)('of %s, in words of its own', async (kind) => {
    const digest = kind === 'digest' ? { kinds: { new_place: 3 }, accounts: ['alice'] } : null;
    await sinkTo().send(alertOf({ kind, digest }), never);
    const { fields, text } = read(server.mails[0]);
    expect(fields.get('subject')).toMatch(/^Acme: [a-z][ -~]{10,80}$/);
    expect(text).toMatch(/What to do:\r\n/);
    expect(text).not.toContain('undefined');
  });

  it('in words of the app, where it has some, with no line end in the subject (ALR-06)', async () => {
    const sink = sinkTo({
      compose: ({ kind, account }, audience) =>
        kind === 'new_device'
          ? { subject: `Neues Gerät\r\nBcc: mallory@evil.example`, text: `für ${account}, ${audience}` }
          : null,
    });
    await sink.send(alertOf({ kind: 'new_device' }), never);
    await sink.send(alertOf({ id: 'other' }), never);
    const [first, second] = server.mails;
    expect(first?.to).toEqual(['alice@customer.example']);
    expect(read(first).names).not.toContain('Bcc');
    expect(read(first).fields.get('subject')).toMatch(/^=\?UTF-8\?/);
    expect(read(second).fields.get('subject')).toBe('Acme: many failed logins to your account');
  });
});

describe('a transport of another kind', () => {
  it('is handed one address and a subject of one line, whoever wrote it (ALR-06)', async () => {
    const mails: AlertMail[] = [];
    const transport = { sendMail: async (mail: AlertMail) => mails.push(mail) };
    const written = { subject: 'New\r\nBcc: mallory@evil.example\u2028\u202E', text: 'text' };
    await sinkTo({ compose: () => written }, transport).send(alertOf(), never);
    expect(mails).toEqual([
      {
        from: 'Acme <security@acme.example>',
        to: 'alice@customer.example',
        subject: 'New Bcc: mallory@evil.example ',
        text: 'text',
        messageId: expect.stringMatching(/^<[0-9a-f]{32}@acme\.example>$/),
        headers: { 'Auto-Submitted': 'auto-generated' },
      },
    ]);
  });

  it('fails as any other where it throws', async () => {
    const transport: MailTransport = {
      sendMail() {
        throw new Error('CANARY');
      },
    };
    await expect(sinkTo({}, transport).send(alertOf(), never)).rejects.toThrow(/^a mail was not sent$/);
  });
});

describe('what a client wrote', () => {
  const hostile =
    '<img src=x onerror=alert(1)>\r\nBcc: mallory@evil.example\r\n\r\n\u202Ehttp://evil.example/login www.evil.example \u0000\u001B[2J';

  it.each([
    ['a program', { userAgent: hostile }],
    ['an address', { address: hostile }],
    ['an account', { account: hostile }],
    ['an actor', { actor: hostile, kind: 'factors_reset' as const }],
    ['a subject', { subject: hostile }],
    ['a request', { requestId: hostile }],
    ['an id', { id: hostile }],
    ['an account of a digest', { kind: 'digest' as const, digest: { kinds: {}, accounts: [hostile] } }],
  ])('as %s ends no line, starts no header and makes no link (ALR-06)', async (_what, facts) => {
    await sinkTo({ to: () => 'alice@customer.example' }).send(
      alertOf({ severity: 'critical', ...facts }),
      never,
    );
    expect(server.mails.length).toBeGreaterThanOrEqual(2);
    for (const mail of server.mails) {
      const { fields, names, text } = read(mail);
      expect(mail.raw).toMatch(/^[\t\n\r -~]*$/);
      expect(names).not.toContain('Bcc');
      expect(fields.get('content-type')).toMatch(/^text\/plain/);
      expect(fields.get('subject')).toMatch(/^[ -~]*$/);
      expect(text).not.toMatch(/^(?:Bcc|http|www)/m);
      expect(text).not.toMatch(/:\/\/|evil\.example/);
    }
  });

  it('is no sentence in the mail of an owner: a program is told in our own words (ALR-06)', async () => {
    const userAgent = 'Firefox/131.0 Your money is at risk, call +1 555 0100';
    await sinkTo().send(alertOf({ severity: 'critical', userAgent, account: 'alice' }), never);
    const texts = server.mails.map((mail) => [mail.to.join(), read(mail).text] as const);
    for (const [to, text] of texts) {
      expect(text.includes('555 0100')).toBe(to !== 'alice@customer.example');
      expect(text).toContain('Program: Firefox');
    }
    expect(texts.length).toBeGreaterThan(1);
  });

  it('is cut (ALR-06)', async () => {
    await sinkTo().send(alertOf({ userAgent: 'x'.repeat(100_000), account: 'alice' }), never);
    expect(server.mails[0]?.raw.length).toBeLessThan(4000);
  });

  it('is beside no link but the one that the app gives', async () => {
    const link = 'https://acme.example/security';
    await sinkTo({ link }).send(alertOf(), never);
    const { text } = read(server.mails[0]);
    expect(text.match(/\S*:\/\/\S*/g)).toEqual([link]);
  });
});

describe('a mail that fails', () => {
  const critical = alertOf({ kind: 'password_known', severity: 'critical' });

  it('keeps no other from being sent, and those are not sent again', async () => {
    let isFull = true;
    server.fail((recipient) => (isFull && recipient === 'alice@customer.example' ? 'recipient' : undefined));
    const sink = sinkTo();
    await expect(sink.send(critical, never)).rejects.toThrow('a mail was not sent (EENVELOPE 450)');
    expect(recipients()).toEqual(['boss@acme.example', 'ops@acme.example']);
    isFull = false;
    await sink.send(critical, never);
    expect(recipients()).toEqual(['alice@customer.example', 'boss@acme.example', 'ops@acme.example']);
    await sink.send(critical, never);
    expect(server.mails).toHaveLength(3);
  });

  it('for want of the address keeps operators from nothing', async () => {
    const sink = sinkTo({ to: () => Promise.reject(new Error('CANARY: no database')) });
    await expect(sink.send(critical, never)).rejects.toThrow(/^the address of an owner was not found out$/);
    expect(recipients()).toEqual(['boss@acme.example', 'ops@acme.example']);
  });

  it('while the address is waited for keeps operators from nothing, and the wait ends', async () => {
    const stop = new AbortController();
    const sending = sinkTo({ to: () => new Promise(() => {}) }).send(critical, stop.signal);
    await until(() => server.mails.length === 2);
    stop.abort();
    await expect(sending).rejects.toThrow('the mails took too long');
  });

  it('is the same message when it is sent again', async () => {
    const faults: (MailFault | undefined)[] = ['cut after', undefined];
    server.fail((recipient) => (recipient === undefined ? faults.shift() : undefined));
    await deliver(sinkTo(), [alertOf()]);
    const ids = server.mails.map((mail) => read(mail).fields.get('message-id'));
    expect(ids).toEqual([expect.stringMatching(/^<[0-9a-f]{32}@acme\.example>$/), ids[0]]);
  });

  it('says nothing of addresses, texts or passwords', async () => {
    server.fail((recipient) => (recipient === undefined ? 'refuse' : undefined));
    const error: unknown = await sinkTo()
      .send(alertOf(), never)
      .catch((e: unknown) => e);
    expect(error).toEqual(
      expect.objectContaining({ message: expect.stringMatching(/^a mail was not sent \([A-Z_]+( \d+)?\)$/) }),
    );
    expect((error as Error).cause).toBeUndefined();
  });

  it('because the server hangs ends when it has to, and is not sent beside itself', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const transport = createTransport({ host: '127.0.0.1', port, greetingTimeout: 60_000 });
    let sent = 0;
    const counted: MailTransport = {
      sendMail: (mail) => {
        sent += 1;
        return transport.sendMail(mail);
      },
    };
    const sink = sinkTo({}, counted);
    const sendUntil = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
      const stop = new AbortController();
      const sending = sink.send(alertOf(), stop.signal);
      await until(isSo);
      stop.abort();
      await expect(sending).rejects.toThrow('the mails took too long');
    };
    try {
      await sendUntil(() => sockets.length === 1);
      await sendUntil(() => settled().then(() => true));
      expect(sent).toBe(1);
      sockets[0]?.destroy();
      await expect(sink.send(alertOf(), AbortSignal.abort())).rejects.toThrow('the mails took too long');
      expect(sent).toBe(1);
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });
});

describe('with every fourth conversation failing', () => {
  it('every alert reaches everybody, and ids tell those that came twice (ALR-04)', async () => {
    const kinds: MailFault[] = ['refuse', 'recipient', 'content', 'cut', 'cut after'];
    const isFault = oneInFour();
    let turn = 0;
    server.fail((recipient) =>
      recipient === undefined && isFault() ? kinds[(turn += 1) % kinds.length] : undefined,
    );
    const alerts = Array.from({ length: 60 }, (_, index): Alert =>
      alertOf({
        id: `alert-${index}`,
        account: `user${index}`,
        severity: index % 3 === 0 ? 'critical' : 'warning',
      }),
    );
    await deliver(sinkTo(), alerts, 10_000);
    const received = new Set(
      server.mails.map((mail) => `${mail.to.join()} ${read(mail).fields.get('message-id')}`),
    );
    expect(received.size).toBe(60 + 20 * 2);
    for (let index = 0; index < 60; index += 1)
      expect(recipients()).toContain(`user${index}@customer.example`);
    expect(new Set(server.faults)).toEqual(new Set(kinds));
    expect(server.faults.length).toBeGreaterThan(15);
  });

  it('also where the server is away at first', async () => {
    const { port } = server;
    await server.close();
    await expect(sinkTo({}, transportTo(port)).send(alertOf(), never)).rejects.toThrow(
      /^a mail was not sent \(ESOCKET\)$/,
    );
    server = await startMailServer();
  });
});

describe('emailAlerts refuses', () => {
  const transport = { sendMail: async () => {} };
  const good = { appName: 'Acme', from: 'security@acme.example', to: addressOf };

  // prettier-ignore
  it.each([
    ['no options', {}, 'option appName must be one line of at most 64 characters, not undefined'],
    ['a name of two lines', { ...good, appName: 'Acme\r\nBcc: x@y.example' }, 'option appName must be'],
    ['a name that turns the direction of writing', { ...good, appName: '\u202EAcme' }, 'option appName must be'],
    ['a long name', { ...good, appName: 'x'.repeat(65) }, 'option appName must be'],
    ['no sender', { ...good, from: 'Acme' }, 'option from must be one line with one mail address, not "Acme"'],
    ['a sender of two lines', { ...good, from: 'a@acme.example\nBcc: b' }, 'option from must be'],
    ['no lookup', { ...good, to: 'alice@customer.example' }, 'option to must be a function'],
    ['operators that are none', { ...good, operators: ['ops'] }, 'option operators must be a list of mail addresses, not an array of 1'],
    ['a list with a hole', { ...good, operators: Array<string>(1) }, 'option operators must be'],
    ['a link without https', { ...good, link: 'http://acme.example' }, 'option link must be an https URL'],
    ['a script for a link', { ...good, link: 'javascript:alert(1)' }, 'option link must be an https URL'],
    ['text for a function', { ...good, compose: 'text' }, 'option compose must be a function'],
    ['an unknown option', { ...good, bcc: 'x' }, 'emailAlerts: unknown option "bcc"'],
  ])('%s', (_what, options, message) => {
    expect(() => emailAlerts(transport, options as EmailAlertsOptions)).toThrow(TypeError);
    expect(() => emailAlerts(transport, options as EmailAlertsOptions)).toThrow(message);
  });

  it.each([undefined, null, {}, 'smtp://localhost'])('%j for a transport', (given) => {
    expect(() => emailAlerts(given as MailTransport, good)).toThrow(
      'emailAlerts: transport must be a mail transport',
    );
  });

  it('a change to the options after it', async () => {
    const operators = ['ops@acme.example'];
    const sink = sinkTo({ operators });
    operators.push('mallory@evil.example');
    await sink.send(alertOf({ kind: 'digest' }), never);
    expect(recipients()).toEqual(['ops@acme.example']);
  });
});
