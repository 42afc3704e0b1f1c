import { BlockrankError } from '../errors.js';
import { stack, type Engine, type Stack } from './engine.js';
import { blockedCholesky, blockedInvertLower } from './linalg/blocked.js';

/** Rank-deficient covariances get this share of their mean diagonal added to the diagonal. */
const RIDGE = 1e-4;
/** A covariance whose smallest eigenvalue is below this share of its mean diagonal counts as rank-deficient. */
const DEFICIENT = 1e-6;
/** Doubles of C that are widened at a time: 16 MiB. */
const CHUNK = 1 << 21;
/** Up to this size C is kept in double once it was multiplied with: 32 MiB. */
const KEPT = 2048;

/** The symmetric positive definite C of the error tr(E·C·Eᵀ): a covariance with `ridge` on its diagonal, or the identity. */
export class Metric {
  private whole: Stack | undefined;

  private constructor(
    readonly size: number,
    private readonly covariance?: Float32Array,
    private readonly ridge = 0,
  ) {}

  static identity(size: number): Metric {
    return new Metric(size);
  }

  /** C exactly as given: what errors are reported in. */
  static raw(size: number, covariance: Float32Array): Metric {
    return new Metric(size, covariance);
  }

  /** C as the fit uses it, with a ridge where it is rank-deficient. */
  static async of(engine: Engine, size: number, covariance: Float32Array): Promise<Metric> {
    const meanDiagonal = checkCovariance(size, covariance);
    const definite = (shift: number) => {
      const shifted = new Metric(size, covariance, shift).block(0, size, 0, size);
      return blockedCholesky(engine, shifted, size);
    };
    if (await definite(-DEFICIENT * meanDiagonal)) return new Metric(size, covariance);
    const ridge = RIDGE * meanDiagonal;
    if (await definite(ridge)) return new Metric(size, covariance, ridge);
    throw invalid(
      `has an eigenvalue below −${RIDGE} of its mean diagonal; expected E[x xᵀ], which has none below zero`,
    );
  }

  get isIdentity(): boolean {
    return this.covariance === undefined;
  }

  /** What errors are reported in. */
  withoutRidge(): Metric {
    return this.ridge === 0 ? this : new Metric(this.size, this.covariance);
  }

  /** Rows top … bottom − 1 and columns left … right − 1 of C, row-major. */
  block(top: number, bottom: number, left: number, right: number): Float64Array {
    const { size, covariance, ridge } = this;
    const cols = right - left;
    const values = new Float64Array((bottom - top) * cols);
    for (let row = top; row < bottom; row++) {
      const at = (row - top) * cols;
      if (covariance) values.set(covariance.subarray(row * size + left, row * size + right), at);
      if (row >= left && row < right) values[at + row - left] += covariance ? ridge : 1;
    }
    return values;
  }

  /** The metric of columns start … end − 1 alone. */
  principal(start: number, end: number): Metric {
    if (!this.covariance) return Metric.identity(end - start);
    const size = end - start;
    return new Metric(size, Float32Array.from(this.block(start, end, start, end)));
  }

  /** a·C */
  async apply(engine: Engine, a: Stack): Promise<Stack> {
    if (this.isIdentity) return a;
    const { size } = this;
    const step = Math.max(1, Math.floor(CHUNK / size));
    if (size <= KEPT) {
      this.whole ??= stack(this.block(0, size, 0, size), 1, size, size);
      return engine.multiply(a, this.whole);
    }
    const result = new Float64Array(a.data.length);
    for (let left = 0; left < size; left += step) {
      const right = Math.min(left + step, size);
      const part = await engine.multiply(a, stack(this.block(0, size, left, right), 1, size, right - left));
      for (let row = 0; row < a.rows; row++)
        result.set(part.data.subarray(row * part.cols, (row + 1) * part.cols), row * size + left);
    }
    return stack(result, 1, a.rows, size);
  }

  /** C⁻¹, by its Cholesky factor. */
  async inverse(engine: Engine): Promise<Stack> {
    const { size } = this;
    const l = await this.factor(engine);
    const inverse = stack(await blockedInvertLower(engine, l.data, size), 1, size, size);
    return engine.multiply(inverse, inverse, 'left');
  }

  /** L with L·Lᵀ = C, zeros above the diagonal. */
  async factor(engine: Engine): Promise<Stack> {
    const { size } = this;
    const l = this.block(0, size, 0, size);
    if (!(await blockedCholesky(engine, l, size)))
      throw invalid('is not positive definite on a block of its columns');
    for (let row = 0; row < size; row++) l.fill(0, row * size + row + 1, (row + 1) * size);
    return stack(l, 1, size, size);
  }
}

/** Returns the mean of the diagonal. */
function checkCovariance(size: number, covariance: Float32Array): number {
  if (covariance.length !== size * size)
    throw invalid(`has ${covariance.length} values; expected in × in = ${size}×${size} = ${size * size}`);
  let trace = 0;
  let peak = 0;
  for (let i = 0; i < size; i++) {
    trace += covariance[i * size + i];
    peak = Math.max(peak, Math.abs(covariance[i * size + i]));
  }
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const lower = covariance[i * size + j];
      const upper = covariance[j * size + i];
      if (!Number.isFinite(lower) || !Number.isFinite(upper))
        throw invalid(
          `holds ${Number.isFinite(lower) ? upper : lower} near (${i}, ${j}); expected finite numbers`,
        );
      if (Math.abs(lower - upper) > 1e-4 * peak)
        throw invalid(`is not symmetric: (${i}, ${j}) is ${lower}, (${j}, ${i}) is ${upper}`);
    }
  }
  if (!(trace > 0))
    throw invalid(`has trace ${trace}; expected a positive one: did the layer see only zeros?`);
  return trace / size;
}

function invalid(found: string): BlockrankError {
  return new BlockrankError('INVALID_ARGUMENT', `covariance ${found}`);
}
