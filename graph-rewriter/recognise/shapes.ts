// Sizes of a graph's values before it runs: as declared, else by what each node does to them.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { GRAPH, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from '../schema.js';
import { isStandardDomain } from '../schema.js';
import { findStored } from './stored.js';
import { isKnown, isOne, isSame, quotient, type Size, size, times } from './size.js';

/** TensorShapeProto.Dimension */
const DIM = { value: 1, param: 2 } as const;
/** Shapes are short computations; longer ones, and cycles, are not followed. */
const MAX_STEPS = 32;

/** Give out what their first input has. */
const KEEPS_SHAPE = new Set(
  `Identity Cast Relu LeakyRelu Gelu Sigmoid Tanh Erf Sqrt Exp Neg Abs Reciprocal Clip Dropout Softmax LogSoftmax
  LayerNormalization RMSNormalization SimplifiedLayerNormalization SkipLayerNormalization HardSigmoid HardSwish Elu Softplus Swish QuickGelu FastGelu`.split(
    /\s+/,
  ),
);
const BROADCASTS = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min']);

/** Nodes that compute shapes of shapes. */
export const SHAPE_STEPS: ReadonlySet<string> = new Set([
  'Shape',
  'Gather',
  'Concat',
  'Slice',
  'Squeeze',
  'Unsqueeze',
  'Cast',
  'Constant',
]);

export function isShapeStep(node: Node): boolean {
  return isStandardDomain(node.domain) && SHAPE_STEPS.has(node.opType);
}

export class Shapes {
  private known: Map<string, readonly Size[]> | undefined;

  constructor(private readonly graph: Graph) {}

  /** Made when first asked for: most models need none. */
  private get sizes(): Map<string, readonly Size[]> {
    if (this.known !== undefined) return this.known;
    const declared = declaredSizes(this.graph);
    this.known = new Map([...declared].filter(([name]) => this.graph.inputs.has(name)));
    for (const node of this.graph.nodes) {
      for (const output of node.outputs) this.note(output, declared.get(output));
      this.note(node.outputs[0], this.infer(node));
    }
    return this.known;
  }

  dims(name: string): readonly Size[] | undefined {
    return this.sizes.get(name) ?? findStored(this.graph, name)?.tensor.dims.map((n) => size(n));
  }

  /** The elements of an int64 vector or scalar, as shapes are computed. `dims`: sizes of values that are better known. */
  integers(
    name: string,
    dims: (name: string) => readonly Size[] | undefined = (value) => this.dims(value),
    steps = 0,
  ): readonly Size[] | undefined {
    const stored = findStored(this.graph, name)?.tensor;
    if (stored !== undefined)
      return stored.dtype === 'int64' ? stored.integers().map((n) => size(n)) : undefined;
    const node = this.graph.producer(name);
    if (node === undefined || steps > MAX_STEPS || !isStandardDomain(node.domain)) return undefined;
    const input = (i: number) =>
      node.inputs[i] ? this.integers(node.inputs[i], dims, steps + 1) : undefined;
    switch (node.opType) {
      case 'Shape':
        return dims(node.inputs[0])?.slice(node.int('start', 0), node.attribute('end') && node.int('end', 0));
      case 'Identity':
      case 'Cast':
      case 'Squeeze':
      case 'Unsqueeze':
      case 'Reshape':
        return input(0);
      case 'Gather':
        return gather(input(0), input(1));
      case 'Concat':
        return concat(node.inputs.map((_, i) => input(i)));
      case 'Slice':
        return slice(
          input(0),
          node.ints('starts') ?? numbers(input(1)),
          node.ints('ends') ?? numbers(input(2)),
        );
      case 'Mul':
      case 'Div':
        return elementwise(node.opType === 'Mul' ? times : quotient, input(0), input(1));
      default:
        return undefined;
    }
  }

  private note(name: string, sizes: readonly Size[] | undefined): void {
    if (sizes !== undefined) this.known!.set(name, sizes);
  }

