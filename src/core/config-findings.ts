import { weakerThanStandard } from './attempt-bound.js';
import type { ConfigFacts } from './config-facts.js';
import type { Finding } from './config-report.js';
import { spanOf } from './time-span.js';

/** A finding, and on which list it belongs. */
export interface Judged extends Finding {
  readonly isWeak: boolean;
}

export function weak(part: string, code: string, text: string, remedy: string | null): Judged {
  return { part, code, text, remedy, isWeak: true };
}

export function enforced(part: string, code: string, text: string): Judged {
  return { part, code, text, remedy: null, isWeak: false };
}

type Limits = NonNullable<ConfigFacts['attempts']>['limits'];

export function limitsText(limits: Limits): string {
  return limits
    .map(({ failures, withinSeconds }) => `${failures.toLocaleString('en')} in ${spanOf(withinSeconds)}`)
    .join(', ');
}

/** What holds guessing back: the lockout, its store apart. */
export function lockoutFindings({ attempts, devices }: ConfigFacts): Judged[] {
  const part = 'lockout';
  if (attempts === null) {
    return [
      weak(
        part,
        'lockout_missing',
        'No lockout was given: passwords can be guessed.',
        'new Lockout({ store })',
      ),
    ];
  }
  const { limits, addressLimits } = attempts;
  const shortfall = weakerThanStandard(limits);
  return [
    shortfall === undefined
      ? enforced(part, 'account_limits', `An account is locked by ${limitsText(limits)}.`)
      : weak(
          part,
          'account_limits_weak',
          `The limits of an account are weaker than the defaults: ${shortfall}.`,
          'leave out the option limits',
        ),
    addressLimits === null
      ? weak(
          part,
          'address_limits_off',
          'One address may try one password on each of any number of accounts.',
          'leave out addressLimits: false',
        )
      : enforced(part, 'address_limits', `An address is locked by ${limitsText(addressLimits)}.`),
    deviceFinding(devices),
  ];
}

function deviceFinding(devices: ConfigFacts['devices']): Judged {
  const part = 'devices';
  if (devices === 'counted') {
    return enforced(
      part,
      'known_devices',
      'A stranger who fails on purpose locks out strangers, not known devices.',
    );
  }
  return devices === 'apart'
    ? weak(
        part,
        'devices_apart',
        'The known devices are not those of the lockout: it counts none apart.',
        'new Lockout({ store, devices })',
      )
    : weak(
        part,
        'devices_missing',
        'A stranger can lock an owner out by failing on purpose.',
        'new Lockout({ store, devices: new KnownDevices({ store, keys, origin }) })',
      );
}

export function factorFindings({ factors }: ConfigFacts): Judged[] {
  const part = 'second factors';
  if (factors === null) {
    return [
      weak(
        part,
        'factors_missing',
        'No second factors were given: a stolen password is enough.',
        'new SecondFactors({ store, issuer, keys, origin })',
      ),
    ];
  }
  const { limits, origin, bindPending, isDurable } = factors;
  const shortfall = weakerThanStandard(limits);
  return [
    shortfall === undefined
      ? enforced(part, 'factor_limits', `Wrong factors of an account are limited to ${limitsText(limits)}.`)
      : weak(
          part,
          'factor_limits_weak',
          `The limits of wrong factors are weaker than the defaults: ${shortfall}.`,
          'leave out the option limits',
        ),
    originFinding(origin),
    bindPending
      ? enforced(part, 'pending_bound', 'A pending login belongs to the browser that proved the password.')
      : weak(
          part,
          'pending_unbound',
          'Whoever reads the handle of a pending login may go on with it, given a factor.',
          'bindPending: true, where all clients keep cookies',
        ),
    isDurable === true
      ? enforced(part, 'factors_durable', 'Factors outlive a restart of their store.')
      : weak(
          part,
          isDurable === null ? 'factors_durability_unknown' : 'factors_not_durable',
          `A restart of their store ${isDurable === null ? 'may lose' : 'loses'} factors: then nobody is asked for them.`,
          'factorStore: sqlStore(kysely)',
        ),
  ];
}

function originFinding(origin: string | null): Judged {
  const part = 'second factors';
  if (origin === null) {
    return weak(
      part,
      'origin_missing',
      'Without an origin there are no security keys, which resist phishing.',
      "origin: 'https://…'",
    );
  }
  return origin.startsWith('https:')
    ? enforced(part, 'origin', `Second steps are taken from ${origin} only; security keys are on offer.`)
    : weak(
        part,
        'origin_plain_http',
        `The origin is ${origin}: cookies travel without Secure and __Host-.`,
        'an https origin',
      );
}
