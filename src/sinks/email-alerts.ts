import type { Alert, AlertSink } from '../core/alert.js';
import { callback, offering, readOptions, required, type Rule } from '../core/options.js';
import { alertText, type AlertMessage, type Audience } from './alert-text.js';
import { alertWords } from './alert-words.js';
import { isMailAddress, mailFor, type AlertMail } from './alert-mail.js';
import { errorCode } from './error-code.js';
import { unlessAborted } from './unless-aborted.js';
import { SentMails } from './sent-mails.js';
import { appUrl } from './secure-url.js';

/** What sends the mails: the answer of nodemailer's `createTransport`, or anything with the same method. */
export interface MailTransport {
  /** Rejects where the mail was not taken over. */
  sendMail(mail: AlertMail): Promise<unknown>;
}

export interface EmailAlertsOptions {
  /** Name of your app, as its customers know it: it begins the subject. One line of at most 64 characters. */
  readonly appName: string;
  /** The sender: an address, or `Acme <security@acme.example>`. */
  readonly from: string;
  /** Finds the address of an account's owner; null for none. Have it answer verified addresses only. */
  readonly to: (account: string) => string | null | Promise<string | null>;
  /**
   * Addresses of those who run the app. They get what concerns no single account, what is `critical`, and what
   * concerns an account whose owner has no address.
   *
   * @default []
   */
  readonly operators?: readonly string[];
  /** A page where the owner sees devices and changes the password; the only link of a mail. https, or http on this machine. */
  readonly link?: string;
  /**
   * Writes subject and text in place of the built-in English; null leaves those. What it takes from the alert it must
   * escape for where it puts it.
   */
  readonly compose?: (alert: Alert, audience: Audience) => AlertMessage | null;
}

const oneLine = /^[^\p{C}\u2028\u2029]{1,320}$/u;

const addressList: Rule = {
  demand: 'a list of mail addresses',
  accepts: (value) => Array.isArray(value) && Array.from<unknown>(value).every(isMailAddress),
};

const rules = {
  appName: required({
    demand: 'one line of at most 64 characters',
    accepts: (value) => typeof value === 'string' && value.length <= 64 && oneLine.test(value),
  }),
  from: required({
    demand: 'one line with one mail address',
    accepts: (value) => typeof value === 'string' && oneLine.test(value) && /^[^@]+@[^@]+$/.test(value),
  }),
  to: required(callback),
  operators: addressList,
  link: appUrl,
  compose: callback,
} satisfies { [K in keyof EmailAlertsOptions]-?: Rule };

/**
 * Tells owners and operators by mail, each in a mail of their own. One whose mail fails keeps no other from theirs, and when
 * the alert is tried again, those who had it do not get it again.
 *
 * @param transport - nodemailer's `createTransport(…)`. Give it time-outs: its own are minutes.
 * @throws {TypeError} on an unknown option or a wrong value.
 */
export function emailAlerts(transport: MailTransport, options: EmailAlertsOptions): AlertSink {
  if (!offering('', 'sendMail').accepts(transport)) {
    throw new TypeError(
      'emailAlerts: transport must be a mail transport such as nodemailer.createTransport(…)',
    );
  }
  const { appName, from, to, operators = [], link, compose } = readOptions('emailAlerts', options, rules);
  const staff = [...operators];
  const sent = new SentMails();

  return {
    name: 'email',
    send: (alert, signal) => unlessAborted(signal, 'the mails', () => sendAll(alert)),
  };

  async function sendAll(alert: Alert): Promise<void> {
    const { owner: advice } = alertWords[alert.kind];
    const { account } = alert;
    // What no owner can do anything about is for operators alone.
    const isForOwner = account !== null && advice !== undefined;
    const isForStaff = alert.severity === 'critical' || !isForOwner;
    await allOf([
      ...(isForOwner ? [tellOwner(alert, account)] : []),
      ...(isForStaff ? [tellStaff(alert)] : []),
    ]);
  }

  async function tellOwner(alert: Alert, account: string): Promise<void> {
    const found = Promise.resolve().then(() => to(account));
    const address = await found.catch((error: unknown) => {
      throw new Error(`the address of an owner was not found out${errorCode(error)}`);
    });
    // Whoever is left without a mail must not be left alone with it.
    if (isMailAddress(address)) await tell(alert, address, 'owner');
    else await tellStaff(alert);
  }

  function tellStaff(alert: Alert): Promise<void> {
    return allOf(staff.map((address) => tell(alert, address, 'operator')));
  }

  async function tell(alert: Alert, address: string, audience: Audience): Promise<void> {
    const message = compose?.(alert, audience) ?? alertText(alert, appName, { audience, link });
    const mail = mailFor(alert, from, address, audience, message);
    await sent
      .once(mail.messageId, () => transport.sendMail(mail))
      .catch((error: unknown) => {
        // Its message can hold addresses and what the server was sent.
        throw new Error(`a mail was not sent${errorCode(error)}`);
      });
  }
}

/** Waits for each, whatever becomes of the others. */
async function allOf(told: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(told);
  const failure = outcomes.find(({ status }) => status === 'rejected');
  if (failure?.status === 'rejected') throw failure.reason;
}
