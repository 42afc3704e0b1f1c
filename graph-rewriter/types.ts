import type { Factorization, StructureSpec, DenseWeight } from './factorize/types.js';
import type { Move } from './moves.js';

/** Why a layer stays as it is. The list is closed: docs/rewriting.md explains each code. */
export const REASON_CODES = [
  'weight-not-constant',
  'weight-is-graph-input',
  'weight-rank',
  'weight-type',
  'weight-not-finite',
  'weight-on-the-left',
  'shape-unknown',
  'weight-tied',
  'gemm-scalars',
  'gemm-transposed-input',
  'inside-subgraph',
  'operator-not-supported',
  'not-a-matrix-product',
  'bias-not-a-row',
  'already-quantized',
  'transposes-cost-more',
  'too-small',
  'excluded',
  'rank-does-not-shrink',
  'slower-than-dense',
  'blocks-do-not-fit',
  'kept-by-plan',
  'factors-read-elsewhere',
  'factors-not-adjacent',
  'factor-not-constant',
  'factor-order',
  'factors-unlike-operator',
  'factors-differ',
  'worth-its-bytes',
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

export interface Reason {
  readonly code: ReasonCode;
  /** One sentence: what was found, and where something can be done about it, what. */
  readonly message: string;
}

export type WeightLocation = 'initializer' | 'constant-node' | 'external-data';
export type FloatType = 'float32' | 'float16' | 'bfloat16' | 'float64';
export const FLOAT_FACTOR_TYPES = ['float32', 'float16', 'bfloat16'] as const;
export type FloatFactorType = (typeof FLOAT_FACTOR_TYPES)[number];
/** int8: V and U as integers with scales; the scales and S are float16. */
export const FACTOR_TYPES = [...FLOAT_FACTOR_TYPES, 'int8'] as const;
export type FactorType = (typeof FACTOR_TYPES)[number];

/** What the kernels may compute products in: attribute `compute` of docs/operators.md. */
export const COMPUTES = ['float', 'bfloat16', 'int8'] as const;
export type Compute = (typeof COMPUTES)[number];

export const ACTIVATIONS = ['none', 'relu', 'gelu', 'gelu_tanh', 'silu'] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** One matrix product, or what was near one, as `inspect` lists it. */
export interface LayerInfo {
  /** Unique within the model and stable for one file: the node's name, made unique by its position where names are missing or repeated. */
  readonly id: string;
  /** The node's name as written; '' when the exporter gave none. */
  readonly node: string;
  readonly op: string;
  /** Name of the tensor that the node multiplies by. */
  readonly weight: string;
  /** [in, out] of the product; null where the weight is not a constant matrix. */
  readonly shape: { readonly in: number; readonly out: number } | null;
  /** Type in which the weight multiplies. */
  readonly dtype: string;
  readonly location: WeightLocation | null;
  /** Bytes of the weight as stored, with scales and zero points; 0 where it is not constant. */
  readonly bytes: number;
  /**
   * Present where the weight is stored in another type than it multiplies in, behind Cast or DequantizeLinear: that type,
   * and the bytes that factors must be smaller than, with scales and zero points.
   */
  readonly stored?: { readonly dtype: string; readonly bytes: number };
  /** Layers with the same key hold the same weight, used the same way: factorized once. */
  readonly weightKey: string | null;
  /** Name of the tensor that enters the layer: what calibration observes. */
  readonly input: string;
  /** Present in bodies of If, Loop and Scan: the nodes and bodies around the layer, as `if/0/`. Names are looked up from there. */
  readonly place?: string;
  /** Present where the input is transposed or reshaped to [..., in] first. */
  readonly inputMoves?: readonly Move[];
  /** The product gains Transposes that the dense one does without. */
  readonly transposes?: boolean;
  /** The bias is part of the layer: Gemm's C, or a following Add that is fused. */
  readonly bias: boolean;
  /** The activation that is fused into the layer. */
  readonly activation: Activation;
  /** Names of the nodes after this one that the new node replaces too (bias, activation), in graph order. */
  readonly fused: readonly string[];
  /** Present where the layer has the structure already: its factors are taken over as they are. */
  readonly factorized?: FactorizedInfo;
  /** Why the layer is not taken for the beginning of a factorized one although it looks like it. Does not keep it from being rewritten. */
  readonly nearMiss?: Reason;
  /** Absent where the layer can be rewritten. */
  readonly reason?: Reason;
}

/** A layer that was trained with a structure, as it was found. */
export interface FactorizedInfo {
  readonly spec: StructureSpec;
  readonly factorType: FloatFactorType;
  /** Monarch's output order of the published layers. */
  readonly interleaved: boolean;
  /** Names of the stored factors. */
  readonly weights: readonly string[];
}

export interface ModelInfo {
  readonly path: string;
  /** SHA-256 of the model file, in hex; external data is not part of it. Computed when first asked for: it takes as long as reading the file. Throws IO where that changed. */
  readonly sha256: string;
  readonly irVersion: number;
  readonly opset: number;
  readonly producer: string;
  /** Bytes of the file and of its external data. */
  readonly bytes: number;
  readonly layers: readonly LayerInfo[];
}

/** What the allocation expects of a layer's factors. */
export interface Prediction {
  /** Rise of the loss that gradients were taken of: nats for a distribution, else relative squared error of the outputs. */
  readonly loss: number;
  /** As `Factorization.weightedError`. */
  readonly weightedError: number;
  /** No gradient reaches the layer: leaving it out was taken to cost what it costs in the median of the others. */
  readonly assumed?: true;
}

/** The decision for one layer: a structure, or dense with the reason. */
export type LayerPlan =
  | {
      readonly id: string;
      readonly spec: StructureSpec;
      readonly factorType: FactorType;
      /** Where ranks were allocated under one budget: what the factors were expected to cost. */
      readonly predicted?: Prediction;
      /** `float` where it is absent; `int8` for int8 factors alone, `bfloat16` for the others. */
      readonly compute?: Compute;
    }
  | { readonly id: string; readonly keep: Reason };

/** Written as JSON by `--plan-out`, edited by hand if wished, applied by `--plan`. */
export interface RewritePlan {
  readonly version: 1;
  /** SHA-256 of the model file that it was made for. */
  readonly source: string;
  readonly layers: readonly LayerPlan[];
}

export interface PlanOptions {
  readonly structure?: StructureSpec['structure'];
  /** Bytes kept of each rewritten weight, 0…1, scales of int8 factors included. Give this or `rank`; without either, half of the bytes and half of the numbers at most are kept. */
  readonly keep?: number;
  readonly rank?: number;
  /** One count for both sides, or [blocksIn, blocksOut]. */
  readonly blocks?: number | readonly [number, number];
  /** Globs on node and weight names. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Weights with fewer elements stay dense. */
  readonly minSize?: number;
  readonly factorType?: FactorType;
  /** Gives a product whose weight something else needs dense factors of its own, beside it: faster, and larger. */
  readonly splitTied?: boolean;
  /** Default `float`. `int8` makes the factors int8. */
  readonly compute?: Compute;
  /** Rewrites nothing but layers that have a structure already. */
  readonly recognisedOnly?: boolean;
}

export interface ApplyOptions {
  readonly factorize: FactorizeLayer;
  /** New numbers for layers that stay dense. */
  readonly refit?: RefitLayer;
  /** Called after each layer. */
  readonly onProgress?: (done: number, total: number, layer: LayerInfo) => void;
  readonly signal?: AbortSignal;
  /** Allows `target` to be the source itself. */
  readonly overwrite?: boolean;
}

export interface DensifyOptions {
  readonly onProgress?: (done: number, total: number, node: string) => void;
  readonly signal?: AbortSignal;
  /** Allows `target` to be the source itself. */
  readonly overwrite?: boolean;
}

export interface DensifyReport {
  readonly source: string;
  readonly target: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Names of the nodes that were made dense. */
  readonly nodes: readonly string[];
}

export interface LayerFactorization extends Factorization {
  /** [out], added to the layer's output: what a bias takes up of the error. */
  readonly biasShift?: Float32Array;
  /** Rows that the layer's statistics are of; absent without calibration. */
  readonly samples?: number;
}

/** Supplied by the caller of `applyPlan`; called once for each distinct weight. Where it leaves int8 factors unquantized, `applyPlan` rounds them. */
export type FactorizeLayer = (
  layer: LayerInfo,
  weight: DenseWeight,
  spec: StructureSpec,
  factorType: FactorType,
) => Promise<LayerFactorization>;

/** Supplied by the caller of `applyPlan`; called for each layer that stays dense. [out, in], or nothing to leave it as it is. */
export type RefitLayer = (layer: LayerInfo) => Promise<Float32Array | undefined>;

export interface LayerResult {
  readonly layer: LayerInfo;
  /** What was done: `keep` also where only the weight's values showed that it must stay dense. */
  readonly plan: LayerPlan;
  /** It stayed dense with new numbers, which make up for what was lost before it. */
  readonly refitted?: boolean;
  /** Absent where the layer stayed dense. */
  readonly result?: {
    readonly relativeError: number;
    readonly weightedError: number;
    /** Rows of calibration that the factors were fitted to; absent without calibration. */
    readonly samples?: number;
    /** Of int8 factors: the part of both errors that rounding added. */
    readonly quantization?: { readonly relativeError: number; readonly weightedError: number };
    readonly bytesBefore: number;
    readonly bytesAfter: number;
    /** Operator name that was written, e.g. BlastMatMulGelu. */
    readonly op: string;
    /** Names of the nodes that the new one replaces. */
    readonly fused: readonly string[];
  };
}

export interface RewriteReport {
  readonly source: string;
  readonly target: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly layers: readonly LayerResult[];
}
