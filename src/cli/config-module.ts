import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { AccessTokens } from '../core/access-tokens.js';
import { Lockout } from '../core/lockout.js';
import { LoginLog } from '../core/login-log.js';
import { own } from '../core/store-call.js';
import { SecondFactors } from '../core/second-factors.js';
import { Failure } from './failure.js';

/** Looked for in the working directory, in this order, where no --config is given. */
const defaultFiles = ['portcullis.config.js', 'portcullis.config.mjs'];

/** How long the app may take to close, in milliseconds. */
const closeMs = 2000;

/** What a command may need of the app's configuration, by the name of its export. */
export interface Parts {
  readonly attempts: Lockout;
  readonly factors: SecondFactors;
  readonly tokens: AccessTokens;
  readonly log: LoginLog;
}

const makers: {
  readonly [Name in keyof Parts]: { readonly maker: string; accepts: (value: unknown) => boolean };
} = {
  attempts: { maker: 'new Lockout()', accepts: (value) => value instanceof Lockout },
  factors: { maker: 'new SecondFactors()', accepts: (value) => value instanceof SecondFactors },
  tokens: { maker: 'new AccessTokens()', accepts: (value) => value instanceof AccessTokens },
  log: { maker: 'new LoginLog()', accepts: (value) => value instanceof LoginLog },
};

/** The module of the app that says which store, limits and keys it uses: the same objects that its middleware has. */
export class ConfigModule {
  constructor(
    readonly file: string,
    readonly exported: object,
  ) {}

  /** @throws {Failure} where there is none, or it cannot be loaded. */
  static async load(given: string | undefined, folder: string): Promise<ConfigModule> {
    const file = given ?? defaultFiles.find((name) => existsSync(resolve(folder, name)));
    if (file === undefined) {
      throw new Failure(`no ${defaultFiles.join(' or ')} here; name the module of your app by --config FILE`);
    }
    const path = resolve(folder, file);
    if (!existsSync(path)) throw new Failure(`${file}: no such file`);
    let loaded: unknown;
    try {
      loaded = await import(pathToFileURL(path).href);
    } catch (error) {
      throw new Failure(`${file} cannot be loaded: ${error instanceof Error ? error.message : 'it threw'}`);
    }
    const standard = own(loaded, 'default');
    return new ConfigModule(file, { ...(isObject(standard) && standard), ...(loaded as object) });
  }

  /** @throws {Failure} where it is missing or something else. */
  need<Name extends keyof Parts>(name: Name, command: string): Parts[Name] {
    const part = this.find(name);
    if (part !== undefined) return part;
    throw new Failure(
      `${command} needs the export ${name}, made by ${makers[name].maker}; ${this.file} has none`,
    );
  }

  /** @throws {Failure} where it is something else. */
  find<Name extends keyof Parts>(name: Name): Parts[Name] | undefined {
    const value = own(this.exported, name);
    if (value === undefined || value === null) return undefined;
    const { maker, accepts } = makers[name];
    if (accepts(value)) return value as Parts[Name];
    throw new Failure(
      `the export ${name} of ${this.file} must be made by ${maker} of this koa-portcullis; ` +
        `run the one that is installed beside your app`,
    );
  }

  /** Lets the app close what it has opened. */
  async close(): Promise<void> {
    const close = own(this.exported, 'close');
    if (typeof close !== 'function') return;
    // A connection that is not answered any more may never close.
    await Promise.race([(close as () => unknown)(), sleep(closeMs, undefined, { ref: false })]);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
