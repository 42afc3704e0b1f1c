import { stack, type Engine, type Stack } from '../engine.js';
import { blockedCholesky, blockedInvertLower } from './blocked.js';
import { eigenvalues, leadingEigenpairs, type EigenPairs } from './eigen.js';
import { randomNormal } from './random.js';
import { regularisedCholesky } from './regularised.js';

/** Beyond this size the direct solver's plain loops cost more than products do. */
const DIRECT = 1024;
/** Iteration ends when what it can still gain is below this share of the energy left out. */
const GAIN = 5e-4;
const MOST_STEPS = 60;

/** The `count` leading eigenvectors of a positive semidefinite matrix, whose contents are destroyed. */
export async function leadingVectors(
  engine: Engine,
  a: Float64Array,
  n: number,
  count: number,
): Promise<EigenPairs> {
  if (n <= DIRECT) return leadingEigenpairs(a, n, count, engine.loops);
  return subspaceIteration(engine, stack(a, 1, n, n), count);
}

/** Eigenvalues of the same, descending: all of them where the direct solver is used, else the `count` leading ones. */
export async function leadingValues(
  engine: Engine,
  a: Float64Array,
  n: number,
  count: number,
): Promise<Float64Array> {
  if (n <= DIRECT) return eigenvalues(a, n, engine.loops);
  return (await subspaceIteration(engine, stack(a, 1, n, n), count)).values;
}

/**
 * Orthogonal iteration with a sixteenth more vectors than wanted, then Rayleigh–Ritz (Golub & Van Loan 8.2.4; Halko et al.,
 * arXiv 0909.4061). It converges in energy, not vector by vector: directions that are slow to separate have
 * nearly equal eigenvalues, and either of them may be kept at nearly the same error.
 */
export async function subspaceIteration(engine: Engine, a: Stack, count: number): Promise<EigenPairs> {
  const n = a.rows;
  const width = Math.min(n, count + Math.ceil(count / 16) + 8);
  const random = randomNormal(n);
  let x = stack(Float64Array.from({ length: width * n }, random), 1, width, n);
  let total = 0;
  for (let i = 0; i < n; i++) total += a.data[i * (n + 1)];
  let captured = 0;
  for (let step = 1; ; step++) {
    x = await orthonormalise(engine, x);
    const image = await engine.multiply(x, a);
    const before = captured;
    captured = 0;
    for (let at = 0; at < x.data.length; at++) captured += x.data[at] * image.data[at];
    // Seen on flat and on steep spectra: gains fall at least as fast as 1/step², so `step` times the last one bounds the rest.
    const done = (captured - before) * step <= GAIN * (total - captured) || total - captured <= 1e-14 * total;
    if (done || step === MOST_STEPS) return rayleighRitz(engine, x, image, count);
    x = image;
  }
}

/** Rows of x made orthonormal by the Cholesky factor of x·xᵀ, again until rounding is gone; where x is nearly dependent, a ridge bridges the first pass. */
async function orthonormalise(engine: Engine, x: Stack): Promise<Stack> {
  for (let pass = 0; pass < 4; pass++) {
    const gram = await engine.multiply(x, x, 'right');
    if (distanceFromIdentity(gram) < 1e-13) break;
    const exact = gram.data.slice();
    const definite = await blockedCholesky(engine, exact, x.rows);
    const l = definite ? exact : await regularisedCholesky(engine, gram.data, x.rows);
    x = await engine.multiply(stack(await blockedInvertLower(engine, l, x.rows), 1, x.rows, x.rows), x);
  }
  return x;
}

function distanceFromIdentity({ data, rows }: Stack): number {
  let distance = 0;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j <= i; j++)
      distance = Math.max(distance, Math.abs(data[i * rows + j] - (i === j ? 1 : 0)));
  return distance;
}

async function rayleighRitz(engine: Engine, x: Stack, image: Stack, count: number): Promise<EigenPairs> {
  const projected = await engine.multiply(x, image, 'right');
  const { values, vectors } = leadingEigenpairs(projected.data, x.rows, count, engine.loops);
  const { data } = await engine.multiply(stack(vectors, 1, count, x.rows), x);
  return { values, vectors: data };
}
