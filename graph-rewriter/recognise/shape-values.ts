// Shapes that a model computes, as Reshape takes them: PyTorch's TorchScript exporter writes Shape, Gather and Concat for each.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isStandardDomain } from '../schema.js';
import { isKnown, quotient, type Size, size, times } from './size.js';
import { findStored } from './stored.js';

/** Shapes are short; longer computations, and cycles, are not followed. */
const MAX_VALUES = 64;
const MAX_NODES = 256;

type Sizes = readonly Size[] | undefined;
type Dims = (name: string) => Sizes;

const STEPS: Readonly<Record<string, (node: Node, input: (i: number) => Sizes, dims: Dims) => Sizes>> = {
  Shape: (node, _, dims) =>
    dims(node.inputs[0])?.slice(node.int('start', 0), node.attribute('end') && node.int('end', 0)),
  Identity: (_, input) => input(0),
  Cast: (_, input) => input(0),
  Squeeze: (_, input) => input(0),
  Unsqueeze: (_, input) => input(0),
  Reshape: (_, input) => input(0),
  Gather: (_, input) => all(numbers(input(1))?.map((i) => input(0)?.at(i))),
  Concat: (node, input) => {
    const parts = node.inputs.map((_, i) => input(i));
    return parts.includes(undefined) ? undefined : parts.flatMap((part) => part!);
  },
  Slice: slice,
  Mul: (_, input) => all(input(0)?.map((a, i) => combine(times, a, input(1)?.[i]))),
  Div: (_, input) => all(input(0)?.map((a, i) => combine(quotient, a, input(1)?.[i]))),
};

/** Nodes that compute nothing but shapes where only shapes read them. */
export function isShapeStep(node: Node): boolean {
  return isStandardDomain(node.domain) && (Object.hasOwn(STEPS, node.opType) || node.opType === 'Constant');
}

/** The elements of a vector or scalar of int64; undefined where they are not known as sizes of values. */
export function shapeValues(graph: Graph, name: string, dims: Dims): Sizes {
  let visited = 0;
  const valuesOf = (value: string): Sizes => {
    const stored = findStored(graph, value)?.tensor;
    if (stored !== undefined)
      return stored.dtype === 'int64' && stored.count <= MAX_VALUES
        ? stored.integers().map((n) => size(n))
        : undefined;
    const node = graph.producer(value);
    if (node === undefined || !isStandardDomain(node.domain) || ++visited > MAX_NODES) return undefined;
    if (!Object.hasOwn(STEPS, node.opType)) return undefined;
    const values = STEPS[node.opType](node, (i) => valuesOf(node.inputs[i] ?? ''), dims);
    return values !== undefined && values.length <= MAX_VALUES ? values : undefined;
  };
  return valuesOf(name);
}

/** Starts, ends and steps are attributes before opset 10. */
function slice(node: Node, input: (i: number) => Sizes): Sizes {
  const [starts, ends] = [node.ints('starts') ?? numbers(input(1)), node.ints('ends') ?? numbers(input(2))];
  const step = node.inputs[4] ? numbers(input(4)) : [1];
  if (starts?.length !== 1 || ends?.length !== 1 || step?.[0] !== 1) return undefined;
  return input(0)?.slice(starts[0], ends[0]);
}

function combine(op: (a: Size, b: Size) => Size | undefined, a: Size, b: Size | undefined): Size | undefined {
  return b && op(a, b);
}

function all(sizes: readonly (Size | undefined)[] | undefined): Sizes {
  return sizes === undefined || sizes.includes(undefined) ? undefined : (sizes as readonly Size[]);
}

function numbers(sizes: Sizes): number[] | undefined {
  return sizes?.every(isKnown) ? sizes.map(({ n }) => n) : undefined;
}
