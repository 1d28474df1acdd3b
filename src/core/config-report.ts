/** Something that the configuration enforces, or that is weak about it. */
export interface Finding {
  /** What it is about: a word for each part. */
  readonly part: string;
  /** Names the finding for programs; the text may change. */
  readonly code: string;
  readonly text: string;
  /** What mends it; null for what needs no mending. */
  readonly remedy: string | null;
}

/** `app`: no object here decides it, only the app that is built with them. */
export type RequirementState = 'met' | 'not_met' | 'app';

/** One requirement of a standard, in our words, and how the configuration stands to it. */
export interface Requirement {
  /** Its number; of NIST, its section and a word for the demand in it. */
  readonly id: string;
  readonly standard: 'NIST SP 800-63B-4' | 'OWASP ASVS 5.0';
  readonly text: string;
  readonly state: RequirementState;
  readonly because: string;
}

/** What `auditConfig` found. Plain data, for JSON as well; `String(report)` is for people. */
export interface ConfigReport {
  readonly enforced: readonly Finding[];
  readonly weak: readonly Finding[];
  /** What no object tells of itself, so that somebody has to look. */
  readonly unseen: readonly Finding[];
  readonly requirements: readonly Requirement[];
  toString(): string;
}

const stateWords = { met: 'met', not_met: 'NOT MET', app: 'your app' } as const;

/** The report for people: lines of at most about 110 characters, weak things first. */
export function formatAudit({
  enforced,
  weak,
  unseen,
  requirements,
}: Omit<ConfigReport, 'toString'>): string {
  const lines = [
    ...section('Weak', weak, 'Nothing weak was found.'),
    ...section('Enforced', enforced, 'Nothing.'),
    ...section('Not to be seen from here: look yourself', unseen, 'Nothing.'),
  ];
  for (const standard of new Set(requirements.map((one) => one.standard))) {
    const own = requirements.filter((one) => one.standard === standard);
    const count = (state: RequirementState): number => own.filter((one) => one.state === state).length;
    lines.push(
      `${standard}: ${count('met')} met, ${count('not_met')} not met, ${count('app')} your app's business`,
    );
    const width = Math.max(...own.map(({ id }) => id.length));
    for (const { id, text, state, because } of own) {
      lines.push(`  ${stateWords[state].padEnd(8)}  ${id.padEnd(width)}  ${text}`);
      lines.push(`${' '.repeat(width + 14)}${because}`);
    }
    lines.push('');
  }
  return lines.join('\n').trimEnd();
}

function section(title: string, findings: readonly Finding[], none: string): string[] {
  const lines = findings.flatMap(({ part, text, remedy }) => [
    `  ${part.padEnd(16)} ${text}`,
    ...(remedy === null ? [] : [`${' '.repeat(18)} -> ${remedy}`]),
  ]);
  return [`${title} (${findings.length})`, ...(lines.length === 0 ? [`  ${none}`] : lines), ''];
}
