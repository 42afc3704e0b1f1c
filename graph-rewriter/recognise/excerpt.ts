// The nodes of a recognised layer as a model of their own, to run them.
import onnxProto from 'onnx-proto';
import { encodeFloats, isFloatType } from '../floats.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { dataTypeNumber, GRAPH, MODEL } from '../schema.js';
import type { Tensor } from '../tensor.js';
import type { FloatFactorType } from '../types.js';
import { delimited } from '../wire/pieces.js';
import type { Shapes } from './shapes.js';
import type { Size } from './size.js';
import { findStored } from './stored.js';

const { onnx } = onnxProto;
/** The oldest that needs no inputs for initializers. */
const IR_VERSION = 8;
/** For the sizes that the model leaves open: different ones, so that a mistaken axis shows. */
const OPEN_SIZES = [2, 3, 5, 7, 11, 13];

export interface ExcerptRequest {
  readonly graph: Graph;
  readonly shapes: Shapes;
  readonly opset: number;
  /** Names of the values that depend on the input. */
  readonly values: Pick<ReadonlySet<string>, 'has'>;
  readonly input: string;
  /** Sizes of the input. */
  readonly sizes: readonly Size[];
  readonly output: string;
  readonly dtype: FloatFactorType;
}

export interface Excerpt {
  readonly model: Uint8Array;
  /** Sizes of each input. */
  readonly inputs: ReadonlyMap<string, readonly number[]>;
}

/** Undefined where the nodes need a value that only the whole model has. */
export function excerpt(request: ExcerptRequest): Excerpt | undefined {
  const { graph, shapes, values, input, sizes, output, dtype, opset } = request;
  const open = new Map<string, number>();
  const known = (all: readonly Size[]) => all.map((size) => knownSize(size, open));
  const inputs = new Map([[input, known(sizes)]]);
  const nodes = new Set<Node>();
  const constants = new Map<string, Tensor>();
  const pending = new Set([output]);
  for (const name of pending) {
    if (name === '' || inputs.has(name)) continue;
    const node = graph.producer(name);
    const stored = node === undefined ? findStored(graph, name) : undefined;
    if (stored !== undefined) constants.set(name, stored.tensor);
    else if (node === undefined) return undefined;
    else {
      nodes.add(node);
      // Of a value around the layer only the sizes are needed.
      const outside =
        node.is('Shape') && !values.has(node.inputs[0]) ? shapes.dims(node.inputs[0]) : undefined;
      if (outside !== undefined) inputs.set(node.inputs[0], known(outside));
      node.inputs.forEach((each) => pending.add(each));
    }
  }
  const ordered = [...nodes]
    .sort((a, b) => a.index - b.index)
    .map((node) => node.message.bytes(node.message.span!));
  const value = (name: string, dims?: readonly number[]) => ({
    name,
    type: {
      tensorType: {
        elemType: dataTypeNumber(dtype),
        ...(dims && { shape: { dim: dims.map((dimValue) => ({ dimValue })) } }),
      },
    },
  });
  const rest = onnx.GraphProto.encode({
    name: 'excerpt',
    input: [...inputs].map(([name, dims]) => value(name, dims)),
    output: [value(output)],
    initializer: [...constants].map(([name, tensor]) => encodeConstant(name, tensor)),
  }).finish();
  const fields = ordered.flatMap((bytes) => delimited(GRAPH.node, [bytes]));
  const header = onnx.ModelProto.encode({
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: opset }],
  }).finish();
  const body = delimited(MODEL.graph, [...fields, rest]) as Uint8Array[];
  return { model: Uint8Array.from(Buffer.concat([header, ...body])), inputs };
}

function knownSize({ n, symbols }: Size, open: Map<string, number>): number {
  return symbols.reduce((product, symbol) => {
    if (!open.has(symbol)) open.set(symbol, OPEN_SIZES[open.size % OPEN_SIZES.length]);
    return product * open.get(symbol)!;
  }, n);
}

function encodeConstant(name: string, tensor: Tensor) {
  const { dims, dtype } = tensor;
  const header = { name, dims: [...dims], dataType: dataTypeNumber(dtype as FloatFactorType) };
  if (dtype === 'float64') return { ...header, doubleData: [...tensor.numbers()] };
  if (isFloatType(dtype))
    return { ...header, rawData: encodeFloats(tensor.numbers(), dtype as FloatFactorType) };
  return { ...header, rawData: new Uint8Array(BigInt64Array.from(tensor.integers(), BigInt).buffer) };
}
