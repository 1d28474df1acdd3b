/** What is used of a LoginLog. */
export interface LogPort {
  query(search: {
    readonly account?: string;
    readonly outcome?: string;
    readonly names?: readonly string[];
    readonly since?: number;
    readonly requestId?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly entries: readonly LoggedEntry[]; readonly next: string | null }>;
  append(entry: {
    readonly name: string;
    readonly outcome: 'changed' | 'revoked';
    readonly account?: string | null;
    readonly actor?: string;
    readonly ip?: string;
    readonly reason?: string;
    readonly details?: Readonly<Record<string, string | number>>;
  }): Promise<unknown>;
}

export interface LoggedEntry {
  readonly time: number;
  readonly name: string;
  readonly outcome: string;
  readonly account: string | null;
  readonly subject: string | null;
  readonly actor: string | null;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly reason: string | null;
  readonly retryAfterSeconds: number | null;
}
