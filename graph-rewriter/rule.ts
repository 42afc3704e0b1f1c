// What a rule says about a matrix product: how to replace it, or why not.
import type { Constant } from './constants.js';
import type { Graph } from './graph.js';
import type { Move } from './moves.js';
import type { Node } from './node.js';
import type { Activation, Reason, ReasonCode } from './types.js';

/** A constant row added to the product. */
export interface Bias {
  /** Name of the value as it reaches the node that adds it. */
  readonly name: string;
  readonly constant: Constant;
  readonly scale: number;
}

/** activation(scale · X · W + bias), found in a graph. */
export interface Match {
  readonly graph: Graph;
  /** The product first, then what is fused into it, in graph order. */
  readonly nodes: readonly [Node, ...Node[]];
  readonly input: string;
  readonly output: string;
  readonly weight: Constant;
  /** Name under which the product reads its weight. */
  readonly weightName: string;
  /** The stored matrix is [out, in] (Gemm's transB, a Transpose on the way), not [in, out]. */
  readonly storedOutIn: boolean;
  /** Present where the stored axes are in no such order: for each, its size and its step in [out, in]. */
  readonly axes?: readonly { readonly size: number; readonly stride: number }[];
  /** What brings X to [..., in], and the new node's result to the product's own layout. */
  readonly before?: readonly Move[];
  readonly after?: readonly Move[];
  /** Of a constant that adds the same to each feature, as the output has its axes; [out] where absent. */
  readonly biasShape?: readonly number[];
  /** Axes of the output, where known. */
  readonly rank?: number;
  readonly in: number;
  readonly out: number;
  readonly scale: number;
  readonly bias?: Bias;
  readonly activation: Activation;
  /** Something else needs the weight dense: to be left alone unless factors beside it are asked for. */
  readonly tied?: Reason;
}

/** "No" is a value too. */
export interface Refusal {
  readonly reason: Reason;
  /** The weight, where there is one. */
  readonly weight?: Constant;
}

export interface Rule {
  readonly opType: string;
  /** Absent for the standard operators. */
  readonly domain?: string;
  match(node: Node, graph: Graph): Match | Refusal;
}

export function refuse(code: ReasonCode, message: string, weight?: Constant): Refusal {
  return { reason: { code, message }, ...(weight && { weight }) };
}

export function isRefusal(result: Match | Refusal): result is Refusal {
  return 'reason' in result;
}

/** The one node that reads `name`, where nothing else does: then the value can disappear into a fused node. */
export function soleReader(graph: Graph, name: string): Node | undefined {
  const readers = graph.readers(name);
  return readers.length === 1 && !graph.outputs.has(name) ? readers[0] : undefined;
}
