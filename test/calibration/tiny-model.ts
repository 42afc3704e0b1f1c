import onnxProto, { type onnx as Onnx } from 'onnx-proto';

const { onnx } = onnxProto;
export const { DataType } = onnx.TensorProto;
const { AttributeType } = onnx.AttributeProto;

export function op(
  opType: string,
  input: string[],
  output: string[],
  attribute: Onnx.IAttributeProto[] = [],
): Onnx.INodeProto {
  return { opType, input, output, attribute };
}

export function floats(name: string, dims: number[], data: ArrayLike<number>): Onnx.ITensorProto {
  return { name, dims, dataType: DataType.FLOAT, floatData: Array.from(data) };
}

export function constant(name: string, t: Onnx.ITensorProto): Onnx.INodeProto {
  return op('Constant', [], [name], [{ name: 'value', type: AttributeType.TENSOR, t }]);
}

export function cast(input: string, output: string, to: number): Onnx.INodeProto {
  return op('Cast', [input], [output], [{ name: 'to', type: AttributeType.INT, i: to }]);
}

export function branch(condition: string, output: string, yes: Onnx.IGraphProto, no: Onnx.IGraphProto) {
  const graph = (name: string, g: Onnx.IGraphProto) => ({ name, type: AttributeType.GRAPH, g });
  return op('If', [condition], [output], [graph('then_branch', yes), graph('else_branch', no)]);
}

/** A Loop or Scan. */
export function loop(
  opType: 'Loop' | 'Scan',
  input: string[],
  output: string[],
  body: Onnx.IGraphProto,
  ints: Readonly<Record<string, number>> = {},
): Onnx.INodeProto {
  const counts = Object.entries(ints).map(([name, i]) => ({ name, type: AttributeType.INT, i }));
  return op(opType, input, output, [{ name: 'body', type: AttributeType.GRAPH, g: body }, ...counts]);
}

export function integers(name: string, dims: number[], data: number[]): Onnx.ITensorProto {
  return { name, dims, dataType: DataType.INT64, int64Data: data };
}

export function value(name: string, elemType: number, dims?: (number | string)[]): Onnx.IValueInfoProto {
  const dim = dims?.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: dim ? { elemType, shape: { dim } } : { elemType } } };
}

export function encodeModel(graph: Onnx.IGraphProto, opset: number): Uint8Array {
  const model = {
    irVersion: 7,
    opsetImport: [{ domain: '', version: opset }],
    graph: { name: 'tiny', ...graph },
  };
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject(model)).finish();
}
