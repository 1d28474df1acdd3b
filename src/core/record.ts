/** A stored JSON record; null for text that is none. Its fields are read with `own`, each by its type. */
export function parseRecord(record: string): unknown {
  try {
    return JSON.parse(record);
  } catch {
    return null;
  }
}
