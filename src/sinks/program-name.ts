// What a user agent is told by, the more particular first: Edge says that it is Chrome and Safari too.
const programs = [
  ['Edg', 'Edge'],
  ['OPR/', 'Opera'],
  ['SamsungBrowser/', 'Samsung Internet'],
  ['Firefox/', 'Firefox'],
  ['FxiOS/', 'Firefox'],
  ['CriOS/', 'Chrome'],
  ['Chrome/', 'Chrome'],
  ['Safari/', 'Safari'],
  ['curl/', 'curl'],
] as const;

const systems = [
  ['iPhone', 'iPhone'],
  ['iPad', 'iPad'],
  ['Android', 'Android'],
  ['Windows', 'Windows'],
  ['CrOS', 'ChromeOS'],
  ['Mac OS X', 'macOS'],
  ['Linux', 'Linux'],
] as const;

/**
 * `Firefox on Windows`, for the owner of an account. In words of ours only: a thief who may write a line of his own into
 * a mail of the app would write a telephone number to call.
 */
export function programName(userAgent: string): string {
  const find = (table: typeof programs | typeof systems): string | undefined =>
    table.find(([mark]) => userAgent.includes(mark))?.[1];
  const system = find(systems);
  return `${find(programs) ?? 'an unknown program'}${system === undefined ? '' : ` on ${system}`}`;
}
