/** Builds an ONNX model of one node in memory: what `doctor` tries a session with. */
import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;

/** Element types as ONNX numbers them. */
export const FLOAT = 1;
export const STRING = 8;

export interface TinyModel {
  readonly domain: string;
  readonly op: string;
  /** Type of the input X and the output Y. */
  readonly elementType: typeof FLOAT | typeof STRING;
  /** Shape of X; the shape of Y is left open. */
  readonly shape: readonly number[];
  /** Further inputs, as float initializers. */
  readonly factors?: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly values: readonly number[];
  }[];
}

const IR_VERSION = 8;
const OPSET = 13;

/** The model `Y = op(X, ...factors)` as the bytes of an ONNX file. */
export function tinyModel({ domain, op, elementType, shape, factors = [] }: TinyModel): Uint8Array {
  const dims = shape.map((dimValue) => ({ dimValue }));
  const graph = {
    name: 'tiny',
    node: [{ name: 'node', opType: op, domain, input: ['X', ...factors.map((f) => f.name)], output: ['Y'] }],
    input: [{ name: 'X', type: { tensorType: { elemType: elementType, shape: { dim: dims } } } }],
    output: [{ name: 'Y', type: { tensorType: { elemType: elementType } } }],
    initializer: factors.map(({ name, shape, values }) => ({
      name,
      dims: [...shape],
      dataType: FLOAT,
      floatData: [...values],
    })),
  };
  const opsetImport = [
    { domain: '', version: OPSET },
    { domain, version: 1 },
  ];
  return onnx.ModelProto.encode({ irVersion: IR_VERSION, opsetImport, graph }).finish();
}
