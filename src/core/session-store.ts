/**
 * Keeps browser sessions by the hash of their id, each until it ends or is removed. An ended one must be dead to every
 * method.
 */
export interface SessionStore {
  /** Writes one, whether it is new or not. */
  saveSession(key: string, record: string, lifetimeMs: number): Promise<void>;
  /**
   * Replaces a live one, in one atomic step. Must answer false, and write nothing, where it has gone: a request that was
   * under way must not bring it back.
   */
  updateSession(key: string, record: string, lifetimeMs: number): Promise<boolean>;
  readSession(key: string): Promise<string | null>;
  /** Must have taken effect for every process before it answers. */
  removeSession(key: string): Promise<void>;
}

export const sessionStoreMethods = [
  'saveSession',
  'updateSession',
  'readSession',
  'removeSession',
] as const satisfies readonly (keyof SessionStore)[];
