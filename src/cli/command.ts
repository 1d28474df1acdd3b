import type { ConfigModule } from './config-module.js';

/** Options that some command takes, by their long names. */
export interface Flags {
  readonly limit?: string;
  readonly address?: string;
  readonly device?: string;
  readonly account?: string;
  readonly actor?: string;
  readonly request?: string;
  readonly revoke?: string;
  readonly 'revoke-all'?: boolean;
  readonly reset?: boolean;
}

/** What a command has found or done: the same for people and for programs. */
export interface Outcome {
  readonly lines: readonly string[];
  readonly value: unknown;
}

export interface Asked {
  readonly config: ConfigModule;
  /** The name or account; undefined where none was given. */
  readonly name: string | undefined;
  readonly flags: Flags;
  readonly now: () => number;
}

export interface Command {
  readonly summary: string;
  /** What follows the command's name. */
  readonly usage: string;
  readonly flags: readonly (keyof Flags)[];
  /** Whether it takes a name or account. */
  readonly name: 'required' | 'optional' | 'none';
  /** @throws {Misuse} when what was asked for makes no sense. @throws {Failure} when it cannot be done. */
  run(asked: Asked): Promise<Outcome>;
}
