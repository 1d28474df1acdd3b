import { isAccount } from '../core/account.js';
import type { LockoutStanding } from '../core/attempt.js';
import type { LockoutLimit } from '../core/attempt-limits.js';
import type { Lockout } from '../core/lockout.js';
import { countOf, spanOf } from '../core/time-span.js';
import type { Asked, Command, Outcome } from './command.js';
import { Misuse } from './failure.js';
import { entriesOf, entryLines, refusalsOf } from './logged-refusals.js';
import { shown, shownTime } from './output.js';
import { addressStanding } from './address-standing.js';

type Limits = readonly Required<LockoutLimit>[];

/** One part of the answer. `refuses`: a login would be refused for it now. */
interface Part {
  readonly refuses: string | null;
  readonly lines: readonly string[];
  readonly value: Readonly<Record<string, unknown>>;
}

/** Why a login was refused, or would be: the limits, the factors, and what the log has. */
export const why: Command = {
  summary:
    'why a login was or would be refused (needs attempts; factors and log tell more; --request needs log)',
  usage: 'NAME-OR-ACCOUNT [--address IP] [--request ID]',
  flags: ['address', 'request'],
  name: 'optional',
  async run(asked: Asked): Promise<Outcome> {
    const { config, name, flags, now } = asked;
    const { address, request } = flags;
    if (name === undefined && address === undefined && request === undefined)
      throw new Misuse('why needs a name or account, --address or --request');
    if (name !== undefined && !isAccount({ id: name }))
      throw new Misuse('a name or account has 1 to 255 bytes');
    const parts: Part[] = [];
    if (name !== undefined) {
      parts.push(await accountPart(config.need('attempts', 'why'), name, now()));
      parts.push(await factorPart(asked, name, now()));
    }
    if (address !== undefined)
      parts.push(await addressPart(config.need('attempts', 'why --address'), address, now()));
    if (name !== undefined) parts.push(await logPart(asked, name));
    if (request !== undefined) parts.push(await requestPart(asked, request));
    return {
      lines: [...verdict(name ?? address, parts), ...parts.flatMap(({ lines }) => lines)],
      value: Object.assign({ account: name ?? null }, ...parts.map(({ value }) => value)) as unknown,
    };
  },
};

function verdict(whose: string | undefined, parts: readonly Part[]): string[] {
  if (whose === undefined) return [];
  const refused = parts.flatMap(({ refuses }) => refuses ?? []);
  return refused.length === 0
    ? [`Nothing refuses a login of ${shown(whose)} now.`]
    : [`A login of ${shown(whose)} is refused now: ${refused.join('; ')}.`];
}

async function accountPart(attempts: Lockout, name: string, now: number): Promise<Part> {
  const status = await attempts.status(name);
  const { devices, ...strangers } = status;
  const { strangerLimits, deviceLimits } = attempts.settings;
  const known = devices === undefined ? [] : ((await attempts.devices?.list({ id: name })) ?? []);
  return {
    refuses: strangers.locked ? `the account is locked for ${spanOf(strangers.retryAfterSeconds)}` : null,
    lines: [
      ...standingLines('account', strangers, strangerLimits, now),
      ...(devices === undefined || deviceLimits === null
        ? []
        : standingLines(`known devices (${known.length})`, devices, deviceLimits, now)),
    ],
    value: { attempts: { ...status, limits: strangerLimits, deviceLimits }, devices: known },
  };
}

async function addressPart(attempts: Lockout, address: string, now: number): Promise<Part> {
  const standing = await addressStanding(attempts, address);
  const { addressLimits } = attempts.settings;
  if (addressLimits === null) {
    return {
      refuses: null,
      lines: ['address: no limits are set'],
      value: { address: { of: address, limits: null } },
    };
  }
  return {
    refuses: standing.locked ? `the address is locked for ${spanOf(standing.retryAfterSeconds)}` : null,
    lines: standingLines(`address ${shown(address)}`, standing, addressLimits, now),
    value: { address: { of: address, ...standing, limits: addressLimits } },
  };
}

async function factorPart({ config }: Asked, name: string, now: number): Promise<Part> {
  const factors = config.find('factors');
  if (factors === undefined)
    return { refuses: null, lines: ['second factors: no factors are configured'], value: {} };
  const account = { id: name };
  const [status, standing] = await Promise.all([factors.status(account), factors.standing(account)]);
  const { factors: list, backupCodes } = status;
  const enrolled = list.map(({ type, name: label }) => `${type} ${shown(label)}`).join(', ');
  const suspended = standing.suspended ? 'authenticator apps are suspended: 100 wrong codes in a row' : null;
  const locked = standing.locked
    ? `the second factor is locked for ${spanOf(standing.retryAfterSeconds)}`
    : null;
  return {
    refuses: list.length === 0 ? null : (locked ?? suspended),
    lines: [
      ...standingLines('second factor', standing, factors.settings.limits, now),
      `enrolled: ${enrolled === '' ? 'no second factor' : `${enrolled}; ${countOf(backupCodes?.left ?? 0, 'emergency code')} left`}`,
      ...(standing.wrongCodes > 0
        ? [`  ${countOf(standing.wrongCodes, 'wrong code')} in a row, of 100`]
        : []),
      ...(suspended === null ? [] : [`  ${suspended}`]),
    ],
    value: { factors: { ...status, ...standing, limits: factors.settings.limits } },
  };
}

async function logPart({ config, now }: Asked, name: string): Promise<Part> {
  const log = config.find('log');
  if (log === undefined) {
    return {
      refuses: null,
      lines: ['last refusals: no log is configured, so they are not known'],
      value: {},
    };
  }
  const refusals = await refusalsOf(log, config.need('attempts', 'why'), name, now());
  return {
    refuses: null,
    lines: [
      refusals.length === 0 ? 'last refusals: none' : 'last refusals:',
      ...refusals.flatMap(entryLines),
    ],
    value: { refusals },
  };
}

async function requestPart({ config }: Asked, request: string): Promise<Part> {
  const entries = await entriesOf(config.need('log', 'why --request'), request);
  return {
    refuses: null,
    lines: [
      `request ${shown(request)}: ${entries.length === 0 ? 'the log has nothing of it' : ''}`.trimEnd(),
      ...entries.flatMap(entryLines),
    ],
    value: { request: { id: request, entries } },
  };
}

/** Each window, and which of them is full. */
function standingLines(whose: string, standing: LockoutStanding, limits: Limits, now: number): string[] {
  const { locked, retryAfterSeconds, failures } = standing;
  const until = shownTime(now + retryAfterSeconds * 1000);
  const state = locked ? `locked for ${spanOf(retryAfterSeconds)}, until ${until}` : 'open';
  const windows = limits.map(({ failures: most, withinSeconds }, index) => {
    const count = failures[index] ?? 0;
    return `  ${count} of ${most} failures in ${spanOf(withinSeconds)}${count >= most ? '  <- full' : ''}`;
  });
  return [`${whose}: ${state}`, ...windows];
}
