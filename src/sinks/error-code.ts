/** ` (ECONNREFUSED)`, ` (EENVELOPE 450)`: of an error only what can hold no part of a request; empty for none. */
export function errorCode(error: unknown): string {
  const own = readCode(error);
  return own === '' && error instanceof Error ? readCode(error.cause) : own;
}

function readCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown };
  if (typeof code !== 'string' || !/^[A-Z_]{2,40}$/.test(code)) return '';
  return Number.isSafeInteger(responseCode) ? ` (${code} ${String(responseCode)})` : ` (${code})`;
}
