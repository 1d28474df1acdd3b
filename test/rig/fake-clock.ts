/** A clock that stands still until it is told to move. Its functions need no `this`: pass them on as they are. */
export interface FakeClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Moves by seconds; a negative number moves back. */
  readonly advance: (seconds: number) => void;
  /** Moves to a time, in milliseconds since the epoch. */
  readonly set: (ms: number) => void;
}

export function fakeClock(startMs: number = Date.UTC(2030, 0, 1)): FakeClock {
  let time = startMs;
  return {
    now: () => time,
    advance(seconds) {
      time += Math.round(seconds * 1000);
    },
    set(ms) {
      time = ms;
    },
  };
}
