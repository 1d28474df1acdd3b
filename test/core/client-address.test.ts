import { describe, expect, it } from '@jest/globals';
import Koa from 'koa';
import { addressSource } from '../../src/core/address-source.js';
import type { AuthContext } from '../../src/http/auth-state.js';
import { clientAddress, isAddressSpoofable } from '../../src/http/client-address.js';

function context(settings: { proxy?: boolean; maxIpsCount?: number }, forwarded?: string): AuthContext {
  const app = new Koa(settings);
  const req = {
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    socket: { remoteAddress: '::ffff:198.51.100.7' },
  };
  return app.createContext(req as never, { getHeader: () => undefined } as never);
}

describe('one source', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
    ['127.0.0.1', '127.0.0.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:DB8:0:0::ffff', '2001:db8:0:0::/64'],
    ['2001:0db8:0000:0000:1234:5678:9abc:def0', '2001:db8:0:0::/64'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3:4:5::', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ])('has one spelling (SIP-04, SIP-05): %s is %s', (address, source) => {
    expect(addressSource(address)).toBe(source);
  });

  it('holds a whole /64 and no more (SIP-04)', () => {
    const inside = Array.from({ length: 10_000 }, (_, i) =>
      addressSource(`2001:db8:0:7:${i.toString(16)}:${((i * 7) % 65_536).toString(16)}::1`),
    );
    expect(new Set(inside).size).toBe(1);
    expect(addressSource('2001:db8:0:8::1')).not.toBe(inside[0]);
  });

  it('is always an address: what only looks like a mapped one is IPv6', () => {
    expect(addressSource('::ffff:0:192.0.2.1')).toBe('0:0:0:0::/64');
    expect(addressSource('::ffff:0:0:1')).toBe('0:0:0:0::/64');
  });

  it.each([
    '',
    ' ',
    'unknown',
    '192.0.2.1:80',
    '192.0.2',
    '010.0.0.1',
    '256.0.0.1',
    '[::1]',
    '::g',
    '1.2.3.4, 5.6.7.8',
  ])('is nothing else: %j', (address) => {
    expect(addressSource(address)).toBeNull();
  });
});

describe('the address of a client', () => {
  it.each([
    [{}, undefined, '198.51.100.7', false],
    [{}, '192.0.2.1', '198.51.100.7', false],
    [{ proxy: true }, '192.0.2.1', '198.51.100.7', true],
    [{ proxy: true, maxIpsCount: 0 }, '192.0.2.1, 192.0.2.2', '198.51.100.7', true],
    [{ proxy: true, maxIpsCount: 1 }, '192.0.2.1, 192.0.2.2', '192.0.2.2', false],
    [{ proxy: true, maxIpsCount: 2 }, '192.0.2.1, 192.0.2.2', '192.0.2.1', false],
    [{ proxy: true, maxIpsCount: 1 }, 'no address', '', false],
  ])(
    'is what cannot be forged (SIP-01, SIP-02): %j behind %j is %s',
    (settings, forwarded, address, spoofable) => {
      const ctx = context(settings, forwarded);
      expect(clientAddress(ctx)).toBe(address);
      expect(isAddressSpoofable(ctx)).toBe(spoofable);
    },
  );
});
