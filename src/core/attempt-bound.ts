import type { LockoutLimit } from './attempt-limits.js';

type Limits = readonly Pick<LockoutLimit, 'failures' | 'withinSeconds'>[];

/** The limits that are enforced unless an app gives others. Shorter limits are the stricter ones. */
export const standardLimits: Limits = [
  { failures: 10, withinSeconds: 60 },
  { failures: 20, withinSeconds: 3600 },
  { failures: 40, withinSeconds: 86_400 },
];

/**
 * The most failures that limits let through within a time. A window that is shorter than it passes as often as it fits:
 * whoever stays one below each limit is never locked.
 */
export function mostFailuresWithin(limits: Limits, seconds: number): number {
  return Math.min(
    ...limits.map(({ failures, withinSeconds }) => failures * Math.ceil(seconds / withinSeconds)),
  );
}

/** The first of the standard limits that these fall short of; undefined where they are as strict. */
export function weakerThanStandard(limits: Limits): string | undefined {
  const weaker = standardLimits.find(
    ({ failures, withinSeconds }) => mostFailuresWithin(limits, withinSeconds) > failures,
  );
  if (weaker === undefined) return undefined;
  const most = mostFailuresWithin(limits, weaker.withinSeconds);
  return `${most} failures within ${weaker.withinSeconds} seconds pass, ${weaker.failures} by default`;
}
