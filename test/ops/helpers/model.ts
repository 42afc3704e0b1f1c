/** One-node ONNX models of domain ai.blockrank, encoded with onnx-proto. */
import proto, { type onnx } from 'onnx-proto';
import type { ElementType, Values } from './values.js';

const DATA_TYPE = { float32: 1, int8: 3, float16: 10, bfloat16: 16 } as const;

export interface NodeSpec {
  readonly op: string;
  readonly name?: string;
  /** Inputs in the operator's order, by name; those that are not in `graphInputs` are initializers. */
  readonly inputs: Readonly<Record<string, Values>>;
  /** Name → dimensions: numbers, names of symbolic ones, null for an undeclared shape. X is always one. */
  readonly graphInputs: Readonly<Record<string, readonly (number | string)[] | null>>;
  readonly attributes?: Readonly<Record<string, string | number | readonly number[]>>;
  /** Feeds and fetches float32 where X is bfloat16. */
  readonly castX?: boolean;
}

function valueInfo(name: string, type: ElementType, dims: readonly (number | string)[] | null) {
  const shape = dims && {
    dim: dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })),
  };
  return { name, type: { tensorType: { elemType: DATA_TYPE[type], ...(shape ? { shape } : {}) } } };
}

function attribute(name: string, value: string | number | readonly number[]): onnx.IAttributeProto {
  if (typeof value === 'object')
    return { name, type: proto.onnx.AttributeProto.AttributeType.INTS, ints: [...value] };
  if (typeof value === 'number') return { name, type: proto.onnx.AttributeProto.AttributeType.INT, i: value };
  return { name, type: proto.onnx.AttributeProto.AttributeType.STRING, s: new TextEncoder().encode(value) };
}

/** Makes X and Y float32 outside the node. */
function castAround(graph: onnx.GraphProto): void {
  const cast = (input: string, output: string, to: ElementType) => ({
    opType: 'Cast',
    name: `cast_${input}`,
    input: [input],
    output: [output],
    attribute: [{ name: 'to', type: proto.onnx.AttributeProto.AttributeType.INT, i: DATA_TYPE[to] }],
  });
  const [node] = graph.node;
  node.input = (node.input ?? []).map((name) => (name === 'X' ? 'X_bfloat16' : name));
  node.output = ['Y_bfloat16'];
  graph.node = [cast('X', 'X_bfloat16', 'bfloat16'), node, cast('Y_bfloat16', 'Y', 'float32')] as never;
  for (const value of [...graph.input, ...graph.output]) {
    const tensor = value.type?.tensorType;
    if (tensor?.elemType === DATA_TYPE.bfloat16) tensor.elemType = DATA_TYPE.float32;
  }
}

/** Encodes a model that applies one node to X and gives Y. */
export function nodeModel(spec: NodeSpec): Uint8Array {
  const { inputs, graphInputs } = spec;
  const initializer = Object.entries(inputs)
    .filter(([name]) => !(name in graphInputs))
    .map(([name, v]) => ({
      name,
      dims: [...v.dims],
      dataType: DATA_TYPE[v.type],
      rawData: v.bytes,
    }));
  const node = {
    name: spec.name ?? 'layer',
    opType: spec.op,
    domain: 'ai.blockrank',
    input: Object.keys(inputs),
    output: ['Y'],
    attribute: Object.entries(spec.attributes ?? {}).map(([name, value]) => attribute(name, value)),
  };
  const model = proto.onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'ai.blockrank', version: 1 },
    ],
    graph: {
      name: 'test',
      node: [node],
      initializer,
      input: Object.entries(graphInputs).map(([name, dims]) => valueInfo(name, inputs[name].type, dims)),
      output: [valueInfo('Y', inputs['X'].type, null)],
    },
  });
  if (inputs['X'].type === 'bfloat16' && spec.castX) castAround(model.graph as onnx.GraphProto);
  return proto.onnx.ModelProto.encode(model).finish();
}
