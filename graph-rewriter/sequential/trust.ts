/**
 * How far a target may be believed, by cross-validation: few rows give regressions that follow noise.
 *
 * A target is W + Δ. Fitted to one half of the batches, Δ explains the other half best when it is multiplied by
 * a = tr(Δ Rᵀ) / tr(Δ C′ Δᵀ), R = W (X − C′) + D of that half: 1 / α where both halves agree, as Δ aims at the share α of what R asks for,
 * and about 0 where Δ is noise. With twice the rows the noise in Δ has half the power, so α a = s / (s + n) becomes s / (s + n / 2).
 */
import { stack, type Engine, type Stack } from '../factorize/engine.js';
import type { InputStatistics } from './target.js';

/** Of one half of the batches. */
export interface Half extends InputStatistics {
  /** D, [out, in] */
  readonly gap?: Float64Array;
  /** Δ fitted to this half, [out, in] */
  readonly change: Stack;
}

/** A number from 0 to 1 to multiply Δ by, which was fitted to both halves together. */
export async function trustIn(
  engine: Engine,
  weight: Float32Array,
  halves: readonly Half[],
  alpha: number,
): Promise<number> {
  let explained = 0;
  let power = 0;
  for (const [i, { change }] of halves.entries()) {
    const other = halves[1 - i];
    explained += dot(change.data, (await asked(engine, weight, other)).data);
    const { size, compressed } = other;
    power += dot(change.data, (await engine.multiply(change, stack(compressed, 1, size, size))).data);
  }
  const share = power > 0 ? (alpha * explained) / power : 1;
  return share > 0 ? Math.min(1, 2 / (1 + 1 / share)) : 0;
}

/** R, [out, in] */
async function asked(
  engine: Engine,
  weight: Float32Array,
  { size, compressed, cross, gap }: Half,
): Promise<Stack> {
  const moved = cross.map((value, at) => value - compressed[at]);
  const w = stack(Float64Array.from(weight), 1, weight.length / size, size);
  const result = await engine.multiply(w, stack(moved, 1, size, size));
  gap?.forEach((value, at) => (result.data[at] += value));
  return result;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}
