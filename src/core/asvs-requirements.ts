import { mostFailuresWithin } from './attempt-bound.js';
import { asvsSessionRules } from './asvs-session-rules.js';
import type { ConfigFacts } from './config-facts.js';
import { limitsText } from './config-findings.js';
import type { Requirement } from './config-report.js';
import {
  app,
  appDecides,
  by,
  heard,
  judgeAll,
  met,
  notMet,
  type RequirementRule,
  type Verdict,
} from './requirement-rule.js';
import { countOf } from './time-span.js';

/** Sources of this package, by name; what others hold is the app's to know. */
const breachCorpora = ['hibp_api'];

const rules: readonly RequirementRule[] = [
  {
    id: '6.1.1',
    text: 'It is written down how guessing is held back, and how strangers cannot lock owners out.',
    judge: (facts) =>
      facts.devices === 'counted'
        ? appDecides('known devices have a lane of their own; write it down')
        : notMet('no devices given'),
  },
  app(
    '6.1.2',
    'Words of the context that passwords must not hold are written down.',
    'contextWords of the policy',
  ),
  {
    id: '6.2.1',
    text: 'Passwords of 8 characters or more; 15 are advised.',
    judge: by('policy', ({ minLength }) => met(`minLength ${minLength}`)),
  },
  app('6.2.2', 'Users can change their password.', 'a recipe shows it'),
  app('6.2.3', 'A change needs the present password.', 'a recipe shows it'),
  {
    id: '6.2.4',
    text: 'New passwords are compared with the 3,000 most common ones.',
    judge: by('breach', ({ sources, whenUnavailable }) =>
      looked(sources, ['common_passwords', ...breachCorpora], whenUnavailable),
    ),
  },
  {
    id: '6.2.5',
    text: 'No rules of composition.',
    judge: by('policy', ({ composes }) =>
      composes
        ? notMet('an uppercase letter, or a digit or special character, is demanded')
        : met('none are set'),
    ),
  },
  {
    id: '6.2.8',
    text: 'Passwords are verified as they were sent.',
    judge: by('hashes', () => met('uncut and unchanged'), appDecides('by your own hashes')),
  },
  {
    id: '6.2.9',
    text: 'Passwords of 64 characters are taken.',
    judge: by('policy', ({ maxBytes }) => (maxBytes >= 256 ? met : notMet)(`up to ${maxBytes} bytes`)),
  },
  app('6.2.10', 'No regular change of passwords.', 'nothing here asks for one'),
  {
    id: '6.2.11',
    text: 'Words of the context are kept out of passwords.',
    judge: by('policy', ({ contextWords }) =>
      (contextWords > 0 ? met : notMet)(
        `the user's names, and ${countOf(contextWords, 'word')} of contextWords`,
      ),
    ),
  },
  {
    id: '6.2.12',
    text: 'New passwords are compared with breached ones.',
    judge: by('breach', ({ sources, whenUnavailable }) => looked(sources, breachCorpora, whenUnavailable)),
  },
  {
    id: '6.3.1',
    text: 'Guessing and credential stuffing are held back.',
    judge: by('attempts', ({ limits, addressLimits }) => {
      if (addressLimits === null) return notMet('no limits for an address');
      const most = mostFailuresWithin(limits, 86_400);
      return (most <= 100 ? met : notMet)(
        `at most ${most} a day: ${limitsText(limits)}; limits for an address`,
      );
    }),
  },
  {
    id: '6.3.3',
    text: 'A second factor must be used.',
    judge: by('factors', () => appDecides('on offer; requireEnrolment demands it')),
  },
  app(
    '6.3.4',
    'All ways to log in are known, and equally strong.',
    'one Lockout and one SecondFactors for all doors',
  ),
  {
    id: '6.3.5',
    text: 'Users are told of suspicious logins.',
    judge: by(
      'watch',
      (watch) => heard(watch, 'alerts, by the sinks of the watch'),
      notMet('no watch given'),
    ),
  },
  {
    id: '6.3.7',
    text: 'Users are told of changes to how they log in.',
    judge: by(
      'watch',
      () => appDecides('alerts of removed and reset factors; of new ones and passwords tell yourself'),
      appDecides('listen to the events'),
    ),
  },
  {
    id: '6.3.8',
    text: 'A failed login does not tell whether the user exists.',
    judge: by(
      'hashes',
      () => met('same answer, same work'),
      appDecides('by your own hashes: do the same work for unknown names'),
    ),
  },
  {
    id: '6.5.1',
    text: 'One-time and emergency codes work once.',
    judge: by('factors', ({ isDurable }) =>
      isDurable === false
        ? notMet('a restart of the store forgets which were used')
        : met('used up by compare-and-set'),
    ),
  },
  {
    id: '6.5.2',
    text: 'Emergency codes under 112 bits are stored by a password hash with a random salt.',
    judge: by('factors', () => notMet('80 bits, stored as SHA-256 with the account in it')),
  },
  {
    id: '6.5.3',
    text: 'Codes and secrets come from a secure generator.',
    judge: by('factors', () => met('node:crypto')),
  },
  { id: '6.5.4', text: 'Emergency codes have 20 bits or more.', judge: by('factors', () => met('80 bits')) },
  {
    id: '6.5.5',
    text: 'One-time codes live for 30 seconds at most.',
    judge: by('factors', () => notMet('60 seconds, for phones that are late')),
  },
  {
    id: '6.5.6',
    text: 'Any factor can be revoked.',
    judge: by('factors', () => met('by its owner, or by a reset')),
  },
  {
    id: '6.5.8',
    text: 'One-time codes are compared with a trusted clock.',
    judge: by('factors', () => met("the server's")),
  },
];

function looked(
  sources: readonly string[],
  known: readonly string[],
  whenUnavailable: string | null,
): Verdict {
  if (whenUnavailable === 'allow') return notMet("whenUnavailable 'allow' lets some pass unchecked");
  const found = sources.filter((source) => known.includes(source));
  if (found.length > 0) return met(found.join(', '));
  return sources.every((source) => source === 'common_passwords')
    ? notMet('common passwords only')
    : appDecides(`what ${sources.join(', ')} hold`);
}

/** OWASP ASVS 5.0.0, chapters V6, V7 and V16 as far as they touch logins, in our words. */
export function asvsRequirements(facts: ConfigFacts): Requirement[] {
  return judgeAll('OWASP ASVS 5.0', [...rules, ...asvsSessionRules], facts);
}
