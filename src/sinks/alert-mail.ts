import { createHash } from 'node:crypto';
import type { Alert } from '../core/alert.js';
import type { AlertMessage, Audience } from './alert-text.js';

/** One mail to one address, in the fields of nodemailer. */
export interface AlertMail {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly messageId: string;
  readonly headers: Record<string, string>;
}

/**
 * One address and nothing else: a comma or a line end in what a customer once typed as an address would make it two
 * addresses, or a header.
 */
export function isMailAddress(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length <= 254 &&
    /^[^\p{C}\s@,;:<>()[\]"\\]+@[^\p{C}\s@,;:<>()[\]"\\]+$/u.test(value)
  );
}

/**
 * The id of the message is made of the alert's and of whom it tells, so the same mail sent twice is one to most programs.
 * `Auto-Submitted` keeps holiday notes from answering it (RFC 3834).
 */
export function mailFor(
  alert: Alert,
  from: string,
  to: string,
  audience: Audience,
  { subject, text }: AlertMessage,
): AlertMail {
  const id = createHash('sha256')
    .update(JSON.stringify([alert.id, audience, to]))
    .digest('hex')
    .slice(0, 32);
  const [domain = ''] = /[^\s@<>]+(?=>?\s*$)/.exec(from) ?? [];
  return {
    from,
    to,
    // Whoever composes may have put something of the alert into it.
    subject: subject.replaceAll(/[\p{C}\u2028\u2029]+/gu, ' '),
    text,
    messageId: `<${id}@${domain}>`,
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}
