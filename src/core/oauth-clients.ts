import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { flag, readOptions, required, type Rule } from './options.js';
import { isScope } from './scope.js';

/** An app of your own that logs people in at the OAuth token endpoint, or asks what a token is worth. */
export interface OAuthClient {
  /** Public: 1 to 255 printable ASCII characters, without spaces. */
  readonly id: string;
  /** 32 random printable ASCII characters or more. A client without one is public: anybody can use its id. */
  readonly secret?: string;
  /** Narrows what this client may ask for. */
  readonly scopes?: readonly string[];
  /** May introspect tokens, of whatever client: for your resource servers. Needs a secret. */
  readonly introspects?: boolean;
}

/** A client as it is kept: nothing of it gives the secret away. */
export interface KnownClient {
  readonly id: string;
  readonly scopes: readonly string[];
  readonly introspects: boolean;
}

/** A list of single scope values (RFC 6749 section 3.3). */
export const scopeList: Rule = {
  demand: 'a list of different scope values, without spaces',
  accepts: (v) =>
    Array.isArray(v) &&
    new Set(v).size === v.length &&
    Array.from<unknown>(v).every((one) => isScope(one) && !one.includes(' ')),
};

/** Each entry is read, and refused by name, when the clients are. */
export const clientList: Rule = {
  demand: 'a list of at least one client',
  accepts: (v) => Array.isArray(v) && v.length > 0,
};

const clientRules = {
  id: required({
    demand: '1 to 255 printable ASCII characters, without spaces',
    accepts: (v) => typeof v === 'string' && /^[\x21-\x7E]{1,255}$/.test(v),
  }),
  secret: {
    demand: '32 to 1024 random printable ASCII characters',
    accepts: isRandomSecret,
    secret: true,
  },
  scopes: scopeList,
  introspects: flag,
};

/** What people leave in a configuration until they think of something better has few characters, or begins like this. */
function isRandomSecret(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    /^[\x20-\x7E]{32,1024}$/.test(value) &&
    !/^change.?me/i.test(value) &&
    new Set(value).size >= 8
  );
}

/** The clients of an authorization server. Secrets are kept as SHA-256: random ones need no slow hash. */
export class OAuthClients {
  readonly #clients = new Map<string, { readonly client: KnownClient; readonly hash: Buffer | undefined }>();
  // What an unknown or public client is compared with, so that it costs what a known one does. No secret has it.
  readonly #nobody = randomBytes(32);

  /**
   * @param scopes - What any client may ask for at most.
   * @throws {TypeError} on an unknown option, a wrong value or an id that is given twice; no secret is quoted.
   */
  constructor(owner: string, clients: readonly OAuthClient[], scopes: readonly string[]) {
    Array.from(clients).forEach((given, index) => {
      const name = `${owner}: clients[${index}]`;
      const read = readOptions<OAuthClient>(name, given, clientRules);
      const { id, secret, introspects = false } = read;
      if (secret === id) throw new TypeError(`${name}: option secret must not be its id`);
      const narrowed = read.scopes ?? scopes;
      if (this.#clients.has(id)) throw new TypeError(`${name}: another client has the id "${id}"`);
      if (!narrowed.every((one) => scopes.includes(one)))
        throw new TypeError(`${name}: option scopes must be among the scopes of ${owner}`);
      if (introspects && secret === undefined)
        throw new TypeError(`${name}: a client that introspects must have a secret`);
      const client = { id, scopes: [...narrowed], introspects };
      this.#clients.set(id, { client, hash: secret === undefined ? undefined : hashOf(secret) });
    });
  }

  has(id: string): boolean {
    return this.#clients.has(id);
  }

  /** The client that this is; null for an unknown one and for a wrong secret, after the same work. */
  authenticate(id: string, secret: string | undefined): KnownClient | null {
    const found = this.#clients.get(id);
    const isRight = timingSafeEqual(hashOf(secret ?? ''), found?.hash ?? this.#nobody);
    if (found === undefined) return null;
    const isPublic = found.hash === undefined && secret === undefined;
    return isRight || isPublic ? found.client : null;
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/**
 * What a client that asks for `asked` is granted: exactly that, each value once; nothing where it asks for nothing.
 * Null for a scope that is malformed or not its to ask for.
 */
export function grantScope({ scopes }: KnownClient, asked: string | undefined): string | null {
  if (asked === undefined) return '';
  // Its length first: anybody can send a megabyte of scope values.
  if (!isScope(asked)) return null;
  const values = [...new Set(asked.split(' '))];
  return values.every((value) => scopes.includes(value)) ? values.join(' ') : null;
}
