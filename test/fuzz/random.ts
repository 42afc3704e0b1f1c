// Seeded choices: case i of a seed is the same on every machine.

export interface Random {
  /** A whole number 0 … below − 1. */
  pick(below: number): number;
  oneOf<T>(choices: readonly T[]): T;
  chance(oneIn: number): boolean;
}

/** Mulberry32 (public domain, T. Ettinger), its state mixed from seed and case. */
export function randomFor(seed: number, index: number): Random {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const pick = (below: number) => Math.floor((next() / 2 ** 32) * below);
  return {
    pick,
    oneOf: (choices) => choices[pick(choices.length)],
    chance: (oneIn) => pick(oneIn) === 0,
  };
}
