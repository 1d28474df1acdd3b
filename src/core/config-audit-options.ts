import { AccessTokens } from './access-tokens.js';
import { BreachCheck, type BreachCheckOptions } from './breach-check.js';
import { knownDevices, type KnownDevices } from './known-devices.js';
import { Lockout } from './lockout.js';
import { LoginLog } from './login-log.js';
import { LoginWatch } from './login-watch.js';
import { oneOf, readOptions, type Rule } from './options.js';
import { PasswordHashes } from './password-hashes.js';
import { PasswordPolicy, type PasswordPolicyOptions } from './password-policy.js';
import { SecondFactors } from './second-factors.js';
import { own } from './store-call.js';

/** What options of a middleware hold beside the rules: of no matter here. */
interface OfMiddleware {
  readonly readPassword?: unknown;
  readonly readContextWords?: unknown;
}

interface AuditedAnswer {
  readonly whenUnavailable?: 'refuse' | 'allow';
}

interface AuditedApp {
  readonly proxy?: boolean;
  readonly maxIpsCount?: number;
  readonly keys?: unknown;
  /** Of events: a log or a watch that is none of them, as it is, may still be called by one of the app's own. */
  listeners?(event: string): readonly unknown[];
}

interface AuditedCookie {
  readonly key: string;
  readonly secure: boolean;
  readonly httpOnly: boolean;
  readonly sameSite: unknown;
}

/** What is audited. Whatever is left out counts as missing. */
export interface ConfigAuditOptions {
  /** The Koa app: its settings for proxies, its keys, of which the length is looked at, and who listens to its events. */
  readonly app?: AuditedApp;
  readonly attempts?: Lockout;
  readonly factors?: SecondFactors;
  readonly tokens?: AccessTokens;
  /** The known devices that `attempts` is made with. */
  readonly devices?: KnownDevices;
  /** The policy, or the options of `passwordPolicy`. */
  readonly policy?: PasswordPolicy | (PasswordPolicyOptions & OfMiddleware);
  /** The check, or the options of `breachCheck`: these tell too what becomes of a password where no source answers. */
  readonly breach?: BreachCheck | (BreachCheckOptions & OfMiddleware & AuditedAnswer);
  readonly hashes?: PasswordHashes;
  readonly log?: LoginLog;
  readonly watch?: LoginWatch;
  /** What `sessionOptions` answered. */
  readonly session?: AuditedCookie;
}

/** The parts with their defaults; what was given as options has become the object that they make. */
export interface AuditedConfig extends Omit<ConfigAuditOptions, 'policy' | 'breach'> {
  readonly policy: PasswordPolicy | undefined;
  readonly breach:
    { readonly check: BreachCheck; readonly whenUnavailable: 'refuse' | 'allow' | null } | undefined;
}

/** Whether a part of this name is audited. */
export function isConfigPart(name: string): boolean {
  return Object.hasOwn(partRules, name);
}

/** @throws {TypeError} on an unknown part, or one of the wrong kind. */
export function readConfigAuditOptions(given: ConfigAuditOptions): AuditedConfig {
  const { policy, breach, ...rest } = readOptions<ConfigAuditOptions>('auditConfig', given, partRules);
  return {
    ...rest,
    policy: policy === undefined ? undefined : readPolicy(policy),
    breach: breach === undefined ? undefined : readBreach(breach),
  };
}

function readPolicy(given: NonNullable<ConfigAuditOptions['policy']>): PasswordPolicy {
  if (given instanceof PasswordPolicy) return given;
  const { readPassword: _password, readContextWords: _words, ...options } = given;
  return new PasswordPolicy(options);
}

function readBreach(given: NonNullable<ConfigAuditOptions['breach']>): NonNullable<AuditedConfig['breach']> {
  if (given instanceof BreachCheck) return { check: given, whenUnavailable: null };
  const { readPassword: _password, readContextWords: _words, whenUnavailable = 'refuse', ...options } = given;
  readOptions('auditConfig breach', { whenUnavailable }, { whenUnavailable: oneOf('refuse', 'allow') });
  return { check: new BreachCheck(options), whenUnavailable };
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCookie(value: unknown): boolean {
  return typeof own(value, 'key') === 'string';
}

function madeBy(type: abstract new (...args: never[]) => object): Rule {
  return { demand: `made by new ${type.name}()`, accepts: (value) => value instanceof type };
}

const partRules = {
  app: { demand: 'a Koa app', accepts: isObject },
  attempts: madeBy(Lockout),
  factors: madeBy(SecondFactors),
  tokens: madeBy(AccessTokens),
  devices: knownDevices,
  policy: { demand: 'made by new PasswordPolicy(), or options of passwordPolicy()', accepts: isObject },
  breach: { demand: 'made by new BreachCheck(), or options of breachCheck()', accepts: isObject },
  hashes: madeBy(PasswordHashes),
  log: madeBy(LoginLog),
  watch: madeBy(LoginWatch),
  session: { demand: 'what sessionOptions() answered', accepts: isCookie },
} satisfies { [K in keyof ConfigAuditOptions]-?: Rule };
