/**
 * Text of a client for a line of a log or a mail: at most `most` characters of printable ASCII, a backslash and
 * whatever else in it written as `\uXXXX`. Nothing in it ends a line, turns the direction of writing or moves a terminal's cursor.
 */
export function printable(text: string, most: number): string {
  // Cut first: what is thrown away must not be worked on.
  return text
    .slice(0, most)
    .replaceAll(/[^ -[\]-~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .slice(0, most);
}
