// Sizes of a graph's values before it runs: as declared, else by what each node does to them.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { DIMENSION, GRAPH, isStandardDomain, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from '../schema.js';
import { declaredSize } from '../value-rank.js';
import { findStored } from './stored.js';
import { isKnown, isOne, isSame, type Size, size } from './size.js';
import { shapeValues } from './shape-values.js';

/** Give out what their first input has. */
const KEEPS_SHAPE = new Set(
  `Identity Cast Relu LeakyRelu Gelu Sigmoid Tanh Erf Sqrt Exp Neg Abs Reciprocal Clip Dropout Softmax LogSoftmax
  LayerNormalization RMSNormalization SimplifiedLayerNormalization SkipLayerNormalization HardSigmoid HardSwish Elu Softplus Swish QuickGelu FastGelu`.split(
    /\s+/,
  ),
);
const BROADCASTS = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min']);

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

  /** A damaged model may name axes that a value does not have. */
  private note(name: string, sizes: readonly (Size | undefined)[] | undefined): void {
    if (sizes !== undefined && !sizes.includes(undefined)) this.known!.set(name, sizes as readonly Size[]);
  }

  private infer(node: Node): readonly (Size | undefined)[] | undefined {
    const input = (i: number) => (node.inputs[i] ? this.dims(node.inputs[i]) : undefined);
    const [a, b] = [input(0), input(1)];
    if (!isStandardDomain(node.domain) && node.domain !== 'com.microsoft') return undefined;
    if (KEEPS_SHAPE.has(node.opType)) return a;
    if (BROADCASTS.has(node.opType)) return a && b && broadcast(a, b);
    if (node.is('Gather') && node.int('axis', 0) === 0) return a && b && [...b, ...a.slice(1)];
    if (node.is('MatMul')) return a && b && b.length === 2 ? [...a.slice(0, -1), b[1]] : undefined;
    if (node.is('Gemm') && node.int('transA', 0) === 0)
      return a && b && [a[0], b[node.int('transB', 0) === 0 ? 1 : 0]];
    if (node.is('Transpose')) return a && node.ints('perm')?.map((axis) => a[axis]);
    if (node.is('Reshape')) return this.reshaped(node);
    return undefined;
  }

  /** Where the target is all known sizes. */
  private reshaped(node: Node): readonly Size[] | undefined {
    const target = shapeValues(this.graph, node.inputs[1] ?? '', (name) => this.dims(name));
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

function declaredSizes(graph: Graph): Map<string, readonly Size[]> {
  const fields = [GRAPH.input, GRAPH.output, GRAPH.valueInfo];
  const declared = new Map<string, readonly Size[]>();
  for (const info of fields.flatMap((field) => graph.message.messages(field))) {
    const name = info.string(VALUE_INFO.name);
    const shape = info.message(VALUE_INFO.type)?.message(TYPE.tensor)?.message(TENSOR_TYPE.shape);
    const dims = shape?.messages(SHAPE.dim).map((dim, axis) => {
      const declared = declaredSize(dim);
      if (declared !== undefined) return size(declared);
      return namedSize(dim.string(DIMENSION.param)) ?? size(1, `${name}[${axis}]`);
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
