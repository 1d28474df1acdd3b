/**
 * Text of a client for a line of a log or a mail: at most `most` characters of printable ASCII, a backslash and
 * whatever else in it written as `\uXXXX`. Nothing in it ends a line, turns the direction of writing or moves a terminal's cursor.
 */
export function printable(text: string, most: number): string {
  // Cut first: what is thrown away must not be worked on.
  return text
    .slice(0, most)
    .replaceAll(/[^ -[\]-~]/g, escaped)
    .slice(0, most);
}

/** JSON in printable ASCII: the same value, and nothing in it moves a terminal's cursor or turns the direction of writing. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[^ -~]/g, escaped);
}

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
