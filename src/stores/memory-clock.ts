/** Time of a memory store: milliseconds, and microseconds that strictly increase so that order is decided. */
export interface MemoryClock {
  readonly ms: () => number;
  readonly us: () => number;
}

export function memoryClock(now: () => number): MemoryClock {
  let last = 0;
  return {
    ms: () => Math.floor(now()),
    us: () => {
      const time = Math.floor(now() * 1000);
      // A clock that was set back must not make the times stand still for as long as the jump.
      last = time > last || time < last - 1_000_000 ? time : last + 1;
      return last;
    },
  };
}
