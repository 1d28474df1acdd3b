import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until it is so; fails where it never is. */
export async function until(isSo: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await isSo());) {
    if (performance.now() > end) throw new Error('never');
    await sleep(2);
  }
}
