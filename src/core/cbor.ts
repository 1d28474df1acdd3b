/** What authenticators put into CBOR: whole numbers, byte and text strings, lists, maps, true, false, null. */
export type Cbor = number | string | boolean | null | Buffer | readonly Cbor[] | CborMap;
export type CborMap = ReadonlyMap<Cbor, Cbor>;

export interface CborItem {
  readonly value: Cbor;
  /** Offset of the byte behind it. */
  readonly end: number;
}

/** CTAP 2.1 section 8: messages nest no deeper, so nothing here can exhaust the stack. */
const deepest = 4;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const simpleValues: Readonly<Record<number, boolean | null>> = { 0xf4: false, 0xf5: true, 0xf6: null };

/**
 * Reads one item of the CTAP2 canonical encoding: definite and shortest lengths, no tags, no floats, no key
 * twice. Null for anything else and for bytes that end too early. Keys of a map are not held to their order.
 *
 * @see RFC 8949; CTAP 2.1 section 8
 */
export function readCbor(bytes: Buffer, from = 0): CborItem | null {
  try {
    return readItem(bytes, from, 0);
  } catch {
    return null;
  }
}

/** As `readCbor`, for a map that is all there is. */
export function readCborMap(bytes: Buffer): CborMap | null {
  const item = readCbor(bytes);
  return item !== null && item.end === bytes.length && item.value instanceof Map ? item.value : null;
}

/** @throws {RangeError} as reading past the end of a Buffer does. */
function readItem(bytes: Buffer, at: number, depth: number): CborItem {
  const first = bytes.readUInt8(at);
  const simple = simpleValues[first];
  if (simple !== undefined) return { value: simple, end: at + 1 };
  const { argument, start } = readHead(bytes, at);
  switch (first >> 5) {
    case 0:
      return { value: argument, end: start };
    case 1:
      return { value: -1 - argument, end: start };
    case 2:
      return readBytes(bytes, start, argument);
    case 3: {
      const { value, end } = readBytes(bytes, start, argument);
      return { value: utf8.decode(value), end };
    }
    case 4:
      return readList(bytes, start, argument, depth + 1);
    case 5: {
      const { value, end } = readList(bytes, start, argument * 2, depth + 1);
      const map = new Map<Cbor, Cbor>();
      for (let index = 0; index < value.length; index += 2) {
        map.set(value[index] as Cbor, value[index + 1] as Cbor);
      }
      if (map.size !== argument) throw new RangeError('a key twice');
      return { value: map, end };
    }
    default:
      throw new RangeError('a tag, a float or an undefined value');
  }
}

/** The number in an item's head. Eight bytes and indefinite lengths are more than `readUIntBE` takes: it throws. */
function readHead(bytes: Buffer, at: number): { readonly argument: number; readonly start: number } {
  const short = bytes.readUInt8(at) & 0x1f;
  if (short < 24) return { argument: short, start: at + 1 };
  const width = 2 ** (short - 24);
  const argument = bytes.readUIntBE(at + 1, width);
  if (argument < (width === 1 ? 24 : 2 ** (4 * width))) throw new RangeError('not the shortest form');
  return { argument, start: at + 1 + width };
}

function readBytes(bytes: Buffer, start: number, length: number): { value: Buffer; end: number } {
  const end = start + length;
  if (end > bytes.length) throw new RangeError('past the end');
  return { value: bytes.subarray(start, end), end };
}

function readList(
  bytes: Buffer,
  start: number,
  length: number,
  depth: number,
): { value: Cbor[]; end: number } {
  if (depth > deepest) throw new RangeError('too deep');
  const value: Cbor[] = [];
  let end = start;
  for (let index = 0; index < length; index += 1) {
    const item = readItem(bytes, end, depth);
    value.push(item.value);
    end = item.end;
  }
  return { value, end };
}
