import type { Alert } from '../core/alert.js';
import { printable } from '../core/printable.js';
import { alertWords } from './alert-words.js';
import { programName } from './program-name.js';

/** Whom a text speaks to: the owner of the account, or those who run the app. */
export type Audience = 'owner' | 'operator';

export interface AlertMessage {
  /** One line. */
  readonly subject: string;
  readonly text: string;
}

const longestFact = 256;
const mostAccounts = 20;

/**
 * An alert in plain English: what happened, when, from where, how often and what to do. Plain text, never HTML. Whatever
 * is not fixed is escaped and cut, so it can end no line, start no header and turn no direction of writing; and it
 * has no link but the app's own, so that nobody gets used to following links in such a mail.
 */
export function alertText(
  alert: Alert,
  appName: string,
  { audience = 'owner', link }: { readonly audience?: Audience; readonly link?: string | undefined } = {},
): AlertMessage {
  const words = alertWords[alert.kind];
  const isOwner = audience === 'owner' && words.owner !== undefined;
  const whose = isOwner ? `your account` : 'an account';
  const steps = isOwner ? (words.owner ?? []) : [words.operator];
  const severity = isOwner ? '' : ` (${alert.severity})`;
  const paragraphs = [
    [isOwner ? `This is ${appName}.` : `This is ${appName}, for those who run it.`, words.what(whose)],
    factsOf(alert, isOwner),
    ['What to do:', ...steps.map((step) => (step.endsWith(':') ? step : `- ${step}`))],
    link === undefined ? [] : [`Your account: ${link}`],
    isOwner ? [`This mail asks for no password and no code. If you are in doubt, tell us.`] : [],
    [`Alert ${fact(alert.id)}`],
  ];
  return {
    subject: `${appName}: ${words.subject(whose)}${severity}`,
    text: paragraphs
      .filter((lines) => lines.length > 0)
      .map((lines) => `${lines.join('\n')}\n`)
      .join('\n'),
  };
}

function factsOf(alert: Alert, isOwner: boolean): string[] {
  const { since, until, count, accounts, sources, digest, userAgent } = alert;
  const hasProgram = userAgent !== null && userAgent !== '';
  const facts: [name: string, value: string | null][] = [
    ['When', since === until ? readable(until) : `${readable(since)} to ${readable(until)}`],
    ['How often', count === 1 ? 'once' : `${count} times`],
    ['Account', alert.account],
    ['By', alert.actor],
    ['Address', alert.address],
    ['Program', hasProgram ? (isOwner ? programName(userAgent) : userAgent) : null],
    ['Addresses seen', sources > 1 ? String(sources) : null],
  ];
  if (!isOwner) {
    facts.push(
      ['Accounts seen', accounts > 1 ? String(accounts) : null],
      ['Name, as the lockout counts it', alert.subject],
      ['Last request', alert.requestId],
    );
    for (const [kind, times] of Object.entries(digest?.kinds ?? {})) facts.push([kind, `${times}`]);
    const listed = digest?.accounts.slice(0, mostAccounts) ?? [];
    for (const account of listed) facts.push(['Account', account]);
  }
  return facts.flatMap(([name, value]) => (value === null ? [] : [`${name}: ${fact(value)}`]));
}

/**
 * What was escaped before stays as it is. A mail program makes a link of whatever looks like one, plain text or not, so
 * nothing may look like one.
 */
function fact(value: string): string {
  const line = /^[ -~]*$/.test(value) ? value.slice(0, longestFact) : printable(value, longestFact);
  return line.replaceAll('://', '[:]//').replaceAll(/\.(?=[a-z])/gi, '[.]');
}

/** `2026-03-01 12:00:05 UTC`. */
function readable(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
