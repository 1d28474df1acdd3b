/** The HTTP status that an error carries, by the convention of Koa and its parsers; undefined where it has none. */
export function statusOf(error: unknown): number | undefined {
  const status =
    typeof error === 'object' && error !== null ? (error as { status?: unknown }).status : undefined;
  return typeof status === 'number' ? status : undefined;
}
