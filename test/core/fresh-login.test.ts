import { describe, expect, it } from '@jest/globals';
import {
  freshLoginRule,
  isRecentLogin,
  provedFactor,
  readFreshLoginRule,
} from '../../src/core/fresh-login.js';
import type { VerifiedToken } from '../../src/core/token-record.js';
import { tokenFacts } from '../rig/token-facts.js';

const now = Date.UTC(2030, 0, 1);

function tokenOf({
  age = 0,
  methods = ['pwd'],
}: {
  age?: number;
  methods?: readonly string[];
}): VerifiedToken {
  const token = tokenFacts({ createdAt: now, expiresAt: now + 1000 });
  return { account: { id: 'alice' }, methods, authTime: now / 1000 - age, token };
}

describe('isRecentLogin', () => {
  const rule = freshLoginRule();

  it.each([-60, -1, 0, 1, 299, 300])('takes a login of %d seconds ago', (age) => {
    expect(isRecentLogin(tokenOf({ age }), rule, now)).toBe(true);
  });

  it.each([-1e9, -3600, -61, 301, 604_800, 1e9, Number.NaN, Number.POSITIVE_INFINITY])(
    'takes no login of %d seconds ago',
    (age) => {
      expect(isRecentLogin(tokenOf({ age }), rule, now)).toBe(false);
    },
  );

  it('counts parts of a second', () => {
    expect(isRecentLogin(tokenOf({ age: 300 }), rule, now + 1)).toBe(false);
    expect(isRecentLogin(tokenOf({ age: -60 }), rule, now - 1)).toBe(false);
  });

  it('takes none by a clock that tells no time', () => {
    expect(isRecentLogin(tokenOf({}), rule, Number.NaN)).toBe(false);
  });
});

describe('provedFactor', () => {
  it.each([[['otp']], [['hwk']], [['pwd', 'otp']], [['hwk', 'pwd']]])('sees a factor in %j', (methods) => {
    expect(provedFactor(tokenOf({ methods }))).toBe(true);
  });

  it.each([[[]], [['pwd']], [['mfa']], [['swk']], [['OTP']], [['otp ', ' hwk']], [['otphwk']]])(
    'sees none in %j',
    (methods) => {
      expect(provedFactor(tokenOf({ methods }))).toBe(false);
    },
  );
});

describe('readFreshLoginRule', () => {
  it('fills in what is not given', () => {
    expect(readFreshLoginRule('any', {})).toEqual({ withinSeconds: 300, factor: 'if_enrolled' });
    expect(readFreshLoginRule('any', { withinSeconds: 1 })).toEqual({
      withinSeconds: 1,
      factor: 'if_enrolled',
    });
    expect(readFreshLoginRule('any', { factor: 'never', withinSeconds: 86_400 })).toEqual({
      withinSeconds: 86_400,
      factor: 'never',
    });
  });

  it('names who was given a wrong one', () => {
    expect(() => readFreshLoginRule('any', { withinSeconds: 0 })).toThrow(
      'any: option withinSeconds must be a whole number from 1 to 86400, not 0',
    );
  });
});
