import { describe, expect, it } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { accountKey } from '../../src/core/account.js';
import { keyHash } from '../../src/core/key-hash.js';
import { LoginSessions } from '../../src/core/login-sessions.js';
import { sessionIdPattern, tokenKey } from '../../src/core/token-secret.js';
import { memoryStore } from '../../src/stores/memory.js';
import { fakeClock } from '../rig/fake-clock.js';
import { alice, proven } from '../rig/factor-rig.js';

const minute = 60_000;
const login = accountKey('alice');

async function begin(grant: { lifetimeSeconds?: number } = {}) {
  const clock = fakeClock();
  const store = memoryStore({ now: clock.now });
  const tokens = new AccessTokens({ store });
  const sessions = new LoginSessions(tokens, store);
  const one = proven();
  one.passFactor();
  const issued = await tokens.issue(one, { carry: 'session', ...grant });
  if (issued === null) throw new Error('no token');
  return { clock, store, tokens, sessions, id: issued.secret, token: issued.facts.token };
}

describe('LoginSessions', () => {
  it('gives ids of the published pattern, each another one (TOK-16)', async () => {
    const { sessions, id } = await begin();
    const ids = Array.from({ length: 1000 }, () => sessions.createId());
    expect(new Set(ids).size).toBe(1000);
    const pattern = new RegExp(`^${sessionIdPattern}$`);
    expect([...ids, id].filter((one) => !pattern.test(one))).toEqual([]);
    expect(sessionIdPattern).toBe('pcss_[A-Za-z0-9_-]{49}');
  });

  it('keeps what it is given, for a visitor and for a login', async () => {
    const { sessions, id } = await begin();
    const visitor = sessions.createId();
    await sessions.write(visitor, { login: null, content: { a: 1 } }, minute, true);
    await sessions.write(id, { login, content: { b: 2 } }, minute, true);
    expect(await sessions.read(visitor)).toEqual({ login: null, content: { a: 1 } });
    expect(await sessions.read(id)).toEqual({ login, content: { b: 2 } });
    expect(await sessions.read(sessions.createId())).toBeNull();
  });

  it('files session and token apart, both under hashes of the id', async () => {
    const { sessions, store, id } = await begin();
    await sessions.write(id, { login, content: {} }, minute, true);
    expect(await store.readToken(tokenKey(id))).not.toBeNull();
    expect(await store.readSession(tokenKey(id))).toBeNull();
    expect(await store.readSession(keyHash('session', id))).toBe(
      JSON.stringify({ v: 1, login, content: {} }),
    );
    expect(await store.readToken(keyHash('session', id))).toBeNull();
  });

  it('a login ends with its token: revoked, expired, or of another account', async () => {
    const revoked = await begin();
    await revoked.sessions.write(revoked.id, { login, content: {} }, minute, true);
    await revoked.tokens.revoke(revoked.token.id);
    expect(await revoked.sessions.read(revoked.id)).toBeNull();

    const expired = await begin({ lifetimeSeconds: 60 });
    await expired.sessions.write(expired.id, { login, content: {} }, 3 * minute, true);
    expired.clock.advance(59.999);
    expect(await expired.sessions.read(expired.id)).not.toBeNull();
    expired.clock.advance(0.001);
    expect(await expired.sessions.read(expired.id)).toBeNull();

    const other = await begin();
    await other.sessions.write(other.id, { login: accountKey('bob'), content: {} }, minute, true);
    expect(await other.sessions.read(other.id)).toBeNull();
    expect(await other.store.readSession(keyHash('session', other.id))).toBeNull();
  });

  it('ends token and record together, and neither comes back', async () => {
    const { sessions, tokens, id } = await begin();
    await sessions.write(id, { login, content: {} }, minute, true);
    await sessions.end(id, accountKey('alice'));
    expect(await tokens.list(alice)).toEqual([]);
    expect(await sessions.write(id, { login, content: { late: true } }, minute, false)).toBe(false);
    expect(await sessions.read(id)).toBeNull();
    await sessions.end(id, accountKey('alice'));
  });
});
