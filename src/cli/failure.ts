/** Exit codes. */
export const exitCodes = { done: 0, failed: 1, misused: 2 } as const;

/** It could not be done: one line for the operator, and what to do about it. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: number = exitCodes.failed;
}

/** It was asked for in a way that makes no sense. */
export class Misuse extends Failure {
  override readonly exitCode = exitCodes.misused;
}
