import { describe, expect, it } from '@jest/globals';
import { TokenUses } from '../../src/core/token-uses.js';

function rig() {
  let now = 0;
  const uses = new TokenUses(() => now);
  return {
    uses,
    wait: (seconds: number): void => {
      now += seconds * 1000;
    },
  };
}

describe('a use', () => {
  it('is noted when it is the first, and not again at once', () => {
    const { uses } = rig();
    expect(['a', 'a', 'b', 'a', 'b'].map((key) => uses.isDue(key))).toEqual([
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  it('is noted anew not before half a minute and not after a minute, whenever the first one came', () => {
    for (let first = 0; first < 90; first += 7) {
      const { uses, wait } = rig();
      uses.isDue('somebody else');
      wait(first);
      const noted: number[] = [];
      for (let second = 0; second < 300; second += 1) {
        if (uses.isDue('a')) noted.push(second);
        wait(1);
      }
      const gaps = noted.slice(1).map((second, index) => second - (noted[index] ?? 0));
      expect(noted[0]).toBe(0);
      expect(gaps.length).toBeGreaterThanOrEqual(4);
      expect(gaps.filter((gap) => gap < 30 || gap > 60)).toEqual([]);
    }
  });

  it('is noted anew after a minute in a quiet process too, where nothing else passes the time', () => {
    for (const gap of [29.9, 30, 45, 59.9]) {
      const { uses, wait } = rig();
      const noted: number[] = [];
      for (let at = 0; at < 400; at += gap) {
        if (uses.isDue('a')) noted.push(at);
        wait(gap);
      }
      const late = noted.slice(1).filter((at, index) => at - (noted[index] ?? 0) >= 60 + gap);
      expect({ gap, late }).toEqual({ gap, late: [] });
      expect(noted.length).toBeGreaterThan(2);
    }
  });

  it('is noted at once after a long silence', () => {
    const { uses, wait } = rig();
    uses.isDue('a');
    wait(3600);
    expect(uses.isDue('a')).toBe(true);
    expect(uses.isDue('a')).toBe(false);
  });

  it('is noted more often rather than remembered without bound', () => {
    const { uses } = rig();
    uses.isDue('a');
    for (let i = 0; i < 100_000; i += 1) uses.isDue(`other ${i}`);
    expect(uses.isDue('a')).toBe(true);
  });
});
