import type { StoredToken, TokenStore } from '../core/token-store.js';
import { BoundedMap } from './bounded-map.js';
import type { Cutoffs } from './memory-cutoffs.js';
import type { MemoryClock } from './memory-clock.js';

interface Kept extends StoredToken {
  readonly account: string;
  /** When it ends unless it is touched before. */
  readonly endsAt: number;
}

export function memoryTokens(clock: MemoryClock, maxEntries: number, cutoffs: Cutoffs): TokenStore {
  const byAccount = new Map<string, Set<string>>();
  const tokens = new BoundedMap<Kept>(clock.ms, maxEntries, ({ key, account }) => {
    const keys = byAccount.get(account);
    keys?.delete(key);
    if (keys?.size === 0) byAccount.delete(account);
  });

  function live(account: string): Kept[] {
    const kept: Kept[] = [];
    for (const key of byAccount.get(account) ?? []) {
      const token = tokens.get(key);
      if (token !== undefined) kept.push(token);
    }
    return kept;
  }

  return {
    async issueToken({ key, account, lifetimeMs, idleMs, maxPerAccount, startedAt, record }) {
      if (startedAt !== undefined && cutoffs.isCutOff(account, startedAt)) return null;
      // Only at the limit is the account's list walked.
      if ((byAccount.get(account)?.size ?? 0) >= maxPerAccount) {
        const kept = live(account).toSorted((a, b) => a.endsAt - b.endsAt);
        for (const one of kept.slice(0, Math.max(0, kept.length - maxPerAccount + 1))) tokens.delete(one.key);
      }
      const createdAt = clock.ms();
      const expiresAt = createdAt + lifetimeMs;
      const leftMs = Math.min(lifetimeMs, idleMs ?? lifetimeMs);
      const token = { key, createdAt, expiresAt, usedAt: null, record, account, endsAt: createdAt + leftMs };
      tokens.set(key, token, leftMs);
      byAccount.set(account, (byAccount.get(account) ?? new Set()).add(key));
      return token;
    },
    async readToken(key) {
      return tokens.get(key) ?? null;
    },
    async revokeToken(key) {
      return tokens.delete(key);
    },
    async revokeTokens(account, except) {
      cutoffs.cutOff(account);
      const ended = live(account).filter(({ key }) => key !== except);
      for (const { key } of ended) tokens.delete(key);
      return ended.length;
    },
    async listTokens(account) {
      return live(account);
    },
    async touchToken({ key, idleMs }) {
      const token = tokens.get(key);
      if (token === undefined) return false;
      const usedAt = clock.ms();
      const endsAt = Math.min(token.expiresAt, idleMs === undefined ? token.endsAt : usedAt + idleMs);
      tokens.set(key, { ...token, usedAt, endsAt }, endsAt - usedAt);
      return true;
    },
  };
}
