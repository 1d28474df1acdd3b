import type { ConfigFacts } from './config-facts.js';
import type { Requirement, RequirementState } from './config-report.js';

/** How a configuration stands to one requirement, and why. */
export type Verdict = readonly [state: RequirementState, because: string];

/** A requirement, before any configuration. */
export interface RequirementRule {
  readonly id: string;
  readonly text: string;
  readonly judge: (facts: ConfigFacts) => Verdict;
}

export const met = (because: string): Verdict => ['met', because];
export const notMet = (because: string): Verdict => ['not_met', because];
/** For what no object here decides. */
export const appDecides = (because: string): Verdict => ['app', because];

/** Met by what hears of logins, as long as it does. */
export function heard({ isHeard }: { readonly isHeard: boolean | null }, because: string): Verdict {
  if (isHeard === false) return notMet("no listener for the event 'auth' of the app");
  return isHeard === null
    ? appDecides(`${because}, if events come there: app.on('auth', ...)`)
    : met(because);
}

/** A requirement that only the app can meet. */
export const app = (id: string, text: string, because: string): RequirementRule => ({
  id,
  text,
  judge: () => appDecides(because),
});

/** Judges by one part of the configuration, and says so where it is missing. */
export function by<K extends keyof ConfigFacts>(
  part: K,
  judge: (facts: NonNullable<ConfigFacts[K]>, all: ConfigFacts) => Verdict,
  missing: Verdict = notMet(`nothing given: ${part}`),
): RequirementRule['judge'] {
  return (all) => {
    const facts = all[part];
    return facts === null ? missing : judge(facts, all);
  };
}

export function judgeAll(
  standard: Requirement['standard'],
  rules: readonly RequirementRule[],
  facts: ConfigFacts,
): Requirement[] {
  return rules.map(({ id, text, judge }) => {
    const [state, because] = judge(facts);
    return { id, standard, text, state, because };
  });
}
