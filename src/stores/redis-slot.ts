/** CRC-16/XMODEM of each byte. */
const crcOf = Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x80_00) === 0 ? crc << 1 : (crc << 1) ^ 0x10_21;
  return crc & 0xff_ff;
});

/** The slot of a key, as the Redis Cluster specification has it: of the part in the first braces, if any. */
export function slotOf(key: string): number {
  const [, tag = key] = /^[^{]*\{([^}]+)\}/.exec(key) ?? [];
  let crc = 0;
  for (const byte of Buffer.from(tag)) crc = ((crc << 8) & 0xff_ff) ^ (crcOf[(crc >> 8) ^ byte] ?? 0);
  return crc % 16_384;
}
