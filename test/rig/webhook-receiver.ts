import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Posted {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** How one request is answered. */
export type WebhookReply = (response: ServerResponse) => void;

export interface WebhookReceiver {
  readonly url: string;
  readonly posts: Posted[];
  /** Connections that are open. */
  readonly open: number;
  reply(reply: WebhookReply): void;
  close(): Promise<void>;
}

export function status(code: number, headers: Record<string, string> = {}): WebhookReply {
  return (response) => void response.writeHead(code, headers).end('answer');
}

/** Cuts the connection without an answer. */
export const cutOff: WebhookReply = (response) => void response.destroy();

/** Takes the request and says nothing. */
export const silence: WebhookReply = () => {};

/** A good answer whose body never ends. */
export const endless: WebhookReply = (response) => {
  response.writeHead(200);
  const write = (): void => {
    while (!response.destroyed && response.write('x'.repeat(65_536)));
  };
  response.on('drain', write);
  write();
};

/** An HTTP receiver on loopback, with answers as scripted. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const posts: Posted[] = [];
  let answer: WebhookReply = status(204);
  let open = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const { url: path = '', method = '', headers } = request;
      posts.push({ path, method, headers, body });
      answer(response);
    });
  });
  server.on('connection', (socket) => {
    open += 1;
    socket.on('close', () => (open -= 1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/alerts`,
    posts,
    get open() {
      return open;
    },
    reply: (reply) => {
      answer = reply;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
