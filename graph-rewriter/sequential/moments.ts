// First and second moments of a group's input on both sides, and of the gap in the residual stream, summed over batches.
import { BlockrankError } from '../errors.js';
import type { ProductSum } from './product-sums.js';

/** E[a·bᵀ] and E[a] over tokens. */
export interface Moments {
  /** [n, m], row-major */
  readonly product: Float64Array;
  /** [n] */
  readonly mean: Float64Array;
  readonly rows: number;
  readonly columns: number;
}

/** Sums in double. `what` names the tensor in errors. */
export class MomentSum {
  private product = new Float64Array(0);
  private sum = new Float64Array(0);
  private columns = 0;
  samples = 0;

  constructor(private readonly what: string) {}

  add({ product, sum }: ProductSum, samples: number, batch: number): void {
    if (samples === 0) return;
    if (this.samples === 0) {
      this.product = new Float64Array(product.length);
      this.sum = new Float64Array(sum.length);
      this.columns = product.length / sum.length;
    }
    if (product.length !== this.product.length || sum.length !== this.sum.length)
      throw this.unusable(
        batch,
        `has rows of ${sum.length} features where batches before had ${this.sum.length}`,
      );
    for (let i = 0; i < sum.length; i++)
      if (!Number.isFinite(sum[i])) throw this.unusable(batch, `holds NaN or infinity in feature ${i}`);
    // One pass; x − x is 0 of numbers and NaN of the rest.
    let check = 0;
    for (let at = 0; at < product.length; at++) {
      this.product[at] += product[at];
      check += product[at] - product[at];
    }
    if (check !== 0) {
      const bad = product.findIndex((value) => !Number.isFinite(value));
      throw this.unusable(
        batch,
        `holds numbers in feature ${Math.floor(bad / this.columns)} whose squares are no floats`,
      );
    }
    for (let i = 0; i < sum.length; i++) this.sum[i] += sum[i];
    this.samples += samples;
  }

  moments(): Moments {
    const { samples, columns } = this;
    return {
      product: this.product.map((value) => value / samples),
      mean: this.sum.map((value) => value / samples),
      rows: this.sum.length,
      columns,
    };
  }

  private unusable(batch: number, found: string): BlockrankError {
    return new BlockrankError('INVALID_INPUTS', `${this.what} ${found} (calibration batch ${batch})`);
  }
}

/** E[a·bᵀ] − E[a]·E[b]ᵀ: the same of a and b without their means. */
export function centred({ product, mean, rows, columns }: Moments, meanOfB: Float64Array): Float64Array {
  const result = new Float64Array(product.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const at = i * columns + j;
      result[at] = product[at] - mean[i] * meanOfB[j];
    }
  return result;
}
