import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';

/** What becomes of one conversation. */
export type MailFault = 'refuse' | 'recipient' | 'content' | 'cut' | 'cut after';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Header and body, as they came over the wire. */
  readonly raw: string;
}

export interface MailServer {
  readonly port: number;
  readonly mails: ReceivedMail[];
  /** Faults that happened. */
  readonly faults: MailFault[];
  /** From now on. Asked when a client connects, and where that is to be none, again with the recipient. */
  fail(next: (recipient?: string) => MailFault | undefined): void;
  close(): Promise<void>;
}

const temporary = (code: number): Error =>
  Object.assign(new Error('try again later'), { responseCode: code });

function none(): undefined {}

/** An SMTP server on loopback, with faults as scripted. */
export async function startMailServer(): Promise<MailServer> {
  const mails: ReceivedMail[] = [];
  const faults: MailFault[] = [];
  const sockets = new Map<number | undefined, Socket>();
  let fault: (recipient?: string) => MailFault | undefined = none;
  const planned = new Map<string, MailFault | undefined>();
  const happened = (one: MailFault): void => void faults.push(one);

  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    logger: false,
    closeTimeout: 10,
    onConnect(session, callback) {
      const next = fault();
      planned.set(session.id, next);
      if (next !== 'refuse') return callback();
      happened(next);
      return callback(temporary(421));
    },
    onRcptTo({ address }, session, callback) {
      const next = planned.get(session.id) ?? fault(address);
      planned.set(session.id, next);
      if (next !== 'recipient') return callback();
      happened(next);
      return callback(temporary(450));
    },
    onData(stream, session, callback) {
      const { mailFrom, rcptTo } = session.envelope;
      const next = planned.get(session.id);
      const cut = (): void => void sockets.get(session.remotePort)?.destroy();
      if (next === 'cut') {
        happened(next);
        stream.resume();
        return cut();
      }
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        if (next === 'content') {
          happened(next);
          return callback(temporary(451));
        }
        mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString('utf8'),
        });
        // Taken, and the client does not learn of it: it must send the mail again.
        if (next === 'cut after') {
          happened(next);
          return cut();
        }
        return callback();
      });
    },
  });
  server.on('error', () => {});
  server.server.on('connection', (socket: Socket) => sockets.set(socket.remotePort, socket));
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    mails,
    faults,
    fail: (next) => {
      fault = next;
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
