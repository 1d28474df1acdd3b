import type { Frame, Page } from 'playwright-core';
import { password } from '../rig/login-chain.js';
import { socketsOf, type KeyModel, type VirtualKey } from './virtual-keys.js';

/** JSON of the routes and of WebAuthn, of which each test reads what it is about. */
// oxlint-disable-next-line typescript/no-explicit-any -- what is not there fails the test that reads it
export type Json = any;

export interface Reply {
  readonly status: number;
  readonly body: Json;
}

/** What a ceremony came to: the answer, or the name of the browser's refusal. */
export interface Ceremony {
  readonly answer: Json;
  readonly refused: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly token?: string;
}

/** What a script of the page can do. */
export interface Script {
  send(path: string, body?: object | null, options?: RequestOptions): Promise<Reply>;
  createKey(options: Json): Promise<Ceremony>;
  useKey(options: Json): Promise<Ceremony>;
  /** The first step of a login. */
  logIn(username: string, more?: object): Promise<Reply>;
  /** The second step. */
  second(pending: string, offered: object): Promise<Reply>;
}

/** A person at a browser of their own: cookies, sockets for keys, and the page. */
export interface Visitor extends Script {
  readonly page: Page;
  readonly plug: (model?: KeyModel) => Promise<VirtualKey>;
  /** A whole login, with the key that is touched where one is asked for. Answers the token. */
  tokenOf(username: string): Promise<string>;
  /** What the browser is asked for to register a key. */
  creationOptions(token: string): Promise<Json>;
  /** Sends the answer to the last creation options. */
  confirm(token: string, answer: Json, name?: string): Promise<Reply>;
  /** Options, ceremony and registration of the key that is touched. */
  register(token: string, name?: string): Promise<Reply>;
}

type Functions = Pick<Script, 'createKey' | 'useKey'> & {
  send(path: string, body: object | null, options: object): Promise<Reply>;
};
type PageWindow = { readonly acme: Functions };

/** The page's functions, called in a frame that shows it. */
export function scriptIn(frame: Page | Frame): Script {
  const script: Script = {
    send: (path, body = null, options = {}) =>
      frame.evaluate(
        ([path, body, options]) => (globalThis as unknown as PageWindow).acme.send(path, body, options),
        [path, body, options] as const,
      ),
    createKey: (options) =>
      frame.evaluate((options) => (globalThis as unknown as PageWindow).acme.createKey(options), options),
    useKey: (options) =>
      frame.evaluate((options) => (globalThis as unknown as PageWindow).acme.useKey(options), options),
    logIn: (username, more = {}) => script.send('/tokens', { username, password, ...more }),
    second: (pending, offered) => script.send('/tokens/second-factor', { pending, ...offered }),
  };
  return script;
}

export async function visitorOf(page: Page, origin: string): Promise<Visitor> {
  const sockets = await socketsOf(page);
  await page.goto(`${origin}/`);
  const script = scriptIn(page);

  async function creationOptions(token: string): Promise<Json> {
    const { status, body } = await script.send('/second-factors/security-keys/options', {}, { token });
    if (status !== 200) throw new Error(`No creation options: ${status} ${body.error}`);
    return body;
  }

  function confirm(token: string, answer: Json, name = 'Key'): Promise<Reply> {
    return script.send('/second-factors/security-keys', { name, webauthn: answer }, { token });
  }

  return {
    ...script,
    page,
    plug: sockets.plug,
    creationOptions,
    confirm,
    async tokenOf(username) {
      const first = await script.logIn(username);
      if (first.status === 200) return first.body.access_token;
      const { answer, refused } = await script.useKey(first.body.webauthn);
      if (refused !== '') throw new Error(`No answer: ${refused}`);
      const second = await script.second(first.body.pending, { webauthn: answer });
      if (second.status !== 200) throw new Error(`No login: ${second.status} ${second.body.error}`);
      return second.body.access_token;
    },
    async register(token, name) {
      const { answer, refused } = await script.createKey(await creationOptions(token));
      if (refused !== '') throw new Error(`No key: ${refused}`);
      return confirm(token, answer, name);
    },
  };
}

/** Status and error of a reply. */
export function said({ status, body }: Reply): string {
  return body?.error === undefined ? String(status) : `${status} ${body.error}`;
}
