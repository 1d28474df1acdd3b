/** Names of the factors that a client may choose from. */
export type FactorMethod = 'totp' | 'webauthn' | 'backup_code';

/** What a client offers as its second factor. */
export type OfferedFactor =
  | { readonly kind: 'totp'; readonly code: string }
  | { readonly kind: 'backup_code'; readonly code: string }
  | { readonly kind: 'webauthn'; readonly response: object };

/**
 * Why a factor was refused. `cloned`: signed by a key whose counter did not advance. `suspended`: too many wrong codes
 * in a row. `clock`: a code that is right, but the last one accepted lies in the future, so a clock was set back.
 */
export type FactorFailure = 'wrong' | 'replayed' | 'cloned' | 'suspended' | 'clock';

/** What judging one factor came to: an object where it was accepted, `unreadable` where no secret could be opened. */
export type FactorJudgement = { readonly codesLeft: number | null } | FactorFailure | 'unreadable';

/** Outcome of one try at a factor. */
export type FactorVerdict =
  | {
      readonly outcome: 'verified';
      readonly factor: FactorMethod;
      /** Authentication method reference (RFC 8176): one-time password, or proof of a hardware key. */
      readonly method: 'otp' | 'hwk';
      /** Emergency codes left, where one was used. */
      readonly codesLeft: number | null;
    }
  | { readonly outcome: 'locked'; readonly busy: boolean; readonly retryAfterSeconds: number }
  /** The pending login has ended. */
  | { readonly outcome: 'dead' }
  /** No key opens the secret: it was sealed under one that this process does not have. */
  | { readonly outcome: 'unreadable' }
  | {
      readonly outcome: 'refused';
      readonly factor: FactorMethod;
      readonly reason: FactorFailure;
      /** Seconds for which this failure locked the account's second factor; 0 where it did not. */
      readonly lockedSeconds: number;
      /** It was the pending login's last try. */
      readonly last: boolean;
    };
