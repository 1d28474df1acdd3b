type Named<Name extends string, Facts = unknown> = { readonly name: Name } & Facts;
interface OfAccount {
  readonly account: string;
}
export interface WithReason {
  readonly reason: string;
}
interface Locked {
  readonly retryAfterSeconds: number;
}
interface Left {
  readonly left: number;
}
/** A token's id. */
interface OfToken {
  readonly token: string;
}
interface OfFactor {
  readonly factor: string;
}
/** A known device's id. */
interface OfDevice {
  readonly device: string;
}
/** The id of an OAuth client that is known. */
interface OfClient {
  readonly client: string;
}
/** The lockout's HMAC of what was counted, under its option `eventKey`: the same for the same name, and no name. */
interface OfSubject {
  readonly subject: string;
}
/** Whose password was tried, as far as it is known before it is proven. */
export interface Tried {
  readonly subject?: string;
  /** Null where the `subject` option of `lockout` says that the name is nobody's; none where it was not asked. */
  readonly account?: string | null;
}

/** What happened, before it is told of whose request it was. */
export type Happening =
  | Named<
      'login.succeeded',
      OfAccount &
        Partial<OfSubject> & {
          readonly methods: readonly string[];
          readonly token: string;
          readonly device?: 'known' | 'new';
        }
    >
  | Named<'login.failed', Tried & WithReason>
  | Named<'login.refused', Tried & WithReason>
  | Named<'account.locked', Tried & OfSubject & Locked>
  | Named<'address.locked', Locked>
  | Named<'devices.locked', Tried & OfSubject & Locked>
  | Named<'second_factor.requested', OfAccount>
  | Named<'second_factor.failed', OfAccount & WithReason>
  | Named<'second_factor.locked', OfAccount & Locked>
  | Named<'second_factor.unreadable', OfAccount & WithReason>
  | Named<'totp.replayed', OfAccount>
  | Named<'totp.suspended', OfAccount>
  | Named<'clock.turned_back', OfAccount>
  | Named<'backup_code.used', OfAccount & Left>
  | Named<'backup_codes.depleted', OfAccount & Left>
  | Named<'backup_codes.regenerated', OfAccount>
  | Named<'security_key.cloned', OfAccount>
  | Named<'factor.enrolled', OfAccount & OfFactor>
  | Named<'factor.removed', OfAccount & OfFactor>
  | Named<'factor.renamed', OfAccount & OfFactor>
  | Named<'factor.change_refused', OfAccount & WithReason>
  | Named<'factors.reset_refused', OfAccount & WithReason>
  | Named<'factors.reset', OfAccount & { readonly actor: string; readonly count: number }>
  | Named<'pending_login.exhausted', OfAccount>
  | Named<
      'token.issued',
      OfAccount & OfToken & Partial<OfClient> & { readonly scope: string; readonly issuer?: string }
    >
  | Named<'token.revoked', OfAccount & OfToken & { readonly actor?: string }>
  | Named<'tokens.revoked', OfAccount & { readonly count: number }>
  | Named<'tokens.access_refused', OfAccount & WithReason>
  | Named<'device.added', OfAccount & OfDevice>
  | Named<'device.revoked', OfAccount & OfDevice>
  | Named<'device.replayed', OfAccount & OfDevice>
  | Named<'devices.revoked', OfAccount & { readonly count: number }>
  | Named<'client.refused', Partial<OfClient> & WithReason>
  | Named<'password.refused', WithReason>
  | Named<'breach.skipped', WithReason>
  | Named<'store.failed', WithReason>
  | Named<'config.weak', WithReason>;

/**
 * What happened, for people and logs: `app.on('auth', (event) => …)`. `account` is an account id; the time is
 * the process's, in milliseconds since the epoch; the address is the client's as far as it can be trusted.
 * Never a secret, a body, a raw token or an identifier that proved to be nobody's: people type passwords into
 * the name field.
 */
export type AuthEvent = Happening & {
  readonly time: number;
  readonly ip: string;
  /** Of the header `X-Request-Id` where that is 1 to 64 letters, digits, `.`, `_` or `-`; made up otherwise. */
  readonly requestId: string;
  /** As the client wrote it, cut to 256 characters and escaped: proof of nothing. */
  readonly userAgent: string;
};
