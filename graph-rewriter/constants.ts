// Values that are known before the model runs.
import { constantTensor } from './constant-node.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { isNumberType, numberBytes } from './numbers.js';
import { isStandardDomain } from './schema.js';
import { STEPS } from './steps/index.js';
import type { View } from './steps/view.js';
import type { Tensor } from './tensor.js';
import type { WeightLocation } from './types.js';

/** A constant tensor and what becomes of it on the way to the name that was asked for. */
export interface Constant extends View {
  /** Where the value is that holds the numbers: the graph asked, or one around it. */
  readonly graph: Graph;
  /** Name of that value. */
  readonly name: string;
  readonly tensor: Tensor;
  readonly location: WeightLocation;
}

/** Longer chains, and cycles, are not followed. */
const MAX_STEPS = 64;

/** Follows nodes that pass on, reshape, transpose or convert a constant, back to an initializer or Constant node; undefined where the value is not constant. */
export function findConstant(graph: Graph, name: string): Constant | undefined {
  const path: { node: Node; graph: Graph }[] = [];
  let at = name;
  let home = graph;
  for (; path.length <= MAX_STEPS; at = path.at(-1)!.node.inputs[0]) {
    home = home.definerOf(at);
    const found = stored(home, at);
    if (found !== undefined) return walk({ ...found, graph: home, name: at }, path);
    const node = home.producer(at);
    if (node === undefined || !isStep(node)) return undefined;
    path.push({ node, graph: home });
  }
  return undefined;
}

/** The nodes that `findConstant` goes through; their first input is the constant. */
export function isStep(node: Node): boolean {
  return isStandardDomain(node.domain) && Object.hasOwn(STEPS, node.opType) && node.inputs.length > 0;
}

/** All numbers in the order in which the tensor has them, in float32, as they are at the name asked for. */
export function* constantChunks({ tensor, conversions }: Constant): Generator<Float32Array> {
  let offset = 0;
  for (const chunk of tensor.numberChunks()) {
    for (const { convert } of conversions) convert(chunk, offset);
    offset += chunk.length;
    yield chunk;
  }
}

export function constantNumbers(constant: Constant): Float32Array {
  const all = constant.tensor.allocate();
  let offset = 0;
  for (const chunk of constantChunks(constant)) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** Equal for the same numbers read as the same matrix: what is done to the tensor on the way. */
export function formOf({ tensor, dims, transposed, conversions }: Constant): string {
  const wide = (all: readonly number[]) => all.filter((dim) => dim !== 1).join();
  const isReshaped = wide(transposed ? [...dims].reverse() : dims) !== wide(tensor.dims);
  return conversions.map(({ key }) => key).join('') + (isReshaped ? ` as [${dims.join(', ')}]` : '');
}

/** Bytes of the numbers in their stored type, with scales and zero points. */
export function storedBytes({ tensor, conversions }: Constant): number {
  return [tensor, ...conversions.flatMap(({ tensors }) => tensors)].reduce(
    (sum, { count, dtype }) => sum + (isNumberType(dtype) ? numberBytes(count, dtype) : 0),
    0,
  );
}

function walk(
  origin: Pick<Constant, 'graph' | 'name' | 'tensor' | 'location'>,
  path: readonly { node: Node; graph: Graph }[],
): Constant | undefined {
  const { dims, dtype } = origin.tensor;
  let view: View | undefined = { dims, dtype, transposed: false, conversions: [] };
  for (const { node, graph } of [...path].reverse()) {
    view = STEPS[node.opType](node, view, (input) => parameter(graph, node.inputs[input] ?? ''));
    if (view === undefined) return undefined;
  }
  return { ...origin, ...view };
}

/** Shapes, axes, scales: themselves constant, with nothing between but Identity. */
function parameter(graph: Graph, name: string): Tensor | undefined {
  let at = name;
  let home = graph;
  for (let i = 0; i < MAX_STEPS && at !== ''; i++) {
    home = home.definerOf(at);
    const found = stored(home, at);
    if (found !== undefined) return home.inputs.has(at) ? undefined : found.tensor;
    const node = home.producer(at);
    if (node === undefined || !node.is('Identity')) return undefined;
    at = node.inputs[0];
  }
  return undefined;
}

function stored(graph: Graph, name: string): { tensor: Tensor; location: WeightLocation } | undefined {
  const initializer = graph.initializers.get(name);
  if (initializer !== undefined)
    return { tensor: initializer, location: initializer.external ? 'external-data' : 'initializer' };
  const tensor = constantTensor(graph.producer(name), name, graph.files);
  return tensor && { tensor, location: tensor.external ? 'external-data' : 'constant-node' };
}
