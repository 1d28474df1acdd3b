/** A week of logins on a clock that runs as fast as they are served: what of them is left in memory? */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { SoakPlan, SoakReport } from '../rig/soak-app.js';
import { median } from './harness.js';
import type { Figure } from './table.js';

const plan: SoakPlan = { logins: 350_000, hours: 7 * 24, people: 499, every: 350_000 / (7 * 8) };

export async function soakBench(): Promise<Figure[]> {
  const child = fork(new URL('../rig/soak-app.js', import.meta.url), [JSON.stringify(plan)], {
    execArgv: ['--expose-gc'],
  });
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('The soak ended early')));
  const [{ samples }] = (await Promise.race([once(child, 'message'), ended])) as [SoakReport];
  await ended.catch(() => {});
  const heapOf = (from: number, to: number): number =>
    median(samples.slice(from * 8, to * 8).map(({ heapMb }) => heapMb));
  const handles = samples.map((sample) => sample.handles);
  return [
    { name: 'heap on the second day, MB', value: heapOf(1, 2) },
    { name: 'heap on the seventh day, MB', value: heapOf(6, 7) },
    {
      name: 'heap gained meanwhile, MB',
      value: heapOf(6, 7) - heapOf(1, 2),
      goal: { of: 'value', atMost: 1 },
    },
    {
      name: 'handles gained meanwhile',
      value: (handles.at(-1) ?? Number.NaN) - (handles[0] ?? Number.NaN),
      goal: { of: 'value', atMost: 0 },
    },
  ];
}
