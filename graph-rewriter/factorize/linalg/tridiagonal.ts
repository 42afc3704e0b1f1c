import type { Loops } from '../loops.js';
import type { RandomNormal } from './random.js';

/** Eigenvalues of the symmetric tridiagonal matrix (diagonal d, off-diagonal e), ascending; implicit QL with Wilkinson shifts (Golub & Van Loan 8.3.3), no vectors. */
export function tridiagonalValues(diagonal: Float64Array, offDiagonal: Float64Array): Float64Array {
  const n = diagonal.length;
  const d = Float64Array.from(diagonal);
  const e = new Float64Array(n);
  e.set(offDiagonal.subarray(0, Math.max(n - 1, 0)));
  // Relative to the whole matrix: the reduction to tridiagonal form leaves as much, and a null space never gets below it.
  const negligible = Number.EPSILON * tridiagonalNorm(d, e);
  for (let low = 0; low < n; low++) {
    for (let sweep = 0; ; sweep++) {
      let high = low;
      while (high < n - 1 && Math.abs(e[high]) > negligible) high++;
      if (high === low) break;
      if (sweep === 60) throw new Error('eigenvalues of a tridiagonal matrix: no convergence in 60 sweeps');
      chase(d, e, low, high);
    }
  }
  return d.sort();
}

/** One QL sweep on rows low … high: a bulge is chased from the bottom to the top by plane rotations. */
function chase(d: Float64Array, e: Float64Array, low: number, high: number): void {
  const half = (d[low + 1] - d[low]) / (2 * e[low]);
  const root = Math.hypot(half, 1);
  let g = d[high] - d[low] + e[low] / (half + (half >= 0 ? root : -root));
  let sine = 1;
  let cosine = 1;
  let shift = 0;
  for (let i = high - 1; i >= low; i--) {
    const f = sine * e[i];
    const b = cosine * e[i];
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1] -= shift;
      e[high] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1] - shift;
    const t = (d[i] - g) * sine + 2 * cosine * b;
    shift = sine * t;
    d[i + 1] = g + shift;
    g = cosine * t - b;
  }
  d[low] -= shift;
  e[low] = g;
  e[high] = 0;
}

/**
 * Orthonormal eigenvectors of the tridiagonal matrix for the given eigenvalues (descending), one per row of the result.
 * Inverse iteration from random starts; vectors of eigenvalues closer than 1e-3 of the norm are orthogonalised
 * against each other (the rule of LAPACK's xSTEIN), which also separates repeated eigenvalues.
 */
export function tridiagonalVectors(
  d: Float64Array,
  e: Float64Array,
  values: Float64Array,
  random: RandomNormal,
  loops: Loops,
): Float64Array {
  const n = d.length;
  const vectors = new Float64Array(values.length * n);
  const norm = tridiagonalNorm(d, e);
  const factors = new ShiftedFactors(n, norm || 1);
  let cluster = 0;
  for (let m = 0; m < values.length; m++) {
    if (m > 0 && values[m - 1] - values[m] > 1e-3 * norm) cluster = m;
    factors.factor(d, e, values[m]);
    const x = vectors.subarray(m * n, (m + 1) * n);
    // A start that lies within the cluster's span leaves nothing after orthogonalisation: try another.
    for (let attempt = 0, kept = 0; attempt < 5 && kept < 1e-2; attempt++) {
      for (let i = 0; i < n; i++) x[i] = random();
      factors.solve(x);
      normalise(x);
      kept = orthogonalise(loops, vectors, n, cluster, m);
      factors.solve(x);
      normalise(x);
      kept = Math.min(kept, orthogonalise(loops, vectors, n, cluster, m));
      if (kept < 0.7) orthogonalise(loops, vectors, n, cluster, m);
    }
  }
  return vectors;
}

/** Largest row sum of |T|. */
function tridiagonalNorm(d: Float64Array, e: Float64Array): number {
  const at = (values: Float64Array, i: number) => Math.abs(values[i] ?? 0);
  return d.reduce(
    (norm, _, i) => Math.max(norm, at(e, i - 1) + at(d, i) + (i < d.length - 1 ? at(e, i) : 0)),
    0,
  );
}

/** Removes from vector m its parts along vectors first … m − 1 and normalises it; returns the norm that was left. */
function orthogonalise(loops: Loops, vectors: Float64Array, n: number, first: number, m: number): number {
  loops.removeParts(vectors, n, first, m);
  return normalise(vectors.subarray(m * n, (m + 1) * n));
}

function normalise(x: Float64Array): number {
  let peak = 0;
  for (const value of x) peak = Math.max(peak, Math.abs(value));
  if (peak === 0) return 0;
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] / peak) ** 2;
  const norm = peak * Math.sqrt(sum);
  for (let i = 0; i < x.length; i++) x[i] /= norm;
  return norm;
}

/** LU factors of T − λI with partial pivoting; pivots smaller than ε‖T‖ are replaced by it. */
class ShiftedFactors {
  private readonly pivot: Float64Array;
  private readonly upper1: Float64Array;
  private readonly upper2: Float64Array;
  private readonly lower: Float64Array;
  private readonly swapped: Uint8Array;

  constructor(
    private readonly n: number,
    private readonly norm: number,
  ) {
    this.pivot = new Float64Array(n);
    this.upper1 = new Float64Array(n);
    this.upper2 = new Float64Array(n);
    this.lower = new Float64Array(n);
    this.swapped = new Uint8Array(n);
  }

  factor(d: Float64Array, e: Float64Array, value: number): void {
    const { n, pivot, upper1, upper2, lower, swapped } = this;
    const tiny = Number.EPSILON * this.norm;
    let diagonal = d[0] - value;
    let right = n > 1 ? e[0] : 0;
    for (let i = 0; i < n - 1; i++) {
      const below = e[i];
      const next = d[i + 1] - value;
      const afterNext = i < n - 2 ? e[i + 1] : 0;
      if (Math.abs(below) > Math.abs(diagonal)) {
        swapped[i] = 1;
        pivot[i] = below;
        upper1[i] = next;
        upper2[i] = afterNext;
        lower[i] = diagonal / below;
        diagonal = right - lower[i] * next;
        right = -lower[i] * afterNext;
      } else {
        swapped[i] = 0;
        pivot[i] = Math.abs(diagonal) > tiny ? diagonal : tiny;
        upper1[i] = right;
        upper2[i] = 0;
        lower[i] = below / pivot[i];
        diagonal = next - lower[i] * right;
        right = afterNext;
      }
    }
    pivot[n - 1] = Math.abs(diagonal) > tiny ? diagonal : tiny;
  }

  solve(x: Float64Array): void {
    const { n, pivot, upper1, upper2, lower, swapped } = this;
    for (let i = 0; i < n - 1; i++) {
      if (swapped[i]) {
        const top = x[i];
        x[i] = x[i + 1]!;
        x[i + 1] = top - lower[i] * x[i];
      } else x[i + 1] -= lower[i] * x[i];
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = x[i];
      if (i + 1 < n) sum -= upper1[i] * x[i + 1];
      if (i + 2 < n) sum -= upper2[i] * x[i + 2];
      x[i] = sum / pivot[i];
    }
  }
}
