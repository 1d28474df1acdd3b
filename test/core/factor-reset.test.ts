import { describe, expect, it } from '@jest/globals';
import { AccessTokens } from '../../src/core/access-tokens.js';
import { isSameAccount, resetFactors } from '../../src/core/factor-reset.js';
import { factorRig } from '../rig/factor-rig.js';

describe('isSameAccount', () => {
  it.each([
    ['alice', 'alice'],
    ['alice', 'ALICE'],
    ['alice', ' alice\t'],
    ['alice', 'ａｌｉｃｅ'],
    ['alice', '\u00A0Alice\uFEFF'],
    ['ﬁona', 'FIONA'],
    ['7F0C1D3E-52A4', '7f0c1d3e-52a4'],
    ['zoë', 'zoe\u0308'],
    ['straße', 'STRAßE'],
  ])('knows %j as %j', (one, other) => {
    expect(isSameAccount({ id: one }, { id: other })).toBe(true);
    expect(isSameAccount({ id: other }, { id: one })).toBe(true);
  });

  it.each([
    ['alice', 'bob'],
    ['alice', 'alice2'],
    ['alice', 'al ice'],
    ['1', '01'],
    ['a', 'á'],
    [' ', 'a'],
  ])('tells %j from %j', (one, other) => {
    expect(isSameAccount({ id: one }, { id: other })).toBe(false);
    expect(isSameAccount({ id: other }, { id: one })).toBe(false);
  });
});

describe('resetFactors', () => {
  it('ends tokens before the factors, and again after them', async () => {
    const rig = factorRig();
    const calls: string[] = [];
    const watch = <T extends object>(target: T, name: keyof T & string): T =>
      new Proxy(target, {
        get(of, key) {
          const value = Reflect.get(of, key) as unknown;
          if (typeof value !== 'function') return value;
          return (...args: unknown[]): unknown => {
            if (key === name) calls.push(name);
            return (value as (...given: unknown[]) => unknown).apply(of, args);
          };
        },
      });
    const tokens = watch(new AccessTokens({ store: rig.store }), 'revokeAll');
    const factors = watch(rig.factors, 'removeAll');
    const { id } = await rig.addTotp();
    const removed = await resetFactors(factors, tokens, { id: 'alice' });
    expect(removed).toMatchObject([{ id, type: 'totp' }]);
    expect(calls).toEqual(['revokeAll', 'removeAll', 'revokeAll']);
    expect(await resetFactors(factors, tokens, { id: 'alice' })).toEqual([]);
  });
});
