// What is known of a node's inputs before the model runs.
import { findConstant } from '../constants.js';
import type { Graph } from '../graph.js';

export function constantDims(graph: Graph, name: string): readonly number[] | undefined {
  return name === '' ? undefined : findConstant(graph, name)?.dims;
}

/** The numbers of a constant vector or scalar of int64. */
export function constantIntegers(graph: Graph, name: string): readonly number[] | undefined {
  const tensor = name === '' ? undefined : findConstant(graph, name)?.tensor;
  return tensor?.dtype === 'int64' ? tensor.integers() : undefined;
}
