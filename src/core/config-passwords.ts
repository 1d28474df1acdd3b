import type { ConfigFacts } from './config-facts.js';
import { enforced, weak, type Judged } from './config-findings.js';

/** The cheapest parameters of argon2id that OWASP's Password Storage Cheat Sheet lists: KiB and passes. */
const cheapestHashes = [
  [47_104, 1],
  [19_456, 2],
  [12_288, 3],
  [9216, 4],
  [7168, 5],
] as const;

export function isCostly({ memoryKiB, iterations }: NonNullable<ConfigFacts['hashes']>): boolean {
  return cheapestHashes.some(([memory, passes]) => memoryKiB >= memory && iterations >= passes);
}

/** What the presets ask for at least, and ASVS 5.0 section 6.2.1 recommends. */
const standardLength = 10;

/** What a new password must be, and how it is kept. */
export function passwordFindings({ policy, breach, hashes }: ConfigFacts): Judged[] {
  return [policyFinding(policy), ...breachFindings(breach), hashFinding(hashes)];
}

function policyFinding(policy: ConfigFacts['policy']): Judged {
  const part = 'policy';
  if (policy === null) {
    return weak(part, 'policy_missing', 'No password policy was given.', 'passwordPolicy()');
  }
  const { minLength, composes } = policy;
  const rules = composes ? ', with rules of composition' : '';
  // 15 without composition and 10 with it are presets; 8 of any kind is the least that any standard takes.
  return minLength < (composes ? standardLength : 15)
    ? weak(
        part,
        'policy_short',
        `New passwords have ${minLength} characters or more${rules}.`,
        "preset: 'nist', or 10 characters with composition",
      )
    : enforced(part, 'policy', `New passwords have ${minLength} characters or more${rules}.`);
}

function breachFindings(breach: ConfigFacts['breach']): Judged[] {
  const part = 'breach check';
  if (breach === null) {
    return [weak(part, 'breach_check_missing', 'Passwords from breaches are taken.', 'breachCheck()')];
  }
  const { sources, minCount, whenUnavailable } = breach;
  const looked = `New passwords are looked up in ${sources.join(', ')}`;
  return [
    minCount === 1
      ? enforced(part, 'breach_check', `${looked}.`)
      : weak(part, 'breach_count_high', `${looked}, and taken unless seen ${minCount} times.`, 'minCount: 1'),
    ...(whenUnavailable === 'allow'
      ? [
          weak(
            part,
            'breach_check_optional',
            'Where no source answers, passwords pass unchecked.',
            "whenUnavailable: 'refuse'",
          ),
        ]
      : []),
  ];
}

function hashFinding(hashes: ConfigFacts['hashes']): Judged {
  const part = 'hashes';
  if (hashes === null) {
    return weak(
      part,
      'hashes_missing',
      'How passwords are hashed is not known.',
      'new PasswordHashes(), or look yourself',
    );
  }
  const { memoryKiB, iterations } = hashes;
  const cost = `argon2id, ${memoryKiB.toLocaleString('en')} KiB of memory, ${iterations} ${iterations === 1 ? 'pass' : 'passes'}`;
  return isCostly(hashes)
    ? enforced(part, 'hash_cost', `Passwords are hashed by ${cost}.`)
    : weak(
        part,
        'hash_cost_low',
        `Hashes are cheap to guess at: ${cost}.`,
        'leave out memoryKiB and iterations',
      );
}
