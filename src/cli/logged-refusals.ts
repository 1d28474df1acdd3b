import type { Lockout } from '../core/lockout.js';
import type { LogEntry } from '../core/log-entry.js';
import type { LoginLog } from '../core/login-log.js';
import { shown, shownAsKept, shownTime } from './output.js';
import { meaningOf, namesBySubject, refusalNames } from './reason-words.js';

const mostShown = 10;
const mostPages = 20;
const dayMs = 86_400_000;

/**
 * The last refusals of an account. Where the app's lockout does not know whose a name is, entries have no account but
 * the HMAC of the name: those of the last day are searched for it.
 */
export async function refusalsOf(
  log: LoginLog,
  attempts: Lockout,
  account: string,
  now: number,
): Promise<readonly LogEntry[]> {
  const own = await log.query({ account, names: refusalNames, limit: mostShown });
  const subjects = attempts.subjectsOf(account);
  const bySubject: LogEntry[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; page < mostPages && cursor !== null && bySubject.length < mostShown; page += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each page begins where the one before ended
    const found = await log.query({
      names: namesBySubject,
      since: Math.max(0, now - dayMs),
      limit: 200,
      ...(cursor !== undefined && { cursor }),
    });
    const isOfName = ({ account: known, subject }: LogEntry): boolean =>
      known !== account && subject !== null && subjects.includes(subject);
    bySubject.push(...found.entries.filter(isOfName));
    cursor = found.next;
  }
  return [...own.entries, ...bySubject].toSorted((a, b) => b.time - a.time).slice(0, mostShown);
}

/** What a request left in the log, as it happened. */
export async function entriesOf(log: LoginLog, requestId: string): Promise<readonly LogEntry[]> {
  const { entries } = await log.query({ requestId, limit: 100 });
  return entries.toReversed();
}

/** Two lines an entry: what happened from where, and what that means. */
export function entryLines(entry: LogEntry): string[] {
  const { time, name, account, actor, ip, reason, userAgent, requestId } = entry;
  const facts = [
    shownTime(time),
    name,
    reason === null ? null : shownAsKept(reason),
    account === null ? null : `account ${shown(account)}`,
    actor === null ? null : `by ${shown(actor)}`,
    ip === null ? null : `from ${shown(ip)}`,
    requestId === null ? null : `request ${shown(requestId)}`,
  ];
  const meaning = meaningOf(entry);
  return [
    `  ${facts.filter((fact) => fact !== null).join('  ')}`,
    ...(meaning === null ? [] : [`      ${meaning}`]),
    ...(userAgent === null || userAgent === '' ? [] : [`      ${shownAsKept(userAgent)}`]),
  ];
}
