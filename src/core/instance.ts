import { describe } from './options.js';

/** @throws {TypeError} naming the middleware and the core object that it needs. */
export function demandInstance(
  owner: string,
  type: abstract new (...args: never[]) => object,
  given: unknown,
): void {
  if (given instanceof type) return;
  throw new TypeError(`${owner}: the first argument must be a ${type.name}, not ${describe(given)}`);
}
