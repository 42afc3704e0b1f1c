/** A case as an ONNX model and what its caller feeds. */
import * as ort from 'onnxruntime-node';
import proto, { type onnx } from 'onnx-proto';
import type { AttributeValue, Case, Input } from './cases.js';
import { type Tensor, TYPES } from './tensors.js';

const Type = proto.onnx.AttributeProto.AttributeType;
const bytes = (text: string) => new TextEncoder().encode(text);

function attribute(name: string, value: AttributeValue): onnx.IAttributeProto {
  if (typeof value === 'string') return { name, type: Type.STRING, s: bytes(value) };
  if (typeof value === 'number') return { name, type: Type.INT, i: value };
  if ('float' in value) return { name, type: Type.FLOAT, f: value.float };
  if ('ints' in value) return { name, type: Type.INTS, ints: value.ints };
  return { name, type: Type.STRINGS, strings: value.strings.map(bytes) };
}

/** The caller cannot give bfloat16 to onnxruntime-node. */
export const isFed = ({ source, tensor }: Input) => source.startsWith('fed') && tensor.type !== 'bfloat16';

function declared({ source, tensor: { dims } }: Input, how: Case['declared'], isX: boolean) {
  if (isX ? how === 'nothing' : source === 'fed, undeclared') return undefined;
  return {
    dim: dims.map((size, i) => {
      const isNamed = isX && (how === 'names' || (how === 'leading names' && i < dims.length - 1));
      return isNamed ? { dimParam: `d${i}` } : { dimValue: size };
    }),
  };
}

function valueInfo(input: Input, how: Case['declared'], isX: boolean): onnx.IValueInfoProto {
  const shape = declared(input, how, isX);
  return {
    name: input.name,
    type: { tensorType: { elemType: TYPES[input.tensor.type][0], ...(shape && { shape }) } },
  };
}

export function modelOf({ op, inputs, attributes, declared: how }: Case): Uint8Array {
  const stored = inputs.filter((input) => !isFed(input) && input.source !== 'unnamed');
  const identities = stored.filter(({ source }) => source !== 'initializer');
  const at = (input: Input) => (identities.includes(input) ? `${input.name}_stored` : input.name);
  const model = proto.onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'ai.blockrank', version: 1 },
    ],
    graph: {
      name: 'case',
      node: [
        ...identities.map((input) => ({
          opType: 'Identity',
          name: `of_${input.name}`,
          input: [at(input)],
          output: [input.name],
        })),
        {
          name: 'layer',
          opType: op,
          domain: 'ai.blockrank',
          input: inputs.map(({ name, source }) => (source === 'unnamed' ? '' : name)),
          output: ['Y'],
          attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
        },
      ],
      initializer: stored.map((input) => ({
        name: at(input),
        dims: [...input.tensor.dims],
        dataType: TYPES[input.tensor.type][0],
        rawData: input.tensor.bytes,
      })),
      input: inputs.filter(isFed).map((input) => valueInfo(input, how, input.name === 'X')),
      output: [{ name: 'Y', type: { tensorType: { elemType: TYPES[inputs[0].tensor.type][0] } } }],
    },
  });
  return proto.onnx.ModelProto.encode(model).finish();
}

const ARRAY = {
  float32: Float32Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float64: Float64Array,
  bool: Uint8Array,
} as const;

function fed({ type, dims, bytes }: Tensor): ort.Tensor {
  const data = new ARRAY[type as keyof typeof ARRAY](Uint8Array.from(bytes).buffer);
  return new ort.Tensor(type as 'float32', data as Float32Array, dims);
}

export const feedsOf = ({ inputs }: Case): Record<string, ort.Tensor> =>
  Object.fromEntries(inputs.filter(isFed).map(({ name, tensor }) => [name, fed(tensor)]));
