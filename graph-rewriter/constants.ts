// Values that are known before the model runs.
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { ATTRIBUTE } from './schema.js';
import { Tensor } from './tensor.js';
import type { WeightLocation } from './types.js';

/** A constant tensor and how it reaches the name that was asked for. */
export interface Constant {
  /** Name of the value that holds the numbers. */
  readonly name: string;
  readonly tensor: Tensor;
  readonly location: WeightLocation;
  /** Nodes between `name` and the name that was asked for: each only passes on or transposes. */
  readonly path: readonly Node[];
  /** The matrix asked for is the transpose of the one stored. */
  readonly transposed: boolean;
}

/** Follows Identity, and Transpose of matrices, back to an initializer or Constant node; undefined where the value is not constant. */
export function findConstant(graph: Graph, name: string): Constant | undefined {
  const path: Node[] = [];
  let transposed = false;
  let at = name;
  for (let node = graph.producer(at); node !== undefined && isStep(node); node = graph.producer(at)) {
    if (path.includes(node)) return undefined;
    path.push(node);
    if (node.opType === 'Transpose') transposed = !transposed;
    at = node.inputs[0];
  }
  const found = stored(graph, at);
  if (found === undefined || (transposed && found.tensor.dims.length !== 2)) return undefined;
  return { name: at, ...found, path, transposed };
}

function isStep(node: Node): boolean {
  if (node.inputs.length !== 1) return false;
  if (node.is('Identity')) return true;
  const perm = node.is('Transpose') ? (node.ints('perm') ?? [1, 0]) : [];
  return perm.length === 2 && perm[0] === 1 && perm[1] === 0;
}

function stored(graph: Graph, name: string): { tensor: Tensor; location: WeightLocation } | undefined {
  const initializer = graph.initializers.get(name);
  if (initializer !== undefined)
    return { tensor: initializer, location: initializer.external ? 'external-data' : 'initializer' };
  const node = graph.producer(name);
  const value = node?.is('Constant') ? node.attribute('value')?.message(ATTRIBUTE.t) : undefined;
  if (value === undefined) return undefined;
  const tensor = new Tensor(value, name, graph.files);
  return { tensor, location: tensor.external ? 'external-data' : 'constant-node' };
}

/** Where the name is of a Constant node in a form that holds no tensor: which attribute. */
export function otherConstantForm(graph: Graph, name: string): string | undefined {
  const node = graph.producer(name);
  if (node === undefined || !node.is('Constant')) return undefined;
  const forms = [
    'sparse_value',
    'value_float',
    'value_floats',
    'value_int',
    'value_ints',
    'value_string',
    'value_strings',
  ];
  return forms.find((form) => node.attribute(form) !== undefined);
}
