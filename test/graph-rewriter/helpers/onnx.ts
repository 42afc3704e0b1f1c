// Small ONNX models, written with onnx-proto.
import { readFileSync } from 'node:fs';
import onnxProto, { type onnx } from 'onnx-proto';
import { encodeFloats } from '../../../graph-rewriter/floats.js';
import { dataTypeNumber } from '../../../graph-rewriter/schema.js';
import type { FloatFactorType } from '../../../graph-rewriter/types.js';

const { onnx: proto } = onnxProto;

export function tensor(
  name: string,
  dims: readonly number[],
  values: Float32Array | readonly number[],
  type: FloatFactorType = 'float32',
): onnx.ITensorProto {
  const rawData = encodeFloats(Float32Array.from(values), type).slice();
  return { name, dims: [...dims], dataType: dataTypeNumber(type), rawData };
}

/** A shape, axes. */
export function int64s(name: string, values: readonly number[]): onnx.ITensorProto {
  const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { name, dims: [values.length], dataType: dataTypeNumber('int64'), rawData };
}

type Attributes = Record<string, number | string | readonly number[] | onnx.ITensorProto | onnx.IGraphProto>;

/** Whole numbers become INT, so floats are given as `{ f: 0.5 }` in `extra`. */
export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Attributes = {},
  extra: onnx.INodeProto & { floats?: Record<string, number> } = {},
): onnx.INodeProto {
  const { floats = {}, ...fields } = extra;
  return {
    opType,
    input: [...input],
    output: [...output],
    attribute: [
      ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      ...Object.entries(floats).map(([name, f]) => ({ name, type: 1, f })),
    ],
    ...fields,
  };
}

function attribute(name: string, value: Attributes[string]): onnx.IAttributeProto {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  if (Array.isArray(value)) return { name, type: 7, ints: value as number[] };
  return 'node' in value ? { name, type: 5, g: value } : { name, type: 4, t: value as onnx.ITensorProto };
}

export function constant(output: string, value: onnx.ITensorProto): onnx.INodeProto {
  return node('Constant', [], [output], { value });
}

export function valueInfo(
  name: string,
  dims: readonly (number | string)[],
  type: FloatFactorType | 'bool' | 'int64' = 'float32',
): onnx.IValueInfoProto {
  const dim = dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: dataTypeNumber(type), shape: { dim } } } };
}

export interface ModelParts {
  readonly nodes: readonly onnx.INodeProto[];
  readonly inputs: readonly onnx.IValueInfoProto[];
  readonly outputs: readonly onnx.IValueInfoProto[];
  readonly initializers?: readonly onnx.ITensorProto[];
  readonly sparse?: readonly onnx.ISparseTensorProto[];
  readonly valueInfo?: readonly onnx.IValueInfoProto[];
  readonly functions?: readonly onnx.IFunctionProto[];
  readonly opset?: number;
  readonly irVersion?: number;
  readonly domains?: readonly string[];
}

export function encodeModel(parts: ModelParts): Uint8Array {
  const { opset = 17, irVersion = 8, domains = [] } = parts;
  return proto.ModelProto.encode({
    irVersion,
    producerName: 'blockrank tests',
    opsetImport: [{ domain: '', version: opset }, ...domains.map((domain) => ({ domain, version: 1 }))],
    functions: [...(parts.functions ?? [])],
    graph: {
      name: 'g',
      node: [...parts.nodes],
      input: [...parts.inputs],
      output: [...parts.outputs],
      initializer: [...(parts.initializers ?? [])],
      sparseInitializer: [...(parts.sparse ?? [])],
      valueInfo: [...(parts.valueInfo ?? [])],
    },
  }).finish();
}

export function readModel(path: string): onnx.ModelProto {
  return proto.ModelProto.decode(Uint8Array.from(readFileSync(path)));
}