  private infer(node: Node): readonly Size[] | undefined {
    const input = (i: number) => (node.inputs[i] ? this.dims(node.inputs[i]) : undefined);
    const [a, b] = [input(0), input(1)];
    if (KEEPS_SHAPE.has(node.opType)) return a;
    if (BROADCASTS.has(node.opType)) return a && b && broadcast(a, b);
    if (node.is('Gather') && node.int('axis', 0) === 0) return a && b && [...b, ...a.slice(1)];
    if (node.is('MatMul')) return a && b && b.length === 2 ? [...a.slice(0, -1), b[1]] : undefined;
    if (node.is('Gemm') && node.int('transA', 0) === 0)
      return a && b && [a[0], b[node.int('transB', 0) === 0 ? 1 : 0]];
    if (node.is('Transpose')) return a && node.ints('perm')?.map((axis) => a[axis] ?? size(1));
    if (node.is('Reshape')) return this.reshaped(node);
    return undefined;
  }

  /** Where the target is all known sizes. */
  private reshaped(node: Node): readonly Size[] | undefined {
    const target = this.integers(node.inputs[1] ?? '');
    return target?.every(({ n }) => n > 0) ? target : undefined;
  }
}

function broadcast(a: readonly Size[], b: readonly Size[]): Size[] | undefined {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  const shift = long.length - short.length;
  const sizes = long.map((s, i) => {
    const other = i < shift ? s : short[i - shift];
    if (isOne(s) || isSame(s, other)) return other;
    if (isOne(other) || isKnown(s)) return s;
    // A size of the run's meets a number: it is that number, or 1.
    return isKnown(other) ? other : undefined;
  });
  return sizes.includes(undefined) ? undefined : (sizes as Size[]);
}

function gather(from: readonly Size[] | undefined, at: readonly Size[] | undefined): Size[] | undefined {
  const picked = numbers(at)?.map((i) => from?.at(i));
  return picked === undefined || picked.includes(undefined) ? undefined : (picked as Size[]);
}

function concat(parts: readonly (readonly Size[] | undefined)[]): Size[] | undefined {
  return parts.includes(undefined) ? undefined : parts.flatMap((part) => part!);
}

function slice(
  of: readonly Size[] | undefined,
  starts?: number[],
  ends?: number[],
): readonly Size[] | undefined {
  return starts?.length === 1 && ends?.length === 1 ? of?.slice(starts[0], ends[0]) : undefined;
}

function elementwise(
  op: (a: Size, b: Size) => Size | undefined,
  a: readonly Size[] | undefined,
  b: readonly Size[] | undefined,
): Size[] | undefined {
  const result = a?.length === b?.length ? a?.map((s, i) => op(s, b![i])) : undefined;
  return result === undefined || result.includes(undefined) ? undefined : (result as Size[]);
}

function numbers(sizes: readonly Size[] | undefined): number[] | undefined {
  return sizes?.every(isKnown) ? sizes.map(({ n }) => n) : undefined;
}

function declaredSizes(graph: Graph): Map<string, readonly Size[]> {
  const fields = [GRAPH.input, GRAPH.output, GRAPH.valueInfo];
  const declared = new Map<string, readonly Size[]>();
  for (const info of fields.flatMap((field) => graph.message.messages(field))) {
    const name = info.string(VALUE_INFO.name);
    const shape = info.message(VALUE_INFO.type)?.message(TYPE.tensor)?.message(TENSOR_TYPE.shape);
    const dims = shape?.messages(SHAPE.dim).map((dim, axis) => {
      if (dim.has(DIM.value)) return size(dim.int(DIM.value));
      return namedSize(dim.string(DIM.param)) ?? size(1, `${name}[${axis}]`);
    });
    if (dims !== undefined) declared.set(name, dims);
  }
  return declared;
}

/** PyTorch also names products, `batch*seq`. */
function namedSize(name: string): Size | undefined {
  if (name === '') return undefined;
  const parts = name.split('*');
  return parts.every((part) => /^\w+$/.test(part) && !/^\d/.test(part)) ? size(1, ...parts) : size(1, name);
}
