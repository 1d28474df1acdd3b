/** CSV (RFC 4180): a line of names, and a line for each row. */
export function csvText(columns: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [columns, ...rows].map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}

// Also after a semicolon, at which spreadsheets of half of Europe split a line, quotes or not.
const formulaStart = /(^|;)(?=[\s"]*[=+\-@|%\uFF1D\uFF0B\uFF0D\uFF20])/g;

/** Control characters, and what ends a line or turns the direction of writing. */
const unprintable = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/**
 * A cell that no spreadsheet takes for a formula, and that keeps to its line.
 *
 * @see OWASP, "CSV Injection"
 */
function csvCell(value: string | number): string {
  const line = String(value).replaceAll(unprintable, ' ');
  const inert = line.replaceAll(formulaStart, "$1'");
  return `"${inert.replaceAll('"', '""')}"`;
}
