// A constant on its way from where it is stored to where it is used.
import type { Node } from '../node.js';
import type { Tensor } from '../tensor.js';

/** Changes numbers in place; they are `offset` … of the stored tensor. */
export interface Conversion {
  /** Tells it from others of the same tensor. */
  readonly key: string;
  readonly convert: (numbers: Float32Array, offset: number) => void;
  /** What it reads besides. */
  readonly tensors: readonly Tensor[];
}

export interface View {
  readonly dims: readonly number[];
  readonly dtype: string;
  /** The stored numbers, row by row, are those of the transpose. Then two of `dims` at most are not 1. */
  readonly transposed: boolean;
  readonly conversions: readonly Conversion[];
}

/** What a node makes of its first input; `parameter` gives its other inputs where they are constant. Undefined: nothing that is read here. */
export type Step = (
  node: Node,
  view: View,
  parameter: (input: number) => Tensor | undefined,
) => View | undefined;
