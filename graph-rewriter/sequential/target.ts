// What a weight should be once everything before it has been compressed.
import { BlockrankError } from '../errors.js';
import { stack, type Engine, type Stack } from '../factorize/engine.js';
import { blockedCholesky, blockedInvertLower } from '../factorize/linalg/blocked.js';

/** What a group knows of its input; h is the original model's, h′ the compressed one's. All [in, in], row-major. */
export interface InputStatistics {
  readonly size: number;
  /** C′ = E[h′ h′ᵀ] */
  readonly compressed: Float64Array;
  /** X = E[h h′ᵀ] */
  readonly cross: Float64Array;
}

export interface TargetOptions {
  /** Share of the original model's activations in the target's inputs. */
  readonly alpha: number;
  /** ε as a share of the mean diagonal of C′. */
  readonly ridge: number;
}

/** What all weights of a group share: W_t = W·pull + α·D·inverse. */
export interface TargetMap {
  /** (α X + (1 − α) C′ + ε I) (C′ + ε I)⁻¹ */
  readonly pull: Stack;
  /** (C′ + ε I)⁻¹ */
  readonly inverse: Stack;
}

/**
 * W_t = [W (α X + (1 − α) C′ + ε I) + α D] (C′ + ε I)⁻¹: ridge regression of α (W h + x − x′) + (1 − α) W h′ on h′, with
 * x − x′ the gap in the residual stream that the output is added to, D = E[(x − x′) h′ᵀ].
 */
export async function targetMap(
  engine: Engine,
  { size, compressed, cross }: InputStatistics,
  { alpha, ridge }: TargetOptions,
): Promise<TargetMap | undefined> {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += compressed[i * (size + 1)];
  if (!(trace > 0)) return undefined;
  const epsilon = (ridge * trace) / size;
  const l = compressed.slice();
  const mixed = compressed.map((value, at) => alpha * cross[at] + (1 - alpha) * value);
  for (let i = 0; i < size; i++) {
    l[i * (size + 1)] += epsilon;
    mixed[i * (size + 1)] += epsilon;
  }
  if (!(await blockedCholesky(engine, l, size)))
    throw new BlockrankError(
      'FACTORIZATION',
      `the second moment of a layer's input is not positive definite even with ${ridge} of its mean diagonal added`,
    );
  for (let row = 0; row < size; row++) l.fill(0, row * size + row + 1, (row + 1) * size);
  const half = stack(await blockedInvertLower(engine, l, size), 1, size, size);
  const inverse = await engine.multiply(half, half, 'left');
  return { inverse, pull: await engine.multiply(stack(mixed, 1, size, size), inverse) };
}

/** [out, in]; `gap` is D, [out, in], where the output is added to a residual stream. */
export async function targetWeight(
  engine: Engine,
  weight: Float32Array,
  map: TargetMap,
  alpha: number,
  gap?: Float64Array,
): Promise<Float32Array> {
  const size = map.inverse.rows;
  const rows = weight.length / size;
  const target = await engine.multiply(stack(Float64Array.from(weight), 1, rows, size), map.pull);
  if (gap !== undefined) {
    const closed = await engine.multiply(stack(gap, 1, rows, size), map.inverse);
    for (let at = 0; at < closed.data.length; at++) target.data[at] += alpha * closed.data[at];
  }
  return Float32Array.from(target.data);
}
