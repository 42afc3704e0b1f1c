import type { FactorType } from '../types.js';
import type { Engine } from './engine.js';

/** Shapes and letters follow docs/operators.md. All arrays are row-major float32. */

export const STRUCTURES = ['blast', 'monarch', 'low-rank'] as const;
export type Structure = (typeof STRUCTURES)[number];

/** A weight in PyTorch's orientation, y = W x: `data` is [out, in]. */
export interface DenseWeight {
  readonly out: number;
  readonly in: number;
  readonly data: Float32Array;
}

/** What a weight is to be replaced by. Block counts are 1 for low rank; `rank` is per block for Monarch. */
export interface StructureSpec {
  readonly structure: Structure;
  readonly rank: number;
  readonly blocksIn: number;
  readonly blocksOut: number;
}

/** Factors in the layout of docs/operators.md; S is present for BLAST alone. */
export interface Factors extends StructureSpec {
  readonly in: number;
  readonly out: number;
  /** low rank, BLAST: [rank, in]; Monarch: [blocksOut, rank, in] */
  readonly V: Float32Array;
  /** BLAST: [blocksOut, blocksIn, rank] */
  readonly S?: Float32Array;
  /** low rank, BLAST: [out, rank]; Monarch: [out, blocksIn, rank] */
  readonly U: Float32Array;
}

/** Factors as int8: what the operators with Q take. Scales and S are numbers of float16. */
export interface Int8Factors extends StructureSpec {
  readonly in: number;
  readonly out: number;
  readonly V: Int8Array;
  /** low rank: [rank]; BLAST: [blocksIn, rank]; Monarch: [blocksOut, blocksIn, rank] */
  readonly vScale: Float32Array;
  readonly S?: Float32Array;
  readonly U: Int8Array;
  /** low rank, BLAST: [out]; Monarch: [out, blocksIn] */
  readonly uScale: Float32Array;
}

export const METHODS = ['als', 'precgd'] as const;
/** How BLAST is fitted. Low rank and Monarch always use truncated SVD. */
export type Method = (typeof METHODS)[number];

export const PRECONDITIONERS = ['published', 'corrected'] as const;
export type Preconditioner = (typeof PRECONDITIONERS)[number];

export interface FactorizeRequest {
  readonly weight: DenseWeight;
  readonly spec: StructureSpec;
  /** C = E[x xᵀ], [in, in]; the error is measured in this metric. Identity when absent. */
  readonly covariance?: Float32Array;
  /** One positive weight per output row, [out]; 1 when absent. */
  readonly outputScale?: Float32Array;
  readonly method?: Method;
  /** Sweeps: 40 of `als`, 300 of `precgd`, 3 of Monarch's refinement under a covariance. Low rank has none. */
  readonly iterations?: number;
  /** `als` starts here in place of low rank, e.g. to follow a changed weight or covariance; same shape and spec. */
  readonly initial?: Factors;
  /** `als`: over-relaxation of the first and the last sweep, within (0, 2); [1.9, 1] when absent. */
  readonly relaxation?: readonly [first: number, last: number];
  /**
   * `precgd`: the published step of S uses the matrix of the transposed block, a slip in its indexing; `corrected` uses
   * the block's own. `published` when absent.
   */
  readonly preconditioner?: Preconditioner;
  readonly seed?: number;
  /** int8 rounds the factors to integers with scales, and gives both the integers and what they stand for. */
  readonly factorType?: FactorType;
  /** Runs the products; the CPU's where absent. */
  readonly engine?: Engine;
  readonly signal?: AbortSignal;
  /** Called with the share done, 0…1. */
  readonly onProgress?: (fraction: number) => void;
}

export interface Factorization {
  /** Of int8 what the integers stand for. */
  readonly factors: Factors;
  /** ‖W − Ŵ‖_F / ‖W‖_F */
  readonly relativeError: number;
  /** The same in the metric of `covariance` and `outputScale`: sqrt(tr(E C Eᵀ) / tr(W C Wᵀ)); equals relativeError without them. */
  readonly weightedError: number;
  /** Present where int8 factors were asked for. */
  readonly quantization?: Quantization;
}

/** What rounding to int8 added. */
export interface Quantization {
  readonly factors: Int8Factors;
  /** ‖Ŵ − Ŵ₈‖_F / ‖W‖_F, Ŵ from the factors before, Ŵ₈ from the integers */
  readonly relativeError: number;
  /** The same in the metric of `covariance` and `outputScale`. */
  readonly weightedError: number;
}
