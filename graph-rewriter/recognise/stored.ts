// Constants as they are stored, and in which type their numbers are exact.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { ATTRIBUTE, dataTypeName } from '../schema.js';
import { Tensor } from '../tensor.js';
import type { WeightLocation } from '../types.js';

export interface StoredTensor {
  /** Where the value is that holds the numbers. */
  readonly graph: Graph;
  readonly name: string;
  readonly tensor: Tensor;
  readonly location: WeightLocation;
  /** In which it multiplies. */
  readonly dtype: string;
  /** The narrowest that holds the numbers as they multiply: of float16 behind a Cast to float32 it is float16. */
  readonly exactType: string;
}

/** Undefined where the value is computed, or may be replaced by the caller. */
export function findStored(graph: Graph, name: string): StoredTensor | undefined {
  const home = graph.definerOf(name);
  const initializer = home.initializers.get(name);
  if (initializer !== undefined) {
    if (home.inputs.has(name)) return undefined;
    const location = initializer.external ? 'external-data' : 'initializer';
    return described(home, name, initializer, location);
  }
  const node = home.producer(name);
  const value = node?.is('Constant') ? node.attribute('value')?.message(ATTRIBUTE.t) : undefined;
  if (value === undefined) return undefined;
  const tensor = new Tensor(value, name, home.files);
  return described(home, name, tensor, tensor.external ? 'external-data' : 'constant-node');
}

function described(graph: Graph, name: string, tensor: Tensor, location: WeightLocation): StoredTensor {
  return { graph, name, tensor, location, dtype: tensor.dtype, exactType: tensor.dtype };
}

/** Behind a Cast between float types; undefined where the numbers are then exact in no one type that is written here. */
export function castStored(stored: StoredTensor, node: Node): StoredTensor | undefined {
  const dtype = dataTypeName(node.int('to', 0));
  const { exactType } = stored;
  if (dtype === exactType) return { ...stored, dtype };
  const halves = ['float16', 'bfloat16'];
  if (dtype === 'float32' && halves.includes(exactType)) return { ...stored, dtype };
  if (halves.includes(dtype) && exactType === 'float32') return { ...stored, dtype, exactType: dtype };
  return undefined;
}
