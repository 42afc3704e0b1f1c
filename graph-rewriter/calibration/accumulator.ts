import { BlockrankError } from '../errors.js';

/** E[x xᵀ] of a tensor's rows. */
export interface Covariance {
  /** Length of a row; 0 when no row was seen. */
  readonly size: number;
  /** Rows seen. Fewer than `size` leave the matrix rank-deficient; factorize then adds a ridge. */
  readonly samples: number;
  /** [size, size] */
  readonly matrix: Float32Array;
}

/** Sums x·xᵀ over batches in double. */
export class Accumulator {
  private sum = new Float64Array(0);
  private size = 0;
  private samples = 0;

  constructor(readonly tensor: string) {}

  /** `gram` [size, size] is the sum over the batch's rows. */
  add(gram: Float32Array, rows: number, size: number, batch: number): void {
    if (rows === 0) return;
    if (this.samples === 0) {
      this.size = size;
      this.sum = new Float64Array(size * size);
    }
    if (size !== this.size)
      throw this.unusable(batch, `has rows of ${size} features where batches before had ${this.size}`);
    // A NaN or infinite feature makes its own entry of the diagonal NaN or infinite.
    for (let i = 0; i < size; i++)
      if (!Number.isFinite(gram[i * (size + 1)]))
        throw this.unusable(batch, `holds NaN or infinity in feature ${i}`);
    for (let at = 0; at < gram.length; at++) this.sum[at] += gram[at];
    this.samples += rows;
  }

  get rowsPerFeature(): number {
    return this.size === 0 ? 0 : this.samples / this.size;
  }

  covariance(): Covariance {
    const { size, samples, sum } = this;
    const matrix = new Float32Array(size * size);
    for (let i = 0; i < size; i++)
      for (let j = 0; j <= i; j++)
        matrix[i * size + j] = matrix[j * size + i] = (sum[i * size + j] + sum[j * size + i]) / (2 * samples);
    return { size, samples, matrix };
  }

  private unusable(batch: number, found: string): BlockrankError {
    return new BlockrankError(
      'INVALID_INPUTS',
      `tensor '${this.tensor}' ${found} (calibration batch ${batch})`,
    );
  }
}
