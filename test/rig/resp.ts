/** Where the RESP2 or RESP3 value that begins at `from` ends, or -1 while a part of it is missing. */
function valueEnd(bytes: Buffer, from: number): number {
  const lineEnd = bytes.indexOf('\r\n', from);
  if (lineEnd === -1) return -1;
  const type = bytes.toString('latin1', from, from + 1);
  const size = Number(bytes.toString('latin1', from + 1, lineEnd));
  let end = lineEnd + 2;
  if ('$!='.includes(type)) {
    if (size >= 0) end += size + 2;
    return end <= bytes.length ? end : -1;
  }
  for (let items = itemsOf(type, size); items > 0 && end !== -1; items -= 1) end = valueEnd(bytes, end);
  return end;
}

/** Arrays, sets and pushes hold values, maps hold pairs, attributes hold pairs and precede their value. */
function itemsOf(type: string, size: number): number {
  if ('*~>'.includes(type)) return size;
  if (type === '%') return size * 2;
  return type === '|' ? size * 2 + 1 : 0;
}

/** Cuts a stream into whole values, wherever the borders of its chunks fall. */
export function valueCutter(): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const values: Buffer[] = [];
    for (let end = valueEnd(rest, 0); end !== -1; end = valueEnd(rest, 0)) {
      values.push(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    return values;
  };
}

/** The words of one whole command: an array of bulk strings, or a line typed by hand. */
export function commandWords(command: Buffer): string[] {
  if (command.toString('latin1', 0, 1) !== '*') return command.toString().trim().split(/\s+/);
  const words: string[] = [];
  let from = command.indexOf('\r\n') + 2;
  while (from < command.length) {
    const end = valueEnd(command, from);
    words.push(command.toString('utf8', command.indexOf('\r\n', from) + 2, end - 2));
    from = end;
  }
  return words;
}
