import { describe, expect, it } from '@jest/globals';
import { StoreUnavailable } from '../../src/core/errors.js';
import {
  noFactors,
  readFactorRecord,
  writeFactorRecord,
  type Factors,
} from '../../src/core/factor-record.js';

const named = { id: 'x', name: 'Phone', createdAt: 1, lastUsedAt: null };
const totp = { ...named, type: 'totp', secret: 'sealed', lastStep: 5 } as const;
const key = {
  ...named,
  id: 'y',
  type: 'webauthn',
  publicKey: 'AA',
  counter: 0,
  transports: ['usb'],
  aaguid: '',
  backedUp: false,
} as const;
const codes = { createdAt: 1, lastUsedAt: 2, hashes: ['a', 'b'] };
const whole: Factors = { list: [totp, key], codes, wrongCodes: 3, resets: 2 };
const stored = { v: 1, ...whole };

describe('a factor record', () => {
  it.each<[string, Factors]>([
    ['of nothing', noFactors],
    ['of one of each', whole],
    ['without codes that are left', { ...whole, codes: { ...codes, hashes: [] } }],
    ['without codes', { ...whole, codes: null }],
    ['of codes that were never used', { ...whole, codes: { ...codes, lastUsedAt: null } }],
    ['of an authenticator that was never used', { ...whole, list: [{ ...totp, lastStep: null }] }],
    ['of a key without transports', { ...whole, list: [{ ...key, transports: [] }] }],
  ])('%s is read as it was written', (_, factors) => {
    expect(readFactorRecord(writeFactorRecord(factors))).toEqual(factors);
  });

  it('without a factor keeps no codes and no count of wrong ones (PND-14), only of resets', () => {
    expect(readFactorRecord(writeFactorRecord({ ...whole, list: [] }))).toEqual({ ...noFactors, resets: 2 });
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a list', [stored]],
    ['text', 'none'],
    ['a number', 0],
    ['false', false],
    ['an empty object', {}],
    ['no version', { ...stored, v: undefined }],
    ['another version', { ...stored, v: 2 }],
    ['a version of text', { ...stored, v: '1' }],
    ['no list', { ...stored, list: undefined }],
    ['a list of null', { ...stored, list: null }],
    ['what looks like a list', { ...stored, list: { length: 0 } }],
    ['a factor of null', { ...stored, list: [null] }],
    ['a good and a bad factor', { ...stored, list: [totp, {}] }],
    ['no codes and no null', { ...stored, codes: undefined }],
    ['codes of text', { ...stored, codes: 'a' }],
    ['codes in a list', { ...stored, codes: [] }],
    ['codes alone (PND-15)', { ...stored, list: [] }],
    ['no codes that are left, alone (PND-15)', { ...stored, list: [], codes: { ...codes, hashes: [] } }],
    ['codes without a time', { ...stored, codes: { ...codes, createdAt: undefined } }],
    ['codes used at no time', { ...stored, codes: { ...codes, lastUsedAt: undefined } }],
    ['codes used at a time of text', { ...stored, codes: { ...codes, lastUsedAt: '2' } }],
    ['codes of nothing', { ...stored, codes: { ...codes, hashes: undefined } }],
    ['codes of numbers', { ...stored, codes: { ...codes, hashes: [1] } }],
    ['no count of resets', { ...stored, resets: undefined }],
    ['half a count of resets', { ...stored, resets: 0.5 }],
    ['no count of wrong codes', { ...stored, wrongCodes: undefined }],
    ['a null count of wrong codes', { ...stored, wrongCodes: null }],
    ['a count of text', { ...stored, wrongCodes: '3' }],
    ['a negative count', { ...stored, wrongCodes: -1 }],
    ['half a count', { ...stored, wrongCodes: 0.5 }],
  ])('of %s is never taken for one, least of all for "no factor" (PND-16)', (_, record) => {
    expect(() => readFactorRecord(JSON.stringify(record) ?? '')).toThrow(StoreUnavailable);
  });

  it.each(['', ' ', '{', 'undefined', '{"v":1', JSON.stringify(stored).slice(0, -1)])(
    'that is no JSON is none: %j',
    (record) => {
      expect(() => readFactorRecord(record)).toThrow(StoreUnavailable);
    },
  );

  const fields: [string, object][] = [
    ['totp', totp],
    ['webauthn', key],
  ];
  it.each(fields.flatMap(([type, factor]) => Object.keys(factor).map((field) => [type, field] as const)))(
    'needs of a factor of type %s its %s, and of its own',
    (type, field) => {
      const factor: object = type === 'totp' ? totp : key;
      const others = Object.fromEntries(Object.entries(factor).filter(([name]) => name !== field));
      const wrongs: unknown[] = [undefined, {}, true, 'x', -1, 1.5, [7], null];
      const right = (value: unknown): boolean => {
        if (['id', 'name', 'secret', 'publicKey', 'aaguid'].includes(field)) return typeof value === 'string';
        if (field === 'lastUsedAt' || field === 'lastStep') return value === null;
        return field === 'backedUp' && value === true;
      };
      for (const value of wrongs.filter((one) => !right(one))) {
        const record = JSON.stringify({ ...stored, list: [{ ...others, [field]: value }] });
        expect(() => readFactorRecord(record)).toThrow(StoreUnavailable);
      }
      const inherited = `{"v":1,"list":[{"__proto__":{"${field}":1}}],"codes":null,"wrongCodes":0,"resets":0}`;
      expect(() => readFactorRecord(inherited)).toThrow(StoreUnavailable);
    },
  );

  it('says in its error nothing of what it holds', () => {
    const record = JSON.stringify({ ...stored, list: [{ ...totp, secret: 'CANARY', lastStep: 'CANARY' }] });
    expect(() => readFactorRecord(record)).toThrow(
      new StoreUnavailable('a factor record that makes no sense'),
    );
  });

  it('takes no field from a polluted prototype (INP-06)', () => {
    Reflect.defineProperty(Object.prototype, 'lastStep', { configurable: true, value: 1 });
    try {
      const { lastStep: _, ...rest } = totp;
      const record = JSON.stringify({ ...stored, list: [rest] });
      expect(() => readFactorRecord(record)).toThrow(StoreUnavailable);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'lastStep');
    }
  });
});
