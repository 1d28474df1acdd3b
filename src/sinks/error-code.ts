/** ` (ECONNREFUSED)`, ` (EENVELOPE 450)`: of an error only what can hold no part of a request; empty for none. */
export function errorCode(error: unknown): string {
  const { code, cause, responseCode } = fieldsOf(error);
  // An error of fetch keeps that of the network as its cause.
  const named = [code, fieldsOf(cause).code].find(isCode);
  if (named === undefined) return '';
  return Number.isSafeInteger(responseCode) ? ` (${named} ${String(responseCode)})` : ` (${named})`;
}

function isCode(code: unknown): code is string {
  return typeof code === 'string' && /^[A-Z_]{2,40}$/.test(code);
}

interface Fields {
  readonly code?: unknown;
  readonly cause?: unknown;
  readonly responseCode?: unknown;
}

function fieldsOf(error: unknown): Fields {
  return typeof error === 'object' && error !== null ? error : {};
}
