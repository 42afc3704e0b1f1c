// Householder reduction of a symmetric matrix to tridiagonal form and the way back, as plain loops (described in ../loops.ts).

/**
 * Reduces the lower triangle of `a`. Reflector k is I − scale_k·v·vᵀ; v is kept in row k of the upper triangle, where
 * it is contiguous.
 */
export function plainTridiagonalise(
  a: Float64Array,
  n: number,
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  scales: Float64Array,
): void {
  const p = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k * n + k]!;
    const v = a.subarray(k * n, (k + 1) * n);
    scales[k] = reflector(a, n, k, v, offDiagonal);
    if (scales[k] === 0) continue;
    multiplyLower(a, n, k + 1, v, p);
    rankTwoUpdate(a, n, k + 1, v, p, scales[k]);
  }
  if (n > 0) diagonal[n - 1] = a[n * n - 1]!;
}

/** Copies column k below the diagonal into v[k+1…] as a Householder vector; returns its scale 2/(vᵀv), 0 when nothing is to be done. */
function reflector(
  a: Float64Array,
  n: number,
  k: number,
  v: Float64Array,
  offDiagonal: Float64Array,
): number {
  let peak = 0;
  for (let i = k + 1; i < n; i++) {
    v[i] = a[i * n + k]!;
    peak = Math.max(peak, Math.abs(v[i]));
  }
  let tail = 0;
  for (let i = k + 2; i < n; i++) tail += (v[i] / peak) ** 2;
  if (peak === 0 || tail === 0) {
    offDiagonal[k] = v[k + 1]!;
    return 0;
  }
  const head = v[k + 1] / peak;
  const norm = Math.sqrt(head * head + tail);
  const target = head > 0 ? -norm : norm;
  offDiagonal[k] = target * peak;
  v[k + 1] = head - target;
  for (let i = k + 2; i < n; i++) v[i] /= peak;
  return 2 / ((head - target) ** 2 + tail);
}

/** p = A·v over rows and columns first … n − 1, reading the lower triangle once. */
function multiplyLower(a: Float64Array, n: number, first: number, v: Float64Array, p: Float64Array): void {
  for (let i = first; i < n; i++) {
    const row = i * n;
    const vi = v[i];
    let sum = 0;
    for (let j = first; j < i; j++) {
      const value = a[row + j];
      sum += value * v[j];
      p[j] += value * vi;
    }
    p[i] = sum + a[row + i] * vi;
  }
}

/** A −= v·wᵀ + w·vᵀ with w = scale·p − (scale²/2)(pᵀv)·v; p is left as w. */
function rankTwoUpdate(
  a: Float64Array,
  n: number,
  first: number,
  v: Float64Array,
  p: Float64Array,
  scale: number,
): void {
  let dot = 0;
  for (let i = first; i < n; i++) dot += p[i] * v[i];
  const along = (scale * scale * dot) / 2;
  for (let i = first; i < n; i++) p[i] = scale * p[i] - along * v[i];
  for (let i = first; i < n; i++) {
    const row = i * n;
    const vi = v[i];
    const wi = p[i];
    for (let j = first; j <= i; j++) a[row + j] -= vi * p[j] + wi * v[j];
  }
}

export function plainTransformBack(
  a: Float64Array,
  n: number,
  scales: Float64Array,
  vectors: Float64Array,
  count: number,
): void {
  for (let k = n - 2; k >= 0; k--) {
    if (scales[k] === 0) continue;
    const row = k * n;
    for (let m = 0; m < count; m++) {
      const at = m * n;
      let dot = 0;
      for (let i = k + 1; i < n; i++) dot += a[row + i] * vectors[at + i];
      const along = dot * scales[k];
      for (let i = k + 1; i < n; i++) vectors[at + i] -= along * a[row + i];
    }
  }
}

export function plainRemoveParts(vectors: Float64Array, n: number, first: number, m: number): void {
  const at = m * n;
  for (let k = first * n; k < at; k += n) {
    let dot = 0;
    for (let i = 0; i < n; i++) dot += vectors[k + i] * vectors[at + i];
    for (let i = 0; i < n; i++) vectors[at + i] -= dot * vectors[k + i];
  }
}
