import { isCount, own } from './store-call.js';

/** A confirmed authenticator app. */
export interface StoredTotp {
  readonly id: string;
  readonly type: 'totp';
  readonly label: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Sealed by the key ring. */
  readonly secret: string;
  /** The last step accepted; null when no code was accepted yet. */
  readonly lastStep: number | null;
}

/** A factor as it is stored. Other types join this union. */
export type StoredFactor = StoredTotp;

/** An authenticator that was shown its secret and has not proven it yet. */
export interface StoredEnrolment {
  readonly id: string;
  readonly label: string;
  readonly secret: string;
}

/** Keeps the factors of an account, by the hash of its id. Durable: what it loses, nobody asks for any more. */
export interface FactorStore {
  /** Only an empty array means that there are none. */
  readFactors(account: string): Promise<readonly StoredFactor[]>;
  /** Replaces an enrolment that is under way. */
  saveEnrolment(account: string, enrolment: StoredEnrolment, lifetimeMs: number): Promise<void>;
  readEnrolment(account: string): Promise<StoredEnrolment | null>;
  /**
   * Turns the enrolment `factor.id` into the first factor, in one step. Must answer false, and change nothing,
   * when that enrolment is not the one under way or the account has a factor already.
   */
  confirmEnrolment(account: string, factor: StoredFactor): Promise<boolean>;
  /** Sets the last accepted step. Must answer true only if `step` is above the one before. */
  acceptStep(account: string, factor: string, step: number): Promise<boolean>;
  /** Removes all factors and the enrolment under way. Answers how many factors there were. */
  removeFactors(account: string): Promise<number>;
}

export const factorStoreMethods = [
  'readFactors',
  'saveEnrolment',
  'readEnrolment',
  'confirmEnrolment',
  'acceptStep',
  'removeFactors',
] as const satisfies readonly (keyof FactorStore)[];

/** Strict to the type of the last step: anything but null or a whole number would switch replay protection off. */
export function isFactors(reply: unknown): boolean {
  return Array.isArray(reply) && reply.every(isFactor);
}

function isFactor(reply: unknown): boolean {
  const lastStep = own(reply, 'lastStep');
  return (
    own(reply, 'type') === 'totp' &&
    ['id', 'label', 'secret'].every((field) => typeof own(reply, field) === 'string') &&
    isCount(own(reply, 'createdAt')) &&
    (lastStep === null || isCount(lastStep))
  );
}

export function isEnrolmentOrNull(reply: unknown): boolean {
  return reply === null || ['id', 'label', 'secret'].every((field) => typeof own(reply, field) === 'string');
}
