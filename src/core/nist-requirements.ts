import { mostFailuresWithin } from './attempt-bound.js';
import type { ConfigFacts } from './config-facts.js';
import { limitsText } from './config-findings.js';
import { isCostly } from './config-passwords.js';
import type { Requirement } from './config-report.js';
import { appDecides, by, heard, judgeAll, met, notMet, type RequirementRule } from './requirement-rule.js';
import { spanOf } from './time-span.js';

const day = 86_400;

/** More failures in a row than this disable an authenticator: SP 800-63B-4 section 3.2.2. */
const mostInRow = 100;

const rules: readonly RequirementRule[] = [
  {
    id: '3.1.1.2 length',
    text: 'Passwords of 15 characters, or of 8 where a second factor is always needed.',
    judge: by('policy', ({ minLength }) =>
      minLength >= 15
        ? met(`minLength ${minLength}`)
        : notMet(`minLength ${minLength}: enough only where every login needs a second factor`),
    ),
  },
  {
    id: '3.1.1.2 longest',
    text: 'Passwords of 64 characters and of any Unicode are taken; a code point is a character.',
    judge: by('policy', ({ maxBytes }) =>
      maxBytes >= 256 ? met(`up to ${maxBytes} bytes`) : notMet(`up to ${maxBytes} bytes`),
    ),
  },
  {
    id: '3.1.1.2 composition',
    text: 'No rules of composition.',
    judge: by('policy', ({ composes }) =>
      composes
        ? notMet('an uppercase letter, or a digit or special character, is demanded')
        : met('none are set'),
    ),
  },
  {
    id: '3.1.1.2 change',
    text: 'No regular change of passwords; a change when one is known to be compromised.',
    judge: () => appDecides('nothing here asks for a change'),
  },
  {
    id: '3.1.1.2 whole',
    text: 'The whole password is verified.',
    judge: by('hashes', () => met('hashed as it was sent, uncut'), appDecides('by your own hashes')),
  },
  {
    id: '3.1.1.2 Unicode',
    text: 'Passwords in Unicode are normalised (NFKC or NFKD) before they are hashed.',
    judge: by('hashes', () => notMet('hashed as it was sent'), appDecides('by your own hashes')),
  },
  {
    id: '3.1.1.2 blocklist',
    text: 'New passwords are compared as a whole with a list of common and compromised ones.',
    judge: by('breach', ({ sources, minCount, whenUnavailable }) => {
      if (whenUnavailable === 'allow') return notMet("whenUnavailable 'allow' lets some pass unchecked");
      if (minCount > 1) return notMet(`taken unless seen ${minCount} times`);
      return met(sources.join(', '));
    }),
  },
  {
    id: '3.1.1.2 hash',
    text: 'Passwords are salted and hashed at a cost that is as high as practical.',
    judge: by(
      'hashes',
      (hashes) =>
        (isCostly(hashes) ? met : notMet)(`argon2id, ${hashes.memoryKiB} KiB, ${hashes.iterations} passes`),
      appDecides('by your own hashes'),
    ),
  },
  {
    id: '3.2.2 limit',
    text: 'Failed attempts at one account are limited.',
    judge: by('attempts', ({ limits }) => {
      const most = mostFailuresWithin(limits, day);
      return (most <= mostInRow ? met : notMet)(`at most ${most} a day: ${limitsText(limits)}`);
    }),
  },
  {
    id: '3.2.2 in a row',
    text: 'No more than 100 wrong passwords in a row, however long it takes.',
    judge: () => notMet('a lock ends by itself, or strangers could lock owners out for good'),
  },
  {
    id: '3.2.2 codes',
    text: 'No more than 100 wrong one-time codes in a row.',
    judge: by('factors', () => met('100 wrong codes in a row suspend authenticator apps')),
  },
  {
    id: '3.1.2.2 once',
    text: 'A look-up secret (emergency code) works once, and wrong ones are limited.',
    judge: by('factors', (factors) => onceEach(factors)),
  },
  {
    id: '3.1.2.2 stored',
    text: 'Look-up secrets under 112 bits are stored by a password hash with a random salt.',
    judge: by('factors', () => notMet('80 bits, stored as SHA-256 with the account in it')),
  },
  {
    id: '3.1.4.2 once',
    text: 'A one-time code works once, and for a short time.',
    judge: by('factors', (factors) => onceEach(factors)),
  },
  {
    id: '3.1.4.2 keys',
    text: 'Keys of one-time codes are strongly protected.',
    judge: by('factors', () => met('AES-256-GCM, bound to the account')),
  },
  {
    id: '2.2.2',
    text: 'Something that resists phishing is on offer (AAL2).',
    judge: by('factors', ({ origin }) =>
      origin === null ? notMet('no origin, so no security keys') : met('security keys (WebAuthn)'),
    ),
  },
  {
    id: '2.1.3',
    text: 'A login anew after 30 days at the latest (AAL1).',
    judge: by('tokens', ({ lifetimeSeconds }) => met(`tokens end after ${spanOf(lifetimeSeconds)}`)),
  },
  {
    id: '2.2.3 timeout',
    text: 'A login anew after 24 hours (AAL2, advised).',
    judge: by('tokens', ({ lifetimeSeconds }) =>
      (lifetimeSeconds <= day ? met : notMet)(`tokens end after ${spanOf(lifetimeSeconds)}`),
    ),
  },
  {
    id: '2.2.3 inactivity',
    text: 'A login anew after an hour without use (AAL2, advised).',
    judge: by('tokens', ({ lifetimeSeconds }) =>
      lifetimeSeconds <= 3600
        ? met(`tokens end after ${spanOf(lifetimeSeconds)} in any case`)
        : appDecides('idleSeconds of issueToken'),
    ),
  },
  {
    id: '5.1',
    text: 'Secrets of sessions are random, of 64 bits or more, and end at log-out.',
    judge: by('tokens', () => met('256 random bits, revocable')),
  },
  {
    id: '5.1.1',
    text: 'Cookies of sessions are Secure, HttpOnly, SameSite and of one host.',
    judge: by(
      'session',
      ({ isHostOnly, isSafe }) =>
        isHostOnly && isSafe ? met('__Host-, HttpOnly, SameSite') : notMet('the cookie is weaker'),
      appDecides('no session was given'),
    ),
  },
  {
    id: '4.2.3',
    text: 'The owner is told when an account is recovered.',
    judge: by(
      'watch',
      (watch) => heard(watch, 'alerts of emergency codes and of resets'),
      appDecides('without a watch'),
    ),
  },
];

/** Codes are good once as long as the store remembers which were used. */
function onceEach({ isDurable }: NonNullable<ConfigFacts['factors']>): ReturnType<RequirementRule['judge']> {
  if (isDurable === false) return notMet('a restart of the store forgets which codes were used');
  return met(isDurable === null ? 'as long as the store loses nothing' : 'used up by compare-and-set');
}

/** The final text of August 2025, in our words. The word after a section says which of its demands is meant. */
export function nistRequirements(facts: ConfigFacts): Requirement[] {
  return judgeAll('NIST SP 800-63B-4', rules, facts);
}
