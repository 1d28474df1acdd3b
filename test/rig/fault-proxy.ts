import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandWords, valueCutter } from './resp.js';

/**
 * - `pass`: nothing is changed.
 * - `refuse`: connections are reset, those that exist at once, new ones when they come.
 * - `blackhole`: connections stay open and new ones are accepted, but nothing passes in either direction.
 *   Those that lost something are reset when the mode ends: TCP never loses a part and goes on.
 * - `delayMs`: each reply comes that much later.
 * - `cutAfterBytes`: that many bytes of replies pass, counted over all connections; then the connection of the
 *   last one is closed and the mode is `pass` again.
 * - `swap`: each command is answered by these raw bytes and does not reach the server. What a client sends to
 *   set up its connection (HELLO, CLIENT, INFO, SELECT, AUTH, PING) still does.
 */
export type FaultMode =
  | 'pass'
  | 'refuse'
  | 'blackhole'
  | { readonly delayMs: number }
  | { readonly cutAfterBytes: number }
  | { readonly swap: Buffer };

/** One command as a client sent it. */
export interface SentCommand {
  /** In capitals. */
  readonly name: string;
  readonly args: readonly string[];
  /** 1 for the first connection, and so on. */
  readonly connection: number;
  /** Whether the server got it. */
  readonly isForwarded: boolean;
}

export interface FaultProxy {
  readonly port: number;
  readonly url: string;
  readonly mode: FaultMode;
  /** Every command since the start or since `forget`, in the order of arrival. */
  readonly commands: readonly SentCommand[];
  switchTo(mode: FaultMode): void;
  /** How often clients sent a command of this name. */
  sent(name: string): number;
  /** How often the server got one. */
  forwarded(name: string): number;
  /** Empties `commands`. */
  forget(): void;
  close(): Promise<void>;
}

const setUp = new Set(['HELLO', 'CLIENT', 'INFO', 'SELECT', 'AUTH', 'PING']);
// Confirmed by pushes, which are no replies.
const unanswered = /^[PS]?(?:UN)?SUBSCRIBE$/;

/** Stands for the reply that the server still owes, among answers that the proxy gives itself. */
const owedByServer = Symbol('owed by server');

interface Link {
  readonly id: number;
  readonly client: Socket;
  readonly server: Socket | undefined;
  /** Answers in the order of their commands. */
  readonly owed: (Buffer | typeof owedByServer)[];
  /** Resolves once everything before has been written. */
  written: Promise<unknown>;
  hasLost: boolean;
}

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  let mode: FaultMode = 'pass';
  let bytesUntilCut = 0;
  let linksSeen = 0;
  let commands: SentCommand[] = [];
  const links = new Set<Link>();

  function reset(link: Link): void {
    links.delete(link);
    link.server?.destroy();
    link.client.resetAndDestroy();
  }

  /** Unlike a reset, this does not take back what the client has not read yet. */
  function hangUp(link: Link): void {
    links.delete(link);
    link.server?.destroy();
    link.client.destroySoon();
  }

  function accept(client: Socket): void {
    if (mode === 'refuse') {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const server = mode === 'blackhole' ? undefined : connect(targetPort, '127.0.0.1');
    linksSeen += 1;
    const link: Link = {
      id: linksSeen,
      client,
      server,
      owed: [],
      written: Promise.resolve(),
      hasLost: server === undefined,
    };
    links.add(link);
    const commandsOf = valueCutter();
    client.setNoDelay(true).on('error', () => {});
    client.on('data', (chunk: Buffer) => commandsOf(chunk).forEach((command) => take(link, command)));
    client.on('close', () => reset(link));

    const repliesOf = valueCutter();
    server?.setNoDelay(true).on('error', () => {});
    server?.on('data', (chunk: Buffer) => repliesOf(chunk).forEach((reply) => pair(link, reply)));
    server?.on('close', () => {
      if (mode === 'blackhole') link.hasLost = true;
      else void link.written.then(() => hangUp(link));
    });
  }

  function take(link: Link, command: Buffer): void {
    const [word = '', ...args] = commandWords(command);
    const name = word.toUpperCase();
    const answer = typeof mode === 'object' && 'swap' in mode && !setUp.has(name) ? mode.swap : undefined;
    const isForwarded = mode !== 'blackhole' && answer === undefined && link.server?.destroyed === false;
    commands.push({ name, args, connection: link.id, isForwarded });
    if (isForwarded) {
      if (!unanswered.test(name)) link.owed.push(owedByServer);
      link.server?.write(command);
    } else if (answer === undefined) {
      link.hasLost = true;
    } else {
      link.owed.push(answer);
      giveAnswers(link);
    }
  }

  /** A reply settles the oldest command; answers of our own that waited behind it follow. */
  function pair(link: Link, reply: Buffer): void {
    const isPush = reply.toString('latin1', 0, 1) === '>';
    if (!isPush && link.owed[0] === owedByServer) link.owed.shift();
    give(link, reply);
    giveAnswers(link);
  }

  function giveAnswers(link: Link): void {
    for (let [next] = link.owed; next !== undefined && next !== owedByServer; [next] = link.owed) {
      link.owed.shift();
      give(link, next);
    }
  }

  /** Each reply waits from its own arrival, and none overtakes another. */
  function give(link: Link, reply: Buffer): void {
    const delayMs = typeof mode === 'object' && 'delayMs' in mode ? mode.delayMs : 0;
    const waited = delayMs > 0 ? sleep(delayMs, undefined, { ref: false }) : undefined;
    link.written = Promise.all([link.written, waited]).then(() => write(link, reply));
  }

  function write(link: Link, reply: Buffer): void {
    if (!links.has(link)) return;
    if (mode === 'blackhole') {
      link.hasLost = true;
    } else if (typeof mode === 'object' && 'cutAfterBytes' in mode) {
      const part = reply.subarray(0, bytesUntilCut);
      bytesUntilCut -= part.length;
      link.client.write(part);
      if (bytesUntilCut > 0) return;
      mode = 'pass';
      hangUp(link);
    } else link.client.write(reply);
  }

  const listener = createServer(accept).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port');
  const { port } = address;

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get mode() {
      return mode;
    },
    get commands() {
      return commands;
    },
    switchTo(next) {
      const ended = mode;
      mode = next;
      if (typeof next === 'object' && 'cutAfterBytes' in next) bytesUntilCut = next.cutAfterBytes;
      for (const link of links) {
        if (next === 'refuse' || (ended === 'blackhole' && next !== 'blackhole' && link.hasLost)) reset(link);
      }
    },
    sent: (name) => commands.filter((command) => command.name === name.toUpperCase()).length,
    forwarded: (name) =>
      commands.filter((command) => command.isForwarded && command.name === name.toUpperCase()).length,
    forget() {
      commands = [];
    },
    async close() {
      for (const link of links) reset(link);
      listener.close();
      await once(listener, 'close');
    },
  };
}
