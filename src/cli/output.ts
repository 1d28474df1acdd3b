import { printable } from '../core/printable.js';

const mostCharacters = 300;

/** Text that somebody else wrote, for a line: nothing in it moves the cursor, ends the line or poses as ours. */
export function shown(text: string): string {
  return printable(text, mostCharacters);
}

/** Text that was escaped when it was kept, as user agents and reasons in the log are. */
export function shownAsKept(text: string): string {
  return inAscii(text.slice(0, mostCharacters)).replaceAll('\n', '\\u000a');
}

/** A moment as ISO 8601 without fractions; `never` for null. */
export function shownTime(ms: number | null): string {
  return ms === null ? 'never' : new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Lines for a terminal. What should have been escaped before is so at the latest here. */
export function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${inAscii(line).replaceAll('\n', '\\u000a')}\n`).join('');
}

/** One JSON value. In it too, only printable ASCII reaches the terminal: JSON has an escape for everything else. */
export function jsonOf(value: unknown): string {
  return `${inAscii(JSON.stringify(value, null, 2))}\n`;
}

/** Rows under headings, in columns. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function inAscii(text: string): string {
  return text.replaceAll(/[^\n -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
